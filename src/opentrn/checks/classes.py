"""Classes that kernel code uses: what they inherit from."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opentrn.checks.constructs import Found
from opentrn.checks.kernels import KernelCode, nodes

__all__ = ["classes"]

_ENUMERATIONS = ("enum.Enum", "enum.IntEnum", "enum.Flag", "enum.IntFlag", "enum.StrEnum")


def classes(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Classes of the file that kernel code makes instances of, or takes as annotated arguments, without NKIObject."""
    for node in nodes(function):
        used = node.func if isinstance(node, ast.Call) else node.annotation if isinstance(node, ast.arg) else None
        made = code.classes.get(used.id) if isinstance(used, ast.Name) else None
        if made is None or used is None:
            continue
        kinds = [_kind(code, base) for base in made.bases] or ["plain"]
        where = f"class {made.name}, of which a kernel uses objects (line {used.lineno}),"
        if "plain" in kinds and "object" not in kinds and "enumeration" not in kinds:
            message = f"{where} does not inherit from nl.NKIObject"
            yield "base_class", made, message, f"write class {made.name}(nl.NKIObject)"
        elif "object" in kinds and len(kinds) > 1:
            others = ", ".join(
                ast.unparse(base) for base, kind in zip(made.bases, kinds, strict=True) if kind != "object"
            )
            message = f"{where} also inherits from {others}"
            yield "more_bases", made, message, "inherit from nl.NKIObject alone"


def _kind(code: KernelCode, base: ast.expr, depth: int = 0) -> str:
    """object (NKIObject), enumeration, plain (known not to be one), or unknown: a base from another file."""
    path = code.path(base)
    if path in _ENUMERATIONS or (isinstance(base, ast.Name) and base.id == "Enum"):
        return "enumeration"
    if path.endswith(".NKIObject"):
        return "object"
    if path.startswith(("typing.", "collections.", "abc.")) or (isinstance(base, ast.Name) and base.id == "object"):
        return "plain"
    own = code.classes.get(base.id) if isinstance(base, ast.Name) else None
    if own is None or depth > 8:
        return "unknown"
    kinds = {_kind(code, each, depth + 1) for each in own.bases} or {"plain"}
    return next(kind for kind in ("object", "enumeration", "unknown", "plain") if kind in kinds)
