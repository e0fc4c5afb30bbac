"""`Layout`: what a view consists of, how parts of it are made, and its key. The twin of `_native.View`.

`View` (which has all the methods) is a subclass of the native class where there is a native core, and of this one else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from opentrn.program.strides import contiguous

__all__ = ["Layout", "number_of"]

_NUMBERS: dict[tuple[Any, ...], int] = {}


def number_of(facts: tuple[Any, ...]) -> int:
    """A small number, the same for equal facts."""
    return _NUMBERS.setdefault(facts, len(_NUMBERS))


class Layout:
    """Storage, shape, strides, offset (in elements), dtype and the run-time part of the address."""

    __slots__ = ("storage", "block", "shape", "strides", "offset", "dtype", "buffer", "dynamic", "_key", "__weakref__")

    def _fill(
        self, storage: Any, shape: Sequence[int], strides: Sequence[int], offset: int, dtype: str, dynamic: Any
    ) -> None:
        self.storage = storage
        self.block = storage.block
        self.shape = tuple(shape)
        self.strides = tuple(strides)
        self.offset = offset
        self.dtype = dtype
        self.buffer = storage.allocation.buffer
        self.dynamic = dynamic
        self._key = -1

    def _fill_whole(self, storage: Any) -> None:
        facts = storage.allocation
        self._fill(storage, facts.shape, contiguous(facts.shape), 0, facts.dtype.name, None)

    def _derive(self, shape: Sequence[int], strides: Sequence[int], offset: int) -> Self:
        """Another window on the same storage."""
        made = type(self).__new__(type(self))
        made._fill(self.storage, shape, strides, offset, self.dtype, self.dynamic)
        return made

    @property
    def key(self) -> int:
        """A small number, equal for views that every rule, cost and native plan treats alike."""
        if self._key < 0:
            self._key = number_of(self._facts())
        return self._key

    def _facts(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def __getitem__(self, key: Any) -> Self:
        return self._subscript(key)

    def _subscript(self, key: Any) -> Self:
        raise NotImplementedError
