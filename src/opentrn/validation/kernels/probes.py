"""One instruction many times, and DMAs one by one: what single rows of published traces are compared with.

The sources of the numbers are the traces of allenkchau/trainium-kernel-fusion (d709ddf), the profiles in aws-neuron-sdk
(81ce03ae) nki/guides/tutorials/kernel-optimization.rst, nki/get-started/about/nki-dma-overview.rst and
nki/deep-dives/nki_perf_guide.rst. `x` only gives the kernel an argument; the operands are made on chip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import ROWS, psum, sbuf

__all__ = ["INSTRUCTIONS", "REPEATS", "Region", "repeated", "transfer"]

REPEATS = 128
"""Enough for TensorE to run at its full clock for most of them."""

VECTOR, SCALAR = nisa.vector_engine, nisa.scalar_engine


Region: TypeAlias = tuple[str, str, int]
"""A whole tensor on 128 partitions: (memory, dtype, elements per partition)."""


def _filled(memory: str, dtype: str, elements: int) -> Any:
    tile = (psum if memory == "psum" else sbuf)((ROWS, elements), dtype)
    nisa.memset(dst=tile, value=1.0, engine=VECTOR)
    return tile


def _copy(engine: Any) -> Callable[[Any, Any], None]:
    return lambda dst, src: nisa.tensor_copy(dst=dst, src=src, engine=engine)


def _activation(op: Any) -> Callable[[Any, Any], None]:
    return lambda dst, src: nisa.activation(dst=dst, op=op, data=src)


def _reduce(op: Any) -> Callable[[Any, Any], None]:
    def reduce(dst: Any, src: Any) -> None:
        groups = dst.shape[1]
        nisa.tensor_reduce(dst=dst, op=op, data=src.reshape((ROWS, groups, src.shape[1] // groups)), axis=2)

    return reduce


def _scale(dst: Any, src: Any) -> None:
    """By a (128, 1) tensor, as in the traces: a column of src."""
    nisa.tensor_scalar(dst=dst, data=src, op0=nl.multiply, operand0=src[:, 0:1], engine=VECTOR)


def _reciprocal(dst: Any, src: Any) -> None:
    nisa.reciprocal(dst=dst, data=src)


def _add(dst: Any, src: Any) -> None:
    nisa.tensor_tensor(dst=dst, data1=src, data2=src, op=nl.add)


INSTRUCTIONS: dict[str, Callable[[Any, Any], None]] = {
    "scalar.copy": _copy(SCALAR),
    "scalar.exp": _activation(nl.exp),
    "scalar.identity": _activation(nl.copy),
    "vector.copy": _copy(VECTOR),
    "vector.max": _reduce(nl.maximum),
    "vector.sum": _reduce(nl.add),
    "vector.scale": _scale,
    "vector.reciprocal": _reciprocal,
    "vector.add": _add,
    "vector.add_psum": lambda dst, src: nisa.tensor_tensor(dst=dst, data1=src, data2=dst, op=nl.add),
    "tensor.matmul": lambda dst, src: nisa.nc_matmul(dst=dst, stationary=src[:, 0:ROWS], moving=src, accumulate=False),
}
"""Names of rows -> the instruction on (dst, src)."""


def repeated(x: Any, instruction: str, src: Region, dst: Region, chained: bool = False, repeats: int = REPEATS) -> Any:
    """`instruction` `repeats` times back to back, each on the result of the last where `chained`."""
    source, result = _filled(*src), _filled(*dst)
    for _ in range(repeats):
        INSTRUCTIONS[instruction](source if chained else result, source)
    last = source if chained else result
    held = sbuf(last.shape, x.dtype)
    nisa.tensor_copy(dst=held, src=last, engine=VECTOR)
    out = nl.ndarray(last.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=held)
    return out


_QUEUES = {
    "sync": {"engine": nisa.engine.sync, "dge_mode": nisa.dge_mode.hwdge},
    "scalar": {"engine": nisa.scalar_engine, "dge_mode": nisa.dge_mode.hwdge},
    "gpsimd": {"engine": nisa.gpsimd_engine, "dge_mode": nisa.dge_mode.swdge},
    "none": {"dge_mode": nisa.dge_mode.none},
}


def transfer(x: Any, queue: str) -> Any:
    """x (partitions, elements) through SBUF by two DMAs of one queue: the first is the one that is looked at."""
    tile = sbuf(x.shape, x.dtype)
    nisa.dma_copy(dst=tile, src=x, **_QUEUES[queue])
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile, **_QUEUES[queue])
    return out
