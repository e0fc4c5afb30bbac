"""Which versions of NKI have a name or keyword, which names a file uses, and for which versions it says it is meant.

`api_versions.csv` is made from the public API pages of each release (tests/checks/make_api_versions.py); `api_notes.csv`
says what became of the names that changed, from the migration guide and the release notes.
"""

from __future__ import annotations

import ast
import csv
import functools
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from opentrn.checks.device_values import values_of
from opentrn.checks.evidence import Source
from opentrn.checks.kernels import KernelCode, calls, first_line, nodes
from opentrn.errors import LaunchError

__all__ = [
    "VERSIONS",
    "Note",
    "Use",
    "later",
    "meant_for",
    "methods",
    "near",
    "needs",
    "note_of",
    "parse",
    "span",
    "uses",
    "versions_of",
]

VERSIONS = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6")
"""Of NKI: Neuron 2.26 and before, 2.27 and 2.28, then one per release from 2.29 to 2.32 (nki/migration/index.rst)."""

_TODAY = frozenset(VERSIONS[-1:])
MODULES = ("nki.language", "nki.isa", "nki.collectives")
"""The modules of which all names are known."""

_STATEMENT = re.compile(r"#\s*needs NKI\s+(?P<range>[<>=\d.,\s]*\d)")
_BOUND = re.compile(r"(>=|<=|==|<|>)?\s*(\d+\.\d+)(?:\.\d+)?$")


@dataclass(frozen=True)
class Note:
    """What became of a name: `what` is removed, tolerated (removed, and yet AWS's own kernels still write it), deprecated (the
    compiler warns or ignores it) or discouraged (the page alone says so)."""

    since: str
    what: str
    instead: str
    page: str


@dataclass(frozen=True)
class Use:
    """One use of a public name, or of a keyword of it, in a file."""

    name: str
    keyword: str
    node: ast.AST
    called: bool = True

    @property
    def versions(self) -> frozenset[str] | None:
        """The versions that have it; None where none is known to. Operators (``op=nl.exp``) were there before functions."""
        found = versions_of(self.name, self.keyword)
        gap = found is not None and not self.called and {"0.1", "0.3"} <= found
        return found | {"0.2"} if found is not None and gap else found

    def __str__(self) -> str:
        short = functools.reduce(lambda text, pair: text.replace(*pair), _SHORT, self.name)
        return f"{short}({self.keyword}=...)" if self.keyword else short


_SHORT = (("nki.language.", "nl."), ("nki.isa.", "nisa."), ("nki.collectives.", "ncc."))


