"""Older spellings of NKI: one table per version, applied to keywords that today's signatures do not have.

A call with an old keyword warns once per line of user code, naming today's spelling, and then runs with today's meaning.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentrn.errors import LaunchError
from opentrn.program.site import user_site

__all__ = ["Old", "older_call", "translate"]


@dataclass(frozen=True)
class Old:
    """One keyword that a version before `until` had: `new` is today's keyword, or None where nothing replaces it.

    `convert` turns the old value into the new one; it may raise LaunchError where today has no equivalent.
    """

    until: str
    function: str
    keyword: str
    new: str | None
    advice: str
    convert: Callable[[Any], Any] = lambda value: value


def _tables() -> dict[tuple[str, str], Old]:
    from opentrn.nki.compat import v0_2, v0_3

    return {(old.function, old.keyword): old for table in (v0_2, v0_3) for old in table.TABLE}


def translate(function: str, keywords: dict[str, Any], parameters: list[str]) -> dict[str, Any]:
    """Today's keywords for old ones. Raises LaunchError naming near parameters when a keyword was never there."""
    tables = _tables()
    result: dict[str, Any] = {}
    for keyword, value in keywords.items():
        old = tables.get((function, keyword)) or tables.get(("*", keyword))
        if old is None:
            near = difflib.get_close_matches(keyword, parameters, n=2)
            raise LaunchError(
                f"{function}() has no parameter {keyword!r}",
                site=user_site(2),
                got=f"{keyword}={value!r}"[:100],
                expected=", ".join(parameters),
                hint=f"did you mean {' or '.join(near)}?" if near else None,
            )
        site = user_site(2)
        text = f"{function}({keyword}=...) is the spelling of NKI before {old.until}: {old.advice}"
        warnings.warn_explicit(text, DeprecationWarning, site.file if site else "<kernel>", site.line if site else 0)
        converted = old.convert(value)
        if old.new is not None:
            result[old.new] = converted
    return result


def older_call(function: Callable[..., Any], name: str, given: dict[str, Any], old: dict[str, Any]) -> Any:
    """Call an instruction again with its old keywords translated."""
    return function(**(given | translate(f"nisa.{name}", old, list(given))))
