"""Keywords that NKI 0.2 had and 0.3 dropped or renamed (NKI 0.3.0 release notes, "Breaking Changes")."""

from __future__ import annotations

from typing import Any

from opentrn.errors import LaunchError
from opentrn.isa.enums import dma_engine
from opentrn.nki.compat import Old

__all__ = ["TABLE"]


def _none_only(what: str) -> Any:
    def check(value: Any) -> None:
        if value is not None:
            raise LaunchError(what, got=repr(value), expected="nothing", hint="use nisa.dma_compute")

    return check


def _no_mask(value: Any) -> None:
    if value is not None:
        raise LaunchError("mask= is not part of NKI since 0.2", hint="slice the operands to the valid part instead")


TABLE = (
    Old("0.3.0", "*", "dtype", None, "the dtype of dst decides"),
    Old("0.3.0", "*", "mask", None, "slice the operands", _no_mask),
    Old("0.3.0", "nisa.dma_copy", "dst_rmw_op", None, "use nisa.dma_compute", _none_only("dma_copy(dst_rmw_op=...)")),
    Old("0.3.0", "nisa.dma_copy", "unique_indices", None, "use nisa.dma_compute"),
    Old("0.3.0", "nisa.sendrecv", "use_gpsimd_dma", "dma_engine", "write dma_engine=nisa.dma_engine.gpsimd_dma",
        lambda on: dma_engine.gpsimd_dma if on else dma_engine.dma),
    Old("0.3.0", "nisa.register_move", "imm", "src", "write src="),
)  # fmt: skip
