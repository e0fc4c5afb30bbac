"""The corrected forms of the seeded bugs in numeric.py: kernels in which nothing is wrong."""

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "sine_of_reduced_angles": "x=float32[128,64]{-20:20}",
    "arctan_within": "x=float32[128,64]{-1:1}",
    "logarithm_of_a_clipped_value": "x=float32[128,64]{zeros}",
    "reciprocal_with_epsilon": "x=float32[128,1]{zeros}",
    "root_with_epsilon": "x=float32[128,64]{zeros}",
    "guarded_root": "x=float32[128,64]{zeros}",
    "row_offsets_on_gpsimd": "rows=int32[128,1]{30000000:40000000}",
    "flat_index_by_shift": "rows=int32[128,1]{0:4096}",
    "small_checksum": "x=int32[128,256]{0:1000}",
    "exact_halves": "x=int32[128,64]{20000000:30000000}",
    "fp8_with_scale": "x=bfloat16[128,128]{-4000:4000}",
    "fp8_clipped": "x=float32[128,64]{-100000:100000}",
    "fp8_of_special_values": "x=float32[128,64]{special}",
    "scatter_of_unique_rows": "x=float32[64,32] rows=int32[64,1]{0:100}",
    "equal_rows_to_one_place": "ones=float32[64,32]{ones} rows=int32[64,1]{0:16}",
    "sum_of_many": "x=bfloat16[128,2048]",
    "psum_tile_for_each_product": "x=bfloat16[128,256] y=bfloat16[128,128]",
    "running_sum_of_products": "x=bfloat16[128,256] y=bfloat16[128,128]",
}
EXPECTS: dict[str, str] = {}


def result(tile):
    """`tile` in a result of its own shape and dtype."""
    out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def like(tile, dtype=None):
    """An SBUF tile of the same shape."""
    return nl.ndarray(tile.shape, dtype=dtype or tile.dtype, buffer=nl.sbuf)


@nki.jit
def sine_of_reduced_angles(x):
    """nl.sin brings the angle into the range first."""
    return result(nl.sin(nl.load(x)))


@nki.jit
def arctan_within(x):
    """The ratio stays within the range of arctan."""
    tile = nl.load(x)
    angle = like(tile)
    nisa.activation(dst=angle, op=nl.arctan, data=tile)
    return result(angle)


@nki.jit
def logarithm_of_a_clipped_value(x):
    """Probabilities are kept above the smallest input of the logarithm."""
    tile = nl.load(x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.maximum, operand0=1e-12)
    nisa.activation(dst=tile, op=nl.log, data=tile)
    return result(tile)


@nki.jit
def reciprocal_with_epsilon(x):
    """A sum gets an epsilon before it is inverted."""
    tile = nl.load(x)
    nisa.activation(dst=tile, op=nl.reciprocal, data=tile, bias=1e-6)
    return result(tile)


@nki.jit
def root_with_epsilon(x):
    """The mean of squares gets an epsilon before its root is inverted."""
    tile = nl.load(x)
    spread, root = like(tile), like(tile)
    nisa.tensor_tensor(dst=spread, data1=tile, data2=tile, op=nl.multiply)
    nisa.activation(dst=root, op=nl.rsqrt, data=spread, bias=1e-6)
    return result(root)


@nki.jit
def guarded_root(x):
    """A root of 0 is computed, and replaced by what the mask says."""
    tile = nl.load(x)
    root, mask, chosen = like(tile), like(tile, nl.uint8), like(tile)
    nisa.activation(dst=root, op=nl.rsqrt, data=tile)
    nisa.tensor_scalar(dst=mask, data=tile, op0=nl.greater, operand0=0.0)
    nisa.memset(dst=chosen, value=0.0)
    nisa.tensor_copy_predicated(dst=chosen, src=root, predicate=mask)
    return result(chosen)


@nki.jit
def row_offsets_on_gpsimd(rows):
    """Row numbers beyond 2**24 are added to on GpSimd, in whole numbers."""
    tile = nl.load(rows)
    one, following = like(tile), like(tile)
    nisa.memset(dst=one, value=1)
    nisa.tensor_tensor(dst=following, data1=tile, data2=one, op=nl.add)
    return result(following)


@nki.jit
def flat_index_by_shift(rows):
    """A row number is multiplied by a power of two through a shift."""
    tile = nl.load(rows)
    index = like(tile)
    nisa.tensor_scalar(dst=index, data=tile, op0=nl.left_shift, operand0=13)
    return result(index)


