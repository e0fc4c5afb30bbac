"""``opentrn demo``: run the example kernel, compare it, show what it did to the chip."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np

from opentrn.demo.text import activations
from opentrn.errors import LaunchError
from opentrn.install import install
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.launch import Report
from opentrn.nki.profile import profile
from opentrn.profile.report import ProfileReport
from opentrn.profile.text import bar, engine_lines, spoken
from opentrn.program import native
from opentrn.program.allocate import MemoryMap

__all__ = ["main"]

_PLACES = (Path(__file__).parents[3] / "examples", Path(__file__).parents[1] / "examples")
"""The checkout's examples, or those that an installed package carries."""


def _kernel_module() -> ModuleType:
    place = next((p / "attention.py" for p in _PLACES if (p / "attention.py").exists()), None)
    if place is None:
        raise LaunchError("examples/attention.py is not here", hint="run `make demo` in a checkout of opentrn")
    spec = importlib.util.spec_from_file_location("opentrn_example_attention", place)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, rounded: bool) -> np.ndarray:
    """Causal attention in float32; with `rounded`, the scores' softmax goes through bfloat16 before it meets V."""
    length, d = q.shape[1:]
    future = np.triu(np.ones((length, length), bool), 1)
    out = np.empty_like(q)
    for head in range(len(q)):
        scores = q[head] @ k[head].T / np.float32(np.sqrt(d))
        scores[future] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        total = weights.sum(-1, keepdims=True)
        if rounded:
            weights = weights.astype(ml_dtypes.bfloat16).astype(np.float32)
        out[head] = weights @ v[head] / total
    return out.astype(ml_dtypes.bfloat16).astype(np.float32) if rounded else out


def _errors(got: np.ndarray, want: np.ndarray) -> dict[str, float]:
    gap = np.abs(got - want)
    return {"max_abs": float(gap.max()), "relative_l2": float(np.linalg.norm(got - want) / np.linalg.norm(want))}


def run_job(heads: int, length: int, d: int) -> dict[str, Any]:
    """Everything the demo shows, as data."""
    install()
    kernel = _kernel_module().attention
    wide = activations(heads, length, d)
    q, k, v = (x.astype(ml_dtypes.bfloat16) for x in wide)
    start = time.perf_counter()
    timed = profile(kernel, target="trn2")(q, k, v)
    seconds = time.perf_counter() - start
    got = timed.results.astype(np.float32)
    narrow = [x.astype(np.float32) for x in (q, k, v)]
    return {
        "shape": list(q.shape), "dtype": str(q.dtype), "seconds": seconds, "native": native.available(),
        "against_float32": _errors(got, reference(*wide, rounded=False)),
        "against_bfloat16": _errors(got, reference(*narrow, rounded=True)),
        "report": timed.launch, "profile": timed,
    }  # fmt: skip


def _timeline(memory: MemoryMap, columns: int = 64) -> str:
    """Bytes per partition in use over the program, one character for each slice of time."""
    last = max((t.last for t in memory.tensors), default=0) + 1
    used = np.zeros(columns)
    for tensor in memory.tensors:
        used[tensor.first * columns // last : tensor.last * columns // last + 1] += tensor.partition_bytes
    return "".join(" .:-=+*#%@"[min(9, int(np.ceil(u / memory.capacity * 9)))] for u in used)


def _show_memory(memory: MemoryMap) -> list[str]:
    name = memory.region.value.upper()
    lines = [
        f"  {name:<5} [{bar(memory.peak / memory.capacity, 40)}] {memory.peak:>9,} of {memory.capacity:,} B per partition"
        f" ({memory.peak / memory.capacity:.0%})",
        f"        over the program: |{_timeline(memory)}|",
    ]
    lines += [
        f"        {t.partition_bytes:>7,} B  {list(t.shape)} {t.dtype.name}  {t.site.function}:{t.site.line}"
        for t in memory.live_at(memory.peak_at)[:4]
        if t.site
    ]
    return lines


def _show_time(timed: ProfileReport) -> list[str]:
    low, high = timed.latency_band_us
    return [
        f"  on the chip it takes {spoken(timed.latency_us)} ({spoken(low)} to {spoken(high)} by the provenance of the numbers);",
        f"  {timed.verdict}",
        "",
        *engine_lines(timed),
        "  `opentrn profile examples/attention.py` tells why",
    ]


def _show(job: dict[str, Any]) -> str:
    report: Report = job["report"]
    wide, narrow = job["against_float32"], job["against_bfloat16"]
    lines = [
        f"causal flash attention on {report.chip.name}: (heads, sequence, d) = {tuple(job['shape'])} {job['dtype']}",
        "  input: Q, K, V of a layer over the text of CPython's own manual (pydoc_data.topics)",
        f"  error against float32:   max {wide['max_abs']:.2e}, relative L2 {wide['relative_l2']:.2e}",
        f"  error against bfloat16:  max {narrow['max_abs']:.2e}, relative L2 {narrow['relative_l2']:.2e}",
        "",
        f"  {report.instruction_count:,} instructions, by engine:",
    ]
    top = max(report.engines.values())
    lines += [f"    {engine:<7} {n:>7,}  {bar(n / top, 30)}" for engine, n in report.engines.most_common()]
    lines += ["    " + ", ".join(f"{name} {n:,}" for name, n in report.instructions.most_common(8))]
    lines += ["", *_show_time(job["profile"])]
    lines += ["", "  memory high-water marks (core 0), the largest tensors at that moment below:"]
    for region in (MemoryRegion.sbuf, MemoryRegion.psum):
        lines += _show_memory(report.memory[0][region])
    core = "native core" if job["native"] else "numpy path (opentrn doctor tells how to get the native core)"
    lines += ["", f"  simulated in {job['seconds']:.2f} s on this machine, {core}"]
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Run the demo; exit code 1 when the values are not what bfloat16 attention should give."""
    parser = argparse.ArgumentParser(prog="opentrn demo", description="causal flash attention on real text")
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--sequence", type=int, default=1024, help="a multiple of 128 (default: 1024)")
    parser.add_argument("--head-size", type=int, default=128, help="at most 128 (default: 128)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    given = parser.parse_args(argv)
    job = run_job(given.heads, given.sequence, given.head_size)
    if given.json:
        report, timed = job.pop("report"), job.pop("profile")
        peaks = {m.value: memory.peak for m, memory in report.memory[0].items()}
        print(json.dumps({
            **job, "engines": report.engines, "instructions": report.instructions, "peak_bytes": peaks,
            "latency_us": timed.latency_us, "latency_band_us": timed.latency_band_us, "verdict": timed.verdict,
            "utilisation": {name: engine.utilisation for name, engine in timed.engines.items()},
        }))  # fmt: skip
    else:
        print(_show(job))
    # bfloat16 keeps 8 bits: 2**-8 relative error per rounding, and three roundings lie between input and output
    return 0 if job["against_float32"]["relative_l2"] < 3 * 2**-8 else 1
