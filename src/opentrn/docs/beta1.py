"""The names that the older dialect has here, as a page of the manual."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

from opentrn.nki import beta1
from opentrn.nki.beta1 import compiler, isa, language

__all__ = ["page"]


def page() -> str:
    """Tables of `neuronxcc.nki`, `.language`, `.isa` and `.compiler`: each function with its parameters and what it does."""
    parts = ["# Names of the older dialect", ""]
    for title, module in (
        ("neuronxcc.nki", beta1),
        ("neuronxcc.nki.language", language),
        ("neuronxcc.nki.isa", isa),
        ("neuronxcc.nki.compiler", compiler),
        ("neuronxcc.nki.compiler.sbuf", compiler.sbuf),
        ("neuronxcc.nki.compiler.psum", compiler.psum),
    ):
        parts += [f"## {title}", "", *_table(module), "", *_others(module), ""]
    return "\n".join(parts).rstrip() + "\n"


def _named(module: ModuleType) -> list[tuple[str, Any]]:
    return [
        (name, getattr(module, name))
        for name in sorted(set(module.__all__))
        if not inspect.ismodule(getattr(module, name))
    ]


def _table(module: ModuleType) -> list[str]:
    rows = [
        f"| `{name}({_parameters(value)})` | {_text(value)} |"
        for name, value in _named(module)
        if inspect.isfunction(value)
    ]
    return ["| function | |", "|---|---|", *rows]


def _parameters(function: Any) -> str:
    given = inspect.signature(function).parameters.values()
    return ", ".join(p.name for p in given if p.kind not in (p.VAR_KEYWORD,) and not p.name.startswith("_"))


def _text(function: Any) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0].replace("|", "\\|")


def _others(module: ModuleType) -> list[str]:
    names = [f"`{name}`" for name, value in _named(module) if not inspect.isfunction(value)]
    return [f"Types and values: {', '.join(names)}."] if names else []
