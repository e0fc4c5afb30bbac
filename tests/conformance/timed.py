"""A pytest plugin for `nki_library.py --timed`: every kernel that a test launches is timed as well, and checked.

Each launch adds a line to the file that OPENTRN_TIMED_JSON names: the test, the kernel, its predicted latency, or the
exception that timing raised. The values that the test compares are those of the same launch.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import opentrn
from opentrn.checks.look import Choice
from opentrn.checks.outcome import Looks
from opentrn.nki import kernel as kernels
from opentrn.nki import ranks
from opentrn.nki.check import evidence_of_ranks
from opentrn.nki.launch import Call
from opentrn.profile.report import profile_report
from opentrn.timing.simulate import simulate

_test = ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember which test the launches belong to."""
    global _test
    _test = item.nodeid


def _note(**facts: Any) -> None:
    with open(os.environ["OPENTRN_TIMED_JSON"], "a") as file:  # noqa: PTH123 - one line per launch, many times
        file.write(json.dumps({"nodeid": _test, **facts}) + "\n")


def _measure(name: str, launched: Any) -> None:
    try:
        traces = launched.traces or []
        report = profile_report(
            simulate(traces, launched.chip), name, results=None, launch=launched, traces=traces, reorder=0
        )
    except Exception as error:
        _note(kernel=name, error=f"{type(error).__name__}: {error}"[:400])
        return
    _note(kernel=name, instructions=launched.instruction_count, latency_us=report.latency_us)


def _check(kernel: Any, calls: Sequence[Call], target: str | None = None) -> None:
    """Every check of a run, on copies of the arguments; the labels of the findings, or the exception that one raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            looks = Looks(Choice())
            for each in evidence_of_ranks(kernel, calls, target):
                looks.add(each, source=True)
            found = looks.outcome().findings
    except Exception as error:
        _note(kernel=kernel.__name__, unchecked=f"{type(error).__name__}: {error}"[:400])
        return
    labels = [f"{each.severity} {each.label}" for each in found]
    first = [f"{each.file}:{each.line} {each.label} {each.message}"[:300] for each in found[:5]]
    _note(kernel=kernel.__name__, findings=labels, first=first)


def watch(kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]) -> Any:
    """Launch with the program kept, time it, and give the test what it asked for."""
    _check(kernel, [(args, kwargs)], options.get("target"))
    launched = kernels.start(kernel, args, kwargs, {**options, "trace": True})
    _measure(kernel.__name__, launched)
    return launched


def watch_ranks(kernel: Any, calls: Sequence[Call]) -> Any:
    """Check a launch on several ranks, time what rank 0 runs, and give the test what it asked for."""
    _check(kernel, calls)
    args, kwargs = calls[0]
    try:
        with kernels.unwatched():
            report = opentrn.profile(kernel, mode="timing")(*args, **kwargs)
    except Exception as error:
        _note(kernel=kernel.__name__, error=f"{type(error).__name__}: {error}"[:400])
    else:
        _note(kernel=kernel.__name__, ranks=len(calls), latency_us=report.latency_us)
    return ranks.start_ranks(kernel, calls)


def pytest_configure(config: pytest.Config) -> None:
    """Every launch from now on goes through `watch` or `watch_ranks`."""
    kernels.WATCHERS.append(watch)
    ranks.WATCHERS.append(watch_ranks)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Launches are plain again."""
    for watchers, ours in ((kernels.WATCHERS, watch), (ranks.WATCHERS, watch_ranks)):
        if ours in watchers:
            watchers.remove(ours)
