"""The runner of nki-library's tests; a few of those tests too, where OPENTRN_NKI_LIBRARY and OPENTRN_NKI_ADAPTER are set."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.conformance import nki_library, page

CHECKOUT, ADAPTER = os.environ.get("OPENTRN_NKI_LIBRARY"), os.environ.get("OPENTRN_NKI_ADAPTER")
SMALL = ["cumsum/test_cumsum.py", "max/test_cascaded_max_utils.py"]


@pytest.mark.slow
@pytest.mark.skipif(
    not (CHECKOUT and ADAPTER),
    reason="OPENTRN_NKI_LIBRARY and OPENTRN_NKI_ADAPTER do not name a checkout of nki-library 2.29 and its adapter",
)
@pytest.mark.parametrize("timed", [False, True])
def test_some_of_the_suite_passes_and_nothing_is_made_up(tmp_path: Path, timed: bool) -> None:
    options = nki_library.Options(Path(CHECKOUT or ""), Path(ADAPTER or ""), tmp_path, "fast", timed=timed)
    record = nki_library.run(options, [f"test/integration/nkilib/core/{file}" for file in SMALL])
    results = page.results_of(tmp_path)
    assert record.synthesised == "[]"
    assert len(results) == 44 and {r["outcome"] for r in results} == {"passed"}
    if timed:
        lines = [json.loads(line) for line in (tmp_path / "timed.jsonl").read_text().splitlines()]
        assert len({line["nodeid"] for line in lines}) == 44 and all(line["latency_us"] > 0 for line in lines)
