"""The corrected forms of the seeded bugs in rules.py: kernels in which nothing is wrong."""

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "product_by_banks": "a=bfloat16[128,128] b=bfloat16[128,1024]",
    "product_in_two_halves": "a=bfloat16[128,256] b=bfloat16[128,512]",
    "both_in_bfloat16": "a=float32[128,128] b=bfloat16[128,512]",
    "transposed": "x=bfloat16[128,64]",
    "one_read_of_psum": "a=bfloat16[128,128] b=bfloat16[128,512]",
    "rows_from_a_quadrant": "x=float32[64,128]",
    "rows_by_tiles": "x=float32[256,64]",
    "bits_of_integers": "x=int32[128,64] y=int32[128,64]",
    "bias_for_each_row": "x=float32[128,512] bias=float32[128,1]",
    "largest_of_sixteen": "x=float32[128,16]",
    "gather_by_uint16": "x=float32[16,32] rows=uint16[16,1]{0:32}",
    "quantized_on_trn3": "x=bfloat16[128,512] target=trn3",
}
EXPECTS: dict[str, str] = {}


def sbuf(shape, dtype):
    return nl.ndarray(shape, dtype=dtype, buffer=nl.sbuf)


def result(tile):
    """`tile` in a result of its own shape and dtype."""
    out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def product(stationary, moving):
    """stationary.T @ moving in SBUF."""
    shape = (stationary.shape[1], moving.shape[1])
    total = nl.ndarray(shape, dtype=nl.float32, buffer=nl.psum)
    tile = sbuf(shape, nl.float32)
    nisa.nc_matmul(dst=total, stationary=stationary, moving=moving)
    nisa.tensor_copy(dst=tile, src=total)
    return tile


@nki.jit
def product_by_banks(a, b):
    """1,024 columns in two banks."""
    weights, moving = nl.load(a), nl.load(b)
    out = nl.ndarray((128, 1024), dtype=nl.float32, buffer=nl.shared_hbm)
    for start in range(0, 1024, 512):
        nisa.dma_copy(dst=out[:, start : start + 512], src=product(weights, moving[:, start : start + 512]))
    return out


@nki.jit
def product_in_two_halves(a, b):
    """256 columns of weights, 128 at a time."""
    out = nl.ndarray((256, 512), dtype=nl.float32, buffer=nl.shared_hbm)
    weights, moving = nl.load(a), nl.load(b)
    for start in range(0, 256, 128):
        nisa.dma_copy(dst=out[start : start + 128, :], src=product(weights[:, start : start + 128], moving))
    return out


@nki.jit
def both_in_bfloat16(a, b):
    """Weights are rounded to the dtype of the activations."""
    weights = sbuf(a.shape, nl.bfloat16)
    nisa.tensor_copy(dst=weights, src=nl.load(a))
    return result(product(weights, nl.load(b)))


@nki.jit
def transposed(x):
    """The result of a transpose has the shape turned round."""
    turned = nl.ndarray((64, 128), dtype=x.dtype, buffer=nl.psum)
    nisa.nc_transpose(dst=turned, data=nl.load(x))
    tile = sbuf((64, 128), x.dtype)
    nisa.tensor_copy(dst=tile, src=turned)
    return result(tile)


@nki.jit
def one_read_of_psum(a, b):
    """One input of the addition stands in SBUF."""
    weights, moving = nl.load(a), nl.load(b)
    left = product(weights, moving)
    right = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
    nisa.nc_matmul(dst=right, stationary=weights, moving=moving)
    nisa.tensor_tensor(dst=left, data1=left, data2=right, op=nl.add)
    return result(left)


@nki.jit
def rows_from_a_quadrant(x):
    """An instruction that begins at partition 32."""
    tile = nl.load(x)
    half = sbuf((32, 128), x.dtype)
    nisa.tensor_scalar(dst=half, data=tile[32:64, :], op0=nl.multiply, operand0=2.0)
    return result(half)


@nki.jit
def rows_by_tiles(x):
    """256 rows, 128 at a time."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for start in range(0, 256, 128):
        tile = nl.load(x[start : start + 128, :])
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)
        nisa.dma_copy(dst=out[start : start + 128, :], src=tile)
    return out


@nki.jit
def bits_of_integers(x, y):
    """Masks that are integers."""
    left, right = nl.load(x), nl.load(y)
    nisa.tensor_tensor(dst=left, data1=left, data2=right, op=nl.bitwise_and)
    return result(left)


@nki.jit
def bias_for_each_row(x, bias):
    """One bias for each row."""
    tile, added = nl.load(x), nl.load(bias)
    nisa.activation(dst=tile, op=nl.exp, data=tile, bias=added)
    return result(tile)


@nki.jit
def largest_of_sixteen(x):
    """The eight largest of sixteen."""
    best = sbuf((128, 8), x.dtype)
    nisa.max8(dst=best, src=nl.load(x))
    return result(best)


@nki.jit
def gather_by_uint16(x, rows):
    """Indices of a gather in uint16."""
    tile, where = nl.load(x), nl.load(rows)
    got = sbuf((16, 16), x.dtype)
    nisa.local_gather(dst=got, src_buffer=tile, index=where)
    return result(got)


@nki.jit
def quantized_on_trn3(x):
    """An instruction of trn3 in a kernel for trn3."""
    data, scale = sbuf((128, 128), nl.float8_e4m3fn_x4), nl.zeros((128, 128), dtype=nl.uint8)
    nisa.quantize_mx(dst=data, src=nl.load(x), dst_scale=scale)
    return result(data)