@nki.jit
def small_checksum(x):
    """A sum of integers that stays below 2**24."""
    tile = nl.load(x)
    total = nl.ndarray((128, 1), dtype=nl.int32, buffer=nl.sbuf)
    nisa.tensor_reduce(dst=total, op=nl.add, data=tile, axis=1)
    return result(total)


@nki.jit
def exact_halves(x):
    """Even numbers below 2**25 are multiplied by 2, which float32 holds."""
    tile = nl.load(x)
    twice = like(tile)
    nisa.tensor_scalar(dst=twice, data=tile, op0=nl.bitwise_and, operand0=-256)
    nisa.tensor_scalar(dst=twice, data=twice, op0=nl.multiply, operand0=2)
    return result(twice)


@nki.jit
def fp8_with_scale(x):
    """The scale is applied before the cast."""
    tile = nl.load(x)
    small = like(tile, nl.float8_e4m3)
    nisa.tensor_scalar(dst=small, data=tile, op0=nl.multiply, operand0=0.05)
    return result(small)


@nki.jit
def fp8_clipped(x):
    """Values are clipped to the range of the type in the instruction that casts them."""
    tile = nl.load(x)
    small = like(tile, nl.float8_e4m3)
    nisa.tensor_scalar(dst=small, data=tile, op0=nl.minimum, operand0=240.0, op1=nl.maximum, operand1=-240.0)
    return result(small)


@nki.jit
def fp8_of_special_values(x):
    """Infinities and NaN of the input stay what they are; that is no overflow."""
    tile = nl.load(x)
    small = like(tile, nl.float8_e5m2)
    nisa.tensor_scalar(dst=small, data=tile, op0=nl.minimum, operand0=1e4, op1=nl.maximum, operand1=-1e4)
    return result(small)


@nki.jit
def scatter_of_unique_rows(x, rows):
    """Each row has a destination of its own."""
    out = nl.ndarray((100, 32), dtype=x.dtype, buffer=nl.shared_hbm)
    blank = nl.ndarray((100, 32), dtype=x.dtype, buffer=nl.sbuf)
    nisa.memset(dst=blank, value=0.0)
    nisa.dma_copy(dst=out, src=blank)
    tile, where = nl.load(x), nl.load(rows)
    nisa.dma_copy(dst=out.ap(pattern=[[32, 64], [1, 32]], vector_offset=where, indirect_dim=0), src=tile)
    return out


@nki.jit
def equal_rows_to_one_place(ones, rows):
    """Rows that go to one destination are all the same, so their order does not matter."""
    out = nl.ndarray((16, 32), dtype=ones.dtype, buffer=nl.shared_hbm)
    blank = nl.ndarray((16, 32), dtype=ones.dtype, buffer=nl.sbuf)
    nisa.memset(dst=blank, value=0.0)
    nisa.dma_copy(dst=out, src=blank)
    tile, where = nl.load(ones), nl.load(rows)
    nisa.dma_copy(dst=out.ap(pattern=[[32, 64], [1, 32]], vector_offset=where, indirect_dim=0), src=tile)
    return out


@nki.jit
def sum_of_many(x):
    """A mean in float32, in whatever order."""
    tile = nl.load(x)
    total = nl.ndarray((128, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_reduce(dst=total, op=nl.add, data=tile, axis=1)
    nisa.tensor_scalar(dst=total, data=total, op0=nl.multiply, operand0=1 / 2048)
    return result(total)


@nki.jit
def psum_tile_for_each_product(x, y):
    """Each product has a PSUM tile of its own, in which both halves of a contraction are summed."""
    out = nl.ndarray((256, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    left, right = nl.load(x), nl.load(y)
    for number in range(2):
        here = slice(128 * number, 128 * number + 128)
        product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
        for rows in (slice(0, 64), slice(64, 128)):
            nisa.nc_matmul(dst=product, stationary=left[rows, here], moving=right[rows])
        tile = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_copy(dst=tile, src=product)
        nisa.dma_copy(dst=out[here], src=tile)
    return out


@nki.jit
def running_sum_of_products(x, y):
    """A sum is read on the way, and goes on because accumulate says so."""
    out = nl.ndarray((256, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    left, right = nl.load(x), nl.load(y)
    product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
    for number in range(2):
        here = slice(128 * number, 128 * number + 128)
        nisa.nc_matmul(dst=product, stationary=left[:, here], moving=right, accumulate=number > 0)
        tile = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_copy(dst=tile, src=product)
        nisa.dma_copy(dst=out[here], src=tile)
    return out
