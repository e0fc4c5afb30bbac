"""`Tile`: an operand inside a meaning, with its values.

Reads check that every element has been written; writes mark them. On-chip operands show themselves as
(partitions, elements); HBM operands in a DMA as flat row-major sequences.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.errors import KernelError, MemoryFault
from opentrn.execute import access
from opentrn.execute.indirect import Addresses, Rows, addresses
from opentrn.isa.enums import MemoryRegion, engine
from opentrn.numerics.casts import convert, from_f32, to_f32
from opentrn.numerics.dtypes import DTYPES, DType
from opentrn.numerics.latitude import taken
from opentrn.program.view import View

__all__ = ["Tile", "sentinel"]


class Tile:
    """One operand of the instruction that is being executed."""

    __slots__ = ("_addresses", "core", "name", "unit", "view")

    def __init__(self, view: View, name: str = "", core: Any = None, unit: engine | None = None) -> None:
        self.view, self.name, self.core, self.unit = view, name, core, unit
        self._addresses: Addresses | Rows | None = None

    # ---------------------------------------------------------------- facts
    def __getattr__(self, fact: str) -> Any:
        return getattr(self.view, fact)

    @property
    def held(self) -> DType:
        """The dtype in which values are really kept (float32 for low-precision floats when NKI_PRECISE_FP=0)."""
        kind = self.view.dt
        return DTYPES["float32"] if self.view.storage.wide and kind.is_float else kind

    # ---------------------------------------------------------------- reading
    def array(self) -> np.ndarray:
        """The elements in the view's own shape, in the carrier dtype; a window where the address is static."""
        self.require_written()
        if self.view.dynamic is None:
            return access.strided(self.view)
        self.require_valid()
        return self.where().gather()

    def require_valid(self, chosen: np.ndarray | None = None) -> None:
        """Raise KernelError when a run-time index is out of bounds (of the elements where `chosen`)."""
        where = self.where()
        if where.all_valid:
            return
        bad = ~where.valid if chosen is None else ~where.valid & chosen.reshape(where.valid.shape)
        if bad.any():
            raise KernelError(
                f"{self.name}: a run-time index is out of bounds",
                kind="bounds",
                got=where.complaint,
                expected=f"0 <= index < {where.limit}",
                hint="a DMA can leave such rows out with oob_mode=nisa.oob_mode.skip",
            )

    def raw(self) -> np.ndarray:
        """The elements as (partitions, elements) in the carrier dtype: bits, for copies and integers."""
        return self.array().reshape(self.view.partitions, -1)

    def f32(self) -> np.ndarray:
        """The elements as (partitions, elements) float32."""
        return to_f32(self.raw(), self.held)

    def flat(self) -> np.ndarray:
        """All elements as one row-major sequence in the carrier dtype."""
        return self.array().reshape(-1)

    def where(self) -> Addresses | Rows:
        """The run-time addresses of an indirect operand, resolved once."""
        if self._addresses is None:
            self._addresses = addresses(self.view, lambda index, name: Tile(index, name, self.core), self.unit)
        return self._addresses

    def require_written(self) -> None:
        """Raise MemoryFault when an element that would be read was never written (only note it unless strict)."""
        view = self.view
        if view.block.state == 2:
            return
        if view.dynamic is None:
            missing = ~self.written().reshape(view.shape)
        else:
            missing = self.where().unwritten()
        if missing.any():
            fault = _unwritten(self, missing)
            if self.core is None or self.core.mode.strict:
                raise fault
            self.core.note(fault)
            self._show_sentinels(missing)

    def _show_sentinels(self, missing: np.ndarray) -> None:
        """What a raw look at unwritten memory shows: NaN, or 4 in integers (nki_simulator.rst, SDK 2.32)."""
        if self.view.dynamic is None:
            access.strided(self.view)[missing] = sentinel(self.held)
        else:
            self.where().show(sentinel(self.held), missing)

    def peek(self) -> np.ndarray:
        """(partitions, elements) float32 of what memory holds, written or not; only where `written` is it meaningful."""
        return to_f32(access.strided(self.view).reshape(self.view.partitions, -1), self.held)

    def written(self) -> np.ndarray:
        """Which elements hold values, as (partitions, elements) booleans."""
        view = self.view
        if view.block.state != 1:
            return np.full((view.partitions, view.elements), view.block.state == 2)
        window = access.shadow_of(view) == 1
        return (window if window.ndim == len(view.shape) else window.all(-1)).reshape(view.partitions, -1)

    # ---------------------------------------------------------------- writing
    def put(self, values: np.ndarray, where: np.ndarray | None = None) -> None:
        """Write carrier-dtype values (any shape with the right number of elements), only where `where`."""
        view = self.view
        if view.dynamic is not None:
            self.require_valid(where)
            self.where().scatter(values, where)
            return
        values = values.reshape(view.shape)
        if where is None:
            access.strided(view)[...] = values
        else:
            where = where.reshape(view.shape)
            np.copyto(access.strided(view), values, where=where)
        access.mark(view, where)

    def forget(self, where: np.ndarray) -> None:
        """Mark elements as holding nothing meaningful, as if they had never been written."""
        if where.any() and self.view.dynamic is not None:
            self.where().forget(where)
        elif where.any():
            access.unmark(self.view, where.reshape(self.view.shape))

    def store(self, values: np.ndarray, where: np.ndarray | None = None) -> None:
        """Round float32 values once to the operand's dtype and write them."""
        self.put(from_f32(values, self.held, stochastic=self.core.stochastic if self.core else None), where)

    def take(self, source: Tile) -> None:
        """Copy `source`: bit for bit between equal dtypes (or integers of one width), else through float32."""
        values, written = source.moved()
        self.place(convert(values.reshape(-1), source.held, self.held), written)

    def moved(self) -> tuple[np.ndarray, np.ndarray | None]:
        """The elements in the view's shape for an instruction that only moves them, and which were written (None: all).

        Moving bytes that nobody wrote is no use of them, so unwritten elements travel as unwritten; a source of which
        nothing was written raises MemoryFault.
        """
        view = self.view
        if view.block.state == 2 or view.dynamic is not None:
            return self.array(), None
        written = self.written().reshape(view.shape)
        if written.all() or not written.any():
            return self.array(), None
        return access.strided(view), written

    def place(self, values: np.ndarray, written: np.ndarray | None) -> None:
        """Write what `moved` gave (in any arrangement of both arrays alike)."""
        self.put(values)
        if written is not None:
            self.forget(~written)


def sentinel(kind: DType) -> Any:
    """The value that stands in unwritten memory of this dtype."""
    if taken("sentinel"):
        return kind.carrier.type(0)
    return kind.carrier.type(float("nan") if kind.is_float and kind.name != "float8_e8m0fnu" else 4)


_START_THE_SUM = "the first product of a sum overwrites: accumulate=False, in a loop such as accumulate=k > 0"


def _unwritten(tile: Tile, missing: np.ndarray) -> MemoryFault:
    first = tuple(int(i) for i in np.argwhere(missing)[0][: len(tile.view.shape)])
    sums = tile.name.rpartition(" ")[2] == "dst" and tile.view.buffer is MemoryRegion.psum
    return MemoryFault(
        f"{tile.name} reads elements that were never written",
        kind="uninitialised",
        got=f"{int(missing.sum())} of {missing.size} elements, the first at index {first}",
        expected=f"every element of {tile.view.storage.allocation} written before it is read",
        hint=_START_THE_SUM if sums else "fill it first (nisa.memset), or read only the part that was written",
    )
