"""`nki.compiler.frontend`: "compiling" a kernel is running it, which checks everything that tracing would."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.nki.kernel import run, simulate

__all__ = ["NKIFrontend", "ParserFrontend"]


class NKIFrontend:
    """Base of the front ends."""


class ParserFrontend(NKIFrontend):
    """Stands for the parser front end."""

    def compile(
        self, kernel: Any, *, inputs: dict[str, Any], target: str = "trn2", lnc: int = 1, **_unused: Any
    ) -> Any:
        """Run ``kernel[lnc](**inputs)`` on `target`; ``outputs`` of what comes back are its results."""
        report = run(simulate(kernel)[lnc], target=target)(**inputs)
        return SimpleNamespace(outputs=report.results, module=None)
