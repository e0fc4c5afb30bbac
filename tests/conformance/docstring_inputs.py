"""Inputs, references and reasons for the examples that `docstrings.py` runs; data and references are ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from opentrn.nki import isa as nisa
from opentrn.nki import language as nl

__all__ = ["FRAGMENTS", "KERNELS", "REASONS", "TARGETS", "Fragment"]

TARGETS = {"language.abs_max": "trn3", "language.abs_min": "trn3", "isa.activate2": "trn3"}
"""Examples of functions that only newer chips have."""

PSEUDO = "pseudo-code of the meaning, not a program"
REASONS = {
    "language.fori_loop #1": PSEUDO,
    "language.while_loop #1": PSEUDO,
    "isa.VirtualRegister #2": "has `...` in place of operands and of the loop's body",
    "isa.tensor_scalar_cumulative #1": PSEUDO,
    "isa.activation #1": PSEUDO,
    "isa.activation_reduce #1": PSEUDO,
    "isa.activate2 #2": PSEUDO,
    "isa.iota #1": PSEUDO,
    "isa.affine_select #1": PSEUDO,
    "isa.tensor_tensor_scan #1": PSEUDO,
    "isa.exponential #1": PSEUDO,
    "isa.range_select #1": PSEUDO,
    "isa.select_reduce #1": PSEUDO,
    "isa.nonzero_with_count #1": PSEUDO,
    "isa.topk #1": "gives back SBUF tiles, which no launched kernel can (tests/isa/gpsimd/test_topk.py)",
}
"""Why an example is not run."""


@dataclass(frozen=True)
class Fragment:
    """What statements need: arrays by name, other names (made inside the kernel), and a check afterwards or inside."""

    inputs: Callable[[], dict[str, Any]] = dict
    names: Callable[[], dict[str, Any]] = dict
    holds: Callable[[dict[str, Any]], None] | None = None
    holds_inside: Callable[[dict[str, Any]], None] | None = None
    lnc: int = 1
    strict: bool = True


def normal(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def squared(arrays: dict[str, Any]) -> None:
    np.testing.assert_array_equal(arrays["out_tensor"], arrays["input_tensor"] ** 2)


def squares(columns: int) -> Fragment:
    return Fragment(lambda: {"input_tensor": normal(128, columns), "out_tensor": zeros(128, columns)}, holds=squared)


def gathered(arrays: dict[str, Any]) -> None:
    want = np.take_along_axis(arrays["data_tensor"], arrays["indices_tensor"].astype(np.int64), 1)
    np.testing.assert_array_equal(arrays["actual_tensor"], want)


def gather_inputs() -> dict[str, Any]:
    index = np.random.default_rng(4).integers(0, 512, (128, 512)).astype(np.uint32)
    return {"data_tensor": normal(128, 512), "indices_tensor": index, "actual_tensor": zeros(128, 512)}


def identity(arrays: dict[str, Any]) -> None:
    np.testing.assert_array_equal(arrays["actual_tensor"], np.eye(128))


def product(scope: dict[str, Any]) -> None:
    left, right = scope["x"].numpy(), scope["y"].numpy()
    np.testing.assert_allclose(scope["result"].numpy(), left.T.astype(np.float64) @ right, rtol=1e-4, atol=1e-4)


def counted(arrays: dict[str, Any]) -> None:
    """The loop copies the first ub elements and leaves zeros after them."""
    done = int(arrays["ub_input"][0, 0])
    np.testing.assert_array_equal(arrays["output"][:, :done], arrays["data"][:, :done])
    np.testing.assert_array_equal(arrays["output"][:, done:], 0)


def loop_inputs() -> dict[str, Any]:
    return {"ub_input": np.array([[5]], np.int32), "output": normal(1, 8, seed=9), "data": normal(1, 8)}


def accumulated(scope: dict[str, Any]) -> None:
    np.testing.assert_allclose(scope["acc"].numpy(), [[6 * 1.5]])


def uniform(scope: dict[str, Any]) -> None:
    values = scope["a"].numpy()
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.01


def even(scope: dict[str, Any]) -> None:
    np.testing.assert_allclose(scope["result"].numpy(), 1 / 512, rtol=1e-6)


def normed(scope: dict[str, Any]) -> None:
    np.testing.assert_allclose(scope["result"].numpy(), 1.0, rtol=1e-6)


def row(value: int) -> Any:
    index = nl.ndarray((1, 1), dtype=nl.int32, buffer=nl.sbuf)
    index[...] = value
    return index


def two_cores() -> dict[str, Any]:
    return {"batch_size": 64, "hidden_dim": 32, "core_barrier": nisa.core_barrier, "sendrecv": nisa.sendrecv}


FRAGMENTS = {
    "language.NkiTensor.__getitem__ #1": Fragment(names=lambda: {"i": 4}),
    "language.NkiTensor.ap #1": Fragment(names=lambda: {"idx": row(3)}),
    "language.copy #1": Fragment(
        lambda: {"x_tensor": normal(128, 64), "y_tensor": normal(128, 256)}, holds_inside=product
    ),
    "language.softmax #1": Fragment(holds_inside=even),
    "language.rms_norm #1": Fragment(holds_inside=normed),
    "language.gather_flattened #1": Fragment(gather_inputs, holds=gathered),
    "language.affine_range #1": squares(1024),
    "language.sequential_range #1": squares(1024),
    "language.static_range #1": squares(1024),
    "language.dynamic_range #1": squares(512),
    "language.fori_loop #2": Fragment(loop_inputs, lambda: {"N": 8}, counted),
    "language.while_loop #2": Fragment(
        lambda: {"data": np.array([[1.5]], np.float32), "count_input": np.array([[6]], np.int32)},
        holds_inside=accumulated,
    ),
    "language.shared_identity_matrix #1": Fragment(
        lambda: {"expected_tensor": np.eye(128, dtype=np.float32), "actual_tensor": zeros(128, 128)}, holds=identity
    ),
    "language.rand #1": Fragment(holds_inside=uniform),
    "isa.VirtualRegister #1": squares(512),
    "isa.core_barrier #1": Fragment(names=lambda: two_cores() | {"core_id": nl.program_id()}, lnc=2, strict=False),
    "isa.sendrecv #1": Fragment(names=lambda: two_cores(), lnc=2, strict=False),
    "isa.register_alloc #1": Fragment(holds_inside=lambda s: _equal([s["reg1"].read(), s["reg2"].read()], [0, 0])),
    "isa.register_move #1": Fragment(holds_inside=lambda s: _equal(s["reg2"].read(), 10)),
    "isa.register_load #1": Fragment(holds_inside=lambda s: _equal(s["loop_reg"].read(), 1)),
    "isa.register_store #1": Fragment(holds_inside=lambda s: _equal(s["result_tensor"].numpy().tolist(), [0])),
}


def _equal(got: Any, want: Any) -> None:
    assert got == want, f"{got} instead of {want}"


# ---------------------------------------------------------------- kernels: inputs, reference
def index(count: int, below: int, columns: int = 1) -> np.ndarray:
    return np.random.default_rng(5).permutation(below)[: count * columns].reshape(count, columns).astype(np.uint32)


def scattered(data: np.ndarray, rows: np.ndarray, output: np.ndarray) -> np.ndarray:
    for source, target in enumerate(rows[:, 0]):
        output[target] = data[source]
    return output


def flipped_rows(source: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows in the order of the index tile's columns, transposed: (T, ..., C) to (C, ..., rows)."""
    order = [int(rows[p, column]) for column in range(rows.shape[1]) for p in range(rows.shape[0])]
    return np.stack([np.moveaxis(source[row].astype(np.float32), -1, 0) for row in order], -1)


