"""A pytest plugin for `nki_library.py --timed`: every kernel that a test launches is timed as well, and checked.

Each launch adds a line to the file that OPENTRN_TIMED_JSON names: the test, the kernel, its predicted latency, or the
exception that timing raised. The values that the test compares are those of the same launch.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from typing import Any

import pytest

import opentrn
from opentrn.nki import kernel as kernels
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


def _check(kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any], target: str | None) -> None:
    """Every check of a run, on copies of the arguments; the labels of the findings, or the exception that one raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = opentrn.check(kernel, target=target)(*args, **kwargs)
    except Exception as error:
        _note(kernel=kernel.__name__, unchecked=f"{type(error).__name__}: {error}"[:400])
        return
    labels = [f"{each.severity} {each.label}" for each in found]
    first = [f"{each.file}:{each.line} {each.label} {each.message}"[:300] for each in found[:5]]
    _note(kernel=kernel.__name__, findings=labels, first=first)


def watch(kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]) -> Any:
    """Launch with the program kept, time it, and give the test what it asked for."""
    _check(kernel, args, kwargs, options.get("target"))
    launched = kernels.start(kernel, args, kwargs, {**options, "trace": True})
    _measure(kernel.__name__, launched)
    return launched


def pytest_configure(config: pytest.Config) -> None:
    """Every launch from now on goes through `watch`; launches of several ranks are timed as rank 0 sees them."""
    kernels.WATCHERS.append(watch)
    ranks = opentrn.nki.simulate_ranks

    def simulate_ranks(kernel: Any, lnc: int, inputs: Any) -> Any:
        results = ranks(kernel, lnc, inputs)
        name = getattr(kernel, "__name__", "kernel")
        kernels.WATCHERS.remove(watch)  # a check runs one rank, which would wait for the others in vain
        try:
            report = opentrn.profile(opentrn.nki.simulate(kernel)[lnc], mode="timing")(**inputs[0])
        except Exception as error:
            _note(kernel=name, error=f"{type(error).__name__}: {error}"[:400])
        else:
            _note(kernel=name, ranks=len(inputs), latency_us=report.latency_us)
        finally:
            kernels.WATCHERS.append(watch)
        return results

    opentrn.nki.simulate_ranks = simulate_ranks


def pytest_unconfigure(config: pytest.Config) -> None:
    """Launches are plain again."""
    if watch in kernels.WATCHERS:
        kernels.WATCHERS.remove(watch)
