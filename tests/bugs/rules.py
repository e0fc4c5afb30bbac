"""Seeded bugs: instructions that break a documented rule of shapes, memories, dtypes or engines."""

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "contraction_of_two_lengths": "a=bfloat16[64,128] b=bfloat16[128,512]",
    "moving_wider_than_a_bank": "a=bfloat16[128,128] b=bfloat16[128,1024]",
    "stationary_wider_than_the_array": "a=bfloat16[128,256] b=bfloat16[128,512]",
    "product_in_sbuf": "a=bfloat16[128,128] b=bfloat16[128,512]",
    "product_in_bfloat16": "a=bfloat16[128,128] b=bfloat16[128,512]",
    "float32_with_bfloat16": "a=float32[128,128] b=bfloat16[128,512]",
    "transposed_to_the_same_shape": "x=bfloat16[128,64]",
    "two_reads_of_psum": "a=bfloat16[128,128] b=bfloat16[128,512]",
    "gpsimd_reads_psum": "a=bfloat16[128,128] b=bfloat16[128,512]",
    "rows_from_the_middle": "x=float32[64,128]",
    "rows_do_not_fit": "x=float32[128,512]",
    "copy_on_the_tensor_engine": "x=float32[128,512]",
    "bits_of_floats": "x=float32[128,64] y=float32[128,64]",
    "bias_for_each_element": "x=float32[128,512] bias=float32[128,512]",
    "largest_of_four": "x=float32[128,4]",
    "gather_by_int32": "x=float32[16,32] rows=int32[16,1]{0:32}",
    "quantized_on_trn2": "x=bfloat16[128,512] target=trn2",
}
EXPECTS = {
    "contraction_of_two_lengths": "rules.nc_matmul.c1",
    "moving_wider_than_a_bank": "rules.nc_matmul.c3",
    "stationary_wider_than_the_array": "rules.nc_matmul.c2",
    "product_in_sbuf": "rules.nc_matmul.dst.memory",
    "product_in_bfloat16": "rules.nc_matmul.c7",
    "float32_with_bfloat16": "rules.nc_matmul.c5",
    "transposed_to_the_same_shape": "rules.nc_transpose.c1",
    "two_reads_of_psum": "rules.tensor_tensor.c2",
    "gpsimd_reads_psum": "rules.tensor_tensor.c5",
    "rows_from_the_middle": "rules.tensor_scalar.data.start",
    "rows_do_not_fit": "rules.dma_copy.c1",
    "copy_on_the_tensor_engine": "rules.tensor_copy.engine",
    "bits_of_floats": "rules.tensor_tensor.c4",
    "bias_for_each_element": "rules.activation.c3",
    "largest_of_four": "rules.max8.c1",
    "gather_by_int32": "rules.local_gather.index.dtype",
    "quantized_on_trn2": "rules.quantize_mx.target",
}


def sbuf(shape, dtype):
    return nl.ndarray(shape, dtype=dtype, buffer=nl.sbuf)


def psum(shape, dtype=nl.float32):
    return nl.ndarray(shape, dtype=dtype, buffer=nl.psum)


def result(tile):
    """`tile` in a result of its own shape and dtype."""
    out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def copied(product):
    """What stands in PSUM, in SBUF."""
    tile = sbuf(product.shape, product.dtype)
    nisa.tensor_copy(dst=tile, src=product)
    return tile


@nki.jit
def contraction_of_two_lengths(a, b):
    """The inputs of a product have 64 and 128 rows to sum over."""
    product = psum((128, 512))
    nisa.nc_matmul(dst=product, stationary=nl.load(a), moving=nl.load(b))
    return result(copied(product))


@nki.jit
def moving_wider_than_a_bank(a, b):
    """A product of 1,024 columns at once; a PSUM bank holds 512 in float32."""
    product = psum((128, 1024))
    nisa.nc_matmul(dst=product, stationary=nl.load(a), moving=nl.load(b))
    return result(copied(product))


@nki.jit
def stationary_wider_than_the_array(a, b):
    """256 columns of weights for an array of 128."""
    product = psum((128, 512))
    nisa.nc_matmul(dst=product, stationary=nl.load(a), moving=nl.load(b))
    return result(copied(product))


@nki.jit
def product_in_sbuf(a, b):
    """The Tensor Engine writes to PSUM, not to SBUF."""
    product = sbuf((128, 512), nl.float32)
    nisa.nc_matmul(dst=product, stationary=nl.load(a), moving=nl.load(b))
    return result(product)


