"""Output files that are written whole or not at all, and reports read back from them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from opentrn.errors import FileError

__all__ = ["load", "save", "whole", "whole_folder", "whole_set", "write_whole"]

FORM = "opentrn profile 1"
"""What the first field of a saved report says: its kind and version."""


@contextmanager
def whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`; it takes the place of `path` when the block ends well, and goes when it does not.

    Raises FileError when `path` cannot be written.
    """
    with whole_set([path]) as (temporary,):
        yield temporary


@contextmanager
def whole_set(paths: Sequence[str | os.PathLike[str]]) -> Iterator[list[Path]]:
    """`whole` for files that belong together: none is put in its place before the last one has been written."""
    targets = [Path(path).resolve() for path in paths]
    temporaries = [_beside(target) for target in targets]
    try:
        yield temporaries
        _refuse_folders(targets)
        for temporary, target in zip(temporaries, targets, strict=True):
            temporary.replace(target)
    except FileError:
        raise
    except OSError as error:
        raise _unwritable(targets[0], error) from error
    finally:
        for temporary in temporaries:
            with suppress(OSError):
                temporary.unlink()


@contextmanager
def whole_folder(path: str | os.PathLike[str], suffix: str) -> Iterator[Path]:
    """A temporary folder that takes the place of `path` when the block ends well.

    A folder that is already there is replaced if it holds nothing but files ending in `suffix`; else FileError.
    """
    target = Path(path).resolve()
    temporary, old = _beside(target), _beside(target, "old")
    try:
        _refuse_other_files(target, suffix)
        temporary.mkdir()
        yield temporary
        if target.exists():
            target.replace(old)
        temporary.replace(target)
    except FileError:
        raise
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        if old.exists() and not target.exists():
            old.replace(target)
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all. Raises FileError when it cannot be written."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def save(report: dict[str, Any], path: str | Path) -> None:
    """Write `ProfileReport.to_dict()` as JSON."""
    write_whole(path, json.dumps({"form": FORM, **report}, indent=1) + "\n")


def load(path: str | Path) -> dict[str, Any]:
    """A saved report. Raises FileError for a file that is not one."""
    expected = "a file that `opentrn profile SCRIPT --json FILE` wrote"
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"no profile can be read from {path}", got=str(error), expected=expected) from None
    if not isinstance(data, dict) or data.get("form") != FORM:
        found = data.get("form") if isinstance(data, dict) else type(data).__name__
        raise FileError(f"{path} is no profile of opentrn", got=f"form {found!r}", expected=f"{FORM!r}: {expected}")
    return data


def _beside(target: Path, kind: str = "tmp") -> Path:
    return target.parent / f".{target.name}.{os.getpid()}.{kind}"


def _refuse_folders(targets: list[Path]) -> None:
    for target in targets:
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder")


def _refuse_other_files(target: Path, suffix: str) -> None:
    if target.exists() and not target.is_dir():
        raise FileExistsError(f"{target} is a file")
    others = sorted(each.name for each in target.iterdir() if each.suffix != suffix) if target.exists() else []
    if others:
        raise FileError(
            f"{target} holds other files, so it is not replaced",
            got=", ".join(others[:5]),
            hint=f"name a new folder, or one that holds only {suffix} files",
        )


def _unwritable(target: Path, error: OSError) -> FileError:
    parent = target.parent
    hint = None if parent.is_dir() else f"the folder {parent} does not exist; make it first"
    return FileError(f"cannot write {target}", got=error.strerror or str(error), hint=hint or "name another path")
