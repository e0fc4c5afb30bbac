"""Every public symbol of NKI 0.6 exists, with its kind, its parameters and their defaults (surface.csv)."""

from __future__ import annotations

import ast
import csv
import importlib
import inspect
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from tests.nki.make_surface import rows

TABLE = Path(__file__).with_name("surface.csv")
SYMBOLS = list(csv.DictReader(TABLE.open()))
CALLABLE = [row for row in SYMBOLS if row["kind"] in ("function", "method")]

OTHERWISE = {
    "NkiInstruction.__init__": "made by the recorder only; the public constructor takes an opaque handle",
}
"""Signatures that differ on purpose."""


def name_of(row: dict[str, str]) -> str:
    return f"{row['module']}.{row['symbol']}"


def find(row: dict[str, str]) -> Any:
    found = importlib.import_module("opentrn." + row["module"])
    for part in row["symbol"].split("."):
        found = getattr(found, part)
    return found


def shown(value: Any) -> str:
    """A default as the stubs write it: members of enumerations, operators and data types by name."""
    if isinstance(value, Enum):
        return value.name if type(value).__name__ == "MemoryRegion" else f"{type(value).__name__}.{value.name}"
    return getattr(value, "nki_op", None) or repr(value)


def parameters(function: Any) -> list[tuple[str, str | None]]:
    """(name, default) of each parameter, `self` left out."""
    marks = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    found = [
        (marks.get(p.kind, "") + p.name, None if p.default is p.empty else shown(p.default))
        for p in inspect.signature(function).parameters.values()
    ]
    return [entry for entry in found if entry[0] != "self"]


def documented(signature: str) -> list[tuple[str, str | None]]:
    """The same, of a signature as surface.csv has it."""
    given = ast.parse(f"def f{signature}: ...").body[0].args  # type: ignore[attr-defined]
    defaults = [None] * (len(given.args) - len(given.defaults)) + [ast.unparse(d) for d in given.defaults]
    found = list(zip((a.arg for a in given.args), defaults, strict=True))
    found += [(f"*{given.vararg.arg}", None)] if given.vararg else []
    return found + ([(f"**{given.kwarg.arg}", None)] if given.kwarg else [])


def same_default(ours: str | None, stub: str | None) -> bool:
    """Equal, or the data type of that name, or left open by the stub ("...")."""
    return ours == stub or (stub == "..." and ours is not None) or ours == repr(stub)


@pytest.mark.parametrize("row", SYMBOLS, ids=name_of)
def test_symbol_exists_with_its_kind(row: dict[str, str]) -> None:
    found = find(row)
    if row["kind"] in ("function", "method"):
        assert callable(found)
    elif row["kind"] in ("class", "enum"):
        assert isinstance(found, type)
        assert issubclass(found, Enum) == (row["kind"] == "enum")
    elif row["kind"] == "enum-member":
        assert found.value == ast.literal_eval(row["signature"])
    elif row["kind"] == "re-export":
        assert found is getattr(importlib.import_module("opentrn." + row["signature"]), row["symbol"])


@pytest.mark.parametrize("row", CALLABLE, ids=name_of)
def test_parameters_are_the_documented_ones(row: dict[str, str]) -> None:
    if row["symbol"] in OTHERWISE:
        pytest.skip(OTHERWISE[row["symbol"]])
    ours, stub = parameters(find(row)), documented(row["signature"])
    assert [name for name, _ in ours] == [name for name, _ in stub]
    for (name, mine), (_, theirs) in zip(ours, stub, strict=True):
        assert same_default(mine, theirs), f"{name}: {mine} instead of {theirs}"


def test_the_comparison_sees_a_wrong_default() -> None:
    def altered(dst: Any, engine: int = 7) -> None: ...

    assert parameters(altered) == [("dst", None), ("engine", "7")]
    assert not same_default("7", "engine.unknown")
    assert not same_default(None, "...")


def test_names_are_public() -> None:
    """What the stubs list is in `__all__`, where a module has one."""
    for module in ("nki", "nki.isa", "nki.collectives"):
        listed = importlib.import_module("opentrn." + module).__all__
        wanted = {r["symbol"] for r in SYMBOLS if r["module"] == module and "." not in r["symbol"]}
        assert wanted <= set(listed), wanted - set(listed)


def test_the_reader_of_stubs() -> None:
    source = '''
from nki.language import NkiTensor
class region(Enum):
    """Text."""
    a = 'x'
class Thing(NKIObject):
    size: int = ...
    def run(self, n=2, *, k=None): ...
    @property
    def wide(self): ...
def add(x, y: int, dtype: str | None=None, **more): ...
flag: int = ...
'''
    assert list(rows("m", source)) == [
        ("m", "NkiTensor", "re-export", "nki.language"),
        ("m", "region", "enum", ""),
        ("m", "region.a", "enum-member", "'x'"),
        ("m", "Thing", "class", ""),
        ("m", "Thing.size", "attribute", ""),
        ("m", "Thing.run", "method", "(n=2, *, k=None)"),
        ("m", "Thing.wide", "property", ""),
        ("m", "add", "function", "(x, y, dtype=None, **more)"),
        ("m", "flag", "constant", ""),
    ]
