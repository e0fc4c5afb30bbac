"""The kernels that the benchmarks run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

__all__ = ["elementwise", "matmul", "small"]


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
