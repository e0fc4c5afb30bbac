"""The generated page holds every number of every chip, once, with where it is from."""

from __future__ import annotations

from opentrn.machine import CHIP_NAMES, load_chip
from opentrn.machine.page import page


def rows() -> dict[str, list[str]]:
    """Table rows by dotted path, read back from the Markdown."""
    found: dict[str, list[str]] = {}
    group = ""
    for line in page().splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            path = cells[0].strip("`") if group == "identity" else f"{group}.{cells[0].strip('`')}"
            assert path not in found, path
            found[path] = cells[1:]
    return found


def test_page_has_one_row_per_name_and_a_dash_where_nothing_is_published():
    found = rows()
    known = {chip: load_chip(chip).quantities() for chip in CHIP_NAMES}
    assert set(found) == set().union(*known.values())
    for path, cells in found.items():
        assert len(cells) == 6, path
        assert [cell != "-" for cell in cells[:3]] == [path in known[chip] for chip in CHIP_NAMES], path
        assert all(cells[3:]), path


def test_page_tells_value_unit_tier_and_source():
    found = rows()
    assert found["memory.sbuf_usable_bytes_per_partition"][:5] == ["180,224", "212,984", "245,752", "byte", "code"]
    assert found["cost.dma.hwdge_sync_first_ns"][:5] == ["-", "514", "-", "ns", "figure"]
    assert found["features.mx_matmul"][:3] == ["no", "no", "yes"]
    assert found["cost.vector.drain_ns"][4] == "trn1: derived<br>trn2: fitted<br>trn3: inferred"
    assert "KLR" in found["memory.sbuf_usable_bytes_per_partition"][5]


def test_page_is_the_same_text_each_time():
    assert page() == page()
    assert page().startswith("# ")
    assert page().endswith("|\n")
