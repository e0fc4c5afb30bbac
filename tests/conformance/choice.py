"""A pytest plugin for `nki_library.py --sample` and `--resume`: which of the collected tests run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from zlib import crc32

import pytest

__all__ = ["drawn", "finished"]


def drawn(nodeid: str, share: float, seed: int) -> bool:
    """True for about `share` of all tests: the same ones whatever else is collected, others with another seed."""
    return crc32(f"{seed} {nodeid}".encode()) < share * 2**32


def finished(results: Path) -> set[str]:
    """The tests that `results`, a file with a line of JSON per test, holds."""
    return {json.loads(line)["nodeid"] for line in results.read_text().splitlines()} if results.exists() else set()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not drawn, and what a run that went before has finished."""
    share, seed = float(os.environ["OPENTRN_SAMPLE"]), int(os.environ["SEED"])
    done = finished(Path(os.environ["OPENTRN_FINISHED"])) if os.environ["OPENTRN_FINISHED"] else set()
    runs = {item.nodeid for item in items if item.nodeid not in done and drawn(item.nodeid, share, seed)}
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in runs])
    items[:] = [item for item in items if item.nodeid in runs]
