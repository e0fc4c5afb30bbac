"""tensor_scalar_cumulative: an operator with a number, and its running reduction."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.accumulators import accumulate, start_of
from opentrn.isa.costs import vector_cost
from opentrn.isa.indirection import indices_beside
from opentrn.isa.meanings import value
from opentrn.isa.operators import arithmetic_only, binary_only, on_hardware
from opentrn.isa.rules import column, same_tile
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of, scalar_or
from opentrn.numerics import alu

COMMANDS = (enums.reduce_cmd.reset_reduce, enums.reduce_cmd.reduce, enums.reduce_cmd.load_reduce)
FP32 = frozenset({"float32"})
STREAMED = FP32 | {
    "bfloat16",
    "float16",
    "float8_e4m3",
    "float8_e5m2",
    "float8_e4m3fn",
    "uint8",
    "uint16",
    "int8",
    "int16",
}


@instruction(
    operands={
        "dst": into(dtypes=STREAMED, indirect=True),
        "src": of(dtypes=STREAMED, indirect=True),
        "imm0": scalar_or(dtypes=FP32),
        "imm1": scalar_or(dtypes=FP32, optional=True),
    },
    attributes={"op0": a.alu, "op1": a.alu, "reduce_cmd": a.choice(enums.reduce_cmd, *COMMANDS)},
    engines=(enums.engine.vector,),
    page="nki.isa.tensor_scalar_cumulative (SDK 2.32)",
)
def tensor_scalar_cumulative(dst, src, op0, op1, imm0, imm1=None, reduce_cmd=enums.reduce_cmd.reset_reduce, name=None):
    """Compute ``r = (src[i] <op0> imm0) <op1> r`` along the free dimension; ``dst[i] = r``.

    r is the Vector Engine's accumulator register of the partition: reset to op1's neutral element (0 for subtract),
    loaded from ``imm1``, or carried on from the instruction before, by ``reduce_cmd``.
    """


@tensor_scalar_cumulative.rule("c1", "documented", "src and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.src, use.dst)


@tensor_scalar_cumulative.rule("c2", "documented", "imm0 and imm1 are numbers or (P, 1) tiles")
def _(use: Use) -> None:
    column(use.imm0, use.src)
    column(use.imm1, use.src)


@tensor_scalar_cumulative.rule("c3", "documented", "op0 is an arithmetic operator of two inputs")
def _(use: Use) -> None:
    arithmetic_only(use.op0)
    binary_only(use.op0)
    on_hardware(use, use.op0)


@tensor_scalar_cumulative.rule("c4", "documented", "op1 is add, subtract, multiply, max or min")
def _(use: Use) -> None:
    if use.op1.name not in ("add", "subtract", "multiply", "maximum", "minimum"):
        raise Broken(f"nl.{use.op1.name}", "nl.add, nl.subtract, nl.multiply, nl.maximum or nl.minimum")


@tensor_scalar_cumulative.rule("c5", "documented", "load_reduce needs imm1")
def _(use: Use) -> None:
    if use.reduce_cmd is enums.reduce_cmd.load_reduce and use.imm1 is None:
        raise Broken("load_reduce without imm1", "imm1")


@tensor_scalar_cumulative.rule(
    "c6", "documented", "indices of hand-placed indirect views start on quadrants, beside their data"
)
def _(use: Use) -> None:
    indices_beside(use.dst, use.src)


@tensor_scalar_cumulative.meaning
def _(use: Use) -> None:
    values = alu.apply(use.op0, use.src.f32(), value(use.imm0))
    running = start_of(use, use.op1, None if use.imm1 is None else value(use.imm1))
    result = np.empty_like(values)
    for i in range(values.shape[1]):
        running = alu.apply(use.op1, values[:, i : i + 1], running)
        result[:, i : i + 1] = running
    accumulate(use, None, running, keep=True)
    use.dst.store(result)


@tensor_scalar_cumulative.cost
def _(use: Use) -> Cost:
    # no public number of its own: a scan of one input, at the rate measured for tensor_tensor_scan
    return vector_cost(use, use.src.elements, "cycles_per_element_tensor_tensor_scan")


tensor_scalar_cumulative.differ("The register stays float32 between elements; only dst is rounded to its dtype.")


@tensor_scalar_cumulative.shown
def _(m: SimpleNamespace) -> Any:
    def running_max(x: Any) -> Any:
        tile = m.nl.load(x)
        result = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.tensor_scalar_cumulative(dst=result, src=tile, op0=m.nl.multiply, op1=m.nl.maximum, imm0=1.0)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return running_max, (m.np.float32([[1, 3, 2, 5], [4, 0, 6, 1]]),)
