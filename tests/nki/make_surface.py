"""Writes surface.csv: every public symbol of NKI with its kind and signature, read from the public stubs.

    python tests/nki/make_surface.py PATH/TO/aws-neuron-sdk/nki/api/nki > tests/nki/surface.csv

Signatures are parameter names with defaults, without annotations. The copy in the repository is of SDK 2.32 (NKI 0.6).
"""

from __future__ import annotations

import ast
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

Row = tuple[str, str, str, str]

MODULES = {"nki": "", "nki.isa": "isa", "nki.language": "language", "nki.collectives": "collectives"}


def signature(function: ast.FunctionDef) -> str:
    """``(x, y=default, **rest)`` of a definition, `self` left out."""
    given = function.args
    plain = given.posonlyargs + given.args
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    parts = [a.arg + (f"={ast.unparse(d)}" if d is not None else "") for a, d in zip(plain, defaults, strict=True)]
    parts = parts[1:] if parts[:1] == ["self"] else parts
    parts += [f"*{given.vararg.arg}"] if given.vararg else ["*"] if given.kwonlyargs else []
    parts += [
        a.arg + (f"={ast.unparse(d)}" if d is not None else "")
        for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    parts += [f"**{given.kwarg.arg}"] if given.kwarg else []
    return f"({', '.join(parts)})"


def _is_property(function: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "property" for d in function.decorator_list)


def _assigned(node: ast.stmt) -> str | None:
    target = (
        node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
    )
    return target.id if isinstance(target, ast.Name) else None


def _class_rows(module: str, node: ast.ClassDef) -> Iterator[Row]:
    enum = any(isinstance(base, ast.Name) and base.id == "Enum" for base in node.bases)
    yield module, node.name, "enum" if enum else "class", ""
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            kind = "property" if _is_property(item) else "method"
            yield module, f"{node.name}.{item.name}", kind, "" if kind == "property" else signature(item)
        elif name := _assigned(item):
            value = ast.unparse(item.value) if enum and item.value is not None else ""  # type: ignore[attr-defined]
            yield module, f"{node.name}.{name}", "enum-member" if enum else "attribute", value


def rows(module: str, source: str) -> Iterator[Row]:
    """Every public symbol of one stub."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            yield module, node.name, "function", signature(node)
        elif isinstance(node, ast.ClassDef):
            yield from _class_rows(module, node)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nki"):
            yield from ((module, alias.asname or alias.name, "re-export", node.module or "") for alias in node.names)
        elif name := _assigned(node):
            yield module, name, "constant", ""


def main(stubs: Path) -> None:
    """Print the table for the stubs under `stubs`."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("module", "symbol", "kind", "signature"))
    for module, folder in MODULES.items():
        out.writerows(rows(module, (stubs / folder / "__init__.py").read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
