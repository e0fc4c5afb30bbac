"""The corrected forms of the seeded bugs in memory.py: kernels in which nothing is wrong."""

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "whole_load": "x=bfloat16[128,512]",
    "initialised": "x=float32[128,256]",
    "whole_result": "x=float32[300,128]",
    "gather_within": "x=float32[64,128] rows=int32[32,1]{0:64}",
    "tiles_one_after_the_other": "x=bfloat16[128,8192]",
    "products_one_after_the_other": "x=bfloat16[128,512]",
    "tiles_side_by_side": "x=float32[128,256]",
    "bias_after_the_sum": "x=bfloat16[128,128] bias=float32[128,128]",
    "partial_copy_onwards": "x=float32[128,256]",
    "two_outputs_one_used": "x=float32[128,256]",
}
EXPECTS: dict[str, str] = {}


@nki.jit
def whole_load(x):
    """Every column that is read was loaded."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    for start in range(0, 512, 128):
        nisa.dma_copy(dst=tile[:, start : start + 128], src=x[:, start : start + 128])
    nisa.activation(dst=tile, op=nl.exp, data=tile)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def initialised(x):
    """A running maximum that starts from the lowest number."""
    out = nl.ndarray((128, 1), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    most = nl.full((128, 1), -3.0e38, dtype=x.dtype)
    for start in range(0, 256, 128):
        part = nl.ndarray((128, 1), dtype=x.dtype, buffer=nl.sbuf)
        nisa.tensor_reduce(dst=part, op=nl.maximum, data=tile[:, start : start + 128], axis=1)
        nisa.tensor_tensor(dst=most, data1=most, data2=part, op=nl.maximum)
    nisa.dma_copy(dst=out, src=most)
    return out


@nki.jit
def whole_result(x):
    """The last tile has the rows that are left."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for start in range(0, x.shape[0], 128):
        end = min(start + 128, x.shape[0])
        tile = nl.load(x[start:end])
        nisa.dma_copy(dst=out[start:end], src=tile)
    return out


@nki.jit
def gather_within(x, rows):
    """Every row number is one of the table's."""
    out = nl.ndarray((32, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    index = nl.load(rows)
    tile = nl.ndarray((32, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x.ap(pattern=[[128, 32], [1, 128]], offset=0, vector_offset=index, indirect_dim=0))
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def tiles_one_after_the_other(x):
    """Each tile is used before the next is loaded."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    total = nl.load(x)
    for _ in range(15):
        tile = nl.load(x)
        nisa.tensor_tensor(dst=total, data1=total, data2=tile, op=nl.add)
    nisa.dma_copy(dst=out, src=total)
    return out


@nki.jit
def products_one_after_the_other(x):
    """A product leaves PSUM before the ninth comes."""
    out = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.shared_hbm)
    tile, total = nl.load(x), nl.zeros((128, 512), dtype=nl.float32)
    for _ in range(9):
        product = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
        nisa.nc_matmul(dst=product, stationary=tile[:, 0:128], moving=tile)
        nisa.tensor_tensor(dst=total, data1=total, data2=product, op=nl.add)
    nisa.dma_copy(dst=out, src=total)
    return out


@nki.jit
def tiles_side_by_side(x):
    """Hand-placed tiles that share no byte, on chip and in PSUM on a bank."""
    out = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    first = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf, address=(0, 0))
    second = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf, address=(0, 1024))
    product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum, address=(0, 2048))
    nisa.dma_copy(dst=first, src=x)
    nisa.dma_copy(dst=second, src=x)
    nisa.nc_matmul(dst=product, stationary=first[:, 0:128], moving=second[:, 0:128])
    total = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_copy(dst=total, src=product)
    nisa.dma_copy(dst=out, src=total)
    return out


@nki.jit
def bias_after_the_sum(x, bias):
    """Products start the sum; the bias is added on the way out of PSUM."""
    out = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.shared_hbm)
    tile, extra = nl.load(x), nl.load(bias)
    product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
    for n in range(2):
        nisa.nc_matmul(dst=product, stationary=tile, moving=tile, accumulate=n > 0)
    nisa.tensor_tensor(dst=extra, data1=product, data2=extra, op=nl.add)
    nisa.dma_copy(dst=out, src=extra)
    return out


@nki.jit
def partial_copy_onwards(x):
    """Half a tile is loaded, copied as a whole, and only the written half is used."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    copy = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile[:, 0:128], src=x[:, 0:128])
    nisa.tensor_copy(dst=copy, src=tile)
    nisa.dma_copy(dst=out, src=copy[:, 0:128])
    return out


@nki.jit
def two_outputs_one_used(x):
    """An instruction has two outputs, of which the kernel needs the second."""
    out = nl.ndarray((128, 1), dtype=nl.float32, buffer=nl.shared_hbm)
    tile = nl.load(x)
    powers = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    total = nl.ndarray((128, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.activation_reduce(dst=powers, op=nl.square, data=tile, reduce_op=nl.add, reduce_res=total)
    nisa.dma_copy(dst=out, src=total)
    return out
