"""Running a generated program on the native core and by the meanings, and comparing what the two leave behind."""

from __future__ import annotations

import warnings
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import harness
import numpy as np
from tests.fuzz.parts import Program, Tensor

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import OpentrnError
from opentrn.execute import access
from opentrn.isa.all import REGISTRY
from opentrn.nki.kernel import Kernel, run
from opentrn.numerics.dtypes import DTYPES
from opentrn.program.recorder import ACTIVE

__all__ = ["Counts", "check", "compare", "kernel_of", "outcome"]

ROUNDED = {"activation", "nc_matmul"}
"""Opcodes whose native twin is close to the meaning, not equal to it (ARCHITECTURE.md, decision 2)."""


@dataclass
class Counts:
    """What a run of the fuzzer met."""

    programs: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    native: int = 0
    faults: int = 0
    failures: int = 0
    findings: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        done, refused = self.calls.total(), self.refused.total()
        missing = sorted(set(REGISTRY) - set(self.calls))
        return (
            f"{self.programs} programs, {done} instructions executed ({self.native} natively; {len(self.calls)} of "
            f"{len(REGISTRY)} kinds{', without ' + ', '.join(missing) if missing else ''}), {refused} calls refused by a "
            f"rule, {self.faults} memory faults and {self.failures} errors met alike"
        )


@dataclass
class Outcome:
    """What one run left: rule labels or '' by call, the error that ended it, memory faults, tensors as (values, written)."""

    said: list[str]
    failure: str
    faults: list[str]
    tensors: list[tuple[np.ndarray, np.ndarray]]
    opcodes: list[str]


