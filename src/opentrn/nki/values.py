"""Values for arrays of which only shape and dtype are given: seeded, ordinary or of the kinds that find mistakes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

import ml_dtypes
import numpy as np

from opentrn.errors import LaunchError
from opentrn.numerics.dtypes import DType
from opentrn.numerics.mx import pack

__all__ = ["KINDS", "ORDINARY", "Values", "values_for"]

KINDS = ("normal", "special", "zeros", "ones")
"""How values can be made, beside a range ``low:high`` (high excluded)."""

_SHARE = 8  # of `special` values, one in so many is out of the ordinary
_RANGE = re.compile(r"(?P<low>[^:]+):(?P<high>[^:]+)")


@dataclass(frozen=True)
class Values:
    """How values are made: `kind` (one of `KINDS`, or ``low:high``), the `seed`, and what integers stay `below`.

    Raises LaunchError for a kind that does not exist or a range that is empty.
    """

    kind: str = "normal"
    seed: int = 0
    below: int = 64

    def __post_init__(self) -> None:
        if self.kind in KINDS:
            return
        limits = self.range
        if limits is None:
            near = get_close_matches(self.kind, KINDS, n=1)
            hint = f"did you mean {near[0]}?" if near else "a range is two numbers, such as 0:4096"
            raise LaunchError("values", got=self.kind, expected=f"{', '.join(KINDS)} or low:high", hint=hint)
        if not limits[0] < limits[1]:
            raise LaunchError("values", got=self.kind, expected="low:high with low below high")

    @property
    def range(self) -> tuple[float, float] | None:
        """(low, high) where `kind` is a range."""
        found = _RANGE.fullmatch(self.kind)
        try:
            return (float(found["low"]), float(found["high"])) if found else None
        except ValueError:
            return None


ORDINARY = Values()


def values_for(shape: tuple[int, ...], kind: DType, how: Values = ORDINARY, key: tuple[int, ...] = ()) -> np.ndarray:
    """An array in the carrier of `kind`; the same for the same seed, `key` (which argument it is) and shape.

    ``normal``: standard normal floats, integers from 0 to `how.below`, distinct where there are enough of them.
    ``special``: the same with an eighth of NaN, infinities, denormals, zeros of both signs and the ends of the type.
    """
    random = np.random.default_rng((how.seed, *key, *shape))
    if kind.packed_element is not None:
        return pack(values_for((*shape[:-1], 4 * shape[-1]), kind.packed_element, how, key), kind)
    if how.kind in ("zeros", "ones"):
        return np.full(shape, float(how.kind == "ones")).astype(kind.carrier)
    made = _ordinary(shape, kind, how, random)
    return _seasoned(made, kind, random) if how.kind == "special" else made


def _ordinary(shape: tuple[int, ...], kind: DType, how: Values, random: np.random.Generator) -> np.ndarray:
    limits = how.range
    if not kind.is_float:
        low, high = (0, 2 if kind.kind == "bool" else how.below) if limits is None else map(int, limits)
        return _integers(shape, low, high, random).astype(kind.carrier)
    if limits is not None:
        made = random.uniform(*limits, shape)
    elif kind.name == "float8_e8m0fnu":  # a scale is a power of two
        made = 2.0 ** random.integers(-4, 5, shape)
    else:
        made = random.standard_normal(shape, np.float32)
    return made.astype(np.float32).astype(kind.carrier)


def _integers(shape: tuple[int, ...], low: int, high: int, random: np.random.Generator) -> np.ndarray:
    """Integers of a range: distinct where the range holds enough, since repeated indices are a matter of their own."""
    count = int(np.prod(shape))
    distinct = count <= high - low <= 1 << 20
    drawn = random.permutation(high - low)[:count] + low if distinct else random.integers(low, high, count)
    return drawn.reshape(shape)


def _seasoned(values: np.ndarray, kind: DType, random: np.random.Generator) -> np.ndarray:
    """`values` with one in `_SHARE` replaced by something out of the ordinary."""
    odd = _odd(kind)
    chosen = random.permutation(values.size)[: -(-values.size // _SHARE)]
    flat = values.reshape(-1).copy()
    flat[chosen] = odd[random.permutation(chosen.size) % odd.size]
    return flat.reshape(values.shape)


def _odd(kind: DType) -> np.ndarray:
    """What is out of the ordinary in a type, each once."""
    if not kind.is_float:
        ends = (kind.min, kind.max, 0, 1, -1, 2**24, 2**24 + 1)  # float32 counts to 2**24 without a gap
        return np.array(sorted({n for n in ends if kind.min <= n <= kind.max}), np.int64).astype(kind.carrier)
    info = ml_dtypes.finfo(kind.carrier)
    ends = (np.nan, np.inf, kind.max, float(info.smallest_subnormal), float(info.tiny) / 2, float(info.tiny), 0.0, 1.0)
    with np.errstate(all="ignore"):
        return np.array([sign * end for end in ends for sign in (1, -1)], np.float32).astype(kind.carrier)
