"""nc_transpose: swap the partition and free axes of a tile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import enums
from opentrn.isa.array import in_one_bank, matmul_cost
from opentrn.isa.costs import in_psum, vector_cost
from opentrn.isa.spec import Broken, Cost, Native, Use, instruction, into, of
from opentrn.numerics.casts import convert


@instruction(
    operands={"dst": into(), "data": of()},
    engines=(enums.engine.tensor, enums.engine.vector),
    page="nki.isa.nc_transpose (SDK 2.32)",
)
def nc_transpose(dst, data, engine=enums.engine.unknown, name=None):
    """Transpose ``data`` (P, F) into ``dst`` (F, P), bit for bit; several free dimensions count as one.

    The Tensor Engine takes up to 128 x 128 from SBUF to PSUM, the Vector Engine up to 32 x 32 from and to either. Without
    ``engine``, SBUF to PSUM goes to the Tensor Engine, everything else to the Vector Engine. ``dst`` has ``data``'s dtype;
    a Tensor Engine transpose of narrower floats may also write float32.
    """


@nc_transpose.rule("c1", "documented", "dst has data's elements as partitions and data's partitions as elements")
def _(use: Use) -> None:
    if (use.dst.partitions, use.dst.elements) != (use.data.elements, use.data.partitions):
        wanted = use.data.elements, use.data.partitions
        raise Broken(f"{use.data.shape} into {use.dst.shape}", f"dst of shape {wanted}")


@nc_transpose.rule("c2", "documented", "dst has the data type of data (the Tensor Engine also makes float32 of floats)")
def _(use: Use) -> None:
    # the page demands equal dtypes; nki-library also transposes into float32 PSUM: tp_broadcast.py everywhere,
    # qkv_cte_utils.py:700 on NeuronCore-v2, where a matmul is always float32 (trainium2_arch.rst, "Built-in Transpose")
    widens = use.engine is enums.engine.tensor and use.dst.dtype == "float32" and use.data.dt.is_float
    if use.dst.dtype != use.data.dtype and not widens:
        raise Broken(f"{use.data.dtype} into {use.dst.dtype}", use.data.dtype)


@nc_transpose.rule("c3", "documented", "the Tensor Engine reads SBUF and writes PSUM")
def _(use: Use) -> None:
    # its 128 x 128 needs no check: data and dst have at most 128 partitions each
    if use.engine is enums.engine.tensor and (in_psum(use.data) or not in_psum(use.dst)):
        raise Broken(f"{use.data.buffer.value} to {use.dst.buffer.value}", "sbuf to psum on the tensor engine")


@nc_transpose.rule("c4", "documented", "the Vector Engine takes at most 32 x 32")
def _(use: Use) -> None:
    # public kernels go block by block themselves (nki-library attention_tkg.py:2629)
    data, (rows, columns) = use.data, use.chip.limits.nc_transpose_vector_max
    if use.engine is enums.engine.vector and (data.partitions > rows or data.elements > columns):
        got, expected = f"{data.partitions} x {data.elements}", f"at most {rows} x {columns}"
        raise Broken(got, expected, "use the tensor engine, into PSUM")


@nc_transpose.rule("c5", "documented", "dst does not cross a PSUM bank (Tensor Engine, v2 and v3)")
def _(use: Use) -> None:
    if use.engine is enums.engine.tensor and use.chip.nc_version < 4:
        in_one_bank(use.dst, use.chip)


@nc_transpose.chooses
def _(use: Use) -> enums.engine:
    # NKI 0.4.0 release notes: unknown "continues to auto-select based on the destination buffer"
    return enums.engine.tensor if in_psum(use.dst) and not in_psum(use.data) else enums.engine.vector


@nc_transpose.meaning
def _(use: Use) -> None:
    values, written = use.data.moved()
    values = convert(values.reshape(use.data.partitions, -1).T, use.data.held, use.dst.held)
    use.dst.place(np.ascontiguousarray(values), None if written is None else written.reshape(values.shape[::-1]).T)


@nc_transpose.native
def _(use: Use) -> Native | None:
    return Native("nc_transpose", ("dst", "data"))


@nc_transpose.cost
def _(use: Use) -> Cost:
    if use.engine is enums.engine.vector:
        return vector_cost(use, use.data.elements, "cycles_per_element_nc_transpose")
    # the data are the stationary side, the identity moves
    quick = use.data.dtype == "float32" and use.chip.nc_version >= 3
    speedup = "transpose_fp32_speedup" if quick else None
    return matmul_cost(use, use.data.elements, use.data.partitions, use.data.dtype, speedup)


nc_transpose.differ(
    "On NeuronCore-v2 a Tensor Engine transpose of NaN or Inf is not bit-accurate; here it is on every chip.",
    "Integers go through the Tensor Engine bit for bit on every chip; the page allows every dtype, but NeuronCore-v2 has "
    "no transpose mode and its matmul takes floats only.",
    "An fp8 Tensor Engine transpose writes fp8 elements; the hardware writes 16-bit words whose upper byte is 0, for "
    "which public kernels leave room with a step of 2 (trainium2_arch.rst; nki-library mlp_cte_transpose.py).",
)


@nc_transpose.shown
def _(m: SimpleNamespace) -> Any:
    def flip(x: Any) -> Any:
        tile = m.nl.load(x)
        flipped = m.nl.ndarray((x.shape[1], x.shape[0]), dtype=x.dtype, buffer=m.nl.psum)
        m.nisa.nc_transpose(dst=flipped, data=tile)
        result = m.nl.ndarray(flipped.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.tensor_copy(dst=result, src=flipped)
        out = m.nl.ndarray(flipped.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return flip, (m.np.arange(32, dtype=m.np.float32).reshape(4, 8),)
