"""Run-time addresses in every instruction: when an index is read, and what happens out of bounds."""

from __future__ import annotations

import numpy as np
import pytest

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, MemoryFault, RuleError, ViewError

X = np.arange(64, dtype=np.float32).reshape(8, 8)


def returned(*tiles):
    outs = []
    for tile in tiles:
        out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=tile)
        outs.append(out)
    return tuple(outs)


def test_an_instruction_uses_the_value_that_a_register_had_when_it_was_called():
    def kernel(x):
        register = nisa.register_alloc(1)
        view = x.ap([[8, 1], [1, 8]], scalar_offset=register)
        first, second = (nl.ndarray((1, 8), dtype=nl.float32) for _ in range(2))
        nisa.dma_copy(dst=first, src=view)
        nisa.register_move(register, 6)
        nisa.dma_copy(dst=second, src=view)
        return returned(first, second)

    first, second = opentrn.run(kernel)(X).results
    assert np.array_equal(first[0], X[1])
    assert np.array_equal(second[0], X[6])


@pytest.mark.parametrize("region", [nl.sbuf, nl.shared_hbm])
def test_a_pattern_that_leaves_its_tensor_may_be_made_and_not_used(region):
    """nki-library's output_projection_tkg makes one ahead of the condition that keeps the loop's last turn from it."""

    def kernel(x, uses):
        tensor = nl.ndarray(x.shape, dtype=x.dtype, buffer=region)
        nisa.dma_copy(dst=tensor, src=x)
        outside = tensor.ap([[8, 8], [1, 8]], offset=1)
        tile = nl.ndarray(x.shape, dtype=x.dtype)
        nisa.dma_copy(dst=tile, src=outside if uses else tensor)
        return returned(tile)

    assert np.array_equal(opentrn.run(kernel)(X, False).results[0], X)
    with pytest.raises(RuleError, match="elements 1 to 64") as caught:
        opentrn.run(kernel)(X, True)
    assert caught.value.rule == "src.extent" and "within 0 to 63" in str(caught.value)


def test_looking_at_a_pattern_that_leaves_its_tensor_raises():
    with pytest.raises(ViewError, match="leaves the tensor"):
        opentrn.run(lambda x: x.ap([[8, 8], [1, 8]], offset=-1).numpy())(X)


def test_an_index_in_sbuf_is_read_in_program_order():
    def kernel(x):
        index = nl.full((1, 1), 2, dtype=nl.int32)
        first, second = (nl.ndarray((1, 8), dtype=nl.float32) for _ in range(2))
        nisa.dma_copy(dst=first, src=x.select(0, index))
        nisa.memset(index, value=5)
        nisa.dma_copy(dst=second, src=x.select(0, index))
        return returned(first, second)

    first, second = opentrn.run(kernel)(X).results
    assert np.array_equal(first[0], X[2])
    assert np.array_equal(second[0], X[5])


def test_an_unwritten_index_is_a_fault():
    def kernel(x):
        index = nl.ndarray((1, 1), dtype=nl.int32)
        tile = nl.ndarray((1, 8), dtype=nl.float32)
        nisa.dma_copy(dst=tile, src=x.select(0, index))
        return returned(tile)

    with pytest.raises(MemoryFault, match="index reads elements that were never written"):
        opentrn.run(kernel)(X)


def written_at(index, oob_mode=nisa.oob_mode.error, vector=False):
    """Rows written through a run-time index into an array of zeros."""

    def kernel(x, i):
        tile = nl.full((i.shape[0], 8), 1.0, dtype=nl.float32)
        held = nl.load(i)
        pattern = [[8, i.shape[0]], [1, 8]]
        view = x.ap(pattern, vector_offset=held) if vector else x.ap(pattern, scalar_offset=held)
        nisa.dma_copy(dst=view, src=tile, oob_mode=oob_mode)

    x = np.zeros((8, 8), np.float32)
    opentrn.run(kernel)(x, np.asarray(index, np.int32).reshape(-1, 1))
    return x


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("bad", [-1, 8, 1000])
def test_a_write_out_of_bounds_raises_or_is_left_out(bad, vector):
    with pytest.raises(KernelError, match="out of bounds"):
        written_at([bad], vector=vector)
    assert (written_at([bad], nisa.oob_mode.skip, vector) == 0).all()


