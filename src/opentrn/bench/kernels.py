"""The kernels that the benchmarks run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.nki.arrays import ShapeDtype
from opentrn.nki.kernel import simulate

__all__ = ["elementwise", "matmul", "small", "small_add", "steps_of_every_engine", "tile_per_load", "tiled_matmul"]


COLUMNS = 2048  # of rhs that stay in SBUF: 4 PSUM banks of results at a time


def matmul(lhs_t: Any, rhs: Any) -> Any:
    """lhs_t (K, M) and rhs (K, N), bf16 -> (M, N): a block of columns of rhs and a strip of lhs_t stay in SBUF."""
    (depth, rows), columns = lhs_t.shape, rhs.shape[1]
    steps, width = depth // 128, min(COLUMNS, columns)
    out = nl.ndarray((rows, columns), dtype=rhs.dtype, buffer=nl.shared_hbm)
    for n in range(0, columns, width):
        block = nl.ndarray((128, steps, width), dtype=rhs.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=block, src=rhs[:, n : n + width].reshape_dim(0, (steps, 128)).permute((1, 0, 2)))
        moving = [[block[:, k, x : x + 512] for k in range(steps)] for x in range(0, width, 512)]
        for m in range(0, rows, 128):
            strip = nl.ndarray((128, steps, 128), dtype=lhs_t.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=strip, src=lhs_t[:, m : m + 128].reshape_dim(0, (steps, 128)).permute((1, 0, 2)))
            stationary = [strip[:, k, :] for k in range(steps)]
            result = nl.ndarray((128, width), dtype=rhs.dtype, buffer=nl.sbuf)
            for number, panel in enumerate(moving):
                total = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
                for left, right in zip(stationary, panel, strict=True):
                    nisa.nc_matmul(dst=total, stationary=left, moving=right)
                nisa.tensor_copy(dst=result[:, number * 512 : (number + 1) * 512], src=total)
            nisa.dma_copy(dst=out[m : m + 128, n : n + width], src=result)
    return out


def _add(dst: Any, x: Any) -> None:
    nisa.tensor_tensor(dst=dst, data1=x, data2=x, op=nl.add)


def _exp(dst: Any, x: Any) -> None:
    nisa.activation(dst=dst, op=nl.exp, data=x)


def _gelu(dst: Any, x: Any) -> None:
    nisa.activation(dst=dst, op=nl.gelu, data=x)


def _copy(dst: Any, x: Any) -> None:
    nisa.tensor_copy(dst=dst, src=x)


STEPS: dict[str, tuple[Callable[[Any, Any], None], str]] = {
    "copy": (_copy, "bfloat16"),
    "add": (_add, "bfloat16"),
    "exp": (_exp, "bfloat16"),
    "gelu": (_gelu, "bfloat16"),
    "cast to fp8": (_copy, "float8_e4m3"),
}


def elementwise(name: str, repeats: int, clock: Callable[[], float], flush: Callable[[], None]) -> Callable[[Any], Any]:
    """A kernel that runs one elementwise instruction `repeats` times; its seconds are left in ``kernel.seconds``."""
    step, dtype = STEPS[name]

    def kernel(x: Any) -> Any:
        tile = nl.load(x)
        dst = nl.ndarray(x.shape, dtype=dtype)
        step(dst, tile)
        flush()
        start = clock()
        for _ in range(repeats):
            step(dst, tile)
        flush()
        kernel.seconds = clock() - start  # type: ignore[attr-defined]
        return _stored(dst)

    return kernel


def small(repeats: int, clock: Callable[[], float], flush: Callable[[], None]) -> Callable[[Any], Any]:
    """A kernel of `repeats` instructions on (128, 1) operands, recorded and executed."""

    def kernel(x: Any) -> Any:
        a, b = nl.load(x), nl.ndarray(x.shape, dtype=x.dtype)
        flush()
        start = clock()
        for _ in range(repeats // 2):
            nisa.tensor_tensor(dst=b, data1=a, data2=a, op=nl.add)
            nisa.tensor_scalar(dst=b, data=b, op0=nl.multiply, operand0=0.5)
        flush()
        kernel.seconds = clock() - start  # type: ignore[attr-defined]
        return _stored(b)

    return kernel


def _stored(tile: Any) -> Any:
    out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def tiled_matmul(lhs_t: Any, rhs: Any) -> Any:
    """lhs_t (K, M), rhs (K, N) -> (M, N), every tile loaded where it is used: many instructions, most of them DMAs."""
    (depth, rows), columns = lhs_t.shape, rhs.shape[1]
    out = nl.ndarray((rows, columns), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    for m in range(0, rows, 128):
        for n in range(0, columns, 512):
            total = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
            left = nl.ndarray((128, depth // 128, 128), dtype=lhs_t.dtype, buffer=nl.sbuf)
            right = nl.ndarray((128, depth // 128, 512), dtype=rhs.dtype, buffer=nl.sbuf)
            for k in range(depth // 128):
                here = slice(k * 128, k * 128 + 128)
                nisa.dma_copy(dst=left[:, k, :], src=lhs_t[here, m : m + 128])
                nisa.dma_copy(dst=right[:, k, :], src=rhs[here, n : n + 512])
                nisa.nc_matmul(dst=total, stationary=left[:, k, :], moving=right[:, k, :])
            _store(out[m : m + 128, n : n + 512], total)
    return out


def tile_per_load(lhs_t: Any, rhs: Any) -> Any:
    """The same with a tile of its own for each load: two tensors to allocate and place for each product."""
    (depth, rows), columns = lhs_t.shape, rhs.shape[1]
    out = nl.ndarray((rows, columns), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    for m in range(0, rows, 128):
        for n in range(0, columns, 512):
            total = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
            for k in range(0, depth, 128):
                left = nl.ndarray((128, 128), dtype=lhs_t.dtype, buffer=nl.sbuf)
                right = nl.ndarray((128, 512), dtype=rhs.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=left, src=lhs_t[k : k + 128, m : m + 128])
                nisa.dma_copy(dst=right, src=rhs[k : k + 128, n : n + 512])
                nisa.nc_matmul(dst=total, stationary=left, moving=right)
            _store(out[m : m + 128, n : n + 512], total)
    return out


def small_add(a: Any, b: Any) -> Any:
    """a + b, of at most 128 rows: about the shortest kernel there is."""
    out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
    x = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.sbuf)
    y = nl.ndarray(b.shape, dtype=b.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=x, src=a)
    nisa.dma_copy(dst=y, src=b)
    nisa.tensor_tensor(dst=x, data1=x, data2=y, op=nl.add)
    nisa.dma_copy(dst=out, src=x)
    return out


def _store(out: Any, total: Any) -> None:
    result = nl.ndarray(total.shape, dtype=out.dtype, buffer=nl.sbuf)
    nisa.tensor_copy(dst=result, src=total)
    nisa.dma_copy(dst=out, src=result)


def _every_engine(x: Any) -> Any:
    tile = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    total = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
    nisa.dma_copy(dst=tile, src=x)
    nisa.nc_matmul(dst=total, stationary=tile, moving=tile)
    nisa.tensor_copy(dst=tile, src=total, engine=nisa.vector_engine)
    nisa.activation(dst=tile, op=nl.copy, data=tile)
    nisa.affine_select(
        dst=tile, pattern=[[1, 128]], offset=0, channel_multiplier=1, on_true_tile=tile, on_false_value=0.0
    )
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def steps_of_every_engine() -> list[Any]:
    """Checked signatures, one of each compute engine and two DMAs: what programs made for the event loop consist of."""
    shape = ShapeDtype((128, 128), "bfloat16")
    launched = simulate(_every_engine).report((shape,), {}, target="trn2", data=False, trace=True)
    assert launched.traces is not None
    return launched.traces[0].steps
