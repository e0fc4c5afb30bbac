"""Where in the user's source we are."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType

from opentrn.errors import Site

__all__ = ["OWN", "SURFACE", "is_own", "site_of", "user_frame", "user_site"]

OWN = str(Path(__file__).resolve().parent.parent) + "/"
"""The folder of the package; frames in it are opentrn's, except for the kernels that it ships."""

SURFACE = OWN + "nki/"
"""The only folder from which opentrn itself calls instructions."""

_SHIPPED_KERNELS = (OWN + "kernels/", OWN + "bench/", OWN + "demo/", OWN + "validation/")


def is_own(filename: str) -> bool:
    return filename.startswith(OWN) and not filename.startswith(_SHIPPED_KERNELS)


def user_frame(depth: int = 1) -> FrameType | None:
    """The innermost frame, `depth` above the caller or further out, that is not opentrn's."""
    frame: FrameType | None = sys._getframe(depth + 1)
    while frame is not None and is_own(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def site_of(place: tuple[CodeType, int] | None) -> Site | None:
    """The `Site` of a recorded (code, line) pair."""
    if place is None:
        return None
    code, line = place
    return Site(code.co_filename, line, code.co_name)


def user_site(depth: int = 1) -> Site | None:
    """The `Site` of `user_frame`; None when everything on the stack is opentrn's."""
    frame = user_frame(depth + 1)
    return None if frame is None else Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
