"""opentrn: an AWS Trainium2 in software. Not affiliated with AWS."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from opentrn.install import install

__all__ = ["ShapeDtype", "__version__", "check", "errors", "install", "nki", "profile", "run", "session"]
__version__ = "0.1.0"

_HOME = {
    "run": "opentrn.nki.kernel",
    "ShapeDtype": "opentrn.nki.arrays",
    "check": "opentrn.nki.check",
    "session": "opentrn.bridges.session",
}
_MODULES = ("nki", "errors", "profile")


def __getattr__(name: str) -> Any:
    """The public names, imported on first use: `import opentrn` alone stays cheap."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"opentrn.{name}")
    raise AttributeError(f"module 'opentrn' has no attribute {name!r}")
