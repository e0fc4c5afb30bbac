"""The package `neuronxcc`, of which `neuronxcc.nki` is `opentrn.nki.beta1`; there is no compiler here."""

from __future__ import annotations

import logging

from opentrn.nki import beta1 as nki

__all__ = ["nki"]
__version__ = "2.21.0"

if not hasattr(logging, "OFF"):  # the compiler adds this level; public kernels write logging.disable(logging.OFF)
    logging.OFF = logging.CRITICAL + 10  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
