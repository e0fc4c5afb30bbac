"""One kernel under many keyword arguments: a point each, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from opentrn.errors import InstallError, LaunchError, OpentrnError
from opentrn.profile.files import whole
from opentrn.profile.report import ProfileReport
from opentrn.profile.text import bar, spoken, table

__all__ = ["Point", "Sweep", "parse_axis", "plot", "sweep", "sweep_table"]


@dataclass(frozen=True)
class Point:
    """One combination of arguments: its report's figures, or the error that it ended with (`latency_us` is None)."""

    arguments: dict[str, Any]
    latency_us: float | None = None
    latency_band_us: tuple[float, float] | None = None
    tensor_utilisation: float | None = None
    dma_share_of_peak: float | None = None
    hbm_bytes: int | None = None
    verdict: str = ""
    error: str = ""


@dataclass(frozen=True)
class Sweep:
    """All combinations of `axes`, in order; the last axis changes quickest."""

    kernel: str
    axes: dict[str, tuple[Any, ...]]
    points: tuple[Point, ...]

    @property
    def best(self) -> Point | None:
        """The point that takes least; None where every one failed."""
        return min(
            (p for p in self.points if p.latency_us is not None), key=lambda p: p.latency_us or 0.0, default=None
        )


def sweep(
    run: Callable[..., ProfileReport],
    axes: Mapping[str, Sequence[Any]],
    kernel: str = "kernel",
    progress: Callable[[int, int, Point], None] | None = None,
) -> Sweep:
    """Call ``run(**arguments)`` for the product of `axes`.

    A combination that opentrn refuses (tiles that do not fit, a broken rule) becomes a point with its error; any other
    exception ends the sweep. `progress` is called after each with (points so far, points in all, the point).
    Raises LaunchError when an axis is empty.
    """
    empty = [name for name, values in axes.items() if not values]
    if not axes or empty:
        raise LaunchError("nothing to sweep over", got=", ".join(empty) or "no axis", expected="name=value,value")
    points: list[Point] = []
    total = prod(map(len, axes.values()))
    for values in product(*axes.values()):
        points.append(_point(run, dict(zip(axes, values, strict=True))))
        if progress is not None:
            progress(len(points), total, points[-1])
    return Sweep(kernel, {name: tuple(values) for name, values in axes.items()}, tuple(points))


def _point(run: Callable[..., ProfileReport], arguments: dict[str, Any]) -> Point:
    try:
        report = run(**arguments)
    except OpentrnError as error:
        return Point(arguments, error=str(error).partition("\n")[0])
    return Point(
        arguments,
        report.latency_us,
        report.latency_band_us,
        report.engines["tensor"].utilisation,
        report.dma.share_of_peak,
        report.dma.hbm_read_bytes + report.dma.hbm_written_bytes,
        report.verdict,
    )


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """``tile=128,256`` as ("tile", [128, 256]): integers, floats, true, false, none, else text."""
    name, equals, values = text.partition("=")
    if not (name.strip().isidentifier() and equals and values.strip()):
        raise LaunchError("a sweep cannot be read", got=repr(text), expected="NAME=VALUE,VALUE such as tile=128,256")
    return name.strip(), [_value(value.strip()) for value in values.split(",")]


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def sweep_table(found: Sweep) -> str:
    """One row for each point; the quickest is marked."""
    most = max((p.latency_us for p in found.points if p.latency_us is not None), default=1.0)
    rows = [[*found.axes, "latency", "", "TensorE", "DMA", ""]]
    for point in found.points:
        named = [str(point.arguments[name]) for name in found.axes]
        if point.latency_us is None:
            rows.append([*named, "-", "", "", "", point.error])
            continue
        mark = "<- quickest" if point is found.best else ""
        rows.append([*named, spoken(point.latency_us), f"[{bar(point.latency_us / most)}]", f"{point.tensor_utilisation:.0%}",
                     f"{point.dma_share_of_peak:.0%}", mark])  # fmt: skip
    title = f"{found.kernel}: {len(found.points)} combinations (TensorE: busy; DMA: bandwidth of its peak)"
    return "\n".join([title, "", *table(rows, "r" * len(found.axes) + "rlrrl")])


def plot(found: Sweep, path: str | Path) -> None:
    """Latency over the first axis with its band, one curve for each combination of the others; SVG, PNG or PDF.

    Raises InstallError without matplotlib (extra `viz`), LaunchError where the file's ending is none of these.
    """
    form = Path(path).suffix.lstrip(".").lower()
    if form not in ("svg", "png", "pdf"):
        raise LaunchError("a plot cannot be written", got=str(path), expected="a name that ends in .svg, .png or .pdf")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InstallError("a plot needs matplotlib", hint="pip install 'opentrn[viz]'") from None
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    first, *others = found.axes
    labels = [str(value) for value in found.axes[first]]
    for rest in product(*(found.axes[name] for name in others)):
        fixed = dict(zip(others, rest, strict=True))
        curve = [
            p for p in found.points if all(p.arguments[n] == v for n, v in fixed.items()) and p.latency_us is not None
        ]
        at = [labels.index(str(p.arguments[first])) for p in curve]
        bands = [p.latency_band_us or (0.0, 0.0) for p in curve]
        (line,) = axes.plot(
            at,
            [p.latency_us or 0.0 for p in curve],
            marker="o",
            label=", ".join(f"{n} = {v}" for n, v in fixed.items()),
        )
        axes.fill_between(
            at, [low for low, _ in bands], [high for _, high in bands], color=line.get_color(), alpha=0.15
        )
    axes.set_xticks(range(len(labels)), labels)
    axes.set(xlabel=first, ylabel="latency (us)", title=f"{found.kernel} (bands: provenance of the numbers)")
    axes.set_ylim(bottom=0)
    if others:
        axes.legend()
    with whole(path) as part:
        figure.savefig(part, format=form)