def gelu_line(x: np.ndarray) -> np.ndarray:
    line = 2.0 * x.astype(np.float64) + 0.5
    return 0.5 * line * (1 + np.vectorize(math.erf)(line / math.sqrt(2)))


def nonzero(x: np.ndarray) -> np.ndarray:
    found = [[i for i, v in enumerate(line) if v] for line in x]
    return np.array([f + [-1] * (x.shape[1] - len(f)) + [len(f)] for f in found])


def narrow(*shape: int) -> np.ndarray:
    return normal(*shape).astype(ml_dtypes.bfloat16)


def sparse() -> np.ndarray:
    values = normal(1, 24)
    values[np.abs(values) < 0.6] = 0
    return values


KERNELS: dict[str, tuple[Callable[[], tuple[Any, ...]], Callable[..., Any]]] = {
    "indirect_gather_kernel": (lambda: (normal(200, 64), index(96, 200)), lambda data, rows: data[rows[:, 0]]),
    "indirect_scatter_kernel": (lambda: (normal(96, 64), index(96, 200), zeros(200, 64)), scattered),
    "nc_matmul_accumulate_kernel": (
        lambda: (normal(512, 64) / 16, normal(512, 256, seed=6) / 16),
        lambda left, right: left.T.astype(np.float64) @ right,
    ),
    "gather_transpose_kernel": (lambda: (narrow(300, 128), index(128, 300)), flipped_rows),
    "gather_transpose_2d_kernel": (lambda: (narrow(300, 128), index(128, 300, 2)), flipped_rows),
    "gather_transpose_4d_kernel": (lambda: (narrow(300, 2, 1, 64), index(128, 300, 2)), flipped_rows),
    "activate2_scale_bias_kernel": (lambda: (normal(128, 64),), gelu_line),
    "nonzero_with_count_kernel": (lambda: (sparse(),), nonzero),
}
