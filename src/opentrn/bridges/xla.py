"""A Python function as a custom call of compiled JAX programs, through XLA's foreign function interface.

XLA calls the native core (``native/src/bridges/xla.cpp``), and that calls the function with addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import Array, c_char
from functools import cache
from typing import Any

import numpy as np

from opentrn.program import native

__all__ = ["Handler", "array_at", "register"]

Handler = Callable[[bytes, list[int], list[int]], None]
"""What a custom call does: its attribute, the addresses of its arguments, the addresses of its results."""


def register(name: str, handler: Handler) -> None:
    """Make `handler` the custom call `name` of XLA on the CPU. It has one attribute, a text. One handler in a process."""
    import jax

    def called(attribute: bytes, arguments: list[int], results: list[int]) -> str:
        try:
            handler(attribute, arguments, results)
        except BaseException as error:  # nothing may unwind into XLA
            return f"{type(error).__name__}: {error}"
        return ""

    jax.ffi.register_ffi_target(name, native.core().xla_handler(called), platform="cpu")


def array_at(address: int, shape: Sequence[int], dtype: np.dtype, nbytes: int) -> np.ndarray:
    """The array in memory at `address`; it shares that memory."""
    memory: Any = _bytes(nbytes).from_address(address)
    return np.ndarray(shape, dtype, memory)


@cache
def _bytes(count: int) -> type[Array[c_char]]:
    """Kept, because ctypes makes each of these classes anew and lets go of it."""
    return c_char * count
