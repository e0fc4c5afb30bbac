"""Which functions of a file are kernel code, and what its names stand for (`nl.load` is ``nki.language.load``).

Kernel code is what the NKI compiler sees: functions decorated with `nki.jit`, functions of the same file that they call
or pass on, the methods of classes that they use, and functions that call an instruction of `nki.isa` themselves.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opentrn.checks.evidence import Source
from opentrn.errors import Site
from opentrn.isa.all import REGISTRY

__all__ = ["LEGACY", "KernelCode", "calls", "code_of", "dotted", "first_line", "nodes", "site_at"]

LEGACY = "neuronxcc.nki"
"""The package of NKI 0.1."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, eq=False)
class KernelCode:
    """The kernel code of one file.

    `functions` are the outermost functions that are kernel code (what is nested in them is, too), in source order;
    `entries` are those decorated with `nki.jit`. `aliases` maps local names to dotted paths; `classes` and `globals` are
    the module's classes and the values of its plain assignments, by name.
    """

    source: Source
    functions: tuple[Function, ...]
    entries: tuple[Function, ...]
    aliases: dict[str, str]
    classes: dict[str, ast.ClassDef]
    globals: dict[str, ast.expr]

    @property
    def legacy(self) -> bool:
        """The file is written for `neuronxcc.nki`, whose kernels Python itself traced: other rules held for them."""
        paths = self.aliases.values()
        return any(p.startswith(LEGACY) for p in paths) and not any(p.split(".")[0] == "nki" for p in paths)

    def reached(self, function: ast.AST) -> list[Function]:
        """A function and the functions of the file that it calls, directly or not."""
        functions = [node for node in nodes(self.source.tree) if isinstance(node, Function)]
        return _reached([f for f in functions if f is function], functions, self.classes)

    def path(self, node: ast.AST) -> str:
        """What an expression such as ``nl.load`` stands for, as a dotted path; "" for anything else."""
        return dotted(node, self.aliases)


@functools.lru_cache(maxsize=16)
def code_of(source: Source) -> KernelCode:
    """The kernel code of a file."""
    aliases = _aliases(source.tree)
    classes = {node.name: node for node in nodes(source.tree) if isinstance(node, ast.ClassDef)}
    functions = [node for node in nodes(source.tree) if isinstance(node, Function)]
    entries = [f for f in functions if any(_is_jit(d, aliases) for d in f.decorator_list)]
    start = [*entries, *(f for f in functions if _issues(f, aliases))]
    if source.first:
        start = entries = [f for f in functions if first_line(f) <= source.first <= f.lineno]
    inside = _reached(start, functions, classes)
    assigned = [node for node in source.tree.body if isinstance(node, ast.Assign)]
    values = {t.id: node.value for node in assigned for t in node.targets if isinstance(t, ast.Name)}
    outermost = sorted(_outermost(inside), key=lambda f: f.lineno)
    return KernelCode(source, tuple(outermost), tuple(entries), aliases, classes, values)


def dotted(node: ast.AST, aliases: dict[str, str]) -> str:
    """The dotted path of a name or a chain of attributes, its first part replaced by what it was imported as."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return ""
    return ".".join([aliases[node.id], *reversed(parts)])


def first_line(function: Function) -> int:
    """Where a function's code starts: at its first decorator."""
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


@functools.lru_cache(maxsize=4096)
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    """`ast.walk` of a tree, done once: many rules look at the same functions."""
    return tuple(ast.walk(tree))


def calls(function: ast.AST) -> Iterator[ast.Call]:
    """Every call in a function, nested functions included."""
    return (node for node in nodes(function) if isinstance(node, ast.Call))


def site_at(source: Source, node: ast.AST, function: Function | None = None) -> Site:
    """Where a node is."""
    return Site(source.path, getattr(node, "lineno", 1), function.name if function else "")


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Local name -> dotted path of every import; where two imports bind a name (try/except), the first counts."""
    found: dict[str, str] = {}
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                first = each.name.partition(".")[0]
                found.setdefault(each.asname or first, _public(each.name if each.asname else first))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for each in node.names:
                found.setdefault(each.asname or each.name, _public(f"{node.module}.{each.name}"))
    return found


def _public(path: str) -> str:
    """opentrn's own `nki` package is the public one."""
    return path.removeprefix("opentrn.") if path.startswith("opentrn.nki") else path


def _is_jit(decorator: ast.expr, aliases: dict[str, str]) -> bool:
    path = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator, aliases)
    if path.startswith("functools.partial") and isinstance(decorator, ast.Call) and decorator.args:
        path = dotted(decorator.args[0], aliases)
    return path.endswith(("nki.jit", ".nki_jit"))


def _issues(function: Function, aliases: dict[str, str]) -> bool:
    """The function itself (not one nested in it) calls an instruction."""
    return any(
        path.startswith("nki.isa.") and path.rpartition(".")[2] in REGISTRY
        for node in _own(function)
        if isinstance(node, ast.Call) and (path := dotted(node.func, aliases))
    )


def _own(function: Function) -> Iterator[ast.AST]:
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        todo += [each for each in ast.iter_child_nodes(node) if not isinstance(each, Function)]


def _reached(
    start: Sequence[Function], functions: Sequence[Function], classes: dict[str, ast.ClassDef]
) -> list[Function]:
    """`start` and, by name, all functions of the file that these mention, and the methods of the classes they mention."""
    named: dict[str, list[Function]] = {}
    methods = {m for c in classes.values() for m in c.body if isinstance(m, Function)}
    for function in functions:
        if function not in methods:
            named.setdefault(function.name, []).append(function)
    for name, made in classes.items():
        named.setdefault(name, []).extend(m for m in made.body if isinstance(m, Function))
    found: dict[Function, None] = {}
    todo = list(start)
    while todo:
        function = todo.pop()
        if function not in found:
            found[function] = None
            body = (node for statement in function.body for node in ast.walk(statement))
            todo += [f for node in body if isinstance(node, ast.Name) for f in named.get(node.id, ())]
    return list(found)


def _outermost(functions: Sequence[Function]) -> list[Function]:
    nested = {id(node) for f in functions for s in f.body for node in ast.walk(s) if isinstance(node, Function)}
    return [f for f in functions if id(f) not in nested]
