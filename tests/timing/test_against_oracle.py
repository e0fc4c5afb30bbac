"""The compiled event loop against its Python specification, on programs that nobody would write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.timing.programs import Program, run

from opentrn.program import native

pytestmark = pytest.mark.skipif(not native.available(), reason="no native core")

QUICK = settings(deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
"""Without shrinking: a failing pair of programs is no easier to read for being small, and takes minutes to shrink."""

COLUMNS = ("ready", "start", "end", "done", "first", "last", "clock_change")


@st.composite
def regions(draw: st.DrawFn, program: Program, tensor: Any) -> Any:
    """Some rectangle of a tensor, dense or strided, of elements of 1 to 4 bytes."""
    facts = program.tensors[tensor.number]
    item = draw(st.sampled_from([1, 2, 4]))
    width, rows = facts["width"] // item, facts["bytes"] // facts["width"]
    row = draw(st.integers(0, rows - 1))
    count = draw(st.integers(1, rows - row))
    column = draw(st.integers(0, width - 1))
    step = draw(st.integers(1, 5))
    length = draw(st.integers(1, max(1, (width - column) // step)))
    if draw(st.booleans()) and length >= 4:
        shape, strides = (count, length // 4, 2), (width, 4 * step, step)
    else:
        shape, strides = (count, length), (width, step)
    return tensor.region(shape, strides, row * width + column, item)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    p = Program()
    tensors = [p.tensor(space, width, rows=rows, byte=byte) for space, width, rows, byte in [
        (0, 64, 128, 0), (0, 4096, 128, 32), (0, 16, 32, 5000), (1, 2048, 128, 0), (1, 512, 128, 1024),
        (2, 256, 300, 0), (3, 40, 7, 0),
    ]]  # fmt: skip
    some = st.sampled_from(tensors).flatmap(lambda t: regions(p, t))
    for _ in range(draw(st.integers(1, 40))):
        reads, writes = draw(st.lists(some, max_size=3)), draw(st.lists(some, max_size=2))
        engine = draw(st.sampled_from(["tensor", "vector", "scalar", "gpsimd", "sync"]))
        busy = draw(st.integers(0, 300))
        if engine in ("sync", "scalar", "gpsimd") and draw(st.booleans()):
            facts = {
                "first": draw(st.integers(0, 90)),
                "complete": draw(st.integers(0, 40)),
                "engines": draw(st.sampled_from([1, 5, 16])),
            }
            p.dma(engine, draw(st.integers(1, 5000)), draw(st.integers(1, 400)), reads=reads, writes=writes, **facts)
            continue
        facts = {
            "latency": draw(st.integers(0, 80)),
            "shared": draw(st.sampled_from([-1, 500])) if engine == "vector" else -1,
        }
        if engine == "tensor":
            facts["preload"] = draw(st.integers(0, 60))
        if engine == "scalar":
            facts["table"] = draw(st.integers(-1, 2))
        p.do(engine, busy, reads=reads, writes=writes, address=draw(st.sampled_from([0, 0, 0, 250])), **facts)
    for consumer in range(1, len(p.costs)):
        if draw(st.integers(0, 9)) == 0:
            p.edges.append((draw(st.integers(0, consumer - 1)), consumer))
    return p


machines = st.fixed_dictionaries(
    {
        "clock_threshold": st.sampled_from([0.0, 0.37511]),  # no sum of round numbers: a tie is decided by a last bit
        "clock_phase_ns": st.sampled_from([1000.0, 321.0]),
        "vector_gpsimd_parallel": st.booleans(),
        "vector_scalar_parallel": st.booleans(),
        "core_bytes_per_ns": st.sampled_from([1e9, 7.0]),
        "stack_bytes_per_ns": st.sampled_from([1e9, 9.0]),
        "further_wait_ns": st.sampled_from([np.zeros(5), np.array([77.0, 23, 5, 1, 0])]),
        "prologue_ns": st.sampled_from([0.0, 1234.5]),
    }
)


def assert_same(programs: list[Program], machine: dict[str, Any]) -> None:
    python, compiled = run(*programs, compiled=False, **machine), run(*programs, compiled=True, **machine)
    assert python.stuck == compiled.stuck
    for ours, theirs in zip(python.columns, compiled.columns, strict=True):
        pairs = [sorted(zip(c["consumer"].tolist(), c["producer"].tolist(), strict=True)) for c in (ours, theirs)]
        assert pairs[0] == pairs[1]
        for name in COLUMNS:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-6, err_msg=name)
        assert_same_reasons(ours, theirs)


def assert_same_reasons(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Causes and blockers agree, unless two blockers end together (then the last bit decides)."""
    for row in np.flatnonzero((ours["cause"] != theirs["cause"]) | (ours["blocker"] != theirs["blocker"])):
        ends = [ours["done"][columns["blocker"][row]] for columns in (ours, theirs)]
        np.testing.assert_allclose(*ends, rtol=1e-9, err_msg=f"row {row}")


@settings(QUICK, max_examples=100)
@given(programs(), machines)
def test_one_core(program: Program, machine: dict[str, Any]) -> None:
    assert_same([program], machine)


@settings(QUICK, max_examples=40)
@given(programs(), programs(), machines)
def test_two_cores(left: Program, right: Program, machine: dict[str, Any]) -> None:
    for program in (left, right):
        for name in (0, 1, 0):
            program.do("sync", 20, meets=name)
    assert_same([left, right], machine)
