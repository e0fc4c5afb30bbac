"""`Block`: the bytes of one storage and their shadow. The numpy twin of the native core's class of that name."""

from __future__ import annotations

import numpy as np

from opentrn.program import native

__all__ = ["Block", "new_block", "wrap_block"]


class Block:
    """`nbytes` bytes and, per `unit` bytes, whether they hold a value.

    `state` is 0 (nothing written), 1 (partly; see `shadow`) or 2 (all written). `shadow` entries are 0 or 1.
    """

    __slots__ = ("_array", "_shadow", "nbytes", "state", "unit")

    def __init__(self, nbytes: int, unit: int) -> None:
        self.nbytes, self.unit, self.state = nbytes, unit, 0
        self._array: np.ndarray | None = None
        self._shadow: np.ndarray | None = None

    @classmethod
    def wrap(cls, buffer: np.ndarray, unit: int) -> Block:
        """A fully written block over somebody else's bytes."""
        made = cls.__new__(cls)
        made.nbytes, made.unit, made.state, made._array, made._shadow = buffer.nbytes, unit, 2, buffer, None
        return made

    @property
    def array(self) -> np.ndarray:
        """The bytes, made on first request."""
        if self._array is None:
            self._array = np.empty(self.nbytes, np.uint8)
        return self._array

    @property
    def shadow(self) -> np.ndarray:
        """One uint8 per unit, made on first request from `state`."""
        if self._shadow is None:
            self._shadow = np.full(self.nbytes // self.unit, self.state == 2, np.uint8)
        return self._shadow

    def discard(self) -> None:
        """Give back the memory; nothing is written then."""
        self._array, self._shadow, self.state = None, None, 0

    def refine(self, unit: int) -> None:
        """Track smaller units."""
        if unit < self.unit:
            if self._shadow is not None:
                self._shadow = np.repeat(self._shadow, self.unit // unit)
            self.unit = unit


def new_block(nbytes: int, unit: int) -> Block:
    """An unwritten block, of the native class where the core is in use."""
    kind = native.core().Block if native.available() else Block
    return kind(nbytes, unit)


def wrap_block(buffer: np.ndarray, unit: int) -> Block:
    """A written block over a caller's contiguous uint8 array, without a copy."""
    kind = native.core().Block if native.available() else Block
    return kind.wrap(buffer, unit)
