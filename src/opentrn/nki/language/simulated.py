"""divide, fmod and mod: documented functions without a hardware instruction.

AWS documents that they work in simulation and do not compile for the device (NKI 0.3.0 and 0.4.0 release notes, "Known
Issues"). They are computed here as they are documented, without an instruction and without cost, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from opentrn.errors import LaunchError, SimulationOnly
from opentrn.execute.tile import Tile
from opentrn.nki.language.memory import ndarray
from opentrn.nki.tensor import NkiTensor
from opentrn.program.notices import notice
from opentrn.program.recorder import ACTIVE
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["SIMULATED", "simulated"]

SIMULATED: dict[str, tuple[Callable[..., np.ndarray], str]] = {
    "divide": (np.divide, "multiply by nl.reciprocal instead"),
    "fmod": (np.fmod, "no instruction replaces it"),
    "mod": (np.mod, "no instruction replaces it"),
}


def simulated(name: str, x: Any, y: Any, dtype: Any) -> NkiTensor:
    """A new tile with ``x name y``, rounded once to its dtype (default: that of the first tile)."""
    function, instead = SIMULATED[name]
    notice(f"nl.{name} has no hardware instruction: it works in simulation only; {instead}", SimulationOnly)
    tiles = [v for v in (x, y) if isinstance(v, View)]
    if ACTIVE.recorder is None or not tiles:
        raise LaunchError(f"nl.{name}", site=user_site(), got=f"{x!r}, {y!r}", expected="a tile, inside a kernel")
    core = ACTIVE.recorder.state
    for tile in tiles:
        core.look(tile)
    # float64 holds every float32 and int32, and rounds to what a single rounding would give
    with np.errstate(all="ignore"):
        values = function(*(_values(v, core) for v in (x, y)))
    out = ndarray(max((t.shape for t in tiles), key=np.prod), dtype or tiles[0].dtype)
    _write(Tile(out, name, core), values)
    return out


def _values(operand: Any, core: Any) -> np.ndarray:
    if not isinstance(operand, View):
        return np.asarray(operand, np.float64)
    tile = Tile(operand, "operand", core)
    exact = operand.dt.is_integer
    return (tile.raw() if exact else tile.f32()).astype(np.float64)


def _write(out: Tile, values: np.ndarray) -> None:
    if out.held.is_integer:  # as casts do: to nearest even, saturating, NaN to 0
        near = np.rint(np.where(np.isnan(values), 0.0, values))
        out.put(np.clip(near, out.held.min, out.held.max).astype(out.held.carrier))
    else:
        out.store(values.astype(np.float32))
