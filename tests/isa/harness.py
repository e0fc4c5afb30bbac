"""How instruction tests run one instruction: operands from numpy arrays, results back as numpy arrays.

A case is a dict of operands and attributes of one call. Operands are `Operand`s made by `sbuf`, `psum`, `hbm` (with
data) or `out` (unwritten); everything else is passed through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import RuleError
from opentrn.numerics.dtypes import dtype as dtype_of
from opentrn.program import native
from opentrn.program.recorder import ACTIVE


@dataclass(frozen=True)
class Operand:
    """A tensor operand: its memory, data (or None), dtype, and the view of it that the instruction gets."""

    region: Any
    shape: tuple[int, ...]
    dtype: str
    data: np.ndarray | None = None
    view: Callable[[Any], Any] = lambda tensor: tensor
    address: tuple[int, int] | None = None

    def seen(self, view: Callable[[Any], Any]) -> Operand:
        """The same operand through another view."""
        return replace(self, view=view)

    def where(self, region: Any) -> Operand:
        """The same operand in another memory."""
        return replace(self, region=region)

    def typed(self, dtype: str) -> Operand:
        """The same operand with another dtype (values cast)."""
        data = None if self.data is None else cast(self.data, dtype)
        return replace(self, dtype=dtype, data=data)

    def shaped(self, *shape: int) -> Operand:
        """The same operand with another shape (values repeated to fill it)."""
        data = None if self.data is None else np.resize(self.data, shape)
        return replace(self, shape=shape, data=data)


def cast(array: Any, dtype: str) -> np.ndarray:
    """`array` in the carrier of an NKI dtype, by ml_dtypes (not by opentrn's own casts)."""
    return np.asarray(array).astype(dtype_of(dtype).carrier)


def _with_data(region: Any, array: Any, dtype: str | None) -> Operand:
    data = np.asarray(array) if dtype is None else cast(array, dtype)
    return Operand(region, data.shape, dtype or dtype_of(data.dtype).name, data)


def sbuf(array: Any, dtype: str | None = None) -> Operand:
    """An SBUF tensor holding `array`."""
    return _with_data(nl.sbuf, array, dtype)


def psum(array: Any, dtype: str | None = None) -> Operand:
    """A PSUM tensor holding `array`."""
    return _with_data(nl.psum, array, dtype)


def hbm(array: Any, dtype: str | None = None) -> Operand:
    """An HBM tensor holding `array`."""
    return _with_data(nl.private_hbm, array, dtype)


def out(shape: tuple[int, ...], dtype: str = "float32", region: Any = nl.sbuf) -> Operand:
    """An unwritten tensor."""
    return Operand(region, shape, dtype)


def _make(operand: Operand) -> Any:
    tensor = nl.ndarray(operand.shape, dtype=operand.dtype, buffer=operand.region, address=operand.address)
    if operand.data is not None:
        assert ACTIVE.recorder is not None
        ACTIVE.recorder.state.fill(tensor, operand.data)
    return tensor


def call(name: str, target: str = "trn2", strict: bool = True, **case: Any) -> dict[str, np.ndarray]:
    """Run ``nisa.<name>(**case)`` once; gives back the final contents of every operand tensor by name."""
    made: dict[str, Any] = {}

    def kernel(anchor: Any) -> Any:
        def given(key: str, value: Any) -> Any:
            if isinstance(value, Operand):
                made[key] = _make(value)
                return value.view(made[key])
            if isinstance(value, list) and value and isinstance(value[0], Operand):
                return [given(f"{key}[{n}]", v) for n, v in enumerate(value)]
            return value

        getattr(nisa, name)(**{key: given(key, value) for key, value in case.items()})
        for key, tensor in made.items():
            made[key] = tensor.numpy()
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel, target=target, strict=strict)(np.zeros((1, 1), np.float32))
    return made


def result(name: str, operand: str = "dst", **case: Any) -> np.ndarray:
    """The final contents of one operand."""
    return call(name, **case)[operand]


def refused(name: str, label: str, target: str = "trn2", **case: Any) -> RuleError:
    """Assert that the call breaks exactly the rule `label`; gives back the error."""
    with pytest.raises(RuleError) as caught:
        call(name, target=target, **case)
    error = caught.value
    assert (error.instruction, error.rule) == (name, label), str(error)
    assert error.site is not None and error.got and error.expected, str(error)
    return error


@contextmanager
def without_native() -> Iterator[None]:
    """The numpy meanings instead of the compiled core."""
    kept = native._state["core"]
    native._state["core"] = None
    try:
        yield
    finally:
        native._state["core"] = kept


def bits(array: np.ndarray) -> np.ndarray:
    """The bytes of an array, with every NaN of a dtype made the same one."""
    held = array.copy()
    if held.dtype.kind not in "iub":
        held[np.isnan(held.astype(np.float32))] = np.nan
    return np.ascontiguousarray(held).view(np.uint8)


def native_equals_meaning(name: str, ulps: int = 0, **case: Any) -> None:
    """Assert that the compiled core and the meaning agree bit for bit (or within `ulps` steps of the output dtype)."""
    if not native.available():
        pytest.skip("the compiled core is not in use here")
    compiled = call(name, **case)
    with without_native():
        meant = call(name, **case)
    for key, value in meant.items():
        if ulps:
            close = _ordered(compiled[key]).astype(np.int64) - _ordered(value)
            assert np.abs(close).max() <= ulps, f"{key}: {np.abs(close).max()} steps apart"
        else:
            np.testing.assert_array_equal(bits(compiled[key]), bits(value), err_msg=key)


def _ordered(array: np.ndarray) -> np.ndarray:
    """Integers in the order of the floats' values, neighbours one apart (NaNs all alike)."""
    held = np.ascontiguousarray(array).copy()
    if held.dtype.kind in "iub":
        return held.astype(np.int64)
    held[np.isnan(held.astype(np.float32))] = np.nan
    raw = held.view(f"i{held.dtype.itemsize}").astype(np.int64)
    return np.where(raw < 0, np.int64(-(2 ** (8 * held.dtype.itemsize - 1))) - raw, raw)


class _Inside:
    """``@inside`` runs the decorated function at once, inside an empty kernel on trn2."""

    def __call__(self, body: Callable[[], Any]) -> None:
        def kernel(anchor: Any) -> Any:
            body()
            nisa.dma_copy(dst=anchor, src=anchor)
            return anchor

        opentrn.run(kernel)(np.zeros((1, 1), np.float32))

    @staticmethod
    def core() -> Any:
        """The core on which the body runs."""
        assert ACTIVE.recorder is not None
        return ACTIVE.recorder.state


inside = _Inside()
