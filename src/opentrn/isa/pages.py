"""The reference of the instruction set, made from the descriptions: as data, as Markdown, and for the terminal."""

from __future__ import annotations

import difflib
import inspect
import re
import textwrap
from typing import Any

from opentrn.errors import MachineError
from opentrn.isa.all import REGISTRY
from opentrn.isa.latitudes import LATITUDES
from opentrn.isa.spec import Instruction, Operand

__all__ = ["data", "differs", "find", "index", "markdown", "may_differ", "terminal"]

_GENERATION = {2: "trn1", 3: "trn2", 4: "trn3"}


def find(name: str) -> Instruction:
    """The instruction called `name`; MachineError with near names when there is none."""
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=3)
        raise MachineError(
            f"no instruction is called {name!r}",
            hint=f"did you mean {', '.join(near)}?" if near else "opentrn isa lists all",
        )
    return REGISTRY[name]


def _signature(made: Instruction) -> str:
    shown = []
    for parameter in made.signature.parameters.values():
        default = parameter.default
        if default is parameter.empty:
            shown.append(parameter.name)
        else:
            enum = (
                type(default).__name__ + "." + default.name
                if hasattr(default, "name") and hasattr(default, "value")
                else None
            )
            shown.append(f"{parameter.name}={enum or repr(default)}")
    return f"nisa.{made.name}({', '.join(shown)})"


def _memories(operand: Operand) -> str:
    names = {"hbm" if region.is_hbm else region.value for region in operand.memory}
    return " or ".join(sorted(n.upper() for n in names))


def _kind(operand: Operand) -> str:
    words = {"in": "read", "out": "written", "inout": "read and written"}[operand.role]
    extra = [
        w for w, on in (("list", operand.many), ("or a number", operand.or_number), ("or None", operand.optional)) if on
    ]
    return ", ".join([words, *extra])


def _body(function: Any, name: str = "_") -> str:
    """The source of a described function, without its decorator and with `m.nl` as `nl`."""
    source = textwrap.dedent(inspect.getsource(function))
    source = source[source.index("def ") :].replace("def _(", f"def {name}(", 1)
    return re.sub(r"\bm\.(nl|nisa|np|nki)\b", r"\1", source).rstrip()


def _example(made: Instruction) -> str:
    lines = _body(made.example).split("\n")[1:]
    text = textwrap.dedent("\n".join(lines)).replace(": Any", "").replace(" -> Any", "")
    kernel, _, last = text.rpartition("\nreturn ")
    name, _, inputs = last.partition(", ")
    return f"@nki.jit\n{kernel.strip()}\n\n{name}{inputs}".replace(",))", "))").replace(",)", ")")


def data(name: str | None = None) -> Any:
    """One instruction (or all) as plain data: signature, operands, attributes, rules, engines, sources."""
    if name is None:
        return [data(each) for each in sorted(REGISTRY)]
    made = find(name)
    return {
        "name": made.name,
        "signature": _signature(made),
        "summary": made.doc.split("\n\n")[0].replace("\n", " "),
        "doc": made.doc,
        "source": made.page,
        "since": _GENERATION[made.since],
        "engines": [e.name for e in made.engines],
        "native": made.lower is not None,
        "operands": [
            {
                "name": n,
                "role": o.role,
                "memory": _memories(o),
                "dtypes": sorted(o.dtypes) if o.dtypes else "any",
                "kind": _kind(o),
            }
            for n, o in made.operands.items()
        ],
        "attributes": [{"name": n, "accepts": a.text} for n, a in made.attributes.items()],
        "rules": [{"label": r.label, "provenance": r.provenance, "text": r.text} for r in made.rules],
        "differs": list(made.differs),
    }


def index() -> str:
    """All instructions with their engines and first lines, for the terminal."""
    rows = [(n, "/".join(e.name for e in m.engines), m.doc.split("\n")[0]) for n, m in sorted(REGISTRY.items())]
    width = max(len(n) for n, _, _ in rows)
    return "\n".join(f"{n:<{width}}  {engines.split('/')[0]:<7} {text}" for n, engines, text in rows)


