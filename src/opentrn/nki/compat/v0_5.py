"""What NKI 0.5 spelled otherwise than 0.6 (NKI 0.6.0 release notes, "Deprecated and Removed APIs")."""

from __future__ import annotations

from opentrn.nki.compat import Old

__all__ = ["LOOPS", "TABLE"]

TABLE: tuple[Old, ...] = ()

LOOPS = {
    "dynamic_range": "for i in nl.dynamic_range(...) is deprecated since NKI 0.6.0: write nl.fori_loop(start, stop, body)",
    "while": "while over a register is deprecated since NKI 0.6.0: write nl.while_loop(register, body)",
}
"""Loops on the device that still work."""
