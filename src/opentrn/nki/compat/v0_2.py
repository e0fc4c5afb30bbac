"""What NKI 0.2 spelled otherwise than 0.3 (NKI 0.2.0 and 0.3.0 release notes, "Breaking Changes")."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentrn.errors import LaunchError
from opentrn.isa.enums import dma_engine
from opentrn.nki.compat import Old, deprecated
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["GONE", "KEYWORDS", "NAMES", "POSITIONAL", "TABLE", "keywords"]


def _no_mask(value: Any) -> None:
    if value is not None:
        raise LaunchError("mask= is not part of NKI since 0.2", site=user_site(), got=repr(value)[:100],
                          expected="operands sliced to the valid part", hint="e.g. tile[0:rows, 0:columns]")  # fmt: skip


def _accumulate(given: dict[str, Any], op: Any) -> Any:
    """dma_copy(dst, src, dst_rmw_op=op) is dma_compute(dst, [src, dst], op)."""
    from opentrn.nki.functions import nisa

    return nisa.dma_compute(
        dst=given["dst"], srcs=[given["src"], given["dst"]], reduce_op=op, oob_mode=given["oob_mode"],
        unique_indices=given.get("unique_indices", True), name=given["name"],
    )  # fmt: skip


def _engine(gpsimd: Any) -> dma_engine:
    return dma_engine.gpsimd_dma if gpsimd else dma_engine.dma


TABLE = (
    Old("0.2.0", "nisa.*", "dtype", None, "leave it out, the dtype of dst decides"),
    Old("0.2.0", "nisa.*", "mask", None, "leave it out and slice the operands", _no_mask),
    Old("0.2.0", "nisa.nc_matmul", "psumAccumulateFlag", None, "leave it out, it had no effect"),
    Old("0.2.0", "nisa.nc_matmul", "is_moving_zero", "is_moving_onezero", "write is_moving_onezero="),
    Old("0.3.0", "nisa.dma_copy", "dst_rmw_op", None, "write nisa.dma_compute(dst, [src, dst], reduce_op=...)",
        redirect=_accumulate),
    Old("0.3.0", "nisa.dma_copy", "unique_indices", None, "it belongs to nisa.dma_compute"),
    Old("0.3.0", "nisa.sendrecv", "use_gpsimd_dma", "dma_engine", "write dma_engine=nisa.dma_engine.gpsimd_dma", _engine),
    Old("0.3.0", "nisa.register_move", "imm", "src", "write src="),
    Old("0.3.0", "nl.shared_constant", "dtype", None, "give an array of that dtype"),
    Old("0.3.0", "nki.collectives.collective_permute_implicit_current_processing_rank_id", "num_channels", None,
        "pass channel_ids to collective_permute_implicit"),
    *(Old("0.2.0", f"nl.{loop}_range", keyword, None, "leave it out, the loop is unrolled")
      for loop in ("affine", "sequential", "static") for keyword in ("directives", "precise_schedule", "multi_buffer")),
)  # fmt: skip


Call = tuple[tuple[Any, ...], dict[str, Any]]


def _affine_select(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Before 0.3.0: (dst, pattern, offset, channel_multiplier, on_true_tile, on_false_value, cmp_op, name)."""
    tile = args[4] if len(args) > 4 else kwargs.get("on_true_tile")
    if len(args) < 4 or isinstance(args[3], View) or not isinstance(tile, View):
        return args, kwargs
    deprecated("nisa.affine_select(dst, pattern, offset, ...) is the order of NKI before 0.3.0: write offset=")
    dst, pattern, offset, *rest = args
    named = dict(zip(("channel_multiplier", "on_true_tile", "on_false_value", "cmp_op", "name"), rest, strict=False))
    return (dst, pattern), {"offset": offset, **named, **kwargs}


def _dma_compute(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Before 0.3.0: (dst, srcs, scales, reduce_op, name)."""
    if len(args) < 3 or not isinstance(args[2], (list, tuple)):
        return args, kwargs
    deprecated("nisa.dma_compute(dst, srcs, scales, ...) is the order of NKI before 0.3.0: scales follows reduce_op")
    named = dict(zip(("scales", "reduce_op", "name"), args[2:], strict=False))
    return args[:2], {**named, **kwargs}


POSITIONAL = {"affine_select": _affine_select, "dma_compute": _dma_compute}
"""Instructions whose positional arguments changed places."""

NAMES = {"psum_fmax": "psum_bank_fmax", "pmax": "pmax"}
"""Sizes that stood in `nki.language` itself, and their names in `nl.tile_size`."""

GONE = {
    "arange": "slice the tensor, or write tensor.ap(pattern=...)",
    "mgrid": "slice the tensor, or write tensor.ap(pattern=...)",
}
"""Names of `neuronxcc.nki.language` that have no place in `nki`, and what to write (the migration guide)."""


class _Memory:
    """A memory under a name that every kernel had: ``sbuf.view(dtype, shape)`` made a tensor there."""

    def __init__(self, keyword: str, buffer: str) -> None:
        self.keyword, self.buffer = keyword, buffer

    def view(self, dtype: Any, shape: Any) -> View:
        """Today's nl.ndarray."""
        from opentrn.nki import language as nl

        today = f"nl.ndarray(shape, dtype, buffer=nl.{self.buffer})"
        deprecated(f"{self.keyword}.view(...) is a spelling of NKI before 0.3.0: write {today}")
        return nl.ndarray(shape, dtype, buffer=getattr(nl, self.buffer))


KEYWORDS = {keyword: _Memory(keyword, buffer) for keyword, buffer in (("sbuf", "sbuf"), ("hbm", "shared_hbm"))}
"""Names that were part of the language ("'sbuf' is a keyword in NKI", quickstart-implement-run-kernel.rst, SDK 2.28)."""


@contextmanager
def keywords() -> Iterator[None]:
    """Let kernels find `KEYWORDS`, where Python looks when a module has no such name."""
    missing = {keyword: memory for keyword, memory in KEYWORDS.items() if not hasattr(builtins, keyword)}
    for keyword, memory in missing.items():
        setattr(builtins, keyword, memory)
    try:
        yield
    finally:
        for keyword in missing:
            delattr(builtins, keyword)
