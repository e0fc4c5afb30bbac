"""Seeded bugs: results that rest on what the chip does not promise. Each shows in a run on made values."""

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "sine_of_large_angles": "x=float32[128,64]{-20:20}",
    "arctan_of_a_ratio": "x=float32[128,64]{-8:8}",
    "logarithm_of_zero": "x=float32[128,64]{zeros}",
    "reciprocal_of_zero": "x=float32[128,1]{zeros}",
    "root_of_no_spread": "x=float32[128,64]{zeros}",
    "row_offsets": "rows=int32[128,1]{30000000:40000000}",
    "flat_index": "rows=int32[128,1]{0:4096}",
    "checksum": "x=int32[128,256]{1000000:2000000}",
    "last_difference": "x=int32[128,64]{20000000:30000000} y=int32[128,64]{20000000:30000000}",
    "hash_of_a_key": "x=uint32[128,64]{0:100000}",
    "fp8_without_scale": "x=bfloat16[128,128]{-4000:4000}",
    "fp8_of_a_sum": "x=float32[128,512]{0:4}",
    "fp8_in_the_store": "x=float32[128,64]{-100000:100000}",
    "scatter_with_duplicates": "x=float32[64,32] rows=int32[64,1]{0:16}",
    "counts_by_scatter": "ones=float32[64,8]{ones} rows=int32[64,1]{0:16}",
    "psum_tile_outside_the_loop": "x=bfloat16[128,256] y=bfloat16[128,128]",
}
EXPECTS = {
    "sine_of_large_angles": "hardware.function_range",
    "arctan_of_a_ratio": "hardware.function_range",
    "logarithm_of_zero": "hardware.function_range",
    "reciprocal_of_zero": "hardware.function_range",
    "root_of_no_spread": "hardware.function_range",
    "row_offsets": "hardware.integers",
    "flat_index": "hardware.integers",
    "checksum": "hardware.integers",
    "last_difference": "hardware.integers",
    "hash_of_a_key": "hardware.integers",
    "fp8_without_scale": "hardware.fp8_overflow",
    "fp8_of_a_sum": "hardware.fp8_overflow",
    "fp8_in_the_store": "hardware.fp8_overflow",
    "scatter_with_duplicates": "hardware.duplicates",
    "counts_by_scatter": "hardware.duplicates",
    "psum_tile_outside_the_loop": "hardware.resumed_sum",
}


def result(tile):
    """`tile` in a result of its own shape and dtype."""
    out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def like(tile, dtype=None):
    """An SBUF tile of the same shape."""
    return nl.ndarray(tile.shape, dtype=dtype or tile.dtype, buffer=nl.sbuf)


@nki.jit
def sine_of_large_angles(x):
    """The Scalar Engine's sin does no range reduction, and the angles leave [-pi, pi]."""
    tile = nl.load(x)
    wave = like(tile)
    nisa.activation(dst=wave, op=nl.sin, data=tile)
    return result(wave)


@nki.jit
def arctan_of_a_ratio(x):
    """arctan is valid up to pi/2 only, and its input is any ratio."""
    tile = nl.load(x)
    angle = like(tile)
    nisa.activation(dst=angle, op=nl.arctan, data=tile)
    return result(angle)


@nki.jit
def logarithm_of_zero(x):
    """A cross entropy takes the logarithm of probabilities that can be 0."""
    tile = nl.load(x)
    nisa.activation(dst=tile, op=nl.log, data=tile)
    return result(tile)


@nki.jit
def reciprocal_of_zero(x):
    """A sum that can be 0 is inverted on the Scalar Engine."""
    tile = nl.load(x)
    nisa.activation(dst=tile, op=nl.reciprocal, data=tile)
    return result(tile)


@nki.jit
def root_of_no_spread(x):
    """A spread that can be 0 goes into a reciprocal root without an epsilon."""
    tile = nl.load(x)
    spread, root = like(tile), like(tile)
    nisa.tensor_tensor(dst=spread, data1=tile, data2=tile, op=nl.multiply)
    nisa.activation(dst=root, op=nl.rsqrt, data=spread)
    return result(root)


@nki.jit
def row_offsets(rows):
    """1 is added to row numbers beyond 2**24 in float32."""
    tile = nl.load(rows)
    following = like(tile)
    nisa.tensor_scalar(dst=following, data=tile, op0=nl.add, operand0=1)
    return result(following)


