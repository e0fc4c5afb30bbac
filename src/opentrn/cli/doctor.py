"""tell what is installed, what is active, and how to get the rest"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path

from opentrn.cli.table import show
from opentrn.errors import MachineError

__all__ = ["facts", "main"]

_REINSTALL = "install a C++20 compiler (Debian: apt-get install g++) and reinstall opentrn"
_X86_LEVELS = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    ("x86-64-v3", {"avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}),
    ("x86-64-v2", {"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
)
"""Flags of /proc/cpuinfo per level (x86-64 psABI, table "Micro-Architecture Levels")."""


def _version(package: str) -> str:
    """Without importing it: torch alone takes seconds."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _cpu_level() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    return next((level for level, needed in _X86_LEVELS if needed <= flags), platform.machine())


def _native() -> tuple[str, str]:
    """State of the native core, and what to do about it."""
    from opentrn.program import native

    if native.available():
        return f"active, with code for {native.core().cpu_level()}", ""
    why = native.why_not()
    return f"off, the numpy path is active: {why}", "unset OPENTRN_NATIVE" if "OPENTRN_NATIVE" in why else _REINSTALL


def _target() -> tuple[str, str]:
    """The chip in use. Reading the settings also obeys OPENTRN_NATIVE, so this comes before `_native`."""
    from opentrn.nki import settings

    try:
        return settings.read().target, ""
    except MachineError as error:
        return error.what, f"set NEURON_PLATFORM_TARGET_OVERRIDE to one of {error.expected}"


def _package(name: str, extra: str) -> tuple[str, str]:
    version = _version(name)
    return version or "not installed", "" if version else f"pip install 'opentrn[{extra}]'"


def facts() -> dict[str, tuple[str, str]]:
    """Name of each thing -> (its state, how to get it when it is missing, else an empty string)."""
    target = _target()
    return {
        "opentrn": (_version("opentrn") or "source tree, not installed", ""),
        "python": (platform.python_version(), ""),
        "numpy": _package("numpy", "cli"),
        "ml_dtypes": _package("ml_dtypes", "cli"),
        "cpu": (_cpu_level(), ""),
        "native": _native(),
        "target": target,
        "torch": _package("torch", "torch"),
        "jax": _package("jax", "jax"),
        "rich": _package("rich", "cli"),
        "matplotlib": _package("matplotlib", "viz"),
        "pyarrow": _package("pyarrow", "parquet"),
    }


def main(argv: Sequence[str]) -> int:
    """Prints the facts and returns 0: a missing extra is no failure."""
    parser = argparse.ArgumentParser(prog="opentrn doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print {name: {state, hint}} as JSON")
    found = facts()
    if parser.parse_args(argv).json:
        print(json.dumps({name: {"state": state, "hint": hint} for name, (state, hint) in found.items()}, indent=2))
    else:
        show(("what", "state", "how to get it"), [(name, *row) for name, row in found.items()])
    return 0
