"""The data types of NKI: one frozen record each, and one function that understands every usual spelling of them.

Source: nki.api.shared.rst, "Supported Data Types" (SDK 2.32). Importing this module makes `np.dtype(name)` work for
each floating and packed name, because public kernels and their tests use NKI's dtype strings as numpy dtypes.
"""

from __future__ import annotations

import copyreg
from dataclasses import dataclass
from difflib import get_close_matches

import ml_dtypes
import numpy as np

from opentrn.errors import DTypeError

__all__ = ["DTYPES", "PACKED_VOID", "DType", "dtype"]


@dataclass(frozen=True)
class DType:
    """One NKI data type.

    `name` is NKI's string; `carrier` the numpy dtype whose arrays hold its values; `itemsize` bytes per element on the
    chip; `min` and `max` the finite range (for a packed type: of one of its four elements); `code` the number by which
    the native core knows it.
    """

    name: str
    kind: str  # "float", "int", "uint", "bool" or "packed"
    itemsize: int
    carrier: np.dtype
    min: float | int
    max: float | int
    code: int

    @property
    def is_float(self) -> bool:
        """True for the floating types, packed ones excluded."""
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        """True for signed and unsigned integers; bool is not one."""
        return self.kind in ("int", "uint")

    @property
    def packed_element(self) -> DType | None:
        """The type of one of the four elements of a packed type; None for all others (float4 has no NKI name)."""
        return _PACKED_ELEMENT.get(self.name)

    def __str__(self) -> str:
        return self.name


def _float(name: str, code: int, carrier: type | None = None) -> DType:
    held = np.dtype(carrier or getattr(ml_dtypes, name, name))
    info = ml_dtypes.finfo(held)
    return DType(name, "float", held.itemsize, held, float(info.min), float(info.max), code)


def _integer(name: str, code: int) -> DType:
    held = np.dtype(name)
    info = np.iinfo(held)
    return DType(name, "uint" if held.kind == "u" else "int", held.itemsize, held, int(info.min), int(info.max), code)


def _packed(element: DType, carrier: type, code: int) -> DType:
    held = np.dtype(carrier)
    return DType(element.name + "_x4", "packed", held.itemsize, held, element.min, element.max, code)


_E5M2, _E4M3FN = _float("float8_e5m2", 4), _float("float8_e4m3fn", 5)
# ml_dtypes keeps one float4 per byte; only the packed form has a name in NKI, hence no code of its own.
_E2M1FN = _float("float4_e2m1fn", -1)

# float8_e4m3 is the IEEE-like one (max 240, has infinities); float8_e4m3fn is OCP's (max 448, no infinity).
# tfloat32's largest value has ten bits of mantissa, although float32 carries it.
_ALL = (
    _float("float32", 0),
    _float("bfloat16", 1),
    _float("float16", 2),
    _float("float8_e4m3", 3),
    _E5M2,
    _E4M3FN,
    _integer("int32", 6),
    _integer("uint32", 7),
    _integer("int16", 8),
    _integer("uint16", 9),
    _integer("int8", 10),
    _integer("uint8", 11),
    DType("bool", "bool", 1, np.dtype(np.uint8), 0, 1, 12),
    DType("tfloat32", "float", 4, np.dtype(np.float32), -(2.0 - 2.0**-10) * 2.0**127, (2.0 - 2.0**-10) * 2.0**127, 13),
    _float("float8_e8m0fnu", 14),
    _packed(_E5M2, np.uint32, 15),
    _packed(_E4M3FN, np.uint32, 16),
    _packed(_E2M1FN, np.uint16, 17),
)

DTYPES: dict[str, DType] = {entry.name: entry for entry in _ALL}
_PACKED_ELEMENT = {element.name + "_x4": element for element in (_E5M2, _E4M3FN, _E2M1FN)}

# Older spellings that public kernels still use (nki-library 2.29: core/utils/allocator.py, kernel_helpers.py).
_ALIASES = {"bool_": "bool", "float8e4": "float8_e4m3", "float8e5": "float8_e5m2"}

