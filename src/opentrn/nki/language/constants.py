"""Constant tensors: data that the runtime loads into HBM together with the kernel."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from opentrn.errors import KernelError, LaunchError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.compat import accepts_older
from opentrn.nki.functions import nisa
from opentrn.nki.language.compose import typed
from opentrn.nki.language.memory import ndarray
from opentrn.nki.tensor import NkiTensor
from opentrn.numerics.dtypes import dtype as dtype_of
from opentrn.program.recorder import active
from opentrn.program.site import user_site

__all__ = ["constant", "shared_constant", "shared_identity_matrix"]


def _read(given: Any) -> np.ndarray:
    if not isinstance(given, (str, bytes, Path)):
        return np.asarray(given)
    try:
        with open(given, "rb") as file:  # noqa: PTH123 - bytes are a path too
            return np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, TokenError) as why:
        raise LaunchError("nl.shared_constant file", site=user_site(2), got=f"{given!r}: {why}",
                          expected="an array in a .npy file") from None  # fmt: skip


@accepts_older("nl.shared_constant")
def shared_constant(constant: Any) -> NkiTensor:
    """A tensor in shared HBM that holds a numpy array, or the contents of a ``.npy`` file.

    Both cores see one tensor. Raises KernelError when they give different data, LaunchError for a file that is none.
    """
    core = active("nl.shared_constant").state
    array = _read(constant)
    if not array.ndim or not array.size:
        raise LaunchError("nl.shared_constant", site=user_site(), got=f"shape {array.shape}",
                          expected="at least one dimension and one element")  # fmt: skip
    kind = dtype_of(array.dtype)
    storage = core.new_tensor(array.shape, kind, MemoryRegion.shared_hbm, "constant", None, user_site())
    made = NkiTensor.whole(storage)
    values = np.ascontiguousarray(array).view(kind.carrier)
    if (
        storage.block is not None
        and storage.block.state
        and core.values(made).tobytes() != _held(made, values).tobytes()
    ):
        raise KernelError("the cores give nl.shared_constant different data", site=user_site(),
                          expected="the same constant on both cores")  # fmt: skip
    core.fill(made, _held(made, values))
    return made


def _held(made: NkiTensor, values: np.ndarray) -> np.ndarray:
    """Low-precision floats are kept as float32 when NKI_PRECISE_FP=0."""
    return values.astype(np.float32) if made.storage.wide else values


def constant(array: np.ndarray, partitions: int | None = None) -> NkiTensor:
    """A new SBUF tile that holds `array`, loaded from HBM; one row can be repeated over `partitions`."""
    core = active("nl.constant").state
    storage = core.new_tensor(
        array.shape, dtype_of(array.dtype), MemoryRegion.private_hbm, "constant", None, user_site()
    )
    held: Any = NkiTensor.whole(storage)
    core.fill(held, _held(held, array))
    tile = ndarray((partitions or array.shape[0], *array.shape[1:]), held.dtype)
    nisa.dma_copy(dst=tile, src=held if partitions is None else held.broadcast(0, partitions))
    return tile


def shared_identity_matrix(n: int, dtype: Any = "uint8", dst: Any = None) -> Any:
    """An n x n identity matrix in SBUF: a new tile, or `dst` when given."""
    if dst is not None and tuple(dst.shape) != (n, n):
        raise LaunchError("nl.shared_identity_matrix dst", site=user_site(), got=str(dst.shape), expected=f"({n}, {n})")
    ones = constant(np.eye(n, dtype=np.float32))
    if dst is None:
        return typed(ones, dtype)
    nisa.tensor_copy(dst=dst, src=ones)
    return dst
