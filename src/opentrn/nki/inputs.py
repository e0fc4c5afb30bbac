"""Arguments for a checked run: copies of arrays, values where only a shape is given, and arguments written as text.

The text: ``x=bfloat16[128,512] idx=int32[128]{0:4096} scale=2.0 lnc=2``, separated by spaces. An array is
``dtype[shape]``, in braces how its values are made (`values.KINDS`, or a range); everything else is a Python literal, or
the name of a dtype. Lists and tuples hold either. ``lnc=`` and ``target=`` are no arguments but say how to launch.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import count
from typing import Any
from zlib import crc32

import numpy as np

from opentrn.errors import DTypeError, LaunchError
from opentrn.nki.arrays import ShapeDtype, kind_of, leaves, rebuilt, stand_in
from opentrn.nki.values import ORDINARY, Values, values_for
from opentrn.numerics.dtypes import DTYPES, dtype

__all__ = ["fresh", "parse_inputs"]

OPTIONS = ("lnc", "target")
"""Names in a text that say how to launch."""

_ARRAY = re.compile(r"(?P<dtype>\w+)\[(?P<shape>[^\]]*)\](?:\{(?P<values>[^}]*)\})?")
_NAMED = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>.+)", re.DOTALL)
_EXAMPLE = "x=bfloat16[128,512] idx=int32[128]{0:4096} scale=2.0"


# -------------------------------------------------------------------- values
def fresh(arguments: Any, how: Values = ORDINARY) -> Any:
    """`arguments` with arrays copied and each `ShapeDtype` replaced by an array; tuples, lists and dicts are rebuilt.

    Integers are made to index any dimension of any of the arrays (those of size 1 apart), unless `how` is a range.
    """
    arrays = filter(None, map(stand_in, leaves(arguments)))
    sizes = [size for array in arrays for size in array.shape if size > 1]
    return _fresh(arguments, Values(how.kind, how.seed, min([how.below, *sizes])), ())


def _fresh(value: Any, how: Values, key: tuple[int, ...]) -> Any:
    like = _like(value)
    if like is not None:
        own = Values(like.values, how.seed, how.below) if like.values else how
        return values_for(like.shape, DTYPES[like.dtype], own, key)
    if isinstance(value, (tuple, list)):
        numbers = count()
        return rebuilt(value, lambda item: _fresh(item, how, (*key, next(numbers))))
    if isinstance(value, dict):
        return {name: _fresh(item, how, (*key, crc32(str(name).encode()))) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.copy()
    kind = kind_of(value)
    return value.clone() if kind is not None and hasattr(value, "clone") else value


def _like(value: Any) -> ShapeDtype | None:
    """What stands in for an array: a `ShapeDtype`, a `jax.ShapeDtypeStruct`, a torch meta tensor."""
    meta = getattr(getattr(value, "device", None), "type", None) == "meta"
    return stand_in(value) if meta or kind_of(value) is None else None


# -------------------------------------------------------------------- text
def parse_inputs(text: str) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """(args, kwargs, options) of a text: arrays as `ShapeDtype`, `options` from ``lnc=`` (int) and ``target=`` (str).

    Raises LaunchError that names the part which is wrong.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for part in _split(text, " "):
        found = _NAMED.fullmatch(part)
        if found is None and kwargs:
            raise _wrong(part, "name=value after the first named argument")
        if found is None:
            args.append(_value(part))
        elif found["name"] in kwargs or found["name"] in options:
            raise _wrong(part, f"{found['name']} once")
        elif found["name"] in OPTIONS:
            options[found["name"]] = _option(found["name"], found["value"])
        else:
            kwargs[found["name"]] = _value(found["value"])
    return tuple(args), kwargs, options


def _wrong(part: str, expected: str, hint: str = f"such as {_EXAMPLE}") -> LaunchError:
    return LaunchError("the text of inputs", got=part, expected=expected, hint=hint)


def _option(name: str, value: str) -> Any:
    if name == "lnc" and not value.isdecimal():
        raise _wrong(f"lnc={value}", "a number of cores")
    return int(value) if name == "lnc" else value


def _value(text: str) -> Any:
    found = _ARRAY.fullmatch(text)
    if found is not None:
        return _array(text, **found.groupdict())
    if text[0] in "[(" and text[-1] in "])":
        items = [_value(item) for item in _split(text[1:-1], ",")]
        return items if text[0] == "[" else tuple(items)
    if text in DTYPES:
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        pass
    near = get_close_matches(text, DTYPES, n=1)
    hint = f"did you mean {near[0]}?" if near else f'quote it if it is a string: "{text}"'
    raise _wrong(text, "dtype[shape], a dtype or a Python literal", hint)


def _array(text: str, dtype: str, shape: str, values: str | None) -> ShapeDtype:
    try:
        known, sizes = _dtype(dtype), tuple(int(size) for size in shape.split(","))
    except ValueError:
        raise _wrong(text, "whole numbers in [], such as bfloat16[128,512]") from None
    if min(sizes) < 1:
        raise _wrong(text, "at least one element in each dimension")
    return ShapeDtype(sizes, known, values or "")


def _dtype(name: str) -> str:
    try:
        return dtype(name).name
    except DTypeError as error:
        near = get_close_matches(name, DTYPES, n=1)
        raise _wrong(name, "an NKI dtype", f"did you mean {near[0]}?" if near else str(error)) from None


def _split(text: str, separator: str) -> Iterator[str]:
    """The parts of `text` between separators that are in no bracket and in no quotes; empty ones are left out."""
    depth, quote, part = 0, "", ""
    for letter in text.replace("\n", " ") if separator == " " else text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        else:
            depth += (letter in "[({") - (letter in "])}")
        if letter == separator and not depth and not quote:
            if part.strip():
                yield part.strip()
            part = ""
        else:
            part += letter
    if depth or quote:
        raise _wrong(part.strip(), "brackets and quotes that close")
    if part.strip():
        yield part.strip()
