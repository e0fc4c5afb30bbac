"""Mistakes that are easy to make, and what opentrn says about each (docs/error-texts.md shows it).

opentrn check examples/mistakes.py [::KERNEL]

Below the statement that is wrong, `# fix:` gives what it should be; with nothing after it the statement goes away.
"""

import nki
import nki.isa as nisa
import nki.language as nl


# ---------------------------------------------------------------- memory
@nki.jit
def edge_not_loaded(x):
    """The last 12 columns of the tile are never loaded, and then read."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile[:, :500], src=x[:, :500])
    # fix: nisa.dma_copy(dst=tile, src=x)
    nisa.activation(dst=tile, op=nl.exp, data=tile)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def last_rows_not_stored(x):
    """The loop counts whole tiles, and forgets the 44 rows that are left over."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for start in range(0, x.shape[0] - 127, 128):
        # fix: for start in range(0, x.shape[0], 128):
        rows = min(128, x.shape[0] - start)
        tile = nl.ndarray((rows, x.shape[1]), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=x[start : start + rows])
        nisa.dma_copy(dst=out[start : start + rows], src=tile)
    return out


@nki.jit
def slice_past_the_end(x):
    """NumPy would clip the last slice; NKI does not."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for start in range(0, 300, 128):
        tile = nl.load(x[start : start + 128])
        # fix: tile = nl.load(x[start : min(start + 128, 300)])
        nl.store(out[start : min(start + 128, 300)], tile)
    return out


@nki.jit
def gather_past_the_end(table, index):
    """Four of the row numbers are larger than the table; without them in the index's range nothing is wrong."""
    out = nl.ndarray((128, table.shape[1]), dtype=table.dtype, buffer=nl.shared_hbm)
    rows, tile = nl.load(index), nl.ndarray((128, table.shape[1]), dtype=table.dtype, buffer=nl.sbuf)
    nisa.memset(dst=tile, value=0)
    nisa.dma_copy(dst=tile, src=table.ap([[64, 128], [1, 64]], vector_offset=rows, indirect_dim=0))
    # fix: nisa.dma_copy(dst=tile, src=table.ap([[64, 128], [1, 64]], vector_offset=rows, indirect_dim=0), oob_mode=nisa.oob_mode.skip)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def everything_at_once(x):
    """All tiles are loaded before the first is used; together they are larger than SBUF."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tiles = [nl.load(x[:, n * 8192 : (n + 1) * 8192]) for n in range(16)]
    # fix:
    for n in range(16):
        nl.store(out[:, n * 8192 : (n + 1) * 8192], tiles[n])
        # fix: nl.store(out[:, n * 8192 : (n + 1) * 8192], nl.load(x[:, n * 8192 : (n + 1) * 8192]))
    return out


@nki.jit
def tiles_on_top_of_each_other(x):
    """Two tiles of 1,024 bytes per partition are placed 512 bytes apart."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    first = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf, address=(0, 0))
    second = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf, address=(0, 512))
    # fix: second = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf, address=(0, 1024))
    nisa.dma_copy(dst=first, src=x)
    nisa.dma_copy(dst=second, src=x)
    nisa.tensor_tensor(dst=second, data1=first, data2=second, op=nl.add)
    nisa.dma_copy(dst=out, src=second)
    return out


@nki.jit
def sum_that_never_starts(x):
    """Every product is added to PSUM, the first one too."""
    out = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    tile, total = nl.load(x), nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
    for n in range(4):
        nisa.nc_matmul(total, tile[:, n * 128 : (n + 1) * 128], tile[:, n * 128 : (n + 1) * 128], accumulate=True)
        # fix: nisa.nc_matmul(total, tile[:, n * 128 : (n + 1) * 128], tile[:, n * 128 : (n + 1) * 128], accumulate=n > 0)
    nl.store(out, nl.copy(total))
    return out


