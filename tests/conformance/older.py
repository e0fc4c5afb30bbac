"""A pytest plugin for `nki_library.py --as-nki-0.4`: kernels compute as the suite's own references of quantize_mx have it.

Two of the choices in `isa.latitudes` are taken the other way: `mx_scale` (the scale before NKI 0.5, which nki-library
2.29 was written against) and `sentinel` (memory that nothing wrote reads as 0, as its golden results have it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from opentrn.execute.scrutiny import Otherwise
from opentrn.nki import kernel as kernels
from opentrn.numerics.latitude import taking

__all__ = ["launch"]


def launch(kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]) -> Any:
    """Launch with the two choices."""
    with taking("sentinel", np.random.default_rng(0)):
        return kernels.start(kernel, args, kwargs, {**options, "other": Otherwise("mx_scale")})


def pytest_configure(config: pytest.Config) -> None:
    """Every launch from now on goes through `launch`."""
    kernels.WATCHERS.append(launch)
