"""What NKI 0.3 spelled otherwise than 0.4 (NKI 0.3.0 and 0.4.0 release notes, "Deprecated and Removed APIs")."""

from __future__ import annotations

from opentrn.nki.compat import Old

__all__ = ["REPLACED", "TABLE"]

TABLE: tuple[Old, ...] = ()

REPLACED = {
    "tensor_copy_dynamic_src": ("tensor_copy", "nisa.tensor_copy with src.ap(..., scalar_offset=...)"),
    "tensor_copy_dynamic_dst": ("tensor_copy", "nisa.tensor_copy with dst.ap(..., scalar_offset=...)"),
}
"""Functions of `nki.isa` that were removed: the one that took over, and what to write."""
