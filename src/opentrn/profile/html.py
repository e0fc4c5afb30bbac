"""`write_html`: a timeline as one HTML file that opens offline, for reading where the time of a kernel goes.

The page is our own (`page/`: a template, a style sheet, scripts in plain JavaScript). Columns travel as one deflated
block of typed arrays, everything else as JSON. The page asks for nothing: its content security policy forbids it.
"""

from __future__ import annotations

import base64
import html
import json
import math
import re
import zlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from opentrn.profile.amounts import US
from opentrn.profile.bounds import roofline
from opentrn.profile.critical import Segments, walk
from opentrn.profile.engines import engines_of
from opentrn.profile.files import write_whole
from opentrn.profile.lines import lines
from opentrn.timing.timeline import CAUSES, ENGINES, Place, Timeline

__all__ = ["CAUSE_WORDS", "page_of", "write_html"]

CAUSE_WORDS = {
    "start": "It is the first instruction of its engine.",
    "engine": "Its engine was busy with the instruction before it.",
    "semaphore": "It waited for a result of another engine.",
    "dma": "It waited for data that a DMA brings or takes away.",
    "port": "It waited for the SBUF port that VectorE and GpSimd share.",
    "bank": "Another engine was using the same PSUM bank.",
    "weights": "Loading the stationary matrix was not hidden behind the product before it.",
    "table": "An activation table had to be loaded first.",
    "core": "It waited for the other core (barrier or sendrecv).",
    "register": "A run-time address had to be read first.",
}
"""A sentence for each of `timing.timeline.CAUSES`."""

DIRECTIONS = ("HBM to SBUF", "SBUF to HBM", "HBM to HBM", "on chip")
"""In words, by the number in `Dma.direction`."""
SCRIPTS = (
    "data", "layer", "lanes", "palette", "draw", "paint", "arrows", "view", "marks", "details", "source", "summary",
    "roofline", "main",
)  # fmt: skip
"""Files of `page/`, which become one script: what one declares, all see."""
COMPRESSION = 3
"""zlib level: twice as quick as the default, and the file is 4 % larger."""
PICOSECOND_STEPS = 1024.0
"""Times are kept to 1/1024 ns: the mantissa's tail of zeros then compresses, and equal times stay equal."""


def write_html(path: str | Path, timeline: Timeline, summary: Mapping[str, Any] | None = None) -> None:
    """Write `timeline` to `path` as one self-contained HTML file (whole, or not at all).

    `summary` is shown as tables: a mapping of names to numbers, texts, mappings, or lists of these, such as
    `ProfileReport.to_dict()`. Names that end in _ns, _us, _bytes, _gbps or share give the unit; {file, line, function}
    becomes a link to the source; "kernel" is the title. Without it the time of each engine is shown. Sources are read
    from the files that `timeline.places` names, if they are there. Raises FileError when `path` cannot be written.
    """
    page = page_of(timeline, _overview(timeline) if summary is None else summary)
    write_whole(path, page)


