"""nc_matmul: ``stationary.T @ moving`` on the Tensor Engine, into PSUM."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.array import (
    accumulate_into,
    contraction,
    in_one_bank,
    matmul_cost,
    pass_through,
    tile_pair,
    uses_tiling,
)
from opentrn.isa.indirection import index_of, indices_beside_operands
from opentrn.isa.spec import PSUM, SBUF, Broken, Cost, Native, Use, instruction, into, of

FLOATS = frozenset({"float8_e4m3", "float8_e5m2", "float8_e4m3fn", "bfloat16", "float16", "tfloat32", "float32"})
WIDE = frozenset({"float32", "tfloat32"})
FP8 = frozenset({"float8_e4m3", "float8_e5m2", "float8_e4m3fn"})
DOUBLE = enums.matmul_perf_mode.double_row


@instruction(
    operands={
        "dst": into(PSUM, role="inout", indirect=True),
        "stationary": of(SBUF, dtypes=FLOATS, indirect=True),
        "moving": of(SBUF, dtypes=FLOATS, indirect=True),
    },
    attributes={
        "is_stationary_onezero": a.boolean,
        "is_moving_onezero": a.boolean,
        "is_transpose": a.boolean,
        "accumulate": a.optional(a.boolean),
        "tile_position": tile_pair,
        "tile_size": tile_pair,
        "perf_mode": a.choice(enums.matmul_perf_mode),
    },
    engines=(enums.engine.tensor,),
    page="nki.isa.nc_matmul (SDK 2.32)",
    traits=("sums",),
)
def nc_matmul(
    dst,
    stationary,
    moving,
    is_stationary_onezero=False,
    is_moving_onezero=False,
    is_transpose=False,
    accumulate=None,
    tile_position=(),
    tile_size=(),
    perf_mode=enums.matmul_perf_mode.none,
    name=None,
):
    """Compute ``dst = stationary.T @ moving``, or add it to ``dst``, with float32 accumulation.

    The partition dimension of both inputs is the contraction (with ``double_row`` together with a first free dimension
    of 2). ``stationary`` (K, M) and ``moving`` (K, N) give ``dst`` (M, N). ``accumulate=None`` overwrites elements that
    nothing has written since ``dst`` was allocated and adds to all others; ``False`` overwrites; ``True`` adds.
    ``tile_position`` and ``tile_size`` place the product on a part of the 128 x 128 array. ``is_transpose`` moves the
    bits of ``stationary`` through the array when ``moving`` is an identity.
    """


@nc_matmul.rule("c1", "documented", "stationary and moving have the same partitions (the contraction)")
def _(use: Use) -> None:
    if use.stationary.partitions != use.moving.partitions:
        raise Broken(f"{use.stationary.shape} and {use.moving.shape}", "equal first dimensions")


@nc_matmul.rule("c2", "documented", "the free size of stationary is at most 128 (or the column tile)")
def _(use: Use) -> None:
    limit = use.tile_size[1] if uses_tiling(use) else use.chip.limits.gemm_stationary_fmax
    if contraction(use, use.stationary)[1] > limit:
        raise Broken(f"{contraction(use, use.stationary)[1]} from {use.stationary.shape}", f"at most {limit}")


_PIECES = "split the free dimension of moving (and dst), and make one product for each piece"


@nc_matmul.rule("c3", "documented", "the free size of moving fits one PSUM bank (v2, v3) or the whole PSUM (v4)")
def _(use: Use) -> None:
    limits = use.chip.limits
    limit = limits.gemm_moving_fmax
    if use.chip.nc_version >= 4 and use.dst.dtype == "bfloat16":
        limit = limits.gemm_moving_fmax_bf16_dst
    if contraction(use, use.moving)[1] > limit:
        raise Broken(f"{contraction(use, use.moving)[1]} from {use.moving.shape}", f"at most {limit}", _PIECES)


@nc_matmul.rule("c4", "documented", "dst has the free size of stationary as partitions and that of moving as elements")
def _(use: Use) -> None:
    wanted = contraction(use, use.stationary)[1], contraction(use, use.moving)[1]
    if (use.dst.partitions, use.dst.elements) != wanted:
        raise Broken(f"dst {use.dst.shape}", f"{wanted[0]} partitions and {wanted[1]} elements")


@nc_matmul.rule("c5", "documented", "float32 and tfloat32 go only with each other")
def _(use: Use) -> None:
    if (use.stationary.dtype in WIDE) != (use.moving.dtype in WIDE):
        raise Broken(f"{use.stationary.dtype} with {use.moving.dtype}", "both 32-bit or both narrower")


@nc_matmul.rule("c6", "documented", "float8_e4m3fn needs NeuronCore-v4 and does not mix with float8_e4m3")
def _(use: Use) -> None:
    pair = {use.stationary.dtype, use.moving.dtype}
    if "float8_e4m3fn" in pair and (use.chip.nc_version < 4 or "float8_e4m3" in pair):
        raise Broken(f"{use.stationary.dtype} with {use.moving.dtype} on {use.chip.name}", "trn3, without float8_e4m3")


@nc_matmul.rule(
    "c7", "documented", "dst is float32 (bfloat16 too from NeuronCore-v4; the input's dtype for a transpose)"
)
def _(use: Use) -> None:
    allowed = {"float32"} | ({"bfloat16"} if use.chip.nc_version >= 4 else set())
    if use.is_transpose and use.chip.nc_version >= 3:
        allowed.add(use.stationary.dtype)
    if use.dst.dtype not in allowed:
        raise Broken(use.dst.dtype, " or ".join(sorted(allowed)))


@nc_matmul.rule("c8", "documented", "dst does not cross a PSUM bank (v2, v3)")
def _(use: Use) -> None:
    if use.chip.nc_version < 4:
        in_one_bank(use.dst, use.chip)


@nc_matmul.rule("c9", "documented", "tile_position and tile_size are given together, aligned, and hold the operands")
def _(use: Use) -> None:
    if not use.tile_position and not use.tile_size:
        return
    if not use.tile_position or not use.tile_size:
        raise Broken(f"tile_position={use.tile_position}, tile_size={use.tile_size}", "both or neither")
    sizes = (64, 128) if use.chip.nc_version < 3 else (32, 64, 128)
    for axis, start, size in zip(("row", "column"), use.tile_position, use.tile_size, strict=True):
        if size not in sizes or start % size or start + size > 128:
            raise Broken(f"{axis} tile of {size} at {start}", f"a size of {sizes} at a multiple of it, within 128")
    if use.stationary.partitions > use.tile_size[0]:
        raise Broken(f"{use.stationary.partitions} partitions", f"at most the row tile's {use.tile_size[0]}")


@nc_matmul.rule("c10", "documented", "double_row: NeuronCore-v3 or newer, fp8 inputs (K, 2, ...), no column tiling")
def _(use: Use) -> None:
    if use.perf_mode is not DOUBLE:
        return
    if use.chip.nc_version < 3:
        raise Broken(use.chip.name, "trn2 or newer")
    for tile in (use.stationary, use.moving):
        if tile.dtype not in FP8 or len(tile.shape) < 3 or tile.shape[1] != 2:
            raise Broken(f"{tile.dtype} {tile.shape}", "an fp8 operand of shape (K, 2, ...)")
    if (use.tile_size and use.tile_size[1] != 128) or use.is_transpose:
        raise Broken(f"tile_size={use.tile_size}, is_transpose={use.is_transpose}", "no column tiling, no transpose")


@nc_matmul.rule(
    "c11", "documented", "tensor indirection: no tiling, an indirect moving not with is_transpose, narrow floats"
)
def _(use: Use) -> None:
    views = [v for v in (use.dst, use.stationary, use.moving) if index_of(v) is not None]
    if not views:
        return
    if uses_tiling(use) and use.tile_position != (0, 0):
        raise Broken(f"tile_position={use.tile_position}", "(0, 0)")
    if use.is_transpose and use.moving in views:
        raise Broken("an indirect moving", "a plain moving with is_transpose=True")
    for view in views:
        if view is not use.dst and view.dtype in WIDE:
            raise Broken(view.dtype, "float16, bfloat16 or an fp8 dtype")


@nc_matmul.rule("c12", "documented", "tensor indirection: hand-placed indices on quadrants, beside their operands")
def _(use: Use) -> None:
    indices_beside_operands(use.dst, use.stationary, use.moving)


@nc_matmul.meaning
def _(use: Use) -> None:
    transposes = use.is_transpose and use.chip.nc_version >= 3 and use.accumulate is not True
    if transposes and pass_through(use.dst, use.stationary, use.moving):
        return
    k, m = contraction(use, use.stationary)
    stationary = use.stationary.f32().reshape(k, m)
    moving = use.moving.f32().reshape(k, -1)
    accumulate_into(use.dst, stationary, moving, use.accumulate)


@nc_matmul.native
def _(use: Use) -> Native | None:
    if use.is_transpose or use.perf_mode is DOUBLE:
        return None
    mode = -1 if use.accumulate is None else int(use.accumulate)
    # only accumulate=True requires that dst holds values already
    roles = ("inout" if mode == 1 else "out", "in", "in")
    return Native("nc_matmul", ("dst", "stationary", "moving"), (mode, 0), roles=roles)


@nc_matmul.cost
def _(use: Use) -> Cost:
    dtype, speedup = use.stationary.dtype, None
    depth, columns = contraction(use, use.stationary)
    rows = contraction(use, use.moving)[1]
    if dtype == "float32" and use.is_transpose and use.chip.nc_version >= 3:
        speedup = "transpose_fp32_speedup"
    elif dtype == "float32" and (use.is_stationary_onezero or use.is_moving_onezero):
        speedup = "onezero_fp32_speedup"
    flops = 0.0 if use.is_transpose else 2.0 * depth * columns * rows
    return matmul_cost(use, columns, rows, dtype, speedup, flops)


nc_matmul.differ(
    "Products are summed in float32. The compiled core adds them one by one in the order of the contraction index, numpy "
    "in an order of its own; the order inside the array is not public.",
    "float32 inputs multiply as float32; the chip makes two passes over high and low parts whose bits are not public.",
    "Accumulating onto PSUM that another instruction wrote adds to it; undefined on NeuronCore-v2 and v3.",
    "A transpose overwrites dst unless accumulate=True. An fp8 transpose writes fp8 elements; the hardware writes 16-bit "
    "words whose upper byte is 0 (trainium2_arch.rst).",
    "is_transpose with a moving that does not pick one row for each column is an ordinary matmul.",
)


@nc_matmul.shown
def _(m: SimpleNamespace) -> Any:
    def matmul(lhs_t: Any, rhs: Any) -> Any:
        left, right = m.nl.load(lhs_t), m.nl.load(rhs)
        product = m.nl.ndarray((lhs_t.shape[1], rhs.shape[1]), dtype=m.nl.float32, buffer=m.nl.psum)
        m.nisa.nc_matmul(dst=product, stationary=left, moving=right)
        tile = m.nl.ndarray(product.shape, dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.tensor_copy(dst=tile, src=product)
        out = m.nl.ndarray(product.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    rng = m.np.random.default_rng(0)
    return matmul, (rng.random((32, 16), m.np.float32), rng.random((32, 24), m.np.float32))
