"""`nki.cpu_simulate`: the private name by which nki-library's tests (tag 2.29) reach the simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentrn.nki import settings
from opentrn.nki.kernel import Kernel, simulate

__all__ = ["cpu_simulate"]


class cpu_simulate:
    """``cpu_simulate(kernel)[lnc](**inputs)`` runs a kernel; `NKI_NC_VERSION` (gen2, gen3, gen4) names the chip."""

    def __init__(self, kernel: Any) -> None:
        self.kernel: Kernel = simulate(kernel)

    def __getitem__(self, lnc: int) -> Callable[..., Any]:
        chosen = self.kernel[lnc]
        return lambda *args, **kwargs: chosen.report(args, kwargs, target=settings.nc_version()).results

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self[1](*args, **kwargs)