def terminal(name: str) -> str:
    """One instruction's page as plain text."""
    facts = data(name)
    lines = [
        facts["signature"],
        "",
        facts["doc"],
        "",
        f"engines: {', '.join(facts['engines'])}   since: {facts['since']}   source: {facts['source']}",
        "",
        "operands",
    ]
    lines += [f"  {o['name']:<18} {o['memory']:<22} {o['kind']}" for o in facts["operands"]]
    lines += ["attributes"] + [f"  {a['name']:<18} {a['accepts']}" for a in facts["attributes"]]
    lines += ["rules"] + [f"  {r['label']:<4} {r['provenance']:<11} {r['text']}" for r in facts["rules"]]
    if facts["differs"]:
        lines += ["may differ on hardware"] + [f"  - {text}" for text in facts["differs"]]
    return "\n".join(lines)


def markdown(name: str, cost: str) -> str:
    """One instruction's page. `cost` is the paragraph about one execution of the example."""
    made, facts = find(name), data(name)
    rows = ["| operand | memory | dtypes | |", "|---|---|---|---|"]
    rows += [
        f"| `{o['name']}` | {o['memory']} | {o['dtypes'] if isinstance(o['dtypes'], str) else ', '.join(o['dtypes'])} "
        f"| {o['kind']} |"
        for o in facts["operands"]
    ]
    attributes = ["| attribute | accepts |", "|---|---|"]
    attributes += [f"| `{a['name']}` | {a['accepts']} |" for a in facts["attributes"]]
    rules = ["| rule | provenance | |", "|---|---|---|"]
    rules += [f"| {r['label']} | {r['provenance']} | {r['text']} |" for r in facts["rules"]]
    differs = [f"- {text}" for text in facts["differs"]] or ["Nothing known."]
    return "\n".join([
        f"# nisa.{name}", "", f"`{facts['signature']}`", "", facts["doc"], "",
        f"Engines: {', '.join(facts['engines'])}. From {facts['since']} on. "
        f"Native twin: {'yes' if facts['native'] else 'no, the meaning runs'}. Public source: {facts['source']}.", "",
        "## Operands", "", *rows, "", *(attributes if facts["attributes"] else []), "",
        "## Rules", "", "Besides these, the operand table itself is checked (memory, dtype, partitions, target).", "", *rules, "",
        "## Meaning", "", "```python", _body(made.run, "meaning"), "```", "",
        "## Cost", "", cost, "", "```python", _body(made.price, "cost"), "```", "",
        "## What may differ on hardware", "", *differs, "",
        "## Example", "", "```python", _example(made), "```", "",
    ])  # fmt: skip


def may_differ() -> str:
    """The page "what may differ on hardware": every choice that no public source settles."""
    lines = [
        "# What may differ on hardware",
        "",
        "Choices of opentrn where public sources leave the values open. Everything else follows a public page. Those that",
        "`opentrn check --rerun` can take the other way, to measure what a kernel owes to them, are in [differs.md](differs.md).",
        "",
    ]
    for name, made in sorted(REGISTRY.items()):
        if made.differs:
            lines += [f"## [nisa.{name}](isa/{name}.md)", "", *(f"- {text}" for text in made.differs), ""]
    return "\n".join(lines)


def differs() -> str:
    """The page of choices that can be taken the other way."""
    lines = [
        "# Choices that can be taken the other way",
        "",
        "Where public sources leave a value open, opentrn makes a choice. For the ones below it can make the other admissible",
        "one as well, and the check `hardware` reports what that changes in a kernel's results: `opentrn check FILE.py --rerun`,",
        "or `opentrn.check(kernel, rerun=True)(*args)`. What an ordinary check notices in the values of its run (*seen*) is",
        "measured without being asked for. Differences within 4 units in the last place of a result's dtype (for float32: a",
        "relative 1e-5) are no finding. [may-differ.md](may-differ.md) lists what is open for each instruction.",
        "",
        "| choice | severity | provenance | seen |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| [{c.name}](#{c.name}) | {c.severity} | {c.provenance} | {'yes' if c.seen else 'with --rerun'} |"
        for c in LATITUDES.values()
    ]
    for choice in LATITUDES.values():
        lines += [
            "", f"## {choice.name}", "", f"- opentrn: {choice.ours}", f"- the other way: {choice.other}",
            f"- source: {choice.source} ({choice.page})", f"- to depend on neither: {choice.hint}.",
        ]  # fmt: skip
    return "\n".join([*lines, ""])
