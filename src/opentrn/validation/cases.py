"""What is run for a row: kernels and the shapes of their arguments, by the names in `rows.csv`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from opentrn.nki.arrays import ShapeDtype
from opentrn.validation.kernels import attention, conv2d, elementwise, kmeans, mamba, matmul, mlp, probes, vector_add
from opentrn.validation.rows import Row

__all__ = ["CASES", "Case", "Launch", "case_of"]


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel on one core, with shapes for arguments."""

    kernel: Callable[..., Any]
    arguments: tuple[ShapeDtype, ...]


@dataclass(frozen=True)
class Case:
    """The launches whose times add up to the row's, and the instruction that a row about one instruction looks at."""

    launches: tuple[Launch, ...]
    instruction: str = ""


def _one(kernel: Callable[..., Any], *arguments: ShapeDtype, instruction: str = "") -> Case:
    return Case((Launch(kernel, arguments),), instruction)


def _matmul(kernel: str, rows: int, depth: int, columns: int, dtype: str, **options: Any) -> Case:
    made = partial(getattr(matmul, kernel), **options)
    return _one(made, ShapeDtype((depth, rows), dtype), ShapeDtype((depth, columns), dtype))


def _attention(kernel: str, length: int, dtype: str) -> Case:
    given = [ShapeDtype((128, length), dtype)] * 3 + [ShapeDtype((128, 128), "float32")]
    small = [] if dtype == "float32" else [ShapeDtype((128, 128), dtype)]
    return _one(getattr(attention, kernel), *given, *small)


def _mlp(kernel: str, rows: int, depth: int, columns: int, dtype: str) -> Case:
    shapes = ((depth, rows), (depth, columns), (1, columns))
    given = tuple(ShapeDtype(shape, dtype) for shape in shapes)
    if kernel == "unfused":  # published as the sum of two launches
        return Case((Launch(mlp.gemm, given), Launch(mlp.gelu, (ShapeDtype((rows, columns), dtype),))))
    return _one(getattr(mlp, kernel), *given)


def _vector_add(size: int, rows: int = 0, free: int = 0) -> Case:
    kernel = partial(vector_add.tiled, rows=rows) if rows else partial(vector_add.streamed, free=free)
    return _one(kernel, *[ShapeDtype((size,), "float32")] * 2)


def _conv2d(kernel: str, dtype: str, pool: int) -> Case:
    shapes = ((1, 256, 224, 224), (256, 256, 3, 3), (256,))
    return _one(partial(getattr(conv2d, kernel), pool=pool), *(ShapeDtype(shape, dtype) for shape in shapes))


def _kmeans(points: int, depth: int, centroids: int) -> Case:
    inputs = [ShapeDtype((depth, n), "bfloat16") for n in (points, centroids)]
    return _one(kmeans.assign, *inputs, ShapeDtype((1, centroids), "float32"))


_MAMBA = {"v1": {"reload": True}, "v2": {}, "v3": {"piece": 512}}


def _mamba(version: str, length: int, channels: int, states: int = 16) -> Case:
    shapes = (
        (1, channels, length),
        (1, channels, length),
        (channels, states),
        (1, states, length),
        (1, states, length),
    )
    return _one(partial(mamba.scan, **_MAMBA[version]), *(ShapeDtype(shape, "float32") for shape in shapes))


_NKIBENCH = {
    "silu": ((128, 32, 7168),),
    "adamw": ((10944, 2048),) * 4,
    "rope": ((128, 64 * 4096), (64, 64 * 4096), (64, 64 * 4096)),
}


def _nkibench(kernel: str) -> Case:
    return _one(getattr(elementwise, kernel), *(ShapeDtype(shape, "float32") for shape in _NKIBENCH[kernel]))


_ISA_NAMES = {"copy": "tensor_copy", "exp": "activation", "identity": "activation", "max": "tensor_reduce"}
_ISA_NAMES |= {"sum": "tensor_reduce", "scale": "tensor_scalar", "reciprocal": "reciprocal", "add": "tensor_tensor"}
_ISA_NAMES |= {"add_psum": "tensor_tensor", "matmul": "nc_matmul"}


def _region(text: str) -> tuple[str, str, int]:
    memory, dtype, elements = text.split(":")
    return memory, dtype, int(elements)


def _repeated(instruction: str, src: str, dst: str, chained: bool = False) -> Case:
    options: dict[str, Any] = {"instruction": instruction, "src": _region(src), "dst": _region(dst), "chained": chained}
    name = _ISA_NAMES[instruction.partition(".")[2]]
    return _one(partial(probes.repeated, **options), ShapeDtype((1, 1), "float32"), instruction=name)


def _transfer(queue: str, partitions: int, elements: int, dtype: str) -> Case:
    kernel = partial(probes.transfer, queue=queue)
    return _one(kernel, ShapeDtype((partitions, elements), dtype), instruction="dma_copy")


CASES: dict[str, Callable[..., Case]] = {
    "attention": _attention,
    "conv2d": _conv2d,
    "kmeans": _kmeans,
    "mamba": _mamba,
    "matmul": _matmul,
    "mlp": _mlp,
    "nkibench": _nkibench,
    "repeated": _repeated,
    "transfer": _transfer,
    "vector_add": _vector_add,
}


def case_of(row: Row) -> Case:
    """What is run for `row`."""
    return CASES[row.case](**dict(row.arguments))
