"""Warnings about the user's code, shown at the user's line and, by Python's default filters, once for each line."""

from __future__ import annotations

import warnings

from opentrn.errors import HardwareWarning
from opentrn.program.site import user_frame

__all__ = ["notice"]


def notice(text: str, category: type[Warning] = HardwareWarning) -> None:
    """Warn at the innermost line that is not opentrn's own."""
    frame = user_frame()
    if frame is None:
        warnings.warn(text, category, stacklevel=2)
        return
    seen = frame.f_globals.setdefault("__warningregistry__", {})
    module = frame.f_globals.get("__name__")
    warnings.warn_explicit(text, category, frame.f_code.co_filename, frame.f_lineno, module, seen)