@nki.jit
def bias_under_the_sum(x, bias):
    """The bias is put into PSUM for the products to be added to, which trn2 does not define."""
    out = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    tile, total = nl.load(x), nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
    nisa.tensor_copy(dst=total, src=nl.load(bias))
    # fix:
    nisa.nc_matmul(dst=total, stationary=tile, moving=tile, accumulate=True)
    # fix: nisa.nc_matmul(dst=total, stationary=tile, moving=tile)
    result = nl.copy(total)
    # fix: result = nl.add(total, nl.load(bias))
    nl.store(out, result)
    return out


# ---------------------------------------------------------------- rules of instructions
@nki.jit
def product_into_sbuf(x):
    """A product goes to PSUM, nowhere else."""
    out = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    tile, product = nl.load(x), nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
    # fix: tile, product = nl.load(x), nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
    nisa.nc_matmul(dst=product, stationary=tile, moving=tile)
    nl.store(out, nl.copy(product))
    return out


@nki.jit
def too_wide_for_a_bank(x):
    """The result of one product is wider than a PSUM bank holds."""
    out = nl.ndarray((128, 1024), dtype=nl.float32, buffer=nl.shared_hbm)
    tile, product = nl.load(x), nl.ndarray((128, 1024), dtype=nl.float32, buffer=nl.psum)
    nisa.nc_matmul(dst=product, stationary=tile[:, :128], moving=tile)
    # fix: for cut in (nl.ds(0, 512), nl.ds(512, 512)):
    # fix:     nisa.nc_matmul(dst=product[:, cut], stationary=tile[:, :128], moving=tile[:, cut])
    nl.store(out, nl.copy(product))
    return out


@nki.jit
def more_than_128_partitions(x):
    """The first dimension of a tile is the partition, and there are 128."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    # fix: tile = nl.ndarray((128, 2, 64), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    # fix: nisa.dma_copy(dst=tile, src=x.reshape((128, 2, 64)))
    nisa.dma_copy(dst=out, src=tile)
    # fix: nisa.dma_copy(dst=out.reshape((128, 2, 64)), src=tile)
    return out


@nki.jit
def shapes_that_differ(x):
    """One operand is transposed, the other is not."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    weight = nl.ndarray((64, 128), dtype=x.dtype, buffer=nl.sbuf)
    # fix: weight = nl.ndarray((128, 64), dtype=x.dtype, buffer=nl.sbuf)
    nisa.memset(dst=weight, value=2.0)
    nisa.tensor_tensor(dst=tile, data1=tile, data2=weight, op=nl.multiply)
    nl.store(out, tile)
    return out


@nki.jit
def engine_reads_hbm(x):
    """Engines read SBUF and PSUM; only DMA reads HBM."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.tensor_scalar(dst=tile, data=x, op0=nl.multiply, operand0=2.0)
    # fix: nisa.tensor_scalar(dst=tile, data=nl.load(x), op0=nl.multiply, operand0=2.0)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def start_in_mid_quadrant(x):
    """Engines start at partition 0, 32, 64 or 96; this slice starts at 16."""
    out = nl.ndarray((32, x.shape[1]), dtype=x.dtype, buffer=nl.shared_hbm)
    tile, part = nl.load(x), nl.ndarray((32, x.shape[1]), dtype=x.dtype, buffer=nl.sbuf)
    nisa.tensor_copy(dst=part, src=tile[16:48])
    # fix: nisa.dma_copy(dst=part, src=tile[16:48])
    nl.store(out, part)
    return out


# ---------------------------------------------------------------- calls and the language
@nki.jit
def result_in_sbuf(x):
    """A kernel returns tensors of HBM."""
    tile = nl.load(x)
    return nl.exp(tile)
    # fix: out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    # fix: nl.store(out, nl.exp(tile))
    # fix: return out


@nki.jit
def nothing_returned(x):
    """The result is computed, and neither returned nor stored into an argument."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nl.store(out, nl.load(x))
    # fix: nl.store(out, nl.load(x))
    # fix: return out


