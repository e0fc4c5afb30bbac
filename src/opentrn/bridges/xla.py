"""XLA's foreign function interface, spoken through ctypes: a Python function as a custom call of a compiled JAX program.

The C structures are those of ``xla/ffi/api/c_api.h`` (API 0.x, jaxlib 0.4.31 and later; each carries its size, and newer
ones only add fields at the end). So neither a compiler nor jaxlib's headers are needed, and a call costs a few
microseconds more than a handler in C++ would.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, Array, Structure, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from functools import cache
from typing import Any

import numpy as np

__all__ = ["Handler", "array_at", "register"]

Handler = Callable[[bytes, list[int], list[int]], None]
"""What a custom call does: its attribute, the addresses of its arguments, the addresses of its results."""

_METADATA = 1
_INTERNAL = 13


class _Extension(Structure):
    _fields_ = (("size", c_size_t), ("type", c_int), ("next", c_void_p))


class _Version(Structure):
    _fields_ = (("size", c_size_t), ("extension", c_void_p), ("major", c_int), ("minor", c_int))


class _Metadata(Structure):
    _fields_ = (("size", c_size_t), ("version", _Version), ("traits", c_uint32))


class _MetadataExtension(Structure):
    _fields_ = (("base", _Extension), ("metadata", POINTER(_Metadata)))


class _ErrorArguments(Structure):
    _fields_ = (("size", c_size_t), ("extension", c_void_p), ("message", c_char_p), ("code", c_int))


_ErrorCreate = ctypes.CFUNCTYPE(c_void_p, POINTER(_ErrorArguments))


class _Api(Structure):
    _fields_ = (
        ("size", c_size_t), ("extension", c_void_p), ("version", _Version), ("internal", c_void_p), ("error", _ErrorCreate),
    )  # fmt: skip


class _Buffer(Structure):
    _fields_ = (("size", c_size_t), ("extension", c_void_p), ("dtype", c_int), ("data", c_void_p))


class _Buffers(Structure):
    """Arguments, and results."""

    _fields_ = (
        ("size", c_size_t), ("extension", c_void_p), ("count", c_int64), ("types", c_void_p),
        ("each", POINTER(POINTER(_Buffer))),
    )  # fmt: skip


class _Span(Structure):
    _fields_ = (("start", c_void_p), ("length", c_size_t))


class _Attributes(Structure):
    _fields_ = (
        ("size", c_size_t), ("extension", c_void_p), ("count", c_int64), ("types", c_void_p), ("names", c_void_p),
        ("each", POINTER(POINTER(_Span))),
    )  # fmt: skip


class _Frame(Structure):
    _fields_ = (
        ("size", c_size_t), ("extension", POINTER(_MetadataExtension)), ("api", POINTER(_Api)), ("context", c_void_p),
        ("stage", c_int), ("arguments", _Buffers), ("results", _Buffers), ("attributes", _Attributes),
    )  # fmt: skip


_Function = ctypes.CFUNCTYPE(c_void_p, POINTER(_Frame))
_kept: list[Any] = []
"""Functions that XLA knows by address; they live as long as the process."""


def register(name: str, handler: Handler) -> None:
    """Make `handler` the custom call `name` of XLA on the CPU. It has one attribute, a text."""
    import jax

    def called(pointer: Any) -> int | None:
        frame = pointer.contents
        if frame.extension and frame.extension.contents.base.type == _METADATA:
            _describe(frame)
            return None
        try:
            handler(_text(frame.attributes), _addresses(frame.arguments), _addresses(frame.results))
        except BaseException as error:  # nothing may unwind into XLA
            return _error(frame, f"{type(error).__name__}: {error}")
        return None

    function = _Function(called)
    _kept.append(function)
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(function), platform="cpu")


def array_at(address: int, shape: Sequence[int], dtype: np.dtype, nbytes: int) -> np.ndarray:
    """The array in memory at `address`; it shares that memory."""
    memory: Any = _bytes(nbytes).from_address(address)
    return np.ndarray(shape, dtype, memory)


@cache
def _bytes(count: int) -> type[Array[c_char]]:
    """Kept, because ctypes makes each of these classes anew and lets go of it."""
    return c_char * count


def _describe(frame: Any) -> None:
    """XLA asks for which version of its interface the handler was made: any, since it uses none but the oldest fields."""
    metadata = frame.extension.contents.metadata.contents
    version = frame.api.contents.version if frame.api else metadata.version
    metadata.version.major, metadata.version.minor, metadata.traits = version.major, version.minor, 0


def _addresses(buffers: Any) -> list[int]:
    each = buffers.each
    return [each[n].contents.data for n in range(buffers.count)]


def _text(attributes: Any) -> bytes:
    span = attributes.each[0].contents
    return ctypes.string_at(span.start, span.length)


def _error(frame: Any, message: str) -> int:
    given = _ErrorArguments(ctypes.sizeof(_ErrorArguments), None, message.encode(), _INTERNAL)
    return frame.api.contents.error(ctypes.byref(given))
