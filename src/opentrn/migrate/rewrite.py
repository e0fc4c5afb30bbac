"""The edit: each statement of a kernel is kept as it is written, replaced by today's, or listed as not mechanical.

Statements are replaced as a whole and lines that do not change stay as they are, comments included.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from opentrn.migrate.calls import call_of
from opentrn.migrate.facts import Fact
from opentrn.migrate.grids import Expr
from opentrn.migrate.kernel import LOOPS, Kernel
from opentrn.migrate.names import Names, Note, aliases, called, decorators, imported

__all__ = ["Rewritten", "rewrite"]

Edit = tuple[ast.stmt, list[ast.stmt]]
"""A statement, and what comes in its place."""


@dataclass
class Rewritten:
    """The new source, and what is not mechanical."""

    source: str
    notes: list[Note] = field(default_factory=list)


def rewrite(source: str, facts: dict[Any, Fact]) -> Rewritten:
    """The source in today's dialect, and the places that a person has to look at."""
    tree = ast.parse(source)
    names, notes = aliases(tree), []
    edits: list[Edit] = []
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            new = imported(node)
            if new != [node]:
                edits.append((node, new))
        elif isinstance(node, ast.FunctionDef):
            edits += _function(node, facts, names, notes)
        elif any(
            isinstance(n, ast.Attribute) and n.attr in ("simulate_kernel", "benchmark", "baremetal")
            for n in ast.walk(node)
        ):
            notes.append(Note(node.lineno, "a launch of the older dialect", "call the kernel: kernel(a, b)"))
    lines = source.splitlines()
    for old, new in sorted(edits, key=lambda e: -_first(e[0])):
        text = _text(new, old.col_offset, lines[_first(old) - 1 : old.end_lineno])
        lines[_first(old) - 1 : old.end_lineno] = text
    _add_isa(lines, names)
    return Rewritten("\n".join(lines) + "\n", sorted(notes, key=lambda n: n.line))


def _add_isa(lines: list[str], names: Names) -> None:
    """An import of nki.isa where instructions came in."""
    text = "\n".join(lines)
    if f"{names.nisa}." in text and "nki.isa" not in text:
        at = next(n for n, line in enumerate(lines) if line.startswith(("import nki", "from nki")))
        lines.insert(at + 1, f"import nki.isa as {names.nisa}")


def _first(node: Any) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def _function(node: ast.FunctionDef, facts: Any, names: Names, notes: list[Note]) -> list[Edit]:
    """Edits of one function: its decorators and the statements that change."""
    kernel = Kernel(node, facts, names, notes)
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and called(each, names.nl) in ("program_id", "num_programs", "spmd_dim"):
            notes.append(
                Note(
                    each.lineno,
                    "a launch grid",
                    "a loop over the programs inside the kernel, or kernel[2] for two cores",
                )
            )
    edits = _edited(kernel, node.body)
    wanted = decorators(node, names)
    if [ast.unparse(d) for d in wanted] != [ast.unparse(d) for d in node.decorator_list]:
        edits += _redecorated(node, wanted)
    return edits


def _redecorated(node: ast.FunctionDef, wanted: list[Expr]) -> list[Edit]:
    made = []
    for old, new in zip(node.decorator_list, [*wanted, *[None] * len(node.decorator_list)], strict=False):
        place: Any = ast.Expr(old)
        place.lineno, place.end_lineno, place.col_offset = old.lineno, old.end_lineno, node.col_offset
        made.append((place, [] if new is None else [_Decorator(new)]))
    return made


class _Decorator(ast.stmt):
    """A decorator as a line of its own."""

    def __init__(self, expr: Expr) -> None:
        super().__init__()
        self.expr = expr


def _edited(kernel: Kernel, statements: list[ast.stmt]) -> list[Edit]:
    """(old, new) of the statements that change, the innermost ones, so that what is around them stays as it is."""
    edits: list[Edit] = []
    for each in statements:
        if isinstance(each, (ast.For, ast.If, ast.While, ast.With)):
            edits += _header(kernel, each)
            edits += _edited(kernel, each.body) + _edited(kernel, getattr(each, "orelse", []))
            continue
        new = kernel.body([each])
        if [ast.unparse(ast.fix_missing_locations(n)) for n in new] != [ast.unparse(each)]:
            edits.append((each, new))
    return edits


def _header(kernel: Kernel, node: Any) -> list[Edit]:
    """The first line of a loop over nl.affine_range."""
    if not isinstance(node, ast.For) or not isinstance(node.iter, ast.Call) or kernel._nl(node.iter) not in LOOPS:
        return []
    place: Any = ast.Expr(node.iter)
    place.lineno, place.end_lineno, place.col_offset = node.lineno, node.iter.end_lineno, node.col_offset
    return [(place, [_Loop(node)])]


class _Loop(ast.stmt):
    """The line that opens a loop."""

    def __init__(self, node: ast.For) -> None:
        super().__init__()
        self.node = node


def _text(new: list[ast.stmt], indent: int, old: list[str]) -> list[str]:
    """The lines of new statements; a comment at the end of the only old line stays."""
    made: list[str] = []
    for each in new:
        if isinstance(each, _Decorator):
            made.append("@" + ast.unparse(each.expr))
        elif isinstance(each, _Loop):
            call = ast.unparse(call_of("range", each.node.iter.args))  # type: ignore[attr-defined]
            made.append(f"for {ast.unparse(each.node.target)} in {call}:")
        else:
            made += ast.unparse(ast.fix_missing_locations(each)).splitlines()
    comment = old[-1].partition("  #")[2] if len(old) == 1 else ""
    if comment and made:
        made[-1] += f"  #{comment}"
    return [" " * indent + line for line in made]
