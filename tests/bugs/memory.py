"""Seeded bugs: memory that is read before it is written, out of bounds, over capacity, overwritten, or summed wrongly."""

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "partial_load": "x=bfloat16[128,512]",
    "missing_initialisation": "x=float32[128,256]",
    "half_a_result": "x=float32[128,256]",
    "last_tile_forgotten": "x=float32[300,128]",
    "slice_past_the_end": "x=float32[128,512]",
    "gather_past_the_end": "x=float32[64,128] rows=int32[32,1]{60:70}",
    "offset_past_the_end": "x=float32[128,256]",
    "too_many_tiles": "x=bfloat16[128,8192]",
    "psum_too_small": "x=bfloat16[128,512]",
    "overlapping_tiles": "x=float32[128,256]",
    "psum_off_its_bank": "x=bfloat16[128,128]",
    "bias_before_the_sum": "x=bfloat16[128,128] bias=float32[128,128]",
    "sum_onto_nothing": "x=bfloat16[128,128]",
    "address_past_sbuf": "x=float32[128,256]",
    "skipped_rows": "x=float32[64,128] rows=int32[32,1]{60:70}",
    "reserved_for_nothing": "x=float32[128,256]",
}
EXPECTS = {
    "partial_load": "memory.uninitialised",
    "missing_initialisation": "memory.uninitialised",
    "half_a_result": "memory.unwritten",
    "last_tile_forgotten": "memory.unwritten",
    "slice_past_the_end": "memory.bounds",
    "gather_past_the_end": "memory.bounds",
    "offset_past_the_end": "memory.bounds",
    "too_many_tiles": "memory.capacity",
    "psum_too_small": "memory.capacity",
    "overlapping_tiles": "memory.clobber",
    "psum_off_its_bank": "memory.bank",
    "bias_before_the_sum": "memory.accumulate",
    "sum_onto_nothing": "memory.uninitialised",
    "address_past_sbuf": "memory.address",
    "skipped_rows": "memory.uninitialised",
    "reserved_for_nothing": "memory.unused",
}


@nki.jit
def partial_load(x):
    """The load brings 500 of 512 columns; the exponential reads all of them."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile[:, 0:500], src=x[:, 0:500])
    nisa.activation(dst=tile, op=nl.exp, data=tile)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def missing_initialisation(x):
    """A running maximum starts from memory that nothing has set."""
    out = nl.ndarray((128, 1), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    most = nl.ndarray((128, 1), dtype=x.dtype, buffer=nl.sbuf)
    for start in range(0, 256, 128):
        part = nl.ndarray((128, 1), dtype=x.dtype, buffer=nl.sbuf)
        nisa.tensor_reduce(dst=part, op=nl.maximum, data=tile[:, start : start + 128], axis=1)
        nisa.tensor_tensor(dst=most, data1=most, data2=part, op=nl.maximum)
    nisa.dma_copy(dst=out, src=most)
    return out


@nki.jit
def half_a_result(x):
    """Only the first half of the columns is stored."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    nisa.dma_copy(dst=out[:, 0:128], src=tile[:, 0:128])
    return out


