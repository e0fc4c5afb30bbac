"""Two reports side by side: what changed in the whole, on the engines, in the bounds and line by line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from opentrn.errors import FileError
from opentrn.profile.report import ProfileReport
from opentrn.profile.text import bar, spoken, table

__all__ = ["Comparison", "Difference", "compare", "side_by_side"]


@dataclass(frozen=True)
class Difference:
    """One quantity in both reports; `ratio` is b / a, None where a is 0. A line that one report lacks has 0 there."""

    name: str
    a: float
    b: float
    unit: str
    ratio: float | None


@dataclass(frozen=True)
class Comparison:
    """What `compare` found. `lines` are microseconds on the critical path, those that changed most first."""

    names: tuple[str, str]
    total: tuple[Difference, ...]
    engines: tuple[Difference, ...]
    bounds: tuple[Difference, ...]
    lines: tuple[Difference, ...]


def compare(a: ProfileReport | Mapping[str, Any], b: ProfileReport | Mapping[str, Any]) -> Comparison:
    """Compare two reports, or the dictionaries that `ProfileReport.to_dict` gave (also read back from a file).

    Lines are matched by function and instruction, so that the same kernel in two files, or after an edit that moved its
    lines, still meets itself; equal ones of one function are matched in the order of their lines. Raises FileError for a
    dictionary that is no report.
    """
    one, two = (_side(x.to_dict() if isinstance(x, ProfileReport) else x) for x in (a, b))
    return Comparison(
        (one.title, two.title),
        _paired(one.total, two.total),
        tuple(d for d in _paired(one.engines, two.engines) if d.a or d.b),
        _paired(one.bounds, two.bounds),
        tuple(sorted(_paired(one.lines, two.lines), key=lambda d: -abs(d.b - d.a))),
    )


_Values = dict[str, tuple[float, str]]


@dataclass(frozen=True)
class _Side:
    """What is compared of one report."""

    title: str
    total: _Values
    engines: _Values
    bounds: _Values
    lines: _Values


def _side(report: Mapping[str, Any]) -> _Side:
    """Raises FileError where the report (of a file that somebody changed) lacks something or holds no numbers."""
    try:
        made = _Side(_title(report), _total(report), _engines(report), _bounds(report), _lines(report))
        for values in (made.total, made.engines, made.bounds, made.lines):
            if not all(isfinite(value) for value, _ in values.values()):
                raise ValueError("a quantity that is no finite number")
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        got = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise FileError(
            "a report that cannot be compared", got=got, expected="what ProfileReport.to_dict gave"
        ) from None
    return made


def _title(report: Mapping[str, Any]) -> str:
    reorder = report.get("reorder", 0)  # a file of an older version has none
    changes = ", ".join([*report["changes"], *([f"reorder={reorder}"] if reorder else [])])
    return f"{report['kernel']} on {report['target']}" + (f" with {changes}" if changes else "")


def _paired(one: _Values, two: _Values) -> tuple[Difference, ...]:
    found = []
    for name in dict.fromkeys([*one, *two]):
        unit = (one.get(name) or two[name])[1]
        a, b = one.get(name, (0.0, ""))[0], two.get(name, (0.0, ""))[0]
        found.append(Difference(name, a, b, unit, b / a if a else None))
    return tuple(found)


def _total(report: Mapping[str, Any]) -> _Values:
    dma = report["dma"]
    return {
        "latency": (report["latency_us"], "us"),
        "instructions": (report["instruction_count"], ""),
        "HBM bytes": (dma["hbm_read_bytes"] + dma["hbm_written_bytes"], "B"),
        "DMA bandwidth": (dma["bandwidth_gbps"], "GB/s"),
        "TensorE rate": (report["roofline"]["achieved_tflops"], "TFLOPS"),
    }


def _engines(report: Mapping[str, Any]) -> _Values:
    names = report["engines"].items()
    return {f"{name} {part}": (engine[f"{part}_us"], "us") for name, engine in names for part in ("busy", "wait")}


def _bounds(report: Mapping[str, Any]) -> _Values:
    return {name: (bound["us"], "us") for name, bound in report["bounds"].items()}


def _lines(report: Mapping[str, Any]) -> _Values:
    found: _Values = {}
    for line in sorted(report["lines"], key=lambda line: line["place"]["line"]):
        name = f"{line['instruction']} in {line['place']['function']}"
        same = sum(1 for known in found if known.partition(" #")[0] == name)
        found[f"{name} #{same + 1}" if same else name] = (line["critical_us"], "us")
    return found


def side_by_side(found: Comparison, rows: int = 12) -> str:
    """The comparison as text."""
    lines = [f"A: {found.names[0]}", f"B: {found.names[1]}"]
    latency = found.total[0]
    if latency.a and latency.b:
        faster, factor = ("A", latency.b / latency.a) if latency.b > latency.a else ("B", latency.a / latency.b)
        lines += [f"   {faster} is {factor:.2f} times as fast" if factor > 1 else "   both take the same time"]
    top = max(latency.a, latency.b) or 1.0
    lines += [
        f"   A [{bar(latency.a / top, 40)}] {spoken(latency.a)}",
        f"   B [{bar(latency.b / top, 40)}] {spoken(latency.b)}",
    ]
    moved = [d for d in found.lines if d.a != d.b][:rows]
    parts = {
        "": found.total,
        "engines": found.engines,
        "lower bounds": found.bounds,
        "on the critical path, most changed": moved,
    }
    for title, part in parts.items():
        if part:
            lines += ["", *table([[title, "A", "B", "B / A"], *map(_row, part)], "lrrr")]
    return "\n".join(lines)


def _row(d: Difference) -> list[str]:
    return [d.name, _value(d.a, d.unit), _value(d.b, d.unit), "" if d.ratio is None else f"{d.ratio:.2f}"]


def _value(value: float, unit: str) -> str:
    if unit == "us":
        return spoken(value)
    return f"{value:,.0f} {unit}".strip() if unit in ("", "B") else f"{value:,.2f} {unit}"
