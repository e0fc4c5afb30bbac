"""The selective scan of Mamba in the tutorial's three versions.

Source of the schedules: aws-neuron-sdk (81ce03ae) nki/guides/tutorials/fused_mamba.rst and
nki/examples/fused_mamba/mamba_nki_kernels.py. In versions 2 and 3 the product delta * u does not depend on the state and is made
once. A row of B or C of up to 512 elements comes onto all partitions by a product with ones, so that VectorE reads it from
PSUM: the published times of VectorE (149 us for version 1 of 256 channels, 1.57 ms for version 2 of 4096) are those of
four and five instructions at these rates, and it is never idle: the chains of neighbouring states are interleaved. Longer
rows, which no PSUM bank holds, come by DMA.

delta, u (1, channels, length), a (channels, states), b, c (1, states, length) -> (1, channels, length).
"""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import COLUMNS, ROWS, load, psum, sbuf

__all__ = ["scan"]

VECTOR = nisa.vector_engine


def scan(delta: Any, u: Any, a: Any, b: Any, c: Any, reload: bool = False, piece: int = 0) -> Any:
    """Version 1 with `reload` (delta and u are loaded for each state), 2 without, 3 with `piece` elements at a time."""
    _, channels, length = delta.shape
    out = nl.ndarray(delta.shape, dtype=delta.dtype, buffer=nl.shared_hbm)
    ones = sbuf((1, ROWS), delta.dtype)
    nisa.memset(dst=ones, value=1.0, engine=VECTOR)
    for first in range(0, channels, ROWS):
        here = slice(first, first + ROWS)
        summed = sbuf((ROWS, length), delta.dtype)
        nisa.memset(dst=summed, value=0.0, engine=VECTOR)
        pair = None if reload else _inputs(delta[0, here], u[0, here])
        steps: list[_Step] = []
        for state in range(a.shape[1]):
            both = pair or _inputs(delta[0, here], u[0, here])
            rate, before = load(a[here, state : state + 1]), None
            for start in range(0, length, piece or length):
                part = slice(start, start + (piece or length))
                before = _Step([each[:, part] for each in (*both, summed)], rate, before)
                before.rows = [(row[0, state : state + 1, part], ones) for row in (b, c)]
                steps.append(before)
                _advance(steps)
        for _ in range(3):
            _advance(steps, more=False)
        nisa.dma_copy(dst=out[0, here], src=summed)
    return out


def _inputs(delta: Any, u: Any) -> tuple[Any, Any]:
    """delta and delta * u in SBUF."""
    loaded, driving = load(delta), sbuf(delta.shape, delta.dtype)
    nisa.tensor_tensor(dst=driving, data1=loaded, data2=load(u), op=nl.multiply)
    return loaded, driving


class _Step(nl.NKIObject):
    """One state over one part of the sequence, in four stages; `before` is the part before it."""

    def __init__(self, tiles: list[Any], rate: Any, before: _Step | None) -> None:
        (self.delta, self.driving, self.summed), self.rate, self.before = tiles, rate, before
        self.rows: list[tuple[Any, Any]] = []
        self.done = 0

    def _tile(self) -> Any:
        return sbuf(self.delta.shape, self.delta.dtype)

    def drive(self) -> None:
        self.decay, self.driven = self._tile(), self._tile()
        nisa.activation(dst=self.decay, op=nl.exp, data=self.delta, scale=self.rate)
        row = _on_all_partitions(*self.rows[0])
        nisa.tensor_tensor(dst=self.driven, data1=self.driving, data2=row, op=nl.multiply)

    def scan(self) -> None:
        self.state, last = self._tile(), self.delta.shape[1] - 1
        initial: Any = 0.0 if self.before is None else self.before.state[:, last : last + 1]
        options = {"initial": initial, "op0": nl.multiply, "op1": nl.add}
        nisa.tensor_tensor_scan(dst=self.state, data0=self.decay, data1=self.driven, **options)

    def look(self) -> None:
        self.seen, row = self._tile(), _on_all_partitions(*self.rows[1])
        nisa.tensor_tensor(dst=self.seen, data1=self.state, data2=row, op=nl.multiply)

    def add(self) -> None:
        nisa.tensor_tensor(dst=self.summed, data1=self.summed, data2=self.seen, op=nl.add)


_STAGES = (_Step.drive, _Step.scan, _Step.look, _Step.add)


def _advance(steps: list[_Step], more: bool = True) -> None:
    """The next stage of every step under way (the last four), the newest first; without `more` none is new."""
    for step in reversed(steps[-4:]):
        if step.done < len(_STAGES) and (more or step.done > 0):
            _STAGES[step.done](step)
            step.done += 1


def _on_all_partitions(row: Any, ones: Any) -> Any:
    if row.shape[1] > COLUMNS:
        tile = sbuf((ROWS, row.shape[1]), row.dtype)
        nisa.dma_copy(dst=tile, src=row.broadcast(0, ROWS))
        return tile
    spread = psum((ROWS, row.shape[1]))
    nisa.nc_matmul(dst=spread, stationary=ones, moving=load(row), is_stationary_onezero=True)
    return spread
