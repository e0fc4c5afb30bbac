"""tensor_tensor: an element-wise operator of two tiles."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import gpsimd_cost, in_psum, inferred, tensor_tensor_rate, vector_cost
from opentrn.isa.indirection import indices_beside
from opentrn.isa.operators import (
    TRN3_OPS,
    binary_only,
    bitvec_needs_integers,
    gpsimd_integers,
    is_bitvec,
    on_hardware,
)
from opentrn.isa.rules import not_both_psum, same_tile
from opentrn.isa.spec import Broken, Cost, Native, Use, instruction, into, of
from opentrn.numerics import alu
from opentrn.numerics.latitude import taken


@instruction(
    operands={"dst": into(indirect=True), "data1": of(indirect=True), "data2": of()},
    attributes={"op": a.alu},
    engines=(enums.engine.vector, enums.engine.gpsimd),
    page="nki.isa.tensor_tensor (SDK 2.32)",
    traits=("float32_integers",),
)
def tensor_tensor(dst, data1, data2, op, engine=enums.engine.unknown, name=None):
    """Compute ``dst = data1 <op> data2`` element by element on the Vector or GpSimd Engine.

    Arithmetic runs in float32 with one rounding to ``dst``. When all three tiles are int32 or uint32 in SBUF the
    instruction runs on GpSimd, exactly in 32-bit integers, unless ``engine=vector`` asks for float32. Bitvec operators
    work on the bit patterns of integer tiles. ``nl.power`` runs on GpSimd.
    """


@tensor_tensor.rule("c1", "documented", "all tiles have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.data1, use.data2, use.dst)


@tensor_tensor.rule("c2", "documented", "data1 and data2 are not both in PSUM")
def _(use: Use) -> None:
    not_both_psum(use.data1, use.data2)


@tensor_tensor.rule("c3", "documented", "op takes two inputs and exists on the chip")
def _(use: Use) -> None:
    binary_only(use.op)
    on_hardware(use, use.op)


@tensor_tensor.rule("c4", "documented", "bitvec operators need integer tiles")
def _(use: Use) -> None:
    bitvec_needs_integers(use.op, use.dst, use.data1, use.data2)


@tensor_tensor.rule("c5", "documented", "nothing in PSUM on the GpSimd Engine (where nl.power runs)")
def _(use: Use) -> None:
    if use.engine is enums.engine.gpsimd and in_psum(use.dst, use.data1, use.data2):
        raise Broken("an operand in PSUM on gpsimd", "all in SBUF, or the vector engine")


@tensor_tensor.rule(
    "c6", "documented", "nl.power runs on the GpSimd Engine, nl.abs_max and nl.abs_min on the Vector Engine"
)
def _(use: Use) -> None:
    if use.op.name == "power" and use.engine is enums.engine.vector:
        raise Broken("nl.power on vector", "gpsimd")
    if use.op.name in TRN3_OPS and use.engine is enums.engine.gpsimd:
        # NKI 0.4.0 release notes, "New Features"
        raise Broken(f"nl.{use.op.name} on gpsimd", "vector")


@tensor_tensor.rule("c7", "documented", "indices of hand-placed indirect views start on quadrants, beside their data")
def _(use: Use) -> None:
    indices_beside(use.dst, use.data1)


@tensor_tensor.chooses
def _(use: Use) -> enums.engine:
    if use.op.name == "power":
        return enums.engine.gpsimd
    on_vector = is_bitvec(use.op) or use.op.name in TRN3_OPS
    whole = gpsimd_integers(use.dst, use.data1, use.data2) and not on_vector
    return enums.engine.gpsimd if whole else enums.engine.vector


def exact(use: Use) -> bool:
    """True when the operator works on integers as they are."""
    whole = use.engine is enums.engine.gpsimd and gpsimd_integers(use.dst, use.data1, use.data2)
    return is_bitvec(use.op) or whole or taken("integers")


@tensor_tensor.meaning
def _(use: Use) -> None:
    if exact(use):
        values = alu.apply(use.op, use.data1.raw(), use.data2.raw())
        use.dst.put(values.astype(use.dst.held.carrier))
    else:
        use.dst.store(alu.apply(use.op, use.data1.f32(), use.data2.f32()))


@tensor_tensor.native
def _(use: Use) -> Native | None:
    return Native("tensor_tensor", ("dst", "data1", "data2"), (use.op.code, int(exact(use))))


@tensor_tensor.cost
def _(use: Use) -> Cost:
    if use.engine is enums.engine.gpsimd:
        return inferred(gpsimd_cost(use, use.dst.elements))
    return vector_cost(use, use.dst.elements, tensor_tensor_rate(use.dst, use.data1, use.data2))


tensor_tensor.differ(
    "maximum and minimum give NaN when an input is NaN; what the engines do is not public.",
    "A shift by the width of the type or more gives 0.",
    "An int32 tile with a uint32 tile is computed in data1's type; bitvec operators on tiles of different widths work at "
    "the wider one, and dst takes the low bits.",
)


@tensor_tensor.shown
def _(m: SimpleNamespace) -> Any:
    def add(x: Any, y: Any) -> Any:
        left, right = m.nl.load(x), m.nl.load(y)
        total = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.tensor_tensor(dst=total, data1=left, data2=right, op=m.nl.add)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=total)
        return out

    return add, (m.np.ones((4, 8), m.np.float32), m.np.ones((4, 8), m.np.float32))
