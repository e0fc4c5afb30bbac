"""docs/kernels.md: a line for every case, and every kernel of the library among them."""

from __future__ import annotations

from pathlib import Path

import pytest

import opentrn.kernels
from opentrn.docs.kernels import CASES, PAGE, Case, page, refresh

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_kernel_is_timed_and_on_the_page() -> None:
    lines = [line for line in (DOCS / PAGE).read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    names = [case.kernel.__name__ for case in CASES]
    assert [line.split("`")[1] for line in lines] == names
    assert set(names) == set(opentrn.kernels.__all__)


def cells(case: Case) -> list[str]:
    """The cells of the line of one case."""
    line = next(line for line in page((case,)).splitlines() if line.startswith("| `"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_published_times_are_of_the_same_chip_and_are_sourced_on_the_page() -> None:
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    published = [case.published for case in CASES if case.published]
    assert published
    for each in published:
        assert each.row.target == "trn2"
        assert f"({each.id}) |" in text and f"- {each.id}: {each.differs}; {each.row.source}" in text


@pytest.mark.slow
def test_a_line_tells_latency_bound_and_share() -> None:
    softmax = next(case for case in CASES if case.kernel.__name__ == "softmax")
    got = cells(softmax)
    assert got[:2] == ["`softmax`", "4096x4096"]
    assert got[3].startswith("memory") and 75 <= int(got[4].rstrip("%")) <= 100
    assert got[6] == "-"


@pytest.mark.slow
def test_the_aims_of_the_library_hold() -> None:
    aims = {"matmul": 88, "attention": 60, "rms_norm": 75, "rms_norm_backward": 75, "softmax": 75}
    firsts = {case.kernel.__name__: case for case in reversed(CASES)}
    for name, least in aims.items():
        assert int(cells(firsts[name])[4].rstrip("%")) >= least, name


@pytest.mark.slow
def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert refresh(tmp_path, check=True) == [PAGE]
    assert not (tmp_path / PAGE).exists()
    assert refresh(tmp_path) == [PAGE]
    assert refresh(tmp_path, check=True) == []
