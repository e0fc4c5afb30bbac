"""``opentrn bench``: the speed table of the project, each row with its ratio to a reference of the same run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["main"]

SIZE = 4096


def _measure(module: str, size: int, native: bool = True) -> dict[str, Any]:
    """What one measuring process prints, single-threaded."""
    fixed = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENTRN_NATIVE": "1" if native else "0"}
    # a core type forced on old OpenBLAS builds slows a current numpy, which is the reference here
    environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")} | fixed
    done = subprocess.run(
        [sys.executable, "-m", f"opentrn.bench.{module}", str(size)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def _import_seconds(statement: str) -> float:
    samples = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        samples.append(time.perf_counter() - start)
    return median(samples)


def _row(work: str, value: str, ratio: float, limit: float, at_most: bool = True) -> dict[str, Any]:
    met = ratio <= limit if at_most else ratio >= limit
    sign = "<=" if at_most else ">="
    return {"work": work, "value": value, "ratio": ratio, "must": f"{sign} {limit:g}", "met": met}


def _rows(fast: dict[str, Any], slow: dict[str, Any] | None, size: int) -> list[dict[str, Any]]:
    mm, ew, torch = fast["matmul"], fast["elementwise"], fast["torch"]
    us = 1e6
    rows = [
        _row(
            f"matmul {size}^3 bf16: CPU time / numpy sgemm", f"{mm['seconds']:.2f} s", mm["seconds"] / mm["sgemm"], 1.4
        ),
        _row("  peak memory / (inputs + output as fp32)", "", mm["memory_ratio"], 2.0),
        _row(
            "add [128, 2048] bf16: speed / same-size copy",
            f"{ew['add'] * us:.0f} us",
            ew["numpy copy"] / ew["add"],
            0.5,
            False,
        ),
    ]
    for name in ("exp", "gelu"):
        if name in torch:
            rows.append(
                _row(f"{name} [128, 2048] bf16: time / torch", f"{ew[name] * us:.0f} us", ew[name] / torch[name], 1.5)
            )
    cast = ew["cast to fp8"]
    rows.append(
        {
            "work": "cast to fp8 [128, 2048]: time / same-size copy",
            "value": f"{cast * us:.0f} us",
            "ratio": cast / ew["numpy copy"],
            "must": "-",
            "met": True,
        }
    )
    rows.append(
        _row(
            "small instructions [128, 1], per second / 300 k",
            f"{fast['small'] / 1e3:.0f} k/s",
            fast["small"] / 3e5,
            1.0,
            False,
        )
    )
    if slow is not None:
        pairs = {
            "matmul": slow["matmul"]["seconds"] / mm["seconds"],
            "small": fast["small"] / slow["small"],
            **{n: slow["elementwise"][n] / ew[n] for n in ("add", "exp", "gelu", "cast to fp8")},
        }
        rows += [_row(f"numpy path / native: {n}", "", r, 12.0) for n, r in pairs.items()]
    extra = _import_seconds("import opentrn.nki") - _import_seconds("import numpy")
    rows.append(_row("import opentrn.nki above numpy, s / 0.35", f"{extra:.2f} s", extra / 0.35, 1.0))
    return rows


MILLION = 1e6


def _speed(work: str, count: float, seconds: float, least: float) -> dict[str, Any]:
    """A row in millions of `count` per CPU second; its ratio is to what must be reached."""
    rate = count / seconds / MILLION
    return _row(f"{work} / {least:g} M/s", f"{rate:.2f} M/s", rate / least, 1.0, False)


def _timing_rows(timing: dict[str, Any], size: int) -> list[dict[str, Any]]:
    file, both = timing["trace_file"], timing["with_values"]
    rows = []
    for name, words in (("end_to_end", "matmul 8192^3"), ("tile_per_load", "a tile per load")):
        whole = timing[name]
        n = whole["instructions"]
        rows.append(_speed(f"time: kernel to timeline, {words}, {n:,} instr.", n, whole["whole"], 0.5))
    rows += [_speed(f"time: loop, {int(n):,} instructions", int(n), s, 4.0) for n, s in timing["long"].items()]
    rows += [
        _speed(f"time: loop, irregular, {int(n):,} instr.", int(n), s, 0.5) for n, s in timing["irregular"].items()
    ]
    rows.append(
        _row(f"values and time / values alone, {size}^3", f"{both['both']:.2f} s", both["both"] / both["values"], 1.15)
    )
    rows.append(_speed("trace: .pftrace slices", file["slices"], file["seconds"], 3.0))
    rows.append(_row("trace: recorded bytes per instruction", f"{file['recorded']:.0f} B", file["recorded"], 200.0))
    rows.append(_row("trace: .pftrace bytes per instruction", f"{file['bytes']:.0f} B", file["bytes"], 200.0))
    return rows


def _framework_rows(frameworks: dict[str, Any]) -> list[dict[str, Any]]:
    """Microseconds of a call beside its simulation; rows without a limit are there to compare."""
    limits = {"nki_op": 60.0, "jit": 60.0}
    words = {
        "nki_op": "operator of nki_op",
        "jit": "jax.jit, by XLA's FFI",
        "pure_callback": "jax.jit, by pure_callback",
    }
    rows = []
    for framework, found in frameworks.items():
        for way, seconds in found.items():
            if way == "simulation":
                continue
            work, us = f"call from {framework}, {words.get(way, way)}: us beside simulation", seconds * 1e6
            limit = limits.get(way)
            free = {"work": work, "value": f"{us:.0f} us", "ratio": us, "must": "-", "met": True}
            rows.append(free if limit is None else _row(work, f"{us:.0f} us", us, limit))
    return rows


def _check_rows(seconds: dict[str, float], size: int) -> list[dict[str, Any]]:
    return [
        _row(
            f"{words} / the run alone, matmul {size}^3", f"{seconds[name]:.2f} s", seconds[name] / seconds["run"], limit
        )
        for name, words, limit in (("checks", "all checks but races", 1.3), ("races", "all checks", 1.6))
    ]


def _production_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        _row(
            f"{name} {list(work['sizes'])}: CPU time / torch, same rounding",
            f"{work['ours']:.2f} s",
            work["ours"] / work["direct"],
            3.0,
        )
        for name, work in found.items()
    ]


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{platform.system()} {platform.machine()} {model}, python {platform.python_version()}"


def main(argv: Sequence[str]) -> int:
    """Print the table; 0 when every row is met, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="opentrn bench", description=__doc__)
    parser.add_argument("--size", type=int, default=SIZE, help=f"matmul size (default {SIZE})")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--native-only", action="store_true", help="leave the numpy path out")
    given = parser.parse_args(argv)
    fast = _measure("measure", given.size)
    slow = _measure("measure", given.size, False) if fast["native"] and not given.native_only else None
    rows = _rows(fast, slow, given.size)
    if fast["native"]:
        rows += _timing_rows(_measure("timing", given.size), given.size)
        rows += _framework_rows(_measure("frameworks", given.size))
        rows += _production_rows(_measure("production", given.size))
        rows += _check_rows(_measure("checks", given.size), given.size)
    if given.json:
        print(json.dumps({"machine": _machine(), "native": fast["native"], "rows": rows}))
    else:
        print(f"{_machine()}\nmedian of 5, one thread, native core: {'yes' if fast['native'] else 'no'}\n")
        print(f"{'work':<72}{'measured':>10}{'ratio':>9}{'must':>9}")
        for row in rows:
            print(
                f"{row['work']:<72}{row['value']:>10}{row['ratio']:>9.2f}{row['must']:>9}  {'ok' if row['met'] else 'MISSED'}"
            )
    if not fast["torch"]:
        print("exp and gelu are not compared: torch is not installed", file=sys.stderr)
    return 0 if all(row["met"] for row in rows) else 1