@nki.jit
def last_tile_forgotten(x):
    """Floor division leaves the rows of the last, smaller tile out."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for n in range(x.shape[0] // 128):
        tile = nl.load(x[n * 128 : (n + 1) * 128])
        nisa.dma_copy(dst=out[n * 128 : (n + 1) * 128], src=tile)
    return out


@nki.jit
def slice_past_the_end(x):
    """The last of the shifted windows begins one column too late."""
    out = nl.ndarray((128, 4), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    for n in range(4):
        nisa.dma_copy(dst=out[:, n : n + 1], src=tile[:, (n + 1) * 128 : (n + 1) * 128 + 1])
    return out


@nki.jit
def gather_past_the_end(x, rows):
    """Some of the gathered row numbers are beyond the table's 64 rows."""
    out = nl.ndarray((32, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    index = nl.load(rows)
    tile = nl.ndarray((32, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x.ap(pattern=[[128, 32], [1, 128]], offset=0, vector_offset=index, indirect_dim=0))
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def offset_past_the_end(x):
    """A run-time offset that is read from memory moves the window out of the tensor."""
    out = nl.ndarray((128, 16), dtype=x.dtype, buffer=nl.shared_hbm)
    where = nl.ndarray((1, 1), dtype=nl.int32, buffer=nl.sbuf)
    nisa.memset(dst=where, value=300)
    tile = nl.ndarray((128, 16), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x.ap(pattern=[[256, 128], [1, 16]], offset=0, scalar_offset=where, indirect_dim=1))
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def too_many_tiles(x):
    """Sixteen tiles of 16 KiB per partition are all loaded before the first is used."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tiles = []
    for _ in range(16):
        tiles.append(nl.load(x))
    for tile in tiles:
        nisa.tensor_tensor(dst=tiles[0], data1=tiles[0], data2=tile, op=nl.add)
    nisa.dma_copy(dst=out, src=tiles[0])
    return out


@nki.jit
def psum_too_small(x):
    """Nine products of a whole bank each wait in PSUM, which has eight banks."""
    out = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.shared_hbm)
    tile = nl.load(x)
    products = []
    for _ in range(9):
        product = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
        nisa.nc_matmul(dst=product, stationary=tile[:, 0:128], moving=tile)
        products.append(product)
    total = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.sbuf)
    nisa.memset(dst=total, value=0.0)
    for product in products:
        nisa.tensor_tensor(dst=total, data1=total, data2=product, op=nl.add)
    nisa.dma_copy(dst=out, src=total)
    return out


@nki.jit
def overlapping_tiles(x):
    """Two hand-placed tiles share bytes; the second load overwrites part of the first."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    first = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf, address=(0, 0))
    second = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf, address=(0, 512))
    nisa.dma_copy(dst=first, src=x)
    nisa.dma_copy(dst=second, src=x)
    nisa.tensor_tensor(dst=second, data1=first, data2=second, op=nl.add)
    nisa.dma_copy(dst=out, src=second)
    return out


@nki.jit
def psum_off_its_bank(x):
    """A hand-placed PSUM tile starts in the middle of a bank."""
    out = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    tile = nl.load(x)
    product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum, address=(0, 1024))
    nisa.nc_matmul(dst=product, stationary=tile, moving=tile)
    total = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_copy(dst=total, src=product)
    nisa.dma_copy(dst=out, src=total)
    return out


@nki.jit
def bias_before_the_sum(x, bias):
    """The bias is copied to PSUM and a product is added to it, which trn2 does not do."""
    out = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    tile, extra = nl.load(x), nl.load(bias)
    product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
    nisa.tensor_copy(dst=product, src=extra)
    nisa.nc_matmul(dst=product, stationary=tile, moving=tile, accumulate=True)
    total = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_copy(dst=total, src=product)
    nisa.dma_copy(dst=out, src=total)
    return out


@nki.jit
def sum_onto_nothing(x):
    """The first product of a sum is already added (accumulate=True) instead of written."""
    out = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    tile = nl.load(x)
    product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
    for _ in range(2):
        nisa.nc_matmul(dst=product, stationary=tile, moving=tile, accumulate=True)
    total = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_copy(dst=total, src=product)
    nisa.dma_copy(dst=out, src=total)
    return out


@nki.jit
def address_past_sbuf(x):
    """A hand-placed tile ends beyond the last byte of its partitions."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf, address=(0, 228864))
    nisa.dma_copy(dst=tile, src=x)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def skipped_rows(x, rows):
    """oob_mode.skip leaves rows of the tile unwritten, and the exponential reads them."""
    out = nl.ndarray((32, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    index = nl.load(rows)
    tile = nl.ndarray((32, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(
        dst=tile,
        src=x.ap(pattern=[[128, 32], [1, 128]], offset=0, vector_offset=index, indirect_dim=0),
        oob_mode=nisa.oob_mode.skip,
    )
    nisa.activation(dst=tile, op=nl.exp, data=tile)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def reserved_for_nothing(x):
    """A hand-placed buffer that no instruction touches keeps its bytes from others."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nl.ndarray((128, 4096), dtype=x.dtype, buffer=nl.sbuf, address=(0, 65536))
    tile = nl.load(x)
    nisa.dma_copy(dst=out, src=tile)
    return out
