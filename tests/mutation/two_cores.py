"""Kernels for two cores (LNC2) that need their barriers and exchanges; correct as they stand."""

import nki
import nki.isa as nisa
import nki.language as nl


@nki.jit
def swapped_halves(x):
    """Each core writes its half to shared memory, waits, and adds the other's: (2 n, m) -> (2 n, m)."""
    rows = x.shape[0] // 2
    me = nl.program_id(0)
    shared = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    mine = nl.ndarray((rows, x.shape[1]), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=mine, src=x[me * rows : me * rows + rows, :])
    nisa.activation(dst=mine, op=nl.exp, data=mine)
    nisa.dma_copy(dst=shared[me * rows : me * rows + rows, :], src=mine)
    nisa.core_barrier(data=shared, cores=(0, 1))
    theirs = nl.ndarray((rows, x.shape[1]), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=theirs, src=shared[(1 - me) * rows : (1 - me) * rows + rows, :])
    nisa.tensor_tensor(dst=mine, data1=mine, data2=theirs, op=nl.subtract)
    nisa.dma_copy(dst=out[me * rows : me * rows + rows, :], src=mine)
    return out


@nki.jit
def split_contraction(lhs_t, rhs):
    """lhs_t.T @ rhs with the contraction split over the cores; core 0 adds what core 1 sends and stores."""
    depth = lhs_t.shape[0] // 2
    me = nl.program_id(0)
    out = nl.ndarray((lhs_t.shape[1], rhs.shape[1]), dtype=nl.float32, buffer=nl.shared_hbm)
    left = nl.ndarray((depth, lhs_t.shape[1]), dtype=lhs_t.dtype, buffer=nl.sbuf)
    right = nl.ndarray((depth, rhs.shape[1]), dtype=rhs.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=left, src=lhs_t[me * depth : me * depth + depth, :])
    nisa.dma_copy(dst=right, src=rhs[me * depth : me * depth + depth, :])
    product = nl.ndarray((lhs_t.shape[1], rhs.shape[1]), dtype=nl.float32, buffer=nl.psum)
    nisa.nc_matmul(dst=product, stationary=left, moving=right)
    mine = nl.ndarray(product.shape, dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_copy(dst=mine, src=product)
    theirs = nl.ndarray(product.shape, dtype=nl.float32, buffer=nl.sbuf)
    nisa.sendrecv(src=mine, dst=theirs, send_to_rank=1 - me, recv_from_rank=1 - me, pipe_id=0)
    nisa.tensor_tensor(dst=mine, data1=mine, data2=theirs, op=nl.add)
    half = lhs_t.shape[1] // 2
    nisa.dma_copy(dst=out[me * half : me * half + half, :], src=mine[me * half : me * half + half, :])
    return out


@nki.jit
def column_sums(x):
    """Sums over rows, half of the columns by each core, then a scale that both take from shared memory: (n, m) -> (1, m)."""
    me = nl.program_id(0)
    width = x.shape[1] // 2
    sums = nl.ndarray((1, x.shape[1]), dtype=nl.float32, buffer=nl.shared_hbm)
    out = nl.ndarray((1, x.shape[1]), dtype=nl.float32, buffer=nl.shared_hbm)
    ones = nl.ndarray((x.shape[0], 1), dtype=x.dtype, buffer=nl.sbuf)
    nisa.memset(dst=ones, value=1.0)
    tile = nl.ndarray((x.shape[0], width), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x[:, me * width : me * width + width])
    total = nl.ndarray((1, width), dtype=nl.float32, buffer=nl.psum)
    nisa.nc_matmul(dst=total, stationary=ones, moving=tile, accumulate=False)
    row = nl.ndarray((1, width), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_copy(dst=row, src=total)
    nisa.dma_copy(dst=sums[:, me * width : me * width + width], src=row)
    nisa.core_barrier(data=sums, cores=(0, 1))
    whole = nl.ndarray((1, x.shape[1]), dtype=nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=whole, src=sums)
    peak = nl.ndarray((1, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_reduce(dst=peak, op=nl.maximum, data=whole, axis=1)
    nisa.tensor_scalar(dst=row, data=row, op0=nl.subtract, operand0=peak)
    nisa.dma_copy(dst=out[:, me * width : me * width + width], src=row)
    return out
