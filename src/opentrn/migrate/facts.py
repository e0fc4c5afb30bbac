"""What the expressions of a kernel were when it ran: shapes, dtypes and memories, which no source text tells.

The old file is run once with every expression of interest wrapped in a call that notes its value, with shapes alone.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from opentrn.nki.beta1.index import Index, Mask
from opentrn.nki.beta1.tensor import Tensor, is_tensor, tensor_of

__all__ = ["Fact", "Launched", "module_of", "watch"]

_NOTE = "__opentrn_note__"


@dataclass(frozen=True)
class Fact:
    """What an expression was: "tile", "index", "mask" or "value". Of tiles shape, dtype, memory and block dimensions."""

    kind: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    buffer: str = ""
    blocks: int = 0

    @property
    def column(self) -> bool:
        """One value per partition."""
        size = 1
        for n in self.shape[1:]:
            size *= n
        return self.kind == "tile" and size == 1


@dataclass(frozen=True)
class Launched:
    """One launch of a kernel that a file made itself: which, on what grid, with what arguments."""

    name: str
    grid: tuple[Any, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def fact_of(value: Any) -> Fact:
    """The fact about a value."""
    if isinstance(value, Index):
        return Fact("index", value.shape)
    if isinstance(value, Mask):
        return Fact("mask", value.shape)
    if not is_tensor(value):
        return Fact("value")
    tile: Tensor = tensor_of(value)
    return Fact("tile", tile.shape, tile.home.dtype, tile.buffer.value, tile.lead if tile.on_chip else 0)


class _Wrap(ast.NodeTransformer):
    """Puts a note around the expressions inside functions; the key is (line, column, end line, end column)."""

    def __init__(self) -> None:
        self.depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.depth += 1
        node.body = [self.visit(n) for n in node.body]
        self.depth -= 1
        return node

    def _noted(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        if self.depth == 0 or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            return node
        place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
        key = ast.Tuple([ast.Constant(n) for n in place], ast.Load())
        made = ast.Call(ast.Name(_NOTE, ast.Load()), [key, node], [])
        return ast.copy_location(made, node)

    visit_Call = visit_BinOp = visit_UnaryOp = visit_Compare = visit_Name = visit_Subscript = _noted

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return node  # modules and their functions: nothing of a run

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        node.value = self.visit(node.value)
        if isinstance(node.target, ast.Subscript):
            node.target.value = self.visit(node.target.value)
        return node


def module_of(path: Path, name: str, source: str | None = None) -> ModuleType:
    """The file as a module of that name; `source` instead of its text where given."""
    made = ModuleType(name)
    made.__file__ = str(path)
    exec(compile(source if source is not None else path.read_text(), str(path), "exec"), made.__dict__)
    return made


def watch(path: Path, run: Callable[[ModuleType], None]) -> dict[tuple[int, int, int, int], Fact]:
    """The facts about a file's expressions after ``run(module)``; where a loop gave several, the last one."""
    facts: dict[tuple[int, int, int, int], Fact] = {}

    def note(key: tuple[int, int, int, int], value: Any) -> Any:
        facts[key] = fact_of(value)
        return value

    tree = _Wrap().visit(ast.parse(path.read_text()))
    made = ModuleType("migrated_from")
    made.__dict__[_NOTE] = note
    made.__file__ = str(path)
    exec(compile(ast.fix_missing_locations(tree), str(path), "exec"), made.__dict__)
    run(made)
    return facts