_INSTEAD = {
    "int64": "int32 (the engines have no 64-bit integers)",
    "uint64": "uint32 (the engines have no 64-bit integers)",
    "float64": "float32 (the engines compute in float32)",
    "complex64": "two float32 tensors, real and imaginary part",
    "complex128": "two float32 tensors, real and imaginary part",
    "object": "an array of numbers",
    "float4_e2m1fn": "float4_e2m1fn_x4 (four values packed into two bytes)",
    "float8_e4m3fnuz": "float8_e4m3 (the chip has no FNUZ types)",
    "float8_e5m2fnuz": "float8_e5m2 (the chip has no FNUZ types)",
}


class _PackedMeta(type):
    """Makes numpy print a packed type by its bare name instead of as "|V4": public tests look up tables with
    `str(array.dtype)`. numpy prints the name of any scalar type that is not `np.flexible`, with the bit width appended.
    """

    def mro(cls) -> list[type]:
        return [entry for entry in super().mro() if entry is not np.flexible]

    @property
    def __name__(cls) -> str:  # type: ignore[override]
        return _BareName(cls.__qualname__)


class _BareName(str):
    """A name that ignores the bit width numpy adds to it."""

    def __add__(self, _suffix: str) -> str:
        return str(self)


def _void_of(entry: DType) -> np.dtype:
    return np.dtype((_PackedMeta(entry.name, (np.void,), {}), entry.itemsize))


# What np.dtype("float8_e5m2_x4") and its like are: opaque bytes of the right size that know their name.
PACKED_VOID: dict[str, np.dtype] = {entry.name: _void_of(entry) for entry in _ALL if entry.kind == "packed"}


def _void_type(name: str) -> type:
    return PACKED_VOID[name].type


copyreg.pickle(_PackedMeta, lambda cls: (_void_type, (cls.__qualname__,)))  # type: ignore[arg-type]

for _name, _known in [("tfloat32", np.dtype(np.float32)), *PACKED_VOID.items()]:
    np.sctypeDict.setdefault(_name, _known)  # type: ignore[arg-type]


_ASKED: dict[object, DType] = {}
"""Dtypes of the frameworks by themselves, of numpy by the class of their scalars, as far as asked for: to find the name of
one takes microseconds."""


def dtype(spelling: object) -> DType:
    """The `DType` that `spelling` means.

    Accepts a `DType`, NKI's strings and their public aliases, numpy dtypes and scalar types (ml_dtypes' included), and
    torch and jax dtypes (recognised by name; neither is imported). Raises `DTypeError` for anything else and says which
    type to use instead. Source: nki.api.shared.rst, "Supported Data Types" (SDK 2.32).

    >>> dtype(np.float32).name, dtype("float8e4").name, dtype(bool).itemsize
    ('float32', 'float8_e4m3', 1)
    """
    if isinstance(spelling, DType):
        return spelling
    if type(spelling) is str and spelling in DTYPES:
        return DTYPES[spelling]
    key = spelling.type if isinstance(spelling, np.dtype) else spelling
    try:
        return _ASKED[key]
    except (KeyError, TypeError):  # TypeError: it cannot be a key, and is no dtype
        pass
    name = _name_of(spelling)
    known = DTYPES.get(name) or DTYPES.get(_ALIASES.get(name, ""))
    if known is None:
        raise _refusal(spelling, name)
    _ASKED[key] = known
    return known


def _name_of(spelling: object) -> str:
    if isinstance(spelling, str):
        return spelling
    if isinstance(spelling, np.dtype):
        return spelling.type.__name__ if spelling.kind == "V" else spelling.name
    if isinstance(spelling, type):
        plain = issubclass(spelling, (int, float, complex, np.generic)) and not issubclass(spelling, np.void)
        return np.dtype(spelling).name if plain else spelling.__name__
    inner = getattr(spelling, "dtype", spelling)  # jax.numpy.float32 is an object with a numpy dtype inside
    return inner.name if isinstance(inner, np.dtype) else str(inner).removeprefix("torch.")


def _refusal(spelling: object, name: str) -> DTypeError:
    near = [_INSTEAD[name]] if name in _INSTEAD else get_close_matches(name, DTYPES, n=1)
    return DTypeError(
        f"{spelling!r} is no NKI data type",
        expected=None if near else ", ".join(DTYPES),
        hint=f"use {near[0]}" if near else None,
    )
