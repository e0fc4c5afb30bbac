"""A pytest plugin: how much memory a test may have resident, and none of it left to the next one.

The limit is on pages in use: those that nobody has written cost nothing, and an address space also counts them. Where the
process has more, it gets no new address space until it has less again, so that its next allocation raises MemoryError.
pytest keeps the last failure's traceback (`sys.last_value`), with it all frames' arrays: forgotten here, cycles too.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["resident"]

_SECONDS = 0.05


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


_RUNS, _LOCK = threading.Event(), threading.Lock()
"""Set while a test runs, and not while pytest tells of it with all arrays of its frames in memory; held to change either."""


def _space(soft: int | None = None) -> None:
    """Let the process have `soft` bytes of address space, all that it may have without."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard if soft is None else soft, hard))


def _watch(limit: float) -> None:
    while _RUNS.wait():
        try:
            over = resident() > limit
        except MemoryError:  # looking takes memory too; without this thread the next tests would have no limit
            over = True
        with _LOCK:
            if _RUNS.is_set():
                _space(1 if over else None)
        time.sleep(_SECONDS)


def pytest_configure(config: pytest.Config) -> None:
    """Watch from now on."""
    limit = float(os.environ["OPENTRN_MEMORY"]) * 2**30
    threading.Thread(target=_watch, args=(limit,), daemon=True).start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Watch while a test runs."""
    _RUNS.set()
    try:
        return (yield)
    finally:
        with _LOCK:
            _RUNS.clear()
            _space()


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish() -> None:
    """Forget the failure of the test that has ended."""
    if getattr(sys, "last_value", None) is not None:
        sys.last_type = sys.last_value = sys.last_traceback = None
        gc.collect()
