"""core_barrier: rules by label, what it orders, how it fails."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, hbm, out, refused, sbuf

import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError

X = np.arange(32, dtype=np.float32).reshape(4, 8)
CASE = {"data": hbm(X), "cores": (0,)}


@pytest.mark.parametrize("cores", [(0,), [0], 0, (1,)])
def test_c1_accepts_a_single_core_which_waits_for_nobody(cores):
    """(0,) and 0 occur in public kernels as "no partner"."""
    assert np.array_equal(call("core_barrier", **{**CASE, "cores": cores})["data"], X)


@pytest.mark.parametrize("cores", [(0, 1), [0, 1], (1, 0)])
def test_c1_accepts_both_cores(cores):
    exchange(cores)


@pytest.mark.parametrize("cores", [(0, 2), (0, 0), (0, 1, 2), (2,), 2, ()])
def test_c1_refuses_other_cores(cores):
    refused("core_barrier", "c1", **{**CASE, "cores": cores})


@pytest.mark.parametrize("cores", ["01", None, 1.5, True, ("0", "1")])
def test_cores_of_a_wrong_kind(cores):
    refused("core_barrier", "cores.value", **{**CASE, "cores": cores})


def exchange(cores=(0, 1), **options):
    @nki.jit
    def kernel(x):
        me = nl.program_id(0)
        between = nl.ndarray((2, 4, 8), dtype=nl.float32, buffer=nl.shared_hbm)
        tile = nl.full((4, 8), 1.0 + me, dtype=nl.float32)
        nisa.dma_copy(dst=between[me], src=tile)
        nisa.core_barrier(between, cores, **options)
        result = nl.ndarray((2, 4, 8), dtype=nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result[me], src=between[1 - me])
        return result

    got = kernel[2](X)
    assert (got[0] == 2).all()
    assert (got[1] == 1).all()


def test_meaning_writes_before_a_barrier_are_seen_after_it():
    exchange()


@pytest.mark.parametrize("engine", [nisa.engine.gpsimd, nisa.engine.vector, nisa.engine.scalar, nisa.engine.sync])
def test_meaning_is_the_same_on_every_engine(engine):
    exchange(engine=engine)


def test_meaning_of_several_barriers_is_that_of_steps():
    """Each core adds to what the other left in the step before; without barriers the steps would mix."""

    @nki.jit
    def kernel(x):
        me = nl.program_id(0)
        board = nl.ndarray((6, 2, 1), dtype=nl.float32, buffer=nl.shared_hbm)
        tile = nl.full((1, 1), 1.0, dtype=nl.float32)
        nisa.dma_copy(dst=board[0, nl.ds(me, 1)], src=tile)
        for step in range(1, 6):
            nisa.core_barrier(board, (0, 1))
            nisa.dma_copy(dst=tile, src=board[step - 1, nl.ds(1 - me, 1)])
            nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0, op1=nl.add, operand1=float(me))
            nisa.dma_copy(dst=board[step, nl.ds(me, 1)], src=tile)
        return board

    want = np.ones((6, 2))
    for step in range(1, 6):
        want[step] = 2 * want[step - 1, ::-1] + [0, 1]
    assert np.array_equal(kernel[2](X)[..., 0], want)


def test_data_may_be_unwritten_or_on_chip():
    call("core_barrier", **{**CASE, "data": sbuf(X)})
    call("core_barrier", **{**CASE, "data": out((4, 8), region=nl.private_hbm)})


def test_names_that_differ_between_the_cores_do_not_matter():
    @nki.jit
    def kernel(x):
        mine = nl.ndarray((4, 8), dtype=nl.float32, buffer=nl.sbuf, name=f"tile_{nl.program_id(0)}")
        nisa.core_barrier(mine, (0, 1))
        nisa.dma_copy(dst=x, src=x)

    assert kernel[2](X.copy()) is None


def test_both_cores_in_a_launch_of_one_raise():
    with pytest.raises(KernelError, match="launch of one core") as caught:
        call("core_barrier", **{**CASE, "cores": (0, 1)})
    assert caught.value.site is not None
    assert "LNC2" in caught.value.expected


def test_one_barrier_more_on_one_core_is_a_deadlock():
    @nki.jit
    def kernel(x):
        for _ in range(2 + nl.program_id(0)):
            nisa.core_barrier(x, (0, 1))
        nisa.dma_copy(dst=x, src=x)

    with pytest.raises(KernelError, match="core 1 waits at core_barrier"):
        kernel[2](X.copy())


def test_trn1_has_none():
    refused("core_barrier", "target", target="trn1", **CASE)
