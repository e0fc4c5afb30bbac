"""How a file calls the modules of NKI: imports, aliases, decorators, and the calls that go through them."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from typing import Any

from opentrn.migrate.grids import Expr, NotMechanical

__all__ = [
    "BINARY",
    "Names",
    "Note",
    "aliases",
    "all_of",
    "argument",
    "as_target",
    "called",
    "decorators",
    "imported",
    "keyword",
]

BINARY = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power", ast.BitAnd: "bitwise_and",
    ast.BitOr: "bitwise_or", ast.BitXor: "bitwise_xor", ast.LShift: "left_shift", ast.RShift: "right_shift",
}  # fmt: skip


@dataclass(frozen=True)
class Note:
    """A place that was left as it is: where, why, and how a person would write it."""

    line: int
    why: str
    how: str


@dataclass
class Names:
    """How the file calls the modules."""

    nki: str = "nki"
    nl: str = "nl"
    nisa: str = "nisa"


def called(call: Any, module: str) -> str | None:
    """The name of a module's function that a call calls."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    return call.func.attr if ast.unparse(call.func.value) == module else None


def keyword(call: Any, name: str) -> Expr | None:
    found = next((k.value for k in getattr(call, "keywords", []) if k.arg == name), None)
    return None if isinstance(found, ast.Constant) and found.value is None else found


def argument(call: ast.Call, name: str) -> Expr:
    found = keyword(call, name)
    if found is None:
        raise NotMechanical(ast.unparse(call), f"give it {name}")
    return found


def all_of(conditions: list[Expr]) -> Expr:
    return conditions[0] if len(conditions) == 1 else ast.BoolOp(ast.And(), conditions)


def as_target(place: Expr) -> Any:
    place.ctx = ast.Store()  # type: ignore[attr-defined]
    return place


_MODULES = {"neuronxcc.nki": "nki", "neuronxcc.nki.language": "nki.language", "neuronxcc.nki.isa": "nki.isa",
            "neuronxcc.nki.typing": "nki.typing"}  # fmt: skip
_DROPPED = {"par_dim", "trace", "simulate_kernel", "baremetal"}


def imported(node: Any) -> list[ast.stmt]:
    """Imports of neuronxcc as imports of nki."""
    if isinstance(node, ast.Import):
        made = copy.copy(node)
        made.names = [ast.alias(_MODULES.get(a.name, a.name), a.asname if _MODULES.get(a.name) != a.asname else None)
                      for a in node.names if a.name != "neuronxcc.nki.compiler"]  # fmt: skip
        return [made] if made.names else []
    if node.module == "neuronxcc" and [a.name for a in node.names] == ["nki"]:
        return [ast.copy_location(ast.Import([ast.alias("nki", None)]), node)]
    if node.module in _MODULES:
        kept = [a for a in node.names if a.name not in _DROPPED]
        return [ast.copy_location(ast.ImportFrom(_MODULES[node.module], kept, 0), node)] if kept else []
    return [node]


def aliases(tree: ast.Module) -> Names:
    """What the file calls nki, nki.language and nki.isa."""
    names = Names()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                attribute = {"neuronxcc.nki": "nki", "neuronxcc.nki.language": "nl", "neuronxcc.nki.isa": "nisa"}.get(
                    a.name
                )
                if attribute and a.asname:
                    setattr(names, attribute, a.asname)
    return names


def decorators(node: ast.FunctionDef, names: Names) -> list[Expr]:
    """One nki.jit, whatever the older dialect had."""
    marks = [ast.unparse(d.func if isinstance(d, ast.Call) else d).split(".")[-1] for d in node.decorator_list]
    old = {"jit", "trace", "baremetal", "benchmark", "profile"}
    kept = [
        d for d, m in zip(node.decorator_list, marks, strict=True) if m not in old and "compiler" not in ast.unparse(d)
    ]
    return [*kept, ast.parse(f"{names.nki}.jit", mode="eval").body] if old & set(marks) else kept
