"""One step of AdamW on the parameters of a tensor."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import ROWS, load, load_row, sbuf, shared, store
from opentrn.nki import jit

__all__ = ["adamw", "adamw_factors"]

WIDTH = 2048
"""Elements per partition of a tile: 1 MiB for each DMA in float32."""


@jit
def adamw(
    parameter: Any, gradient: Any, first: Any, second: Any, factors: Any,
    beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """One AdamW step (Loshchilov and Hutter 2019): float32 tensors of one shape -> new parameter, first and second moment.

    ``p -= rate * (m / (1 - beta1**step) / (sqrt(v / (1 - beta2**step)) + eps) + decay * p)``, with
    ``m = beta1 * m + (1 - beta1) * g`` and ``v = beta2 * v + (1 - beta2) * g**2``. What changes from step to step comes as
    `factors`, (3,) float32 made by `adamw_factors`: one program serves all steps, whatever the rate does.
    """
    new_p, new_m, new_v = (
        shared(parameter.shape, nl.float32),
        shared(first.shape, nl.float32),
        shared(second.shape, nl.float32),
    )
    given = load_row(factors, ROWS)
    for part in _parts(_flat(parameter).shape[0]):
        p, g, m, v = _part(parameter, part), _part(gradient, part), _part(first, part), _part(second, part)
        p, g, m, v = load(p, nl.float32), load(g, nl.float32), load(m, nl.float32), load(v, nl.float32)
        rate, scale, kept = given[0 : part[1], 0:1], given[0 : part[1], 1:2], given[0 : part[1], 2:3]
        _moment(m, g, beta1)
        square = sbuf(g.shape, nl.float32)
        nisa.activation(dst=square, op=nl.square, data=g)
        _moment(v, square, beta2)
        root, change = sbuf(g.shape, nl.float32), sbuf(g.shape, nl.float32)
        nisa.activation(dst=root, op=nl.sqrt, data=v, scale=scale)
        nisa.tensor_scalar(dst=root, data=root, op0=nl.add, operand0=eps, op1=nl.power, operand1=-1.0)
        nisa.scalar_tensor_tensor(dst=change, data=m, op0=nl.multiply, operand0=rate, op1=nl.multiply, operand1=root)
        nisa.scalar_tensor_tensor(dst=p, data=p, op0=nl.multiply, operand0=kept, op1=nl.add, operand1=change)
        store(_part(new_p, part), p)
        store(_part(new_m, part), m)
        store(_part(new_v, part), v)
    return new_p, new_m, new_v


def adamw_factors(
    step: Any, rate: Any = 1e-3, beta1: float = 0.9, beta2: float = 0.999, decay: float = 0.01
) -> tuple[Any, Any, Any]:
    """The numbers of one step, counted from 1: ``-rate / (1 - beta1**step)``, ``1 / (1 - beta2**step)``, ``1 - rate * decay``.

    `step` and `rate` are numbers, or what a framework traces in their place.
    """
    return -rate / (1 - beta1**step), 1 / (1 - beta2**step), 1 - rate * decay


def _moment(kept: Any, new: Any, beta: float) -> None:
    """``kept = beta * kept + (1 - beta) * new``."""
    share = sbuf(new.shape, nl.float32)
    nisa.activation(dst=share, op=nl.copy, data=new, scale=1.0 - beta)
    nisa.scalar_tensor_tensor(dst=kept, data=kept, op0=nl.multiply, operand0=beta, op1=nl.add, operand1=share)


def _flat(tensor: Any) -> Any:
    size = 1
    for n in tensor.shape:
        size *= n
    return tensor.reshape((size,))


def _parts(size: int) -> list[tuple[int, int, int]]:
    """(start, partitions, elements per partition) of the tiles of a flat tensor: wide ones first, then what is left."""
    parts, start = [], 0
    while start < size:
        rows = min(ROWS, size - start)
        width = min(WIDTH, (size - start) // rows)
        parts.append((start, rows, width))
        start += rows * width
    return parts


def _part(tensor: Any, part: tuple[int, int, int]) -> Any:
    start, rows, width = part
    return _flat(tensor)[start : start + rows * width].reshape((rows, width))
