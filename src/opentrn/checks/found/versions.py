"""versions: names and keywords that the versions of NKI do not have for which a kernel is meant.

A kernel is meant for today's NKI unless it says otherwise: ``# needs NKI >= 0.3`` above it, in it, or anywhere in the file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product

import numpy as np

from opentrn.checks.api_versions import VERSIONS, Use, later, meant_for, methods, near, note_of, span, uses
from opentrn.checks.check import Check
from opentrn.checks.device_values import values_of
from opentrn.checks.evidence import Evidence, Source
from opentrn.checks.finding import Finding
from opentrn.checks.kernels import LEGACY, KernelCode, code_of, nodes, site_at
from opentrn.errors import Site

MIGRATION = "nki/migration/index.rst"
NOTES = "release-notes/components/nki.rst"

versions = Check("versions", "names that older or newer versions of NKI have")
versions.rule(
    "namespace", "error", "documented", "neuronxcc.nki is NKI 0.1; inside kernels it is an error since 0.4", MIGRATION
)
versions.rule(
    "removed", "error", "documented", "a name or keyword that a version it is meant for no longer has", MIGRATION
)
versions.rule(
    "newer", "error", "documented", "a name or keyword that a version it is meant for does not have yet", NOTES
)
versions.rule(
    "unknown",
    "error",
    "documented",
    "a name or keyword that no version has, much like one that is",
    "nki/api/index.rst",
)
versions.rule(
    "undocumented",
    "warning",
    "inferred: no API page has it",
    "a name or keyword of no public page",
    "nki/api/index.rst",
)
versions.rule("deprecated", "warning", "documented", "the compiler warns: it will be removed", MIGRATION)
versions.rule(
    "discouraged", "advice", "documented", "its page says that it will be removed", "nki/api/nki.language.rst"
)
versions.rule(
    "older",
    "warning",
    "documented as removed, though kernels of nki-samples and nki-library 2.29 still have some of them",
    "a spelling of older versions",
    MIGRATION,
)


@versions.run
def _(evidence: Evidence) -> Iterator[Finding]:
    noted = {text for trace in evidence.traces for step in trace.steps for text in step.notes}
    for notice in evidence.notices:
        if issubclass(notice.category, DeprecationWarning) and "NKI" in notice.text and notice.text not in noted:
            yield _spelling(notice.text, notice.site)
    for core, trace in enumerate(evidence.traces):
        for number in (n for n, step in enumerate(trace.steps) if step.notes):
            rows = np.flatnonzero(trace.step == number)
            _, first = np.unique(trace.place[rows], return_index=True)  # each line once
            for row, text in product(rows[first].tolist(), trace.steps[number].notes):
                yield _spelling(text, evidence.site_of(core, row))


def _spelling(text: str, site: Site | None) -> Finding:
    what, _, hint = text.partition(": ")
    return versions.finding("deprecated" if "deprecated since" in what else "older", what, site, hint=hint or None)


@versions.source
def _(source: Source) -> Iterator[Finding]:
    code = code_of(source)
    yield from _namespace(code)
    for use in (*uses(code), *methods(code)) if not code.legacy else ():
        yield from _judged(code, use)
    yield from _register_loops(code)


def _namespace(code: KernelCode) -> Iterator[Finding]:
    """The first import of the old package."""
    for node in nodes(code.source.tree):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
        old = next((name for name in names if name == LEGACY or name.startswith(LEGACY + ".")), "")
        if old and any(later(v, "0.4") for v in meant_for(code.source, node)):
            message, hint = f"{old} is the package of NKI 0.1", "import nki, and see AWS's migration guide"
            yield versions.finding("namespace", message, site_at(code.source, node), hint=hint)
            return


def _judged(code: KernelCode, use: Use) -> Iterator[Finding]:
    has, wanted, note = use.versions, meant_for(code.source, use.node), note_of(use.name, use.keyword)
    site = site_at(code.source, use.node)
    if has is None:
        alike = near(use)
        hint = f"did you mean {' or '.join(alike)}?" if alike else "write it with what the API pages list"
        yield versions.finding("unknown" if alike else "undocumented", f"no version of NKI has {use}", site, hint=hint)
    elif note is not None and note.what != "removed" and any(later(v, note.since) for v in wanted):
        label, how = ("older", "no longer part of") if note.what == "tolerated" else (note.what, "deprecated in")
        yield versions.finding(label, f"{use} is {how} NKI since {note.since}", site, hint=note.instead)
    elif not wanted <= has:
        yield _missing(use, has, wanted, site)


def _missing(use: Use, has: frozenset[str], wanted: frozenset[str], site: Site) -> Finding:
    missing = min(wanted - has, key=VERSIONS.index)
    removed = any(later(missing, v) for v in has)
    message = f"{use} is not in NKI {missing}: {span(has)} {'has' if len(has) == 1 else 'have'} it"
    note = note_of(use.name, use.keyword)
    instead = note.instead if note else "write it with what that version has"
    hint = instead if removed else f"say `# needs NKI {span(has)}`, or {instead}"
    return versions.finding("removed" if removed else "newer", message, site, hint=hint)


def _register_loops(code: KernelCode) -> Iterator[Finding]:
    """`while register:`, which is a loop on the device."""
    for function in code.functions:
        registers = values_of(code, function).registers
        for node in (n for n in nodes(function) if isinstance(n, ast.While)):
            over = node.test.id if isinstance(node.test, ast.Name) else None
            if over in registers and "0.6" in meant_for(code.source, node):
                message = f"while {over}: over a register is deprecated since NKI 0.6"
                yield versions.finding("deprecated", message, site_at(code.source, node), hint=_WHILE)


_WHILE = "write nl.while_loop(register, body)"
