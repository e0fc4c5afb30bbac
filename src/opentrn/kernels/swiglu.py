"""The SwiGLU MLP of decoder-only transformers, and its gradients."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.matmul import Finish, Operand, multiply
from opentrn.kernels.tiles import hbm, load, sbuf, shared, store
from opentrn.nki import jit

__all__ = ["gated_mlp", "swiglu", "swiglu_backward"]


@jit
def swiglu(x: Any, gate: Any, up: Any, down: Any) -> Any:
    """``(silu(x @ gate) * (x @ up)) @ down``: x (T, H), gate and up (H, F), down (F, H) -> (T, H) in the dtype of x.

    The hidden values are made with F first, as the last product wants them: nothing but x is ever transposed.
    """
    out = shared(x.shape, x.dtype)
    gated_mlp(out, x, gate, up, down)
    return out


def gated_mlp(out: Any, x: Any, gate: Any, up: Any, down: Any) -> None:
    """`swiglu` of tensors in HBM, inside a kernel."""
    tokens, features = x.shape[0], gate.shape[1]
    gated, hidden = hbm((features, tokens)), hbm((features, tokens))
    multiply(gated, Operand(gate, True), Operand(x, False), _silu)
    multiply(hidden, Operand(up, True), Operand(x, False), _times(gated))
    multiply(out, Operand(hidden, True), Operand(down, True))


def _silu(dst: Any, total: Any, rows: slice, columns: slice) -> None:
    nisa.activation(dst=dst, op=nl.silu, data=total)


def _times(other: Any) -> Finish:
    """Each sum times the element of `other` at its place."""

    def finish(dst: Any, total: Any, rows: slice, columns: slice) -> None:
        nisa.tensor_tensor(dst=dst, data1=total, data2=load(other[rows, columns]), op=nl.multiply)

    return finish


def _plus(other: Any) -> Finish:
    """Each sum plus the element of `other` at its place."""

    def finish(dst: Any, total: Any, rows: slice, columns: slice) -> None:
        nisa.tensor_tensor(dst=dst, data1=total, data2=load(other[rows, columns]), op=nl.add)

    return finish


@jit
def swiglu_backward(dy: Any, x: Any, gate: Any, up: Any, down: Any) -> tuple[Any, Any, Any, Any]:
    """Gradients of `swiglu`: dy, x (T, H) and the weights -> dx in the dtype of x; dgate, dup, ddown float32.

    The hidden values are computed again; what lies between products is kept in bfloat16, with F first.
    """
    shape = (gate.shape[1], x.shape[0])
    before, raised, hidden, dgated, draised = hbm(shape), hbm(shape), hbm(shape), hbm(shape), hbm(shape)
    multiply(before, Operand(gate, True), Operand(x, False))
    multiply(raised, Operand(up, True), Operand(x, False))
    multiply(dgated, Operand(down, False), Operand(dy, False), _gradients(before, raised, hidden, draised))
    dx, part = shared(x.shape, x.dtype), hbm(x.shape, nl.float32)
    multiply(part, Operand(dgated, True), Operand(gate, False))
    multiply(dx, Operand(draised, True), Operand(up, False), _plus(part))
    dgate, dup, ddown = shared(gate.shape, nl.float32), shared(up.shape, nl.float32), shared(down.shape, nl.float32)
    multiply(dgate, Operand(x, True), Operand(dgated, False))
    multiply(dup, Operand(x, True), Operand(draised, False))
    multiply(ddown, Operand(hidden, False), Operand(dy, True))
    return dx, dgate, dup, ddown


def _gradients(before: Any, raised: Any, hidden: Any, draised: Any) -> Finish:
    """From the gradient of the hidden values: that of the gate's product to `dst`, the other and the hidden values to HBM."""

    def finish(dst: Any, total: Any, rows: slice, columns: slice) -> None:
        g, u = load(before[rows, columns]), load(raised[rows, columns])
        silu, slope, h, du = (
            sbuf(g.shape, g.dtype),
            sbuf(g.shape, g.dtype),
            sbuf(g.shape, g.dtype),
            sbuf(g.shape, g.dtype),
        )
        nisa.activation(dst=silu, op=nl.silu, data=g)
        nisa.activation(dst=slope, op=nl.silu_dx, data=g)
        nisa.tensor_tensor(dst=h, data1=silu, data2=u, op=nl.multiply)
        nisa.tensor_tensor(dst=du, data1=total, data2=silu, op=nl.multiply)
        nisa.tensor_tensor(dst=slope, data1=slope, data2=u, op=nl.multiply)
        nisa.tensor_tensor(dst=dst, data1=total, data2=slope, op=nl.multiply)
        store(hidden[rows, columns], h)
        store(draised[rows, columns], du)

    return finish
