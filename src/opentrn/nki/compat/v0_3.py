"""Keywords that NKI 0.3 had and later versions renamed (NKI 0.4.0 to 0.6.0 release notes)."""

from __future__ import annotations

from opentrn.nki.compat import Old

__all__ = ["TABLE"]

TABLE: tuple[Old, ...] = ()