def page_of(timeline: Timeline, summary: Mapping[str, Any]) -> str:
    """The text of the page that `write_html` writes."""
    page = files("opentrn.profile").joinpath("page")
    path = walk(timeline)
    packed, directory = _packed(_columns(timeline, path))
    facts = _facts(timeline, path) | {"summary": summary, "columns": directory}
    facts["title"] = str(summary.get("kernel") or ", ".join(f["name"] for f in facts["files"]) or "empty timeline")
    parts = {
        "title": html.escape(facts["title"]),
        "style": page.joinpath("page.css").read_text(encoding="utf-8"),
        "script": "\n".join(page.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS),
        "facts": _json(facts),
        "columns": base64.b64encode(packed).decode("ascii"),
    }
    # One pass, so that nothing inside a part is taken for a mark of the template.
    template = page.joinpath("page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda mark: parts[mark[1]], template)


def _json(value: Any) -> str:
    """JSON that may stand inside a <script>: no `<`, no `>`, no `&`, ASCII only, and no NaN."""
    text = json.dumps(_plain(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _packed(columns: Mapping[str, np.ndarray]) -> tuple[bytes, list[tuple[str, str, int, int]]]:
    """All columns in one deflated block, each at a multiple of 8 bytes; and (name, dtype, offset, length) of each."""
    squeeze = zlib.compressobj(COMPRESSION)
    pieces, directory, offset = [], [], 0
    for name, column in columns.items():
        data = column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes()
        directory.append((name, column.dtype.name, offset, len(column)))
        padding = -len(data) % 8
        pieces.append(squeeze.compress(data + bytes(padding)))
        offset += len(data) + padding
    return b"".join([*pieces, squeeze.flush()]), directory


def _columns(timeline: Timeline, path: Segments) -> dict[str, np.ndarray]:
    """Every column of the page by name. Sizes are float64: JavaScript has no plain 64-bit integers."""
    dma, semaphores = timeline.dma, timeline.semaphores
    made = {name: _time(getattr(timeline, name)) for name in ("ready", "start", "end", "done")}
    made |= {name: getattr(timeline, name).astype(np.uint8) for name in ("core", "engine", "cause")}
    made |= {name: getattr(timeline, name).astype(np.int32) for name in ("operation", "place", "blocker")}
    made |= {f"dma_{name}": _time(getattr(dma, name)) for name in ("first", "last")}
    made |= {f"dma_{name}": getattr(dma, name).astype(np.uint8) for name in ("queue", "engines", "direction")}
    made |= {f"dma_{name}": getattr(dma, name).astype(np.int32) for name in ("instruction", "descriptors", "tensor")}
    made |= {f"dma_{name}": getattr(dma, name).astype(np.float64) for name in ("nbytes", "low", "high")}
    made |= {name: getattr(semaphores, name).astype(np.int32) for name in ("producer", "consumer")}
    made |= {"critical_row": path.rows.astype(np.int32), "critical_work": _time(path.work)}
    for (core, memory), series in timeline.occupancy.items():
        made |= {f"{memory}{core}_time": _time(series.time), f"{memory}{core}_value": series.value.astype(np.float64)}
    for core, spans in enumerate(timeline.clock):
        full = np.array([label == "full" for label in spans.label], np.uint8)
        made |= {
            f"clock{core}_start": _time(spans.start),
            f"clock{core}_end": _time(spans.end),
            f"clock{core}_full": full,
        }
    return made


def _time(values: np.ndarray) -> np.ndarray:
    return np.round(values.astype(np.float64) * PICOSECOND_STEPS) / PICOSECOND_STEPS


def _facts(timeline: Timeline, path: Segments) -> dict[str, Any]:
    """What the page needs beside the columns; a few kilobytes and the sources."""
    memory = timeline.chip.memory
    names = list(dict.fromkeys(place.file for place in timeline.places))
    return {
        "chip": timeline.chip.name,
        "cores": timeline.cores,
        "total": timeline.total_ns,
        "prologue": timeline.prologue_ns,
        "epilogue": timeline.epilogue_ns,
        "engines": ENGINES,
        "causes": [{"name": name, "words": CAUSE_WORDS[name]} for name in CAUSES],
        "directions": DIRECTIONS,
        "operations": [vars(operation) for operation in timeline.operations],
        "files": [{"path": name, "name": name.rpartition("/")[2], "text": _source(name)} for name in names],
        "places": [_place(place, names) for place in timeline.places],
        "lines": [vars(line) | {"place": _place(line.place, names)} for line in lines(timeline, path)],
        "tensors": _tensors(timeline),
        "queues": timeline.queues,
        "occupancy": [{"core": c, "memory": m, "capacity": memory[f"{m}_bytes_per_partition"]} for c, m in timeline.occupancy],
        "clocks": len(timeline.clock),
        "roofline": vars(roofline(timeline)) | {"roofs": _roofs(timeline)},
    }  # fmt: skip


def _place(place: Place, names: list[str]) -> dict[str, Any]:
    return {"file": names.index(place.file), "line": place.line, "function": place.function}


def _tensors(timeline: Timeline) -> dict[int, str]:
    """The names of the tensors that DMAs move, by their index; a kernel has thousands of others, in SBUF."""
    moved = np.unique(timeline.dma.tensor).tolist()
    return {n: getattr(timeline.tensors[n], "name", "") or f"tensor {n}" for n in moved if n >= 0}


def _source(path: str) -> str | None:
    """The text of a source file; None for one that is not there any more (or never was: a cell, a string)."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return None


def _roofs(timeline: Timeline) -> list[dict[str, Any]]:
    """The peak rates of TensorE (TFLOP/s) and the bandwidths (GB/s) of the cores of this run, with tier and source."""
    chip, cores = timeline.chip, timeline.cores
    stacks = math.ceil(cores / chip.cost.hbm.cores_per_stack)
    dtypes = [name for name in chip.engines.tensor if name.startswith("tflops_") and name != "tflops_sparse"]
    peaks = [_roof(chip, f"TensorE {n.removeprefix('tflops_')}", f"engines.tensor.{n}", cores) for n in dtypes]
    hbm = _roof(chip, "HBM", "cost.hbm.bytes_per_ns_stack", stacks)
    dma = _roof(chip, "DMA", "cost.dma.cap_bytes_per_ns_core", cores)
    return [*({**peak, "unit": "TFLOP/s"} for peak in peaks), *({**each, "unit": "GB/s"} for each in (hbm, dma))]


def _roof(chip: Any, name: str, path: str, times: int) -> dict[str, Any]:
    quantity = chip.quantity(path)
    return {"name": name, "value": quantity.value * times, "tier": quantity.tier, "source": quantity.source}


def _overview(timeline: Timeline) -> dict[str, Any]:
    """What is shown when nobody gave a summary: time of each engine of each core."""
    engines = [
        {"core": core, **vars(engine)}
        for core in range(timeline.cores)
        for engine in engines_of(timeline, core).values()
    ]
    return {"latency_us": timeline.total_ns * US, "instructions": len(timeline), "engines": engines}
