"""The environment variables that NKI and Neuron document, read in this one place.

`NEURON_PLATFORM_TARGET_OVERRIDE` (trn1|inf2|gen2, trn2|gen3, trn3|gen4; default trn2), `NKI_PRECISE_FP`,
`NEURON_LOGICAL_NC_CONFIG`, `NEURON_RT_STOCHASTIC_ROUNDING_EN` and `_SEED`; ours: `OPENTRN_NATIVE=0` turns the compiled
core off. Sources: nki/api/nki/__init__.py, nki_simulator.rst, rounding-modes.rst (SDK 2.32).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from opentrn.machine.chip import load_chip
from opentrn.program import native

__all__ = ["TARGET_VARIABLE", "Settings", "nc_version", "read"]

TARGET_VARIABLE = "NEURON_PLATFORM_TARGET_OVERRIDE"
DEFAULT_TARGET = "trn2"


@dataclass(frozen=True)
class Settings:
    """What one launch runs under."""

    target: str
    wide: bool
    """Low-precision floats are kept as float32 (`NKI_PRECISE_FP=0`)."""
    lnc: int | None
    stochastic_seed: int | None
    """Seed of stochastic rounding; None rounds to nearest even."""


def read(target: str | None = None, default: str | None = None) -> Settings:
    """The settings now. `target` wins over the environment, which wins over `default`, which wins over trn2.

    Raises MachineError for a target that does not exist.
    """
    if os.environ.get("OPENTRN_NATIVE") == "0" and native.available():
        native.disable("OPENTRN_NATIVE=0 is set")
    chosen = target or os.environ.get(TARGET_VARIABLE) or default or DEFAULT_TARGET
    stochastic = os.environ.get("NEURON_RT_STOCHASTIC_ROUNDING_EN") == "1"
    lnc = os.environ.get("NEURON_LOGICAL_NC_CONFIG")
    return Settings(
        target=load_chip(chosen).name,
        wide=os.environ.get("NKI_PRECISE_FP", "1") == "0",
        lnc=int(lnc) if lnc and lnc.isdigit() else None,
        stochastic_seed=int(os.environ.get("NEURON_RT_STOCHASTIC_ROUNDING_SEED", "0")) if stochastic else None,
    )


def nc_version() -> str | None:
    """The chip that `NKI_NC_VERSION` names, as nki-library's tests set it; None without it."""
    return os.environ.get("NKI_NC_VERSION") or None
