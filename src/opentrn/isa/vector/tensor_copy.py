"""tensor_copy: copy a tile within SBUF and PSUM."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import enums
from opentrn.isa.costs import gpsimd_cost, in_psum, inferred, scalar_cost, scalar_rate, vector_copy_rate, vector_cost
from opentrn.isa.indirection import indices_beside
from opentrn.isa.rules import same_tile
from opentrn.isa.spec import Broken, Cost, Native, Use, instruction, into, of


@instruction(
    operands={"dst": into(indirect=True), "src": of(indirect=True)},
    engines=(enums.engine.vector, enums.engine.scalar, enums.engine.gpsimd),
    page="nki.isa.tensor_copy (SDK 2.32)",
)
def tensor_copy(dst, src, engine=enums.engine.unknown, name=None):
    """Copy ``src`` to ``dst`` on the Vector, Scalar or GpSimd Engine.

    Both have the same partitions and elements per partition (ranks may differ). Equal dtypes are copied bit for bit;
    different dtypes go through float32 and are rounded once.
    """


@tensor_copy.rule("c1", "documented", "src and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.src, use.dst)


@tensor_copy.rule("c2", "documented", "the GpSimd Engine does not reach PSUM")
def _(use: Use) -> None:
    if use.engine is enums.engine.gpsimd and in_psum(use.src, use.dst):
        raise Broken("an operand in PSUM on gpsimd", "both in SBUF, or the vector or scalar engine")


@tensor_copy.rule("c3", "documented", "the Scalar Engine copies from NeuronCore-v3 on")
def _(use: Use) -> None:
    if use.engine is enums.engine.scalar and use.chip.nc_version < 3:
        raise Broken(f"engine=scalar on {use.chip.name}", "nisa.activation(op=nl.copy), or another engine")


@tensor_copy.rule("c4", "documented", "tensor indirection runs on the Vector or Scalar Engine")
def _(use: Use) -> None:
    indirect = any(t.dynamic is not None and t.dynamic.kind == "tensor" for t in (use.src, use.dst))
    if indirect and use.engine is enums.engine.gpsimd:
        raise Broken("an indirect view on gpsimd", "vector or scalar")


@tensor_copy.rule("c5", "documented", "the Scalar Engine does not scatter into PSUM")
def _(use: Use) -> None:
    scatters = use.dst.dynamic is not None and use.dst.dynamic.kind == "tensor"
    if use.engine is enums.engine.scalar and scatters and in_psum(use.dst):
        raise Broken("a scattered dst in PSUM on scalar", "dst in SBUF, or the vector engine")


@tensor_copy.rule("c6", "documented", "indices of hand-placed indirect views start on quadrants, beside their data")
def _(use: Use) -> None:
    indices_beside(use.dst, use.src)


@tensor_copy.meaning
def _(use: Use) -> None:
    use.dst.take(use.src)


@tensor_copy.native
def _(use: Use) -> Native | None:
    return Native("copy", ("dst", "src"))


@tensor_copy.cost
def _(use: Use) -> Cost:
    if use.engine is enums.engine.scalar:
        return scalar_cost(use, use.src, scalar_rate(use, use.src, use.dst))
    if use.engine is enums.engine.gpsimd:
        return inferred(gpsimd_cost(use, use.src.elements))
    return vector_cost(use, use.src.elements, vector_copy_rate(use, use.src, use.dst))


@tensor_copy.shown
def _(m: SimpleNamespace) -> Any:
    def cast(x: Any) -> Any:
        tile = m.nl.load(x)
        narrow = m.nl.ndarray(x.shape, dtype=m.nl.bfloat16, buffer=m.nl.sbuf)
        m.nisa.tensor_copy(dst=narrow, src=tile)
        out = m.nl.ndarray(x.shape, dtype=m.nl.bfloat16, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=narrow)
        return out

    return cast, (m.np.linspace(0, 1, 32, dtype=m.np.float32).reshape(4, 8),)