def test_a_scatter_leaves_out_only_what_is_out_of_bounds():
    got = written_at([3, 99, 0, -7], nisa.oob_mode.skip, vector=True)
    assert got[:, 0].tolist() == [1, 0, 0, 1, 0, 0, 0, 0]
    assert written_at([3, 7, 0, 2], vector=True)[:, 0].tolist() == [1, 0, 1, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("start", [0, 3, 4])
def test_a_window_with_a_run_time_start(start):
    def kernel(x):
        tile, part = nl.load(x), nl.ndarray((8, 4), dtype=nl.float32)
        nisa.tensor_copy(dst=part, src=tile[:, nl.ds(nisa.register_alloc(start), 4)])
        return returned(part)

    assert np.array_equal(opentrn.run(kernel)(X).results[0], X[:, start : start + 4])


@pytest.mark.parametrize("start", [5, -1])
def test_a_window_that_leaves_its_dimension_raises(start):
    def kernel(x):
        tile, part = nl.load(x), nl.ndarray((8, 4), dtype=nl.float32)
        nisa.tensor_copy(dst=part, src=tile[:, nl.ds(nisa.register_alloc(start), 4)])
        return returned(part)

    with pytest.raises(KernelError, match="out of bounds"):
        opentrn.run(kernel)(X)


@pytest.mark.parametrize("start", [5, -1])
def test_a_compute_engine_does_not_write_out_of_bounds_either(start):
    def kernel(x):
        tile = nl.load(x)
        nisa.memset(tile[:, nl.ds(nisa.register_alloc(start), 4)], value=0.0)
        return returned(tile)

    with pytest.raises(KernelError, match="out of bounds"):
        opentrn.run(kernel)(X)


def test_a_run_time_write_marks_only_what_it_wrote():
    def kernel(x):
        tile = nl.ndarray((8, 8), dtype=nl.float32)
        nisa.memset(tile[:, nl.ds(nisa.register_alloc(2), 4)], value=3.0)
        nisa.tensor_scalar(dst=tile[:, 2:6], data=tile[:, 2:6], op0=nl.add, operand0=1.0)
        nisa.tensor_scalar(dst=tile[:, 5:7], data=tile[:, 5:7], op0=nl.add, operand0=1.0)
        return returned(tile)

    with pytest.raises(MemoryFault) as caught:
        opentrn.run(kernel)(X)
    assert "8 of 16 elements, the first at index (0, 1)" in caught.value.got


def test_a_run_time_read_finds_unwritten_elements():
    def kernel(x):
        tile, part = nl.ndarray((8, 8), dtype=nl.float32), nl.ndarray((8, 2), dtype=nl.float32)
        nisa.memset(tile[:, 0:4], value=3.0)
        for start in (0, 2, 3):
            nisa.tensor_scalar(dst=part, data=tile[:, nl.ds(nisa.register_alloc(start), 2)], op0=nl.add, operand0=1.0)
        return returned(part)

    with pytest.raises(MemoryFault) as caught:
        opentrn.run(kernel)(X)
    assert "8 of 16 elements, the first at index (0, 1)" in caught.value.got


def test_a_list_of_offsets_that_is_too_short():
    def kernel(x, i):
        tile = nl.ndarray((6, 8), dtype=nl.float32)
        nisa.dma_copy(dst=tile, src=x.ap([[8, 6], [1, 8]], vector_offset=nl.load(i)))
        return returned(tile)

    with pytest.raises(KernelError, match="too few entries"):
        opentrn.run(kernel)(X, np.zeros((4, 1), np.int32))


def test_a_scalar_offset_in_hbm_is_checked_as_an_address_not_by_its_dimension():
    """nki-library selects along a dimension of size 1 whose step is that of the one it means (TensorView.select)."""

    def kernel(x, i):
        index = nl.load(i)
        tile = nl.ndarray((1, 8), dtype=nl.float32)
        nisa.dma_copy(dst=tile, src=x.reshape((8, 1, 8)).ap([[8, 1], [1, 8]], scalar_offset=index, indirect_dim=1))
        return returned(tile)

    at = [np.array([[i]], np.int32) for i in (0, 7, 8)]
    assert np.array_equal(opentrn.run(kernel)(X, at[0]).results[0][0], X[0])
    assert np.array_equal(opentrn.run(kernel)(X, at[1]).results[0][0], X[7])
    with pytest.raises(KernelError, match="out of bounds") as caught:
        opentrn.run(kernel)(X, at[2])
    assert "index 8" in str(caught.value) and "0 <= index < 8" in str(caught.value)


@pytest.mark.parametrize("bad", [4, 5, 31])
def test_a_pattern_that_a_scalar_offset_moves_partly_out_of_its_tensor_says_which_indices_fit(bad):
    def kernel(x, i, mode):
        index = nl.load(i)
        tile = nl.full((3, 8), -1.0, dtype=nl.float32)
        nisa.dma_copy(dst=tile, src=x.ap([[16, 3], [1, 8]], scalar_offset=index, indirect_dim=0), oob_mode=mode)
        return returned(tile)

    index = np.array([[bad]], np.int32)
    assert np.array_equal(
        opentrn.run(kernel)(X, np.array([[3]], np.int32), nisa.oob_mode.error).results[0], X[3::2][:3]
    )
    with pytest.raises(KernelError, match="out of bounds") as caught:
        opentrn.run(kernel)(X, index, nisa.oob_mode.error)
    assert f"index {bad}" in str(caught.value) and "0 <= index < 4" in str(caught.value)
    kept = opentrn.run(kernel)(X, index, nisa.oob_mode.skip).results[0]
    inside = [row for row in range(3) if bad + 2 * row < 8]
    assert np.array_equal(kept[: len(inside)], X[[bad + 2 * row for row in inside]])
    assert (kept[len(inside) :] == -1).all()


@pytest.mark.parametrize("bad", [1, 4])
def test_a_scalar_offset_on_the_chip_stays_below_the_size_of_its_dimension(bad):
    """Engines walk inside a partition; the next one's elements do not follow there."""

    def kernel(x, i):
        index, tile = nl.load(i), nl.load(x)
        got = nl.ndarray((8, 1), dtype=nl.float32)
        nisa.tensor_copy(dst=got, src=tile.reshape((8, 8, 1)).ap([[8, 8], [1, 1]], scalar_offset=index, indirect_dim=2))
        return returned(got)

    with pytest.raises(KernelError, match="out of bounds"):
        opentrn.run(kernel)(X, np.array([[bad]], np.int32))
