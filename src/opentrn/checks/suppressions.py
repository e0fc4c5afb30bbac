"""Suppressions: `# opentrn: ignore[check.rule] reason` at the end of a line, or on a line of its own above it."""

from __future__ import annotations

import io
import linecache
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from opentrn.checks.finding import Finding

__all__ = ["Suppression", "suppressions_in", "suppressions_of"]

_COMMENT = re.compile(r"#\s*opentrn:\s*(?P<word>ignore\b|\w+\s*(?=\[))\s*(?:\[(?P<names>[^\]]*)\])?(?P<reason>.*)")
_MARK = "opentrn:"


@dataclass(frozen=True)
class Suppression:
    """One comment: the names it suppresses on lines `first` to `last`, and why. `line` is the comment's own."""

    file: str
    line: int
    first: int
    last: int
    names: tuple[str, ...]
    reason: str
    text: str

    def by(self, finding: Finding) -> str | None:
        """The name by which `finding` is suppressed; None where it is not."""
        if finding.file != self.file or not self.first <= (finding.line or 0) <= self.last:
            return None
        return next((name for name in self.names if f"{finding.label}.".startswith(f"{name}.")), None)


def suppressions_of(file: str) -> tuple[Suppression, ...]:
    """The suppressions of a file as Python knows it (a notebook's cell too); none where its text is not at hand."""
    linecache.checkcache(file)
    return suppressions_in(file, "".join(linecache.getlines(file)))


@lru_cache(maxsize=256)
def suppressions_in(file: str, text: str) -> tuple[Suppression, ...]:
    """The suppressions of a file's text, in order of their lines."""
    if _MARK not in text:
        return ()
    try:
        return tuple(_suppressions(file, text))
    except (tokenize.TokenError, SyntaxError):  # no Python: whoever runs or reads it says so
        return ()


_BETWEEN = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


def _suppressions(file: str, text: str) -> Iterator[Suppression]:
    """A comment counts for the statement it stands in; alone on its line, for the next one."""
    for first, last, comments in _statements(text):
        for comment in comments:
            found = _COMMENT.search(comment.string)
            if found is not None:
                listed = (found["names"] or "") if found["word"] == "ignore" else ""
                names = tuple(name.strip() for name in listed.split(",") if name.strip())
                reason = found["reason"].strip()
                yield Suppression(file, comment.start[0], first, last, names, reason, found[0].strip())


def _statements(text: str) -> Iterator[tuple[int, int, list[tokenize.TokenInfo]]]:
    """(first line, last line, comments) of each statement; decorators and the line of their function are one.

    Comments after the last statement come with their own lines.
    """
    start: int | None = None
    decorator = fresh = True
    comments: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments.append(token)
        elif token.type == tokenize.NEWLINE:
            fresh = True
            if not decorator:
                yield start or token.start[0], token.start[0], comments
                start, comments = None, []
        elif token.type not in _BETWEEN:
            start = start or token.start[0]
            decorator, fresh = (token.string == "@" if fresh else decorator), False
    for comment in comments:
        yield comment.start[0], comment.start[0], [comment]