@nki.jit
def flat_index(rows):
    """A row number times the row length leaves the integers that float32 holds."""
    tile = nl.load(rows)
    index = like(tile)
    nisa.tensor_scalar(dst=index, data=tile, op0=nl.multiply, operand0=5121, op1=nl.add, operand1=3)
    return result(index)


@nki.jit
def checksum(x):
    """Integers are summed in float32."""
    tile = nl.load(x)
    total = nl.ndarray((128, 1), dtype=nl.int32, buffer=nl.sbuf)
    nisa.tensor_reduce(dst=total, op=nl.add, data=tile, axis=1)
    return result(total)


@nki.jit
def last_difference(x, y):
    """Large integers are subtracted on the Vector Engine, which rounds them first."""
    left, right = nl.load(x), nl.load(y)
    apart = like(left)
    nisa.tensor_tensor(dst=apart, data1=left, data2=right, op=nl.subtract, engine=nisa.engine.vector)
    return result(apart)


@nki.jit
def hash_of_a_key(x):
    """A multiplicative hash counts on wraparound at 2**32, which float32 does not have."""
    tile = nl.load(x)
    hashed = like(tile)
    nisa.tensor_scalar(dst=hashed, data=tile, op0=nl.multiply, operand0=2654435)
    return result(hashed)


@nki.jit
def fp8_without_scale(x):
    """Activations are stored as float8_e4m3 without a scale; it ends at 240."""
    tile = nl.load(x)
    small = like(tile, nl.float8_e4m3)
    nisa.tensor_copy(dst=small, src=tile)
    back = like(tile)
    nisa.tensor_copy(dst=back, src=small)
    return result(back)


@nki.jit
def fp8_of_a_sum(x):
    """Each value fits float8_e4m3, the sum of a row does not."""
    tile = nl.load(x)
    total = nl.ndarray((128, 1), dtype=nl.float8_e4m3, buffer=nl.sbuf)
    nisa.tensor_reduce(dst=total, op=nl.add, data=tile, axis=1)
    return result(total)


@nki.jit
def fp8_in_the_store(x):
    """The scale is applied after the cast to float8_e5m2 instead of before it."""
    tile = nl.load(x)
    small, scaled = like(tile, nl.float8_e5m2), like(tile)
    nisa.activation(dst=small, op=nl.copy, data=tile)
    nisa.tensor_scalar(dst=scaled, data=small, op0=nl.multiply, operand0=0.001)
    return result(scaled)


@nki.jit
def scatter_with_duplicates(x, rows):
    """Several rows go to one destination in one transfer."""
    out = nl.ndarray((16, 32), dtype=x.dtype, buffer=nl.shared_hbm)
    blank = nl.ndarray((16, 32), dtype=x.dtype, buffer=nl.sbuf)
    nisa.memset(dst=blank, value=0.0)
    nisa.dma_copy(dst=out, src=blank)
    tile, where = nl.load(x), nl.load(rows)
    nisa.dma_copy(dst=out.ap(pattern=[[32, 64], [1, 32]], vector_offset=where, indirect_dim=0), src=tile)
    return out


@nki.jit
def counts_by_scatter(ones, rows):
    """A histogram is added up by one read-add-write transfer with repeated rows."""
    out = nl.ndarray((16, 8), dtype=ones.dtype, buffer=nl.shared_hbm)
    blank = nl.ndarray((16, 8), dtype=ones.dtype, buffer=nl.sbuf)
    nisa.memset(dst=blank, value=0.0)
    nisa.dma_copy(dst=out, src=blank)
    tile, where = nl.load(ones), nl.load(rows)
    target = out.ap(pattern=[[8, 64], [1, 8]], vector_offset=where, indirect_dim=0)
    nisa.dma_compute(dst=target, srcs=[target, tile], reduce_op=nl.add)
    return out


@nki.jit
def psum_tile_outside_the_loop(x, y):
    """One PSUM tile serves all products, so each is added to those before it."""
    out = nl.ndarray((256, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    left, right = nl.load(x), nl.load(y)
    product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
    for number in range(2):
        here = slice(128 * number, 128 * number + 128)
        nisa.nc_matmul(dst=product, stationary=left[:, here], moving=right)
        tile = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_copy(dst=tile, src=product)
        nisa.dma_copy(dst=out[here], src=tile)
    return out
