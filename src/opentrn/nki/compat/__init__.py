"""Older spellings of NKI: one table per version, applied to what today's signatures do not have.

A use of an old spelling warns (DeprecationWarning, at the user's line, once for each line by Python's default filters),
names today's spelling, and then runs with today's meaning. Calls in today's spelling never come here.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentrn.errors import LaunchError
from opentrn.program.notices import notice
from opentrn.program.site import user_site

__all__ = ["Old", "accepts_older", "deprecated", "older_call", "reordered", "translate"]


@dataclass(frozen=True)
class Old:
    """One keyword that a version before `until` had: `new` is today's keyword, or None where nothing replaces it.

    `convert` turns the old value into the new one; it may raise LaunchError where today has no equivalent. `redirect`
    runs the whole call another way for a value that is not None: it gets all arguments by name, and the value.
    """

    until: str
    function: str
    keyword: str
    new: str | None
    advice: str
    convert: Callable[[Any], Any] = lambda value: value
    redirect: Callable[[dict[str, Any], Any], Any] | None = None


def deprecated(text: str) -> None:
    """Warn about an old spelling at the user's line."""
    notice(text, DeprecationWarning)


@functools.cache
def _tables() -> dict[tuple[str, str], Old]:
    from opentrn.nki.compat import v0_2, v0_3, v0_4, v0_5

    return {(old.function, old.keyword): old for table in (v0_2, v0_3, v0_4, v0_5) for old in table.TABLE}


def _found(function: str, keyword: str, value: Any, parameters: list[str]) -> Old:
    """The table's entry. Raises LaunchError naming near parameters when no version had the keyword."""
    tables = _tables()
    old = tables.get((function, keyword))
    if old is None and function.startswith("nisa."):
        old = tables.get(("nisa.*", keyword))
    if old is None:
        near = difflib.get_close_matches(keyword, parameters, n=2)
        raise LaunchError(
            f"{function}() has no parameter {keyword!r}",
            site=user_site(),
            got=f"{keyword}={value!r}"[:100],
            expected=", ".join(parameters),
            hint=f"did you mean {' or '.join(near)}?" if near else None,
        )
    deprecated(f"{function}({keyword}=...) is a spelling of NKI before {old.until}: {old.advice}")
    return old


def translate(function: str, keywords: dict[str, Any], parameters: list[str]) -> dict[str, Any]:
    """Today's keywords for old ones. Raises LaunchError for a keyword that no version had."""
    result: dict[str, Any] = {}
    for keyword, value in keywords.items():
        old = _found(function, keyword, value, parameters)
        converted = old.convert(value)
        if old.new is not None:
            result[old.new] = converted
    return result


def older_call(function: Callable[..., Any], name: str, given: dict[str, Any], old: dict[str, Any]) -> Any:
    """Call an instruction again with its old keywords translated, or another one where that has taken over."""
    translated = translate(f"nisa.{name}", old, list(given))
    for keyword, value in old.items():
        entry = _tables().get((f"nisa.{name}", keyword))
        if entry is not None and entry.redirect is not None and value is not None:
            return entry.redirect(given | old, value)
    return function(**(given | translated))


def accepts_older(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function of the surface take its old keywords, too; its signature shows today's only."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = list(inspect.signature(function).parameters)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            old = {key: kwargs.pop(key) for key in list(kwargs) if key not in parameters}
            if old:
                kwargs |= translate(name, old, parameters)
            return function(*args, **kwargs)

        return call

    return wrap


def reordered(function: Callable[..., Any], order: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """The same function, whose arguments first go through ``order(args, kwargs)``."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = order(args, kwargs)
        return function(*args, **kwargs)

    return call
