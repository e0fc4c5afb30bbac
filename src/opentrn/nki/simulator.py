"""`nki.cpu_simulate`: the private name by which nki-library's tests (tag 2.29) reach the simulator.

What nki_simulator.rst (SDK 2.32) says of AWS's simulator holds here: memory that nobody wrote reads as NaN, or as 4 in
integers, and computing on it is no error; nor are tensors that overflow SBUF or PSUM, which the compiler would spill. A
warning tells of the first place. `nki.simulate` and plain calls raise there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentrn.nki import settings
from opentrn.nki.kernel import Kernel, simulate
from opentrn.program.notices import notice

__all__ = ["cpu_simulate"]


class cpu_simulate:
    """``cpu_simulate(kernel)[lnc](**inputs)`` runs a kernel; `NKI_NC_VERSION` (gen2, gen3, gen4) names the chip."""

    def __init__(self, kernel: Any) -> None:
        self.kernel: Kernel = simulate(kernel)

    def __getitem__(self, lnc: int) -> Callable[..., Any]:
        chosen = self.kernel[lnc]

        def run(*args: Any, **kwargs: Any) -> Any:
            report = chosen.report(args, kwargs, target=settings.nc_version(), strict=False)
            if report.warnings:
                notice(str(report.warnings[0]), UserWarning)
            return report.results

        return run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self[1](*args, **kwargs)
