"""Kernels that the tests of the bridges call."""

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn import nki


def _loaded(x):
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    return tile


def _stored(tile, dtype):
    out = nl.ndarray(tile.shape, dtype=dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def add(a, b, scale=1.0):
    """(a + b) * scale, of shapes (P, F)."""
    x, y = _loaded(a), _loaded(b)
    nisa.tensor_tensor(dst=x, data1=x, data2=y, op=nl.add)
    if scale != 1.0:
        nisa.tensor_scalar(dst=x, data=x, op0=nl.multiply, operand0=scale)
    return _stored(x, a.dtype)


@nki.jit
def accumulate(total, x):
    """total += x, in place; gives back total and, in a dictionary, 2 * x and a number."""
    s, y = _loaded(total), _loaded(x)
    nisa.tensor_tensor(dst=s, data1=s, data2=y, op=nl.add)
    nisa.dma_copy(dst=total, src=s)
    nisa.tensor_tensor(dst=y, data1=y, data2=y, op=nl.add)
    return total, {"twice": _stored(y, x.dtype), "number": 7}


@nki.jit
def halves(pair):
    """The sum of the arrays of a list, in float32."""
    x, y = map(_loaded, pair)
    total = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_tensor(dst=total, data1=x, data2=y, op=nl.add)
    return (_stored(total, nl.float32),)


@nki.jit
def write(a, out):
    """out = a, in place; gives back nothing."""
    nisa.dma_copy(dst=out, src=_loaded(a))


@nki.jit
def by_value(a):
    """2 * a where the first element is positive, else a: its control flow needs values."""
    x = _loaded(a)
    if a.numpy()[0, 0] > 0:
        nisa.tensor_tensor(dst=x, data1=x, data2=x, op=nl.add)
    return _stored(x, a.dtype)


@nki.jit
def unwritten(a):
    """Reads what nothing wrote."""
    x = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.sbuf)
    nisa.tensor_tensor(dst=x, data1=x, data2=x, op=nl.add)
    return _stored(x, a.dtype)


@nki.jit
def too_wide(a):
    """Breaks a rule: the partition dimension of a tile is larger than the chip has."""
    return _stored(_loaded(a.reshape((256, a.shape[0] * a.shape[1] // 256))), a.dtype)
