"""Ten kernels in the older dialect, in the forms that public ones take; what `opentrn migrate` is proven on."""

import math

import neuronxcc.nki as nki
import neuronxcc.nki.isa as nisa
import neuronxcc.nki.language as nl
import numpy as np
from neuronxcc.nki.language import par_dim


@nki.jit
def tensor_add(a, b):
    """Edge tiles under a mask."""
    out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
    rows, columns = a.shape
    for tile in nl.affine_range(math.ceil(rows / 128)):
        # the last tile reaches beyond the tensor
        i_p, i_f = nl.mgrid[0:128, 0:columns]
        i_row = tile * 128 + i_p
        x = nl.load(a[i_row, i_f], mask=(i_row < rows))
        y = nl.load(b[i_row, i_f], mask=(i_row < rows))
        nl.store(out[i_row, i_f], value=x + y, mask=(i_row < rows))  # one DMA
    return out


@nki.jit
def scale_and_shift(x, scale, shift):
    """Instructions that give their result back."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    data, factor, offset = nl.ndarray((128, 512), dtype=nl.float32), nl.load(scale), nl.load(shift)
    data = nl.load(x)
    shifted = nisa.activation(op=np.square, data=data, bias=offset, scale=factor)
    halved = nisa.tensor_scalar(shifted, np.multiply, 0.5, op1=np.add, operand1=offset)
    nl.store(out, value=nisa.tensor_copy(halved))
    return out


@nki.jit(mode="simulation")
def softmax(x):
    """Operators, and functions of nki.language in the middle of expressions."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    i_p = nl.arange(128)[:, None]
    i_f = nl.arange(256)[None, :]
    tile = nl.load(x[i_p, i_f])
    largest = nl.max(tile, axis=[1], keepdims=True)
    powers = nl.exp(tile - largest)
    total = nl.sum(powers, axis=[1], keepdims=True)
    nl.store(out[i_p, i_f], powers * nisa.reciprocal(total))
    return out


@nki.jit
def rms_norm(x, w):
    """A loop over rows with a tile that is written into."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    n = x.shape[1]
    weights = nl.load(w)
    for i in nl.sequential_range(x.shape[0] // 128):
        ix = nl.arange(128)[:, None]
        iy = nl.arange(n)[None, :]
        tile = nl.ndarray((par_dim(128), n), dtype=nl.float32, buffer=nl.sbuf)
        tile[ix, iy] = nl.load(x[i * 128 + ix, iy])
        squares = nl.square(tile)
        mean = nisa.tensor_reduce(np.add, squares, axis=(1,), keepdims=True)
        factor = nisa.activation(op=nl.rsqrt, data=mean, scale=1.0 / n)
        tile[ix, iy] = nl.multiply(tile[ix, iy], factor)
        tile[ix, iy] = nl.multiply(tile[ix, iy], weights)
        nl.store(out[i * 128 + ix, iy], value=tile[ix, iy])
    return out


@nki.jit
def matmul_tiled(lhs_t, rhs):
    """Products added up in PSUM."""
    k, m = lhs_t.shape
    _, n = rhs.shape
    out = nl.ndarray((m, n), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    for i in nl.affine_range(m // 128):
        for j in nl.affine_range(n // 512):
            total = nl.zeros((128, 512), nl.float32, buffer=nl.psum)
            for l in nl.affine_range(k // 128):
                left = nl.load(lhs_t[l * 128 : (l + 1) * 128, i * 128 : (i + 1) * 128])
                right = nl.load(rhs[l * 128 : (l + 1) * 128, j * 512 : (j + 1) * 512])
                total += nl.matmul(left, right, transpose_x=True)
            result = nl.copy(total, dtype=out.dtype)
            nl.store(out[i * 128 : (i + 1) * 128, j * 512 : (j + 1) * 512], value=result)
    return out


@nki.jit
def matmul_blocks(lhs_t, rhs):
    """Block dimensions in SBUF and in PSUM."""
    k, m = lhs_t.shape
    _, n = rhs.shape
    out = nl.ndarray((m, n), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    left = nl.ndarray((k // 128, nl.par_dim(128), m), dtype=lhs_t.dtype, buffer=nl.sbuf)
    right = nl.ndarray((k // 128, nl.par_dim(128), n), dtype=rhs.dtype, buffer=nl.sbuf)
    for l in nl.affine_range(k // 128):
        left[l] = nl.load(lhs_t[l * 128 : l * 128 + 128, 0:m])
        right[l] = nl.load(rhs[l * 128 : l * 128 + 128, 0:n])
    i_k, i_m, i_n = nl.arange(128)[:, None], nl.arange(128)[None, :], nl.arange(512)[None, :]
    for i in nl.affine_range(m // 128):
        products = nl.ndarray((n // 512, nl.par_dim(128), 512), dtype=nl.float32, buffer=nl.psum)
        for j in nl.affine_range(n // 512):
            for l in nl.affine_range(k // 128):
                products[j] += nisa.nc_matmul(left[l, i_k, i * 128 + i_m], right[l, i_k, j * 512 + i_n])
            nl.store(out[i * 128 + i_k, j * 512 + i_n], value=products[j])
    return out


@nki.jit
def transpose_free(x, shape2d):
    """Two grids that meet in one dimension."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    rows, _ = x.shape
    tile = nl.load(x)
    f1, f2 = shape2d
    i_p = nl.arange(rows)[:, None, None]
    i_1 = nl.arange(f1)[None, :, None]
    i_2 = nl.arange(f2)[None, None, :]
    turned = nl.ndarray(shape=(rows, f2 * f1), dtype=out.dtype)
    turned[i_p, i_2 * f1 + i_1] = nl.copy(tile[i_p, i_1 * f2 + i_2])
    nl.store(out, value=turned)
    return out


