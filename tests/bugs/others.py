"""Seeded bugs of other kinds: calls, results, versions, cores, suppressions, what costs time and gains nothing."""

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "result_on_chip": "x=float32[128,256]",
    "no_result": "x=float32[128,256]",
    "misspelt_keyword": "x=float32[128,256]",
    "number_for_a_tile": "x=float32[128,256]",
    "double_precision": "x=float32[128,256]",
    "gather_past_the_row": "x=float32[16,32] rows=uint16[16,1]{30:40}",
    "wrong_shape_asserted": "x=float32[100,256]",
    "one_core_for_two": "x=float32[128,256] lnc=1",
    "different_results_on_the_cores": "x=float32[128,256] lnc=2",
    "trn2_function_on_trn1": "x=float32[128,256] target=trn1",
    "view_across_partitions": "x=float32[128,256]",
    "rows_counted_twice": "x=float32[128,256]",
    "computed_for_nobody": "x=float32[128,256]",
    "name_of_an_old_version": "x=float32[128,256]",
}
EXPECTS = {
    "result_on_chip": "language.call",
    "no_result": "language.call",
    "misspelt_keyword": "language.call",
    "number_for_a_tile": "rules.tensor_tensor.data2.kind",
    "double_precision": "language.dtype",
    "gather_past_the_row": "memory.bounds",
    "wrong_shape_asserted": "language.raised",
    "one_core_for_two": "memory.unwritten",
    "different_results_on_the_cores": "language.kernel",
    "trn2_function_on_trn1": "rules.tensor_scalar.c9",
    "view_across_partitions": "memory.bounds",
    "rows_counted_twice": "memory.bounds",
    "computed_for_nobody": "memory.dead",
    "name_of_an_old_version": "versions.removed",
}


def result(tile):
    """`tile` in a result of its own shape and dtype."""
    out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def result_on_chip(x):
    """A kernel gives back a tile in SBUF."""
    tile = nl.load(x)
    nisa.activation(dst=tile, op=nl.exp, data=tile)
    return tile


@nki.jit
def no_result(x):
    """The result is computed and not given back."""
    tile = nl.load(x)
    nisa.activation(dst=tile, op=nl.exp, data=tile)
    result(tile)


@nki.jit
def misspelt_keyword(x):
    """A parameter that the instruction does not have."""
    tile = nl.load(x)
    nisa.activation(dst=tile, op=nl.exp, data=tile, biass=0.0)
    return result(tile)


@nki.jit
def number_for_a_tile(x):
    """Two tiles are added, and one of them is a number."""
    tile = nl.load(x)
    nisa.tensor_tensor(dst=tile, data1=tile, data2=1.0, op=nl.add)
    return result(tile)


@nki.jit
def double_precision(x):
    """A tile in float64, which the chip does not have."""
    tile, wide = nl.load(x), nl.ndarray(x.shape, dtype="float64", buffer=nl.sbuf)
    nisa.tensor_copy(dst=wide, src=tile)
    return result(wide)


@nki.jit
def gather_past_the_row(x, rows):
    """Indices of a gather within rows of 32 go up to 39."""
    tile, where = nl.load(x), nl.load(rows)
    got = nl.ndarray((16, 16), dtype=x.dtype, buffer=nl.sbuf)
    nisa.local_gather(dst=got, src_buffer=tile, index=where)
    return result(got)


@nki.jit
def wrong_shape_asserted(x):
    """The kernel is called with a shape that it refuses itself."""
    assert x.shape[0] % 128 == 0, f"rows in multiples of 128, got {x.shape[0]}"
    return result(nl.load(x))


@nki.jit
def one_core_for_two(x):
    """A kernel for two cores is launched on one: half of its result stays unwritten."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    first = nl.program_id(0) * 64
    tile = nl.load(x[first : first + 64, :])
    nisa.dma_copy(dst=out[first : first + 64, :], src=tile)
    return out


@nki.jit
def different_results_on_the_cores(x):
    """Each core allocates a shared result of a size of its own."""
    rows = 64 + 64 * nl.program_id(0)
    out = nl.ndarray((rows, 256), dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out[0:64, :], src=nl.load(x[0:64, :]))
    return out


@nki.jit
def trn2_function_on_trn1(x):
    """An addition on the Scalar Engine, which only trn2 and newer can do."""
    tile = nl.load(x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0, engine=nisa.engine.scalar)
    return result(tile)


@nki.jit
def view_across_partitions(x):
    """A tile is reshaped so that rows move between partitions."""
    tile = nl.load(x)
    return result(tile.reshape((64, 512)))


@nki.jit
def rows_counted_twice(x):
    """The offset of a tile is counted in rows where it is counted in tiles already."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for start in range(0, 128, 64):
        tile = nl.load(x[start * 64 : start * 64 + 64, :])
        nisa.dma_copy(dst=out[start : start + 64, :], src=tile)
    return out


@nki.jit
def computed_for_nobody(x):
    """A sum over rows is computed and never read."""
    tile = nl.load(x)
    total = nl.ndarray((128, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_reduce(dst=total, op=nl.add, data=tile, axis=1)
    return result(tile)


@nki.jit
def name_of_an_old_version(x):
    """A load as NKI before 0.3 spells it, from the language of today."""
    tile = nl.load(x, mask=None)
    return result(tile)