# ------------------------------------------------------------------ the tables
def _rows(name: str) -> list[dict[str, str]]:
    with (Path(__file__).parent / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@functools.cache
def _table() -> dict[tuple[str, str], frozenset[str]]:
    return {(row["name"], row["keyword"]): _expanded(row["versions"]) for row in _rows("api_versions.csv")}


@functools.cache
def _notes() -> dict[tuple[str, str], Note]:
    return {
        (row["name"], row["keyword"]): Note(row["since"], row["what"], row["instead"], row["page"])
        for row in _rows("api_notes.csv")
    }


@functools.cache
def _groups() -> frozenset[str]:
    """Names that have members: enumerations and nl.tile_size."""
    return frozenset(name.rpartition(".")[0] for name, keyword in _table() if name.count(".") > 2 and not keyword)


def _expanded(spans: str) -> frozenset[str]:
    """``0.1 0.3-`` as the versions it stands for."""
    found: list[str] = []
    for each in spans.split():
        first, dash, last = each.partition("-")
        end = VERSIONS.index(last) if last else len(VERSIONS) - 1 if dash else VERSIONS.index(first)
        found += VERSIONS[VERSIONS.index(first) : end + 1]
    return frozenset(found)


def versions_of(name: str, keyword: str = "") -> frozenset[str] | None:
    """The versions that have a name or keyword; None where no version is known to."""
    found = _table().get((name, keyword))
    others = _table().get((name, "**"), frozenset()) if keyword and note_of(name, keyword) is None else frozenset()
    if found is None and others >= _TODAY:
        return others
    if found is None and (note := note_of(name, keyword)) is not None:
        return frozenset(VERSIONS[: VERSIONS.index(note.since)])
    return found


def note_of(name: str, keyword: str = "") -> Note | None:
    """What the guides say about a name or keyword."""
    module = name.rpartition(".")[0]
    return _notes().get((name, keyword)) or (_notes().get((f"{module}.*", keyword)) if keyword else None)


def near(use: Use) -> list[str]:
    """Names (or keywords) of today that are spelt alike."""
    module, _, last = use.name.rpartition(".")
    if use.keyword:
        known = [k for (n, k), has in _table().items() if n == use.name and k not in ("", "**") and has >= _TODAY]
        return get_close_matches(use.keyword, known, n=2)
    known = [
        n.rpartition(".")[2]
        for (n, k), has in _table().items()
        if not k and has >= _TODAY and n.rpartition(".")[0] == module
    ]
    return get_close_matches(last, known, n=2)


# ------------------------------------------------------------------ what a file uses
def uses(code: KernelCode) -> Iterator[Use]:
    """Every use of a name of NKI in a file, except where the file itself tries whether the name is there."""
    called = {id(call.func) for call in calls(code.source.tree)}
    trees = code.functions if code.source.first else (code.source.tree,)
    return (use for tree in trees for node in _certain(tree) for use in _uses(code, node, called))


def _certain(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes outside of try/except and of conditions on hasattr, which are how files support several versions."""
    todo = deque([tree])
    while todo:
        node = todo.popleft()
        guarded = isinstance(node, ast.Try) or (isinstance(node, ast.If) and "hasattr" in ast.dump(node.test))
        if not guarded:
            yield node
            todo += ast.iter_child_nodes(node)


def _uses(code: KernelCode, node: ast.AST, called: set[int]) -> Iterator[Use]:
    if isinstance(node, ast.ImportFrom) and not node.level:
        yield from (Use(f"{node.module}.{each.name}", "", node) for each in node.names if node.module in MODULES)
    if isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Load):
        name = _known_part(code.path(node))
        if name:
            yield Use(name, "", node, id(node) in called)
    if isinstance(node, ast.Call):
        name = code.path(node.func)
        if name == "nki.jit" or name.startswith(tuple(f"{module}." for module in MODULES)):
            yield from (Use(name, k.arg, node) for k in node.keywords if k.arg and (name, "") in _table())


def _known_part(path: str) -> str:
    """The part of a path that the tables speak of: ``nki.language.exp`` or ``nki.isa.engine.vector``; "" for none."""
    for module in MODULES:
        if path.startswith(module + "."):
            parts = path[len(module) + 1 :].split(".")
            name = f"{module}.{parts[0]}"
            grouped = len(parts) > 1 and name in _groups()
            return f"{name}.{parts[1]}" if grouped else name if len(parts) == 1 else ""
    return path if (path, "") in _table() and path.count(".") == 1 else ""


def methods(code: KernelCode) -> Iterator[Use]:
    """Methods that are called on what is a tensor for certain."""
    for function in code.functions:
        tensors = values_of(code, function).tensors
        for node in nodes(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = f"nki.language.NkiTensor.{node.func.attr}"
                if isinstance(node.func.value, ast.Name) and node.func.value.id in tensors and (name, "") in _table():
                    yield Use(name, "", node)


# ------------------------------------------------------------------ what it is meant for
def meant_for(source: Source, node: ast.AST) -> frozenset[str]:
    """The versions that a line is meant for: what its function says (``# needs NKI >= 0.3``), else its file, else today's."""
    statements = _statements(source)
    if not statements:
        return parse(source.nki)
    line = getattr(node, "lineno", 1)
    functions = [f for f in nodes(source.tree) if isinstance(f, ast.FunctionDef)]
    around = sorted((f for f in functions if first_line(f) <= line <= _last(f)), key=first_line, reverse=True)
    for function in around:
        for where, versions in statements:
            if first_line(function) - 1 <= where <= _last(function):
                return versions
    outside = [v for where, v in statements if not any(first_line(f) - 1 <= where <= _last(f) for f in functions)]
    return outside[0] if outside else parse(source.nki)


def _last(function: ast.FunctionDef) -> int:
    return function.end_lineno or function.lineno


@functools.lru_cache(maxsize=16)
def _statements(source: Source) -> tuple[tuple[int, frozenset[str]], ...]:
    found = ((number, _STATEMENT.search(line)) for number, line in enumerate(source.lines, 1))
    return tuple((number, parse(match["range"])) for number, match in found if match)


@functools.cache
def parse(text: str) -> frozenset[str]:
    """``>= 0.3, < 0.5`` as versions; "" is today's. Raises LaunchError for anything else, and for an empty range."""
    if not text.strip():
        return _TODAY
    kept = set(VERSIONS)
    for part in text.split(","):
        match = _BOUND.match(part.strip())
        if match is None or match[2] not in VERSIONS:
            raise LaunchError(
                "versions of NKI", got=part.strip(), expected=f">=, <=, <, > or == one of {', '.join(VERSIONS)}"
            )
        kept = {v for v in kept if _holds(v, match[1] or "==", match[2])}
    if not kept:
        raise LaunchError("versions of NKI", got=text, expected="a range that some version is in")
    return frozenset(kept)


def _holds(version: str, operator: str, bound: str) -> bool:
    left, right = VERSIONS.index(version), VERSIONS.index(bound)
    return {">=": left >= right, "<=": left <= right, "<": left < right, ">": left > right, "==": left == right}[
        operator
    ]


def needs(code: KernelCode, function: ast.AST) -> tuple[frozenset[str], list[Use]]:
    """The versions that have everything a kernel (with what it calls in its file) uses, and the uses that narrow them."""
    inside = {id(node) for each in code.reached(function) for node in nodes(each)}
    kept, narrow = frozenset(VERSIONS[1:]), []
    for use in (*uses(code), *methods(code)):
        has, note = use.versions, note_of(use.name, use.keyword)
        lasting = note is not None and note.what in ("tolerated", "deprecated") and use.keyword
        if id(use.node) in inside and has is not None and not kept <= has and not lasting:
            kept, narrow = kept & has, [*narrow, use]
    return kept, narrow


def later(version: str, than: str) -> bool:
    """`version` is `than` or later."""
    return VERSIONS.index(version) >= VERSIONS.index(than)


def span(versions: Iterable[str]) -> str:
    """Versions as a reader says them: ``>= 0.3``, ``0.2 to 0.3``, ``0.1 and >= 0.3``."""
    runs: list[list[str]] = []
    for version in (v for v in VERSIONS if v in set(versions)):
        if runs and VERSIONS.index(runs[-1][-1]) + 1 == VERSIONS.index(version):
            runs[-1].append(version)
        else:
            runs.append([version])
    return " and ".join(_run(run) for run in runs) or "no version"


def _run(run: list[str]) -> str:
    if run[-1] == VERSIONS[-1] and len(run) > 1:
        return f">= {run[0]}"
    return run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}"
