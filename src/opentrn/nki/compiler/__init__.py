"""`nki.compiler`: what public kernels and tests use of it. There is no compiler here: kernels run as they are."""

from __future__ import annotations

from opentrn.nki.compiler import frontend

__all__ = ["frontend"]