def _make(tensor: Tensor) -> Any:
    made = nl.ndarray(tensor.shape, dtype=tensor.dtype, buffer=nl.__dict__[tensor.region])
    assert ACTIVE.recorder is not None
    if tensor.written != "none":
        array = tensor.array()
        half = tensor.shape[-1] if tensor.written == "all" else max(1, tensor.shape[-1] // 2)
        ACTIVE.recorder.state.fill(made[..., :half], array[..., :half])
    return made


def kernel_of(program: Program, kept: dict[str, Any]) -> Kernel:
    """The program as a kernel; core 0's tensors, what each call said and each call's opcode go into `kept`."""

    def generated(anchor: Any) -> Any:
        tensors = [_make(t) for t in program.tensors]
        said, opcodes = [], []
        first = not kept
        if first:  # of the second core the same is expected
            kept.update(said=said, opcodes=opcodes)
        for call in program.calls:
            opcode, text = "", ""
            try:
                given = {key: _resolved(value, tensors) for key, value in call.given.items()}
                getattr(nisa, call.name)(**given)
                pending = ACTIVE.recorder.pending  # type: ignore[union-attr]
                opcode = pending[-1][0].native.opcode if pending and pending[-1][0].native is not None else ""
            except OpentrnError as error:
                text = f"{type(error).__name__}: {getattr(error, 'rule', error.what)}"
            said.append(text)
            opcodes.append(opcode)
        nisa.dma_copy(dst=anchor, src=anchor)
        ACTIVE.recorder.state.flush()  # type: ignore[union-attr]
        if first:
            kept["tensors"] = [_held(t) for t in tensors]
        return anchor

    return Kernel(generated, program.lnc)


def _resolved(value: Any, tensors: list[Any]) -> Any:
    if isinstance(value, list):
        return [_resolved(v, tensors) for v in value]
    return value.of(tensors) if hasattr(value, "of") else value


def _held(tensor: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values and which elements are written."""
    if tensor.block.state == 0:
        return access.strided(tensor).copy(), np.zeros(tensor.shape, bool)
    window = access.shadow_of(tensor) if tensor.block.state == 1 else np.ones(tensor.shape, np.uint8)
    written = (window == 1).reshape((*tensor.shape, -1)).all(-1)
    return access.strided(tensor).copy(), written


def outcome(program: Program, native: bool) -> Outcome:
    """Run it once, faults collected. Anything but an OpentrnError is a defect of opentrn and comes out."""
    kept: dict[str, Any] = {}
    failure, faults = "", []
    with warnings.catch_warnings(), nullcontext() if native else harness.without_native():
        warnings.simplefilter("ignore")
        try:
            report = run(kernel_of(program, kept), target=program.target, strict=False)(np.zeros((1, 1), np.float32))
            faults = [f"{w.what} {w.got}" for w in report.warnings]
        except OpentrnError as error:
            failure = f"{type(error).__name__}: {error.what} {error.got}"
    return Outcome(kept.get("said", []), failure, faults, kept.get("tensors", []), kept.get("opcodes", []))


def compare(program: Program, counts: Counts | None = None) -> None:
    """Assert that native core and meanings leave the same, and that `opentrn.check` finds something to say or nothing."""
    counts = counts if counts is not None else Counts()
    fast, meant = outcome(program, True), outcome(program, False)
    assert fast.failure == meant.failure
    assert fast.said == meant.said
    assert fast.faults == meant.faults
    if not fast.failure:
        uncertain = _uncertain(program, fast.said, fast.opcodes)
        for number, (one, other) in enumerate(zip(fast.tensors, meant.tensors, strict=True)):
            _same(number, program.tensors[number], one, other, uncertain[number], _floats(program, number))
    counts.programs += 1
    counts.failures += bool(fast.failure)
    counts.faults += len(fast.faults)
    for call, said, opcode in zip(program.calls, fast.said, fast.opcodes, strict=False):
        (counts.refused if said else counts.calls)[call.name] += 1
        counts.native += bool(opcode)


def check(program: Program, counts: Counts) -> None:
    """`opentrn.check` gives findings, whatever the program does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = opentrn.check(kernel_of(program, {}), target=program.target)(np.zeros((1, 1), np.float32))
    counts.findings.update(f.label for f in found)


def _uncertain(program: Program, said: list[str], opcodes: list[str]) -> list[int]:
    """By tensor: 0 the same to the bit, 1 written from such tensors by a rounded opcode, 2 anything later."""
    level: dict[Any, int] = {}
    for call, text, opcode in zip(program.calls, said, opcodes, strict=True):
        if text:
            continue
        roles = REGISTRY[call.name].operands
        seen = [(roles[k].role, s) for k in roles for s in _listed(call.given[k]) if hasattr(s, "touched")]
        # accumulator registers of an engine carry values from call to call
        state = ["registers"] if "reduce_cmd" in call.given or "reduce_res" in call.given else []
        reads = [level.get(t, 0) for role, s in seen for t in (s.touched() if role != "out" else s.touched()[1:])]
        reads += [level.get(s, 0) for s in state]
        made = 2 if any(reads) else 1 if opcode in ROUNDED else 0
        for key in [*(s.tensor for role, s in seen if role != "in"), *state]:
            level[key] = max(level.get(key, 0), made)
    return [level.get(n, 0) for n in range(len(program.tensors))]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _floats(program: Program, number: int) -> list[str]:
    """The floating dtypes as which the bits of tensor `number` are seen: any NaN of these is as good as another."""
    seen = [s for call in program.calls for v in call.given.values() for s in _listed(v) if hasattr(s, "touched")]
    types = {step[1] for s in seen if s.tensor == number for step in s.steps if step[0] == "view"}
    return sorted(name for name in types if DTYPES[name].is_float)


def _same(number: int, tensor: Tensor, one: Any, other: Any, uncertain: int, floats: list[str]) -> None:
    (a, a_written), (b, b_written) = one, other
    np.testing.assert_array_equal(a_written, b_written, err_msg=f"which elements of tensor {number} are written")
    a, b = a[a_written], b[a_written]
    if uncertain == 0:
        seen_as = [DTYPES[name].carrier for name in floats]
        if not any(np.array_equal(harness.bits(a.view(kind)), harness.bits(b.view(kind))) for kind in seen_as):
            np.testing.assert_array_equal(harness.bits(a), harness.bits(b), err_msg=f"tensor {number}")
    elif uncertain == 1 and DTYPES[tensor.dtype].is_float:
        _close(number, tensor, a.astype(np.float64), b.astype(np.float64))


def _close(number: int, tensor: Tensor, a: np.ndarray, b: np.ndarray) -> None:
    """Within a few float32 units and one step of the dtype; near the largest finite value, infinity is next to it."""
    kind = DTYPES[tensor.dtype]
    a, b = (np.clip(x, kind.min * 1.0, kind.max * 1.0) for x in (a, b))
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=f"NaNs of tensor {number}")
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    step = {4: 1e-6, 2: 2**-7, 1: 2**-2}[kind.itemsize]
    scale = np.abs(b).max(initial=0.0)
    np.testing.assert_array_less(np.abs(a - b), step * np.abs(b) + 4e-6 * scale + 1e-6, err_msg=f"tensor {number}")
