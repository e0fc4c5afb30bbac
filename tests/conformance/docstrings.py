"""Runs every example in the docstrings of the public API reference and writes a table of what came of it.

    python tests/conformance/docstrings.py CHECKOUT_OF_aws-neuron-sdk/nki/api/nki > docs/docstring-examples.md

Nothing of that checkout is copied: examples are read from it, run, and named here only by their symbol and number.
Exit code 1 when an example fails without a documented reason.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import opentrn
from opentrn import nki
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.conformance.docstring_inputs import FRAGMENTS, KERNELS, REASONS, TARGETS, Fragment

MODULES = ("language", "isa", "collectives")
COMMAND = "python tests/conformance/docstrings.py PATH_TO_aws-neuron-sdk/nki/api/nki > docs/docstring-examples.md"


@dataclass(frozen=True)
class Example:
    """One code block of one docstring; `number` counts the blocks of the symbol from 1."""

    symbol: str
    number: int
    code: str

    @property
    def label(self) -> str:
        return f"{self.symbol} #{self.number}"


def documented(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(name, docstring) of the functions, classes and methods of a stub."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield f"{module}.{node.name}", ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.FunctionDef):
                    yield f"{module}.{node.name}.{item.name}", ast.get_docstring(item) or ""


def blocks(text: str) -> Iterator[str]:
    """The Python code blocks of a docstring, dedented."""
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if line.strip() != ".. code-block:: python":
            continue
        indent = len(line) - len(line.lstrip())
        end = start + 1
        while end < len(lines) and (not lines[end].strip() or len(lines[end]) - len(lines[end].lstrip()) > indent):
            end += 1
        yield textwrap.dedent("\n".join(lines[start + 1 : end])).strip() + "\n"


def examples(stubs: Path) -> Iterator[Example]:
    for module in MODULES:
        tree = ast.parse((stubs / module / "__init__.py").read_text())
        for symbol, text in documented(module, tree):
            for number, code in enumerate(blocks(text), 1):
                yield Example(symbol, number, code)


def kernel_of(code: str) -> str | None:
    """The name of the kernel that the example defines, when that is all it does."""
    body = [n for n in ast.parse(code).body if not isinstance(n, (ast.Import, ast.ImportFrom))]
    functions = [n for n in body if isinstance(n, ast.FunctionDef)]
    return functions[0].name if len(body) == len(functions) == 1 and functions[0].args.args else None


def run_kernel(name: str, code: str, target: str) -> str:
    """Call the kernel that `code` defines with inputs of ours and compare with a reference of ours."""
    inputs, reference = KERNELS[name]
    scope: dict[str, Any] = {"nki": nki, "nl": nl, "nisa": nisa}
    exec(compile(_without_imports(code), f"<{name}>", "exec"), scope)
    given = inputs()
    want = reference(*(np.array(a) for a in given))
    got = opentrn.run(scope[name], target=target)(*given).results
    got, want = (v if isinstance(v, tuple) else (v,) for v in (got, want))
    for mine, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(mine.astype(np.float64), np.asarray(theirs, np.float64), rtol=1e-5, atol=1e-5)
    return "values match a reference"


def run_fragment(label: str, code: str, target: str) -> str:
    """Run statements inside a kernel; names that they do not define are tensors of ours."""
    fragment = FRAGMENTS.get(label, Fragment())
    arrays = fragment.inputs()
    checked = _checking_shapes(_without_imports(code))
    compiled = compile(checked, f"<{label}>", "exec")

    def kernel(**tensors: Any) -> Any:
        scope = {"nki": nki, "nl": nl, "nisa": nisa, **tensors, **fragment.names()}
        exec(compiled, scope)
        done = nl.zeros((1, 1), dtype=nl.float32, buffer=nl.shared_hbm)
        if fragment.holds_inside is not None:
            fragment.holds_inside(scope)
        return done

    report = opentrn.run(nki.jit(kernel)[fragment.lnc], target=target, strict=fragment.strict)(**arrays)
    if fragment.holds is not None:
        fragment.holds(arrays)
        return "stored values match a reference"
    if report.warnings:
        return f"runs on {fragment.lnc} cores; reads tiles that it never fills ({len(report.warnings)} reported)"
    if fragment.holds_inside is not None:
        return "values match a reference"
    return "its assertions hold" if "assert" in code else "its shapes hold" if checked != code else "runs"


def _checking_shapes(code: str) -> str:
    """Expressions whose comment names their shape become assertions."""
    shown = re.compile(r"^( *)(\w+\.\w+\(.*\)) +# .*?shape (?:becomes|stays) (\([^)]*\)).*$", re.M)
    return shown.sub(r"\1assert \2.shape == \3", code)


def _without_imports(code: str) -> str:
    return re.sub(r"^(\s*)(import|from) .*$", r"\1pass", code, flags=re.M)


def attempt(example: Example) -> tuple[str, str]:
    """(outcome, detail) of one example."""
    if example.label in REASONS:
        return "not run", REASONS[example.label]
    target = TARGETS.get(example.symbol, "trn2")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            name = kernel_of(example.code)
            if name:
                return "ok", run_kernel(name, example.code, target)
            return "ok", run_fragment(example.label, example.code, target)
    except Exception as error:
        return "FAILED", f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def main(stubs: Path) -> int:
    rows = [(example, *attempt(example)) for example in examples(stubs)]
    counts = {outcome: sum(row[1] == outcome for row in rows) for outcome in ("ok", "not run", "FAILED")}
    print(f"<!-- Made by: {COMMAND} -->\n\n# Docstring examples of the public API reference\n")
    print(f"Of {len(rows)} examples (SDK 2.32, NKI 0.6), {counts['ok']} pass, {counts['not run']} cannot run as they "
          f"stand (the reason is given), {counts['FAILED']} fail. Target trn2, unless the function needs another.\n")  # fmt: skip
    print("| example | target | outcome | how it was checked, or why not |\n|---|---|---|---|")
    for example, outcome, detail in rows:
        print(f"| `{example.label}` | {TARGETS.get(example.symbol, 'trn2')} | {outcome} | {detail} |")
    return 1 if counts["FAILED"] or not rows else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
