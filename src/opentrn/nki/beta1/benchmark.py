"""`nki.benchmark` and `nki.profile`: the simulated latency of a kernel, under the names that the device's has (SDK 2.26)."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from opentrn.errors import LaunchError
from opentrn.nki.arrays import ShapeDtype
from opentrn.nki.beta1.kernel import Kernel, function_of
from opentrn.nki.profile import profile as timed
from opentrn.profile.files import save
from opentrn.profile.html import write_html
from opentrn.profile.perfetto import write_perfetto
from opentrn.profile.report import ProfileReport
from opentrn.program.recorder import ACTIVE
from opentrn.program.site import user_site

__all__ = ["Benchmark", "BenchmarkResult", "Latency", "benchmark", "profile"]

PERCENTILES = (0, 1, 10, 25, 50, 90, 99, 100)


class Latency:
    """Latencies of one kernel. Simulated ones: every execution takes the same time, so the percentiles are equal."""

    simulated = True

    def __init__(self, microseconds: float, count: int) -> None:
        self.microseconds, self.count = microseconds, count

    def get_latency_percentile(self, percentile: int) -> int:
        """Microseconds, as a whole number like the device's tool gives them. Raises LaunchError for other percentiles."""
        if percentile not in PERCENTILES:
            raise LaunchError(
                "get_latency_percentile", site=user_site(), got=repr(percentile), expected=f"one of {PERCENTILES}"
            )
        return round(self.microseconds)

    def __repr__(self) -> str:
        return f"Latency({self.microseconds:.2f} us, simulated)"


class BenchmarkResult:
    """What ``benchmark_result`` is after a call: `nc_latency`, and the whole report that it comes from."""

    def __init__(self, report: ProfileReport, iters: int) -> None:
        self.report = report
        self.nc_latency = Latency(report.latency_us, iters)

    @property
    def simulated(self) -> bool:
        """Always true here."""
        return True


class Benchmark:
    """A kernel whose calls are timed. It runs once: the simulated clock gives the same time however often it is asked.

    Where an argument is a shape (``nt.tensor[[128, 512], nl.float32]``) no values are computed, and the results are shapes.
    """

    def __init__(self, kernel: Kernel, options: dict[str, Any], parent: Benchmark | None = None) -> None:
        functools.update_wrapper(self, kernel.body)
        self.kernel, self.options, self.parent = kernel, options, parent
        self.benchmark_result: Any = None

    def __getitem__(self, grid: Any) -> Benchmark:
        return type(self)(self.kernel[grid], self.options, self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if ACTIVE.recorder is not None:
            return self.kernel(*args, **kwargs)
        shapes = any(isinstance(value, ShapeDtype) for value in (*args, *kwargs.values()))
        report = timed(self.kernel, mode="timing" if shapes else "values")(*args, **kwargs)
        self.finish(report)
        return report.results

    def finish(self, report: ProfileReport) -> None:
        """Keep and print the latency."""
        self.benchmark_result = BenchmarkResult(report, int(self.options.get("iters", 100)))
        if self.parent is not None:
            self.parent.benchmark_result = self.benchmark_result
        latency = self.benchmark_result.nc_latency
        rows = "  ".join(f"p{n} {latency.get_latency_percentile(n)}" for n in PERCENTILES)
        print(f"{report.kernel} on {report.target}, simulated latency in us: {rows}")


class _Profiled(Benchmark):
    """A kernel whose calls leave a report and a trace in a folder."""

    def finish(self, report: ProfileReport) -> None:
        super().finish(report)
        folder = Path(self.options["working_directory"])
        folder.mkdir(parents=True, exist_ok=True)
        files = {name: folder / f"{report.kernel}.{name}" for name in ("html", "pftrace", "json")}
        taken = [str(f) for f in files.values() if f.exists()]
        if taken and not self.options.get("overwrite", False):
            raise LaunchError("nki.profile", got=f"{taken[0]} exists", expected="a free name", hint="overwrite=True")
        write_html(files["html"], report.timeline, report.to_dict())
        write_perfetto(files["pftrace"], report.timeline)
        save(report.to_dict(), files["json"])


def benchmark(kernel: Any = None, **options: Any) -> Any:
    """A kernel that measures itself: after a call, ``benchmark_result.nc_latency.get_latency_percentile(50)``.

    The time is opentrn's prediction of the kernel alone, without the host's transfers. No NEFF and no trace are written.
    """
    if kernel is None:
        return functools.partial(benchmark, **options)
    return Benchmark(function_of(kernel, "nki.benchmark"), options)


def profile(func: Any = None, **options: Any) -> Any:
    """A kernel that writes a report (HTML), a trace (Perfetto) and a summary (JSON) into `working_directory`."""
    if func is None:
        return functools.partial(profile, **options)
    where = options.get("working_directory")
    if where is None or not Path(where).is_absolute():
        raise LaunchError(
            "nki.profile", site=user_site(), got=f"working_directory={where!r}", expected="an absolute path"
        )
    return _Profiled(function_of(func, "nki.profile"), options)
