"""What a mutant does: findings of `opentrn.check`, and values beside those of the kernel as it was.

A mutant is caught by a *finding* (an error or warning that the unmutated kernel does not have) or by its *values* (a test
with a reference: on one of the seeded inputs the result is further off than TOLERANCE of its largest value). One that does
neither is *silent*. Silent mutants that record the same instructions on the same operands, engines aside, are equivalent by
proof; the others are listed in survivors.csv with what a reader found.
"""

from __future__ import annotations

import importlib.util
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np
from tests.mutation.operators import Mutant
from tests.mutation.subjects import Subject

import opentrn
from opentrn.errors import OpentrnError
from opentrn.nki.kernel import simulate

__all__ = ["INPUTS", "Baseline", "Verdict", "baseline", "judge"]

INPUTS = 3
"""Seeded inputs on which values are compared."""

TOLERANCE = 1e-5
"""Of the largest value of a result, as tests of kernels have it; 1e-2 for results narrower than float32."""

PATIENCE_S = 20
_numbers = count()


@dataclass(frozen=True)
class Verdict:
    """`findings` are labels that the kernel as it was does not give; `values` tells that a reference test notices.

    `same` tells why a silent mutant is the same program: "" where that is not proven. `wrong` is an error that no check
    may raise.
    """

    findings: tuple[str, ...] = ()
    values: bool = False
    off: float = 0.0
    same: str = ""
    wrong: str = ""

    @property
    def caught(self) -> bool:
        return bool(self.findings or self.values)


@dataclass(frozen=True)
class Baseline:
    """The kernel as it was: its lines that run, findings, results by input, and instruction streams."""

    lines: set[int]
    labels: frozenset[str]
    results: list[list[np.ndarray]]
    streams: Any


def baseline(subject: Subject, folder: Path, seed: int) -> Baseline:
    """Run the kernel unmutated (as the mutants: written out from its syntax tree)."""
    import ast

    source = subject.path.read_text()
    kernel = _kernel(subject, subject.path)
    lines = _lines(kernel, subject, seed)
    same = _written(subject, ast.unparse(ast.parse(source)), folder)
    findings, streams = _checked(same, subject, seed)
    return Baseline(lines, findings, _results(same, subject, seed), streams)


def judge(subject: Subject, mutant: Mutant, before: Baseline, folder: Path, seed: int) -> Verdict:
    """What the mutant does that the kernel does not."""
    try:
        with _patience():
            kernel = _written(subject, mutant.source, folder)
            found, streams = _checked(kernel, subject, seed)
    except TimeoutError:
        return Verdict(("no end",))
    except Exception as error:
        return Verdict(wrong=f"{type(error).__name__}: {error}")
    labels = tuple(sorted(found - before.labels))
    try:
        with _patience():
            off = max(_off(a, b) for a, b in zip(_results(kernel, subject, seed), before.results, strict=True))
    except (Exception, TimeoutError):
        off = np.inf  # a test sees that too
    same = ""
    if not labels and off == 0:
        same = "the same instructions" if streams == before.streams else ""
        if not same and _without_engines(streams) == _without_engines(before.streams):
            same = "the same instructions on other engines"
    return Verdict(labels, bool(off > 1), float(off), same)


def _off(got: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """The largest difference in units of what a test tolerates."""
    worst = 0.0
    for one, other in zip(got, wanted, strict=True):
        if one.shape != other.shape:
            return np.inf
        loose = 1e-2 if other.dtype.itemsize < 4 else TOLERANCE
        a, b = one.astype(np.float64), other.astype(np.float64)
        if not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return np.inf
        gap = np.abs(np.nan_to_num(a) - np.nan_to_num(b)).max(initial=0.0)
        worst = max(worst, gap / (loose * max(np.abs(np.nan_to_num(b)).max(initial=0.0), 1e-30)))
    return worst


def _results(kernel: Any, subject: Subject, seed: int) -> list[list[np.ndarray]]:
    made = []
    for number in range(INPUTS):
        given = subject.make(np.random.default_rng((seed, number)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = opentrn.run(kernel, strict=False)(*given, **subject.options)
        made.append([np.array(r) for r in _flat(report.results)])
    return made


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _checked(kernel: Any, subject: Subject, seed: int) -> tuple[frozenset[str], Any]:
    """Labels of errors and warnings, and the instruction streams."""
    given = subject.make(np.random.default_rng((seed, 0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = opentrn.check(kernel)(*given, **subject.options)
        try:
            report = simulate(kernel).report(given, subject.options, strict=False, trace=True, catch=True)
            streams = [_stream(trace) for trace in report.traces or []]
        except OpentrnError:
            streams = None
    return frozenset(f.label for f in found if f.severity != "advice"), streams


def _stream(trace: Any) -> list[tuple[Any, ...]]:
    """What each instruction is and touches: (engine, (step, operands)) in program order."""
    rows = []
    for row in range(len(trace)):
        step = trace.steps[trace.step[row]]
        first, end = trace.first_operand[row : row + 2]
        regions = trace.region[first:end]
        touched = tuple(
            (int(trace.region_allocation[r]), int(trace.region_offset[r]), trace.geometries[trace.region_geometry[r]])
            for r in regions
        )
        facts = tuple((k, _fact(v)) for k, v in sorted(step.values.items()))
        rows.append((step.engine.name, (step.instruction.name, facts, touched)))
    return rows


def _fact(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_fact(v) for v in value)
    if hasattr(value, "storage"):
        return value.shape, value.strides, value.dtype, value.buffer  # where it begins is in `touched`
    return repr(value)


def _without_engines(streams: Any) -> Any:
    return None if streams is None else [[what for _, what in stream] for stream in streams]


def _written(subject: Subject, source: str, folder: Path) -> Any:
    path = folder / f"{subject.path.stem}_{next(_numbers)}.py"
    path.write_text(source)
    return _kernel(subject, path)


def _kernel(subject: Subject, path: Path) -> Any:
    module = _module(path)
    made = simulate(getattr(module, subject.kernel))
    return made[subject.lnc] if subject.lnc > 1 else made


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"mutant_{next(_numbers)}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _lines(kernel: Any, subject: Subject, seed: int) -> set[int]:
    """Lines of the subject's file that its kernel runs."""
    import sys
    import threading

    found: set[int] = set()
    name = str(subject.path)

    def watch(frame: FrameType, event: str, _: Any) -> Any:
        code: CodeType = frame.f_code
        if code.co_filename != name:
            return None
        found.update(line for _, _, line in code.co_lines() if line is not None and event == "call")
        if event == "line":
            ran.add(frame.f_lineno)
        return watch

    ran: set[int] = set()
    threading.settrace(watch)
    sys.settrace(watch)
    try:
        kernel(*subject.make(np.random.default_rng((seed, 0))), **subject.options)
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
    return _of_statements(subject.path, ran)


def _of_statements(path: Path, ran: set[int]) -> set[int]:
    """All lines of the simple statements (and loop heads) that begin on a line that ran, so that long calls count whole."""
    import ast

    found = set(ran)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Expr, ast.Assign, ast.Return, ast.AugAssign, ast.AnnAssign)) and node.lineno in ran:
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


@contextmanager
def _patience() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
