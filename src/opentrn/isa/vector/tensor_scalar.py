"""tensor_scalar: up to two operators of a tile with numbers or one value per partition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import (
    gpsimd_cost,
    in_psum,
    inferred,
    scalar_cost,
    scalar_rate,
    scalar_tensors,
    tensor_scalar_rate,
    vector_cost,
)
from opentrn.isa.indirection import indices_beside
from opentrn.isa.meanings import value
from opentrn.isa.operators import (
    TRN3_SCALAR_OPS,
    UNARY,
    bitvec_needs_integers,
    is_bitvec,
    on_hardware,
    operand_bits,
    operand_given,
    reversed_apply,
    scalar_op0_exists,
)
from opentrn.isa.rules import bits_of, column, same_tile
from opentrn.isa.spec import Broken, Cost, Native, Use, instruction, into, of, scalar_or
from opentrn.numerics.latitude import taken

SCALAR_PAIRS = frozenset({("multiply", "add"), ("multiply", None), ("add", None)})


@instruction(
    operands={
        "dst": into(indirect=True),
        "data": of(indirect=True),
        "operand0": scalar_or(optional=True),
        "operand1": scalar_or(optional=True),
    },
    attributes={"op0": a.alu, "reverse0": a.boolean, "op1": a.optional(a.alu), "reverse1": a.boolean},
    engines=(enums.engine.vector, enums.engine.scalar, enums.engine.gpsimd),
    page="nki.isa.tensor_scalar (SDK 2.32)",
    traits=("float32_integers",),
)
def tensor_scalar(
    dst,
    data,
    op0,
    operand0,
    reverse0=False,
    op1=None,
    operand1=None,
    reverse1=False,
    engine=enums.engine.unknown,
    name=None,
):
    """Compute ``dst = (data <op0> operand0) <op1> operand1`` on the Vector, Scalar or GpSimd Engine.

    Operands are numbers or (P, 1) tiles; ``reverse0`` and ``reverse1`` swap the sides of their operator. Both operators
    are arithmetic (float32, rounded once to ``dst``) or both bitvec (bit patterns of integers). A unary ``op0`` such as
    ``nl.abs`` takes ``operand0`` None or 0.
    """


@tensor_scalar.rule("c1", "documented", "data and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.data, use.dst)


@tensor_scalar.rule("c2", "documented", "operands are numbers or (P, 1) tiles")
def _(use: Use) -> None:
    column(use.operand0, use.data)
    column(use.operand1, use.data)


@tensor_scalar.rule("c3", "documented", "op1 and operand1 come together")
def _(use: Use) -> None:
    unary = use.op1 is not None and use.op1.name in UNARY
    if (use.op1 is None) != (use.operand1 is None) and not unary:
        raise Broken(f"op1={use.op1 and use.op1.name}, operand1={use.operand1}", "both or neither")


@tensor_scalar.rule("c4", "documented", "a unary operator takes operand None or 0, others need an operand")
def _(use: Use) -> None:
    for op, operand in ((use.op0, use.operand0), (use.op1, use.operand1)):
        if op is not None:
            operand_given(op, operand)


@tensor_scalar.rule("c5", "documented", "op0 and op1 are both bitvec or both arithmetic")
def _(use: Use) -> None:
    if use.op1 is not None and is_bitvec(use.op0) != is_bitvec(use.op1):
        raise Broken(f"nl.{use.op0.name} with nl.{use.op1.name}", "one kind of operator")


@tensor_scalar.rule("c6", "documented", "bitvec operators need integer tiles and operands, on the Vector Engine")
def _(use: Use) -> None:
    if not is_bitvec(use.op0):
        return
    bitvec_needs_integers(use.op0, use.dst, use.data, use.operand0, use.operand1)
    for operand in (use.operand0, use.operand1):
        if isinstance(operand, float):
            raise Broken(f"operand {operand} (float)", "an int")
    if use.engine is not enums.engine.vector:
        raise Broken(use.engine.name, "vector")


@tensor_scalar.rule("c7", "inferred", "a number given to a bitvec operator fits the width of data's elements")
def _(use: Use) -> None:
    if not is_bitvec(use.op0):
        return
    bits = bits_of(use.data)
    for operand in (use.operand0, use.operand1):
        if isinstance(operand, int) and not -(2 ** (bits - 1)) <= operand < 2**bits:
            raise Broken(f"{operand:#x} with {use.data.dtype}", f"a pattern of {bits} bits")


@tensor_scalar.rule("c8", "documented", "the operators exist on the chip; square and relu are for op0")
def _(use: Use) -> None:
    on_hardware(use, use.op0, use.op1)
    scalar_op0_exists(use)
    if use.op1 is not None and use.op1.name in TRN3_SCALAR_OPS:
        raise Broken(f"op1=nl.{use.op1.name}", f"nl.{use.op1.name} as op0")


@tensor_scalar.rule("c9", "documented", "the Scalar Engine does multiply-add, multiply or add, from NeuronCore-v3 on")
def _(use: Use) -> None:
    if use.engine is not enums.engine.scalar:
        return
    pair = (use.op0.name, use.op1.name if use.op1 else None)
    if pair not in SCALAR_PAIRS or use.chip.nc_version < 3:
        raise Broken(f"{pair} on scalar of {use.chip.name}", "(multiply, add), multiply or add, on trn2 or newer")


@tensor_scalar.rule("c10", "documented", "rsqrt and power run on the GpSimd Engine, nothing else does")
def _(use: Use) -> None:
    # parameter `engine` (gpsimd only for rsqrt); nki.api.shared.rst of SDK 2.26 adds power
    if use.engine is enums.engine.vector and _gpsimd_only(use):
        raise Broken(f"nl.{_gpsimd_only(use)} on vector", "gpsimd, or nisa.activation for rsqrt")
    if use.engine is enums.engine.gpsimd and not _gpsimd_only(use):
        raise Broken(f"nl.{use.op0.name} on gpsimd", "nl.rsqrt or nl.power", "leave engine out, or use vector")


@tensor_scalar.rule("c11", "documented", "the GpSimd Engine does not reach PSUM")
def _(use: Use) -> None:
    if use.engine is enums.engine.gpsimd and in_psum(use.dst, use.data, use.operand0, use.operand1):
        raise Broken("an operand in PSUM on gpsimd", "all in SBUF", "nisa.activation(op=nl.rsqrt) reads PSUM")


@tensor_scalar.rule("c12", "documented", "the Scalar Engine does not scatter into PSUM")
def _(use: Use) -> None:
    if use.engine is enums.engine.scalar and _is_indirect(use.dst) and in_psum(use.dst):
        raise Broken("a scattered dst in PSUM on scalar", "dst in SBUF, or the vector engine")


@tensor_scalar.rule("c13", "inferred", "no tensor indirection in the int32/uint32 address-arithmetic pattern")
def _(use: Use) -> None:
    # the page names the pattern (tensor_scalar_addr) but not its borders: taken as 32-bit integers in and out
    whole = all(t.dtype in ("int32", "uint32") for t in (use.dst, use.data)) and not is_bitvec(use.op0)
    if whole and (_is_indirect(use.dst) or _is_indirect(use.data)):
        raise Broken(f"an indirect view with {use.data.dtype} to {use.dst.dtype}", "plain views, or float tiles")


@tensor_scalar.rule("c14", "documented", "indices of hand-placed indirect views start on quadrants, beside their data")
def _(use: Use) -> None:
    indices_beside(use.dst, use.data)


def _is_indirect(tile: Any) -> bool:
    return tile.dynamic is not None and tile.dynamic.kind == "tensor"


def _gpsimd_only(use: Use) -> str:
    names = (use.op0.name, use.op1.name if use.op1 else "")
    return next((n for n in names if n in ("rsqrt", "power")), "")


@tensor_scalar.chooses
def _(use: Use) -> enums.engine:
    return enums.engine.gpsimd if _gpsimd_only(use) else enums.engine.vector


@tensor_scalar.meaning
def _(use: Use) -> None:
    if is_bitvec(use.op0) or taken("integers"):
        result: Any = use.data.raw()
        for op, operand, swap in _stages(use):
            result = reversed_apply(op, result, operand_bits(operand, use.data), swap)
        use.dst.put(result.astype(use.dst.held.carrier))
        return
    result = use.data.f32()
    for op, operand, swap in _stages(use):
        result = reversed_apply(op, result, value(operand), swap)
    use.dst.store(result)


def _stages(use: Use) -> list[tuple[Any, Any, bool]]:
    stages = [(use.op0, 0 if use.operand0 is None else use.operand0, use.reverse0)]
    if use.op1 is not None:
        stages.append((use.op1, 0 if use.operand1 is None else use.operand1, use.reverse1))
    return stages


@tensor_scalar.native
def _(use: Use) -> Native | None:
    vectors = tuple(n for n in ("operand0", "operand1") if hasattr(use.values[n], "dtype"))
    numbers = [0 if v is None or hasattr(v, "dtype") else v for v in (use.operand0, use.operand1)]
    if is_bitvec(use.op0) and (vectors or any(not -(2**24) < n < 2**24 for n in numbers)):
        return None  # immediates travel as floats
    flags = [int(n in vectors) for n in ("operand0", "operand1")]
    second = -1 if use.op1 is None else use.op1.code
    ints = (use.op0.code, int(use.reverse0), flags[0], second, int(use.reverse1), flags[1], int(is_bitvec(use.op0)))
    return Native("tensor_scalar", ("dst", "data", *vectors), ints, tuple(float(np.float32(n)) for n in numbers))


@tensor_scalar.cost
def _(use: Use) -> Cost:
    if use.engine is enums.engine.scalar:
        return scalar_cost(use, use.data, scalar_rate(use, use.data, use.dst), scalar_tensors(use))
    if use.engine is enums.engine.gpsimd:
        factor = use.chip.cost.gpsimd.rsqrt_over_scalar if _gpsimd_only(use) == "rsqrt" else 1
        return inferred(gpsimd_cost(use, use.data.elements * factor, use.data.elements))
    return vector_cost(use, use.data.elements, tensor_scalar_rate(use.data, use.dst))


tensor_scalar.differ(
    "The documentation asks for float32 operand tiles with arithmetic operators; other dtypes are cast to float32 here, "
    "as public kernels rely on.",
    "On int32 and uint32 arithmetic is float32 too (as documented), so results beyond 2**24 are rounded.",
    "A bitvec operand tile of another width than data is worked on at the wider width, and dst takes the low bits.",
)


@tensor_scalar.shown
def _(m: SimpleNamespace) -> Any:
    def scale(x: Any) -> Any:
        tile = m.nl.load(x)
        result = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.tensor_scalar(dst=result, data=tile, op0=m.nl.multiply, operand0=2.0, op1=m.nl.add, operand1=1.0)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return scale, (m.np.ones((4, 8), m.np.float32),)
