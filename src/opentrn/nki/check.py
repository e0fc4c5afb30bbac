"""`opentrn.check`: run a kernel and report everything that would go wrong with it on the chip."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentrn.checks.evidence import Evidence, Notice
from opentrn.checks.finding import Finding
from opentrn.checks.look import Choice, look
from opentrn.errors import Site
from opentrn.nki.inputs import fresh
from opentrn.nki.kernel import Kernel, simulate, start
from opentrn.nki.launch import Report

__all__ = ["LIMIT", "check", "evidence_of"]

LIMIT = 5_000_000
"""Steps of one core after which a checked kernel counts as endless: more than any public kernel takes."""


def check(
    kernel: Any,
    *,
    target: str | None = None,
    only: Sequence[str] = (),
    ignore: Sequence[str] = (),
    severity: Mapping[str, str] | None = None,
    limit: int = LIMIT,
) -> Callable[..., list[Finding]]:
    """A callable that runs `kernel` (a kernel, ``kernel[2]`` or a plain function) and gives back a list of `Finding`.

    Arguments are arrays, which stay as they are, or `ShapeDtype`, for which values are made (seeded). `only` and `ignore`
    choose checks by name or label, `severity` changes how bad their findings are. What the kernel raises is a finding too.

    A core may take `limit` instructions, register reads and turns of dynamic loops together; a kernel that takes more is
    reported as one that does not end (`deadlock.endless`).

    Raises LaunchError for a check that does not exist or an LNC that the chip does not have.

    >>> findings = opentrn.check(kernel, target="trn2")(opentrn.ShapeDtype((128, 512), "bfloat16"))
    """
    made = simulate(kernel)
    choice = Choice(tuple(only), tuple(ignore), severity or {})

    def checked(*args: Any, **kwargs: Any) -> list[Finding]:
        return look("run", evidence_of(made, args, kwargs, target, limit), choice, [made.func.__code__.co_filename])

    return checked


def evidence_of(
    kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any], target: str | None = None, limit: int = LIMIT
) -> Evidence:
    """What a run of `kernel` on copies of its arguments shows, faults and failures included."""

    def again(**options: Any) -> Report:
        given, named = fresh((args, kwargs))
        usual = {"target": target, "strict": False, "trace": True, "catch": True, "limit": limit}
        return start(kernel, given, named, usual | options)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        report = again()
    return Evidence(
        kernel.__name__,
        kernel.func,
        report.chip,
        report.lnc,
        report.traces or [],
        report.warnings,
        report.failures,
        [Notice(w.category, str(w.message), Site(w.filename, w.lineno)) for w in shown],
        report.results,
        again,
    )