@nki.jit
def dtype_of_another_library(x):
    """A dtype that NKI does not spell like this."""
    out = nl.ndarray(x.shape, dtype="bf16", buffer=nl.shared_hbm)
    # fix: out = nl.ndarray(x.shape, dtype=nl.bfloat16, buffer=nl.shared_hbm)
    nl.store(out, nl.load(x))
    return out


@nki.jit
def misspelt_keyword(x):
    """A keyword with two letters swapped."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    nisa.activation(dst=tile, op=nl.exp, data=tile, scael=2.0)
    # fix: nisa.activation(dst=tile, op=nl.exp, data=tile, scale=2.0)
    nl.store(out, tile)
    return out


@nki.jit
def question_to_a_tile(x):
    """Python's `if` is decided when the kernel is compiled, before there are values."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    if tile[0, 0] > 0:
        # fix: if x.shape[1] > 0:
        nisa.activation(dst=tile, op=nl.exp, data=tile)
    nl.store(out, tile)
    return out


@nki.jit
def cores_that_never_meet(x):
    """Core 0 waits at a barrier that core 1 never reaches."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    half = x.shape[1] // 2
    mine = nl.ds(nl.program_id(0) * half, half)
    nl.store(out[:, mine], nl.load(x[:, mine]))
    if nl.program_id(0) == 0:
        # fix: if True:
        nisa.core_barrier(data=out, cores=(0, 1))
    return out


EXPECTS = {
    "edge_not_loaded": "memory.uninitialised",
    "last_rows_not_stored": "memory.unwritten",
    "slice_past_the_end": "memory.bounds",
    "gather_past_the_end": "memory.bounds",
    "everything_at_once": "memory.capacity",
    "tiles_on_top_of_each_other": "memory.clobber",
    "sum_that_never_starts": "memory.uninitialised",
    "bias_under_the_sum": "memory.accumulate",
    "product_into_sbuf": "rules.nc_matmul.dst.memory",
    "too_wide_for_a_bank": "rules.nc_matmul.c3",
    "more_than_128_partitions": "memory.bounds",
    "shapes_that_differ": "rules.tensor_tensor.c1",
    "engine_reads_hbm": "rules.tensor_scalar.data.memory",
    "start_in_mid_quadrant": "rules.tensor_copy.src.start",
    "result_in_sbuf": "language.call",
    "nothing_returned": "language.call",
    "dtype_of_another_library": "language.dtype",
    "misspelt_keyword": "language.call",
    "question_to_a_tile": "language.device_value",
    "cores_that_never_meet": "deadlock.meeting",
}

CHECK_INPUTS = {
    "edge_not_loaded": "x=bfloat16[128,512]",
    "last_rows_not_stored": "x=float32[300,128]",
    "slice_past_the_end": "x=float32[300,128]",
    "gather_past_the_end": "table=float32[64,64] index=int32[128,1]{0:68}",
    "everything_at_once": "x=bfloat16[128,131072]",
    "tiles_on_top_of_each_other": "x=float32[128,256]",
    "sum_that_never_starts": "x=bfloat16[128,512]",
    "bias_under_the_sum": "x=bfloat16[128,128] bias=float32[128,128]",
    "product_into_sbuf": "x=bfloat16[128,128]",
    "too_wide_for_a_bank": "x=bfloat16[128,1024]",
    "more_than_128_partitions": "x=float32[256,64]",
    "shapes_that_differ": "x=bfloat16[128,64]",
    "engine_reads_hbm": "x=float32[128,64]",
    "start_in_mid_quadrant": "x=float32[128,64]",
    "result_in_sbuf": "x=float32[128,64]",
    "nothing_returned": "x=float32[128,64]",
    "dtype_of_another_library": "x=bfloat16[128,64]",
    "misspelt_keyword": "x=float32[128,64]",
    "question_to_a_tile": "x=float32[128,64]",
    "cores_that_never_meet": "x=float32[128,64] lnc=2",
}
