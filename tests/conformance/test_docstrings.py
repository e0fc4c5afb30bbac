"""The docstring runner itself; the examples too where `NKI_STUBS` names the folder of the public stubs."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
from tests.conformance import docstrings

TABLE = Path(__file__).resolve().parents[2] / "docs" / "docstring-examples.md"
STUBS = os.environ.get("NKI_STUBS")


def example(code: str, symbol: str = "language.made_up") -> docstrings.Example:
    return docstrings.Example(symbol, 1, textwrap.dedent(code))


def test_blocks_are_found_and_dedented() -> None:
    text = """Text.

    .. code-block:: python

        a = 1

        if a:
            b = 2

    More text.

    .. code-block:: bash

        ls

    .. code-block:: python

        c = 3"""
    assert list(docstrings.blocks(text)) == ["a = 1\n\nif a:\n    b = 2\n", "c = 3\n"]


def test_a_wrong_assertion_fails() -> None:
    code = """
        import nki.language as nl
        a = nl.full((4, 8), 3.0, dtype=nl.float32)
        assert nl.equal(nl.add(a, a), nl.full((4, 8), {}, dtype=nl.float32))
        """
    assert docstrings.attempt(example(code.format("6.0"))) == ("ok", "its assertions hold")
    assert docstrings.attempt(example(code.format("7.0")))[0] == "FAILED"


def test_a_wrong_shape_in_a_comment_fails() -> None:
    code = """
        t = nl.ndarray((128, 64), dtype=nl.float32)
        t.expand_dim(1)  # shape becomes {}
        """
    assert docstrings.attempt(example(code.format("(128, 1, 64)"))) == ("ok", "its shapes hold")
    assert docstrings.attempt(example(code.format("(128, 64, 1)")))[0] == "FAILED"


def test_a_kernel_is_compared_with_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        @nki.jit
        def twice(x):
            out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
            nl.store(out, nl.multiply(nl.load(x), 2.0))
            return out
        """
    inputs = lambda: (docstrings.np.ones((2, 3), "float32"),)  # noqa: E731
    monkeypatch.setitem(docstrings.KERNELS, "twice", (inputs, lambda x: 2 * x))
    assert docstrings.attempt(example(code)) == ("ok", "values match a reference")
    monkeypatch.setitem(docstrings.KERNELS, "twice", (inputs, lambda x: 3 * x))
    assert docstrings.attempt(example(code))[0] == "FAILED"


def test_the_table_in_the_docs_has_its_command_and_no_failure() -> None:
    lines = TABLE.read_text().splitlines()
    assert docstrings.COMMAND in lines[0]
    rows = [line.split(" | ") for line in lines if line.startswith("| `")]
    assert len(rows) > 80
    assert {row[2] for row in rows} == {"ok", "not run"}
    assert all(row[3].strip(" |") for row in rows)


@pytest.mark.skipif(STUBS is None, reason="NKI_STUBS does not name the public stubs")
def test_every_example_passes_or_has_a_reason() -> None:
    rows = [(found.label, *docstrings.attempt(found)) for found in docstrings.examples(Path(STUBS or ""))]
    assert rows
    assert [row for row in rows if row[1] == "FAILED"] == []
    assert {label for label, outcome, _ in rows if outcome == "not run"} == set(docstrings.REASONS)