@nki.jit
def even_and_odd(x):
    """Strided columns."""
    rows, columns = x.shape
    even = nl.ndarray((rows, columns // 2), dtype=x.dtype, buffer=nl.shared_hbm)
    odd = nl.ndarray((rows, columns // 2), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    i_p = nl.arange(rows)[:, None]
    i_f = nl.arange(columns // 2)[None, :]
    nl.store(even[i_p, i_f], value=nl.copy(tile[i_p, 2 * i_f]))
    nl.store(odd[i_p, i_f], value=nl.negative(tile[i_p, 2 * i_f + 1]))
    return even, odd


@nki.jit
def attention(q, k, v):
    """Scores, softmax and values of 128 rows."""
    out = nl.ndarray((128, 128), dtype=q.dtype, buffer=nl.shared_hbm)
    q_tile, k_tile, v_tile = nl.load(q), nl.load(k), nl.load(v)
    scores = nisa.nc_matmul(stationary=q_tile, moving=k_tile)
    lowest = nisa.tensor_reduce(op=np.max, data=scores, axis=1, negate=True)
    total = nl.ndarray((128, 1), dtype=nl.float32, buffer=nl.sbuf)
    powers = nisa.activation_reduce(op=np.exp, data=scores, bias=lowest, reduce_op=np.add, reduce_res=total)
    powers_t = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
    powers_t[...] = nisa.tensor_copy(nisa.nc_transpose(powers))
    weighted = nl.zeros((128, 128), dtype=nl.float32, buffer=nl.psum)
    weighted += nisa.nc_matmul(powers_t, v_tile)
    result = nisa.tensor_scalar(weighted, np.multiply, nisa.reciprocal(total))
    nl.store(out, value=result)
    return out


@nki.jit
def running(x):
    """A scan in chunks, and a reduction over a loop."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    last = nl.zeros((128, 1), dtype=nl.float32, buffer=nl.sbuf)
    largest = nl.full((128, 256), -1000.0, dtype=nl.float32, buffer=nl.sbuf)
    ones = nisa.memset((128, 256), 1.0, np.float32)
    for i in nl.sequential_range(x.shape[1] // 256):
        tile = nl.load(x[:, nl.ds(i * 256, 256)])
        sums = nisa.tensor_tensor_scan(ones, tile, initial=last, op0=np.multiply, op1=np.add)
        last[...] = sums[0:128, 255]
        largest[...] = nl.loop_reduce(sums, op=np.max, loop_indices=[i])
        sums += largest
        nl.store(out[:, nl.ds(i * 256, 256)], value=sums)
    return out
