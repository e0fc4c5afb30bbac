"""Checks of a launch on several ranks: each rank's program is looked at, and the launch itself goes on as it would alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import opentrn.nki as nki
import opentrn.nki.collectives as ncc
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.checks.evidence import Evidence
from opentrn.checks.look import Choice
from opentrn.checks.outcome import Looks
from opentrn.nki.check import checking, evidence_of_ranks

SCRIPT = """
import numpy as np
import opentrn.nki as nki, opentrn.nki.collectives as ncc, opentrn.nki.isa as nisa, opentrn.nki.language as nl

@nki.jit
def summed(x):
    sums = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    mine = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=mine[0:2, :], src=x[0:2, :])
    ncc.all_reduce([mine], [sums], ncc.ReplicaGroup([[0, 1]]), nl.add)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=sums)
    return out

nki.simulate_ranks(summed, 1, [{"x": np.ones((4, 8), np.float32)}] * 2)
"""


@nki.jit
def summed(x: Any, loaded: int, group: Any) -> Any:
    """The sum over ranks of x, of which the first `loaded` rows were loaded."""
    mine, sums = (nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf) for _ in range(2))
    nisa.dma_copy(dst=mine[0:loaded, :], src=x[0:loaded, :])
    ncc.all_reduce([mine], [sums], group, nl.add)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=sums)
    return out


def given(*loaded: int) -> list[dict[str, Any]]:
    group = ncc.ReplicaGroup([list(range(len(loaded)))])
    return [{"x": np.full((4, 8), rank + 1, np.float32), "loaded": n, "group": group} for rank, n in enumerate(loaded)]


def test_a_clean_launch_has_no_errors_and_its_results() -> None:
    seen: list[Evidence] = []
    with checking(seen.append):
        results = nki.simulate_ranks(summed, 1, given(4, 4, 4))
        nki.simulate_ranks(summed, 1, given(4, 4, 4))  # the same shapes: not looked at again
    assert all(np.array_equal(result, np.full((4, 8), 6)) for result in results)
    assert [each.arguments.partition(":")[0] for each in seen] == ["rank 0 of 3", "rank 1 of 3", "rank 2 of 3"]
    looks = Looks(Choice())
    for each in seen:
        looks.add(each)
    assert looks.outcome().counts["error"] == 0 and not any(each.failures for each in seen)


def test_a_fault_of_one_rank_is_found() -> None:
    seen = evidence_of_ranks(summed, [((), each) for each in given(4, 2)])
    looks = Looks(Choice(only=("memory",)))
    for each in seen:
        looks.add(each)
    assert "memory.uninitialised" in [each.label for each in looks.outcome().findings]
    assert not seen[0].faults and seen[1].faults


def test_a_script_that_launches_ranks_is_checked(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(SCRIPT)
    made = subprocess.run(
        [sys.executable, "-m", "opentrn", "check", "--script", str(tmp_path / "two.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 1
    assert "memory.uninitialised" in made.stdout and "rank 1 of 2" in made.stdout, made.stdout + made.stderr