@nki.jit
def product_in_bfloat16(a, b):
    """PSUM sums are float32 on trn2; bfloat16 sums are trn3's."""
    product = psum((128, 512), nl.bfloat16)
    nisa.nc_matmul(dst=product, stationary=nl.load(a), moving=nl.load(b))
    return result(copied(product))


@nki.jit
def float32_with_bfloat16(a, b):
    """Weights in float32 and activations in bfloat16 in one product."""
    product = psum((128, 512))
    nisa.nc_matmul(dst=product, stationary=nl.load(a), moving=nl.load(b))
    return result(copied(product))


@nki.jit
def transposed_to_the_same_shape(x):
    """The result of a transpose has the shape of its input."""
    turned = psum((128, 64), x.dtype)
    nisa.nc_transpose(dst=turned, data=nl.load(x))
    return result(copied(turned))


@nki.jit
def two_reads_of_psum(a, b):
    """Both inputs of an addition stand in PSUM, which has one read port for an instruction."""
    left, right = psum((128, 512)), psum((128, 512))
    weights, moving = nl.load(a), nl.load(b)
    nisa.nc_matmul(dst=left, stationary=weights, moving=moving)
    nisa.nc_matmul(dst=right, stationary=weights, moving=moving)
    total = sbuf((128, 512), nl.float32)
    nisa.tensor_tensor(dst=total, data1=left, data2=right, op=nl.add)
    return result(total)


@nki.jit
def gpsimd_reads_psum(a, b):
    """The GpSimd Engine is asked to add to a product in PSUM, which it does not reach."""
    product = psum((128, 512))
    moving = nl.load(b)
    nisa.nc_matmul(dst=product, stationary=nl.load(a), moving=moving)
    total = sbuf((128, 512), nl.float32)
    nisa.tensor_tensor(dst=total, data1=product, data2=moving, op=nl.add, engine=nisa.engine.gpsimd)
    return result(total)


@nki.jit
def rows_from_the_middle(x):
    """An instruction begins at partition 16; it may begin at 0, 32, 64 or 96."""
    tile = nl.load(x)
    half = sbuf((32, 128), x.dtype)
    nisa.tensor_scalar(dst=half, data=tile[16:48, :], op0=nl.multiply, operand0=2.0)
    return result(half)


@nki.jit
def rows_do_not_fit(x):
    """A load of 512 columns into a tile of 500."""
    tile = sbuf((128, 500), x.dtype)
    nisa.dma_copy(dst=tile, src=x)
    return result(tile)


@nki.jit
def copy_on_the_tensor_engine(x):
    """A copy is asked of the Tensor Engine, which only multiplies."""
    tile = nl.load(x)
    other = sbuf(x.shape, x.dtype)
    nisa.tensor_copy(dst=other, src=tile, engine=nisa.engine.tensor)
    return result(other)


@nki.jit
def bits_of_floats(x, y):
    """Two masks are combined with a bitwise operator and are floats."""
    left, right = nl.load(x), nl.load(y)
    both = sbuf(x.shape, x.dtype)
    nisa.tensor_tensor(dst=both, data1=left, data2=right, op=nl.bitwise_and)
    return result(both)


@nki.jit
def bias_for_each_element(x, bias):
    """An activation takes one bias for each row, and gets one for each element."""
    tile, added = nl.load(x), nl.load(bias)
    nisa.activation(dst=tile, op=nl.exp, data=tile, bias=added)
    return result(tile)


@nki.jit
def largest_of_four(x):
    """The eight largest are asked of rows of four."""
    best = sbuf((128, 8), x.dtype)
    nisa.max8(dst=best, src=nl.load(x))
    return result(best)


@nki.jit
def gather_by_int32(x, rows):
    """Indices of a gather are int32; the instruction takes uint16."""
    tile, where = nl.load(x), nl.load(rows)
    got = sbuf((16, 16), x.dtype)
    nisa.local_gather(dst=got, src_buffer=tile, index=where)
    return result(got)


@nki.jit
def quantized_on_trn2(x):
    """An instruction of trn3 in a kernel for trn2."""
    data, scale = sbuf((128, 128), nl.float8_e4m3fn_x4), sbuf((16, 128), nl.uint8)
    nisa.quantize_mx(dst=data, src=nl.load(x), dst_scale=scale)
    return result(scale)
