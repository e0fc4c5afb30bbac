"""nc_matmul_mx: matmul of microscaled fp8 or fp4 tiles (NeuronCore-v4)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.array import accumulate_into, matmul_cost, tile_pair, uses_tiling
from opentrn.isa.indirection import index_of, indices_beside_operands
from opentrn.isa.microscaling import SCALES, X4, dequantised, enough_scales, whole_quadrants
from opentrn.isa.rules import same_partitions
from opentrn.isa.spec import PSUM, SBUF, Broken, Cost, Use, instruction, into, of


@instruction(
    operands={
        "dst": into(PSUM, role="inout", dtypes=frozenset({"float32", "bfloat16"}), indirect=True),
        "stationary": of(SBUF, dtypes=X4, indirect=True),
        "moving": of(SBUF, dtypes=X4, indirect=True),
        "stationary_scale": of(SBUF, dtypes=SCALES, indirect=True, start=4),
        "moving_scale": of(SBUF, dtypes=SCALES, indirect=True, start=4),
    },
    attributes={"tile_position": tile_pair, "tile_size": tile_pair, "accumulate": a.optional(a.boolean)},
    engines=(enums.engine.tensor,),
    page="nki.isa.nc_matmul_mx (SDK 2.32)",
    traits=("sums",),
    since=4,
)
def nc_matmul_mx(
    dst,
    stationary,
    moving,
    stationary_scale,
    moving_scale,
    tile_position=None,
    tile_size=None,
    accumulate=None,
    name=None,
):
    """Compute ``dst = stationary.T @ moving`` of tiles that hold four packed values per element, times their scales.

    Contraction is over the partitions and the four values. One scale serves 8 partitions x 4 values and sits in the
    data's own quadrant. ``dst`` (M, N) is float32 or bfloat16 PSUM; ``accumulate`` is that of `nc_matmul`.
    """


@nc_matmul_mx.rule("c1", "documented", "stationary and moving have the same partitions, a multiple of 32")
def _(use: Use) -> None:
    same_partitions(use.stationary, use.moving)
    whole_quadrants(use.stationary)


@nc_matmul_mx.rule("c2", "documented", "the free size of stationary is even and at most 128")
def _(use: Use) -> None:
    if use.stationary.elements % 2 or use.stationary.elements > use.chip.limits.gemm_stationary_fmax:
        raise Broken(str(use.stationary.elements), "even, at most 128")


@nc_matmul_mx.rule("c3", "documented", "the free size of moving is at most 4096 (float32 dst) or 8192 (bfloat16 dst)")
def _(use: Use) -> None:
    limits = use.chip.limits
    limit = limits.gemm_moving_fmax if use.dst.dtype == "float32" else limits.gemm_moving_fmax_bf16_dst
    if use.moving.elements > limit:
        raise Broken(str(use.moving.elements), f"at most {limit}")


@nc_matmul_mx.rule("c4", "documented", "dst has stationary's free size as partitions and moving's as elements")
def _(use: Use) -> None:
    wanted = use.stationary.elements, use.moving.elements
    if (use.dst.partitions, use.dst.elements) != wanted:
        raise Broken(f"dst {use.dst.shape}", str(wanted))


@nc_matmul_mx.rule("c5", "documented", "each scale view has the rows and columns that its data need")
def _(use: Use) -> None:
    enough_scales(use.stationary_scale, use.stationary, use.stationary.elements)
    enough_scales(use.moving_scale, use.moving, use.moving.elements)


@nc_matmul_mx.rule("c6", "documented", "row tiling only: column tile 128 at 0, row tiles of 32, 64 or 128")
def _(use: Use) -> None:
    if not use.tile_position and not use.tile_size:
        return
    if not use.tile_position or not use.tile_size:
        raise Broken(f"tile_position={use.tile_position}, tile_size={use.tile_size}", "both or neither")
    (row, column), (rows, columns) = use.tile_position, use.tile_size
    if column or columns != 128 or rows not in (32, 64, 128) or row % rows or row + rows > 128:
        raise Broken(f"{use.tile_size} at {use.tile_position}", "(32|64|128, 128) at (a multiple of the rows, 0)")
    if use.stationary.partitions > rows:
        raise Broken(f"{use.stationary.partitions} partitions", f"at most the row tile's {rows}")


@nc_matmul_mx.rule("c7", "documented", "tensor indirection: data and scale of a pair agree, and no tiling")
def _(use: Use) -> None:
    for data, scale in ((use.stationary, use.stationary_scale), (use.moving, use.moving_scale)):
        if (index_of(data) is None) != (index_of(scale) is None):
            raise Broken("one of data and scale is indirect", "both, with the same index, or neither")
    indirect = any(index_of(view) is not None for view in (use.dst, use.stationary, use.moving))
    if indirect and uses_tiling(use) and use.tile_position != (0, 0):
        raise Broken(f"tile_position={use.tile_position}", "(0, 0)")


@nc_matmul_mx.rule("c8", "documented", "tensor indirection: hand-placed indices on quadrants, beside their operands")
def _(use: Use) -> None:
    indices_beside_operands(use.dst, use.stationary, use.moving)


@nc_matmul_mx.meaning
def _(use: Use) -> None:
    stationary = dequantised(use.stationary, use.stationary_scale)
    moving = dequantised(use.moving, use.moving_scale)
    accumulate_into(use.dst, stationary, moving, use.accumulate)


@nc_matmul_mx.cost
def _(use: Use) -> Cost:
    # K = 512 values in the time of a bf16 matmul of K = 128 (trainium3_arch.rst)
    columns, rows = use.stationary.elements, use.moving.elements
    flops = 2.0 * 4 * use.moving.partitions * columns * rows
    return matmul_cost(use, columns, rows, use.moving.dtype, flops=flops)


nc_matmul_mx.differ("Scaled products are summed in float32; the order and the width inside the array are not public.")


@nc_matmul_mx.shown
def _(m: SimpleNamespace) -> Any:
    def matmul(left: Any, right: Any) -> Any:
        tiles = []
        for x in (left, right):
            data = m.nl.ndarray((32, x.shape[1] // 4), dtype=m.nl.float8_e4m3fn_x4, buffer=m.nl.sbuf)
            scale = m.nl.ndarray((4, x.shape[1] // 4), dtype=m.nl.uint8, buffer=m.nl.sbuf)
            m.nisa.quantize_mx(dst=data, src=m.nl.load(x), dst_scale=scale)
            tiles.append((data, scale))
        (a, a_scale), (b, b_scale) = tiles
        product = m.nl.ndarray((left.shape[1] // 4, right.shape[1] // 4), dtype=m.nl.float32, buffer=m.nl.psum)
        m.nisa.nc_matmul_mx(product, a, b, a_scale, b_scale)
        result = m.nl.copy(product)
        out = m.nl.ndarray(product.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    rng = m.np.random.default_rng(0)
    return matmul, tuple(rng.random((32, 4 * n), m.np.float32).astype(m.nl.bfloat16) for n in (8, 16))
