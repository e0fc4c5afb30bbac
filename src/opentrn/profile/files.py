"""Output files that are written whole or not at all, and reports read back from them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentrn.errors import LaunchError

__all__ = ["load", "save", "whole"]

FORM = "opentrn profile 1"
"""What the first field of a saved report says: its kind and version."""


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it takes the place of `path` at the end, and goes if anything fails."""
    final = Path(path)
    part = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)


def save(report: dict[str, Any], path: str | Path) -> None:
    """Write `ProfileReport.to_dict()` as JSON."""
    with whole(path) as part:
        part.write_text(json.dumps({"form": FORM, **report}, indent=1) + "\n", encoding="utf-8")


def load(path: str | Path) -> dict[str, Any]:
    """A saved report. Raises LaunchError for a file that is not one."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LaunchError(f"no profile can be read from {path}", got=f"{type(error).__name__}: {error}",
                          expected="a file that `opentrn profile SCRIPT --json FILE` wrote") from None  # fmt: skip
    if not isinstance(data, dict) or data.get("form") != FORM:
        found = data.get("form") if isinstance(data, dict) else type(data).__name__
        raise LaunchError(f"{path} is no profile of opentrn", got=repr(found), expected=repr(FORM))
    return data
