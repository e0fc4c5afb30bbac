"""What public sources leave open, or what kernels rely on without need: opentrn's choice, and the other admissible one.

Declared once, here. The places that make a choice ask `numerics.latitude.taken`; the page `docs/differs.md` and the check
`hardware` come from this table. A run with the other choice shows what a kernel's results owe to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from opentrn.errors import Site
from opentrn.isa.enums import engine
from opentrn.isa.operators import is_bitvec
from opentrn.isa.spec import Provenance, Use
from opentrn.numerics.activations import Activation
from opentrn.numerics.alu import AluOp

__all__ = ["LATITUDES", "Latitude", "Line", "Sight"]

Line = tuple[str, int]
"""(file, line) of the user's source."""


@dataclass(frozen=True)
class Latitude:
    """One choice. `matters` tells whether it can change what a checked use of an instruction (a `Step`) computes.

    `ours` and `other` say what opentrn does and what the chip may do instead (`otherwise` in one clause); `source` what
    the public page says. `seen` marks a choice whose use an ordinary run notices by itself (`execute.watch`); the others
    show only in a second run.
    """

    name: str
    severity: str
    provenance: Provenance
    ours: str
    other: str
    otherwise: str
    source: str
    page: str
    hint: str
    matters: Callable[[Any], bool]
    seen: bool = False


@dataclass
class Sight:
    """Something noticed at one line: which choice matters there, the instruction, how often, and the first time's facts."""

    name: str
    instruction: str
    site: Site | None
    facts: str
    count: int = 1


LATITUDES: dict[str, Latitude] = {}
"""Every choice by name, those that an ordinary run notices first."""

FP8 = frozenset({"float8_e4m3", "float8_e4m3fn", "float8_e5m2"})
WHOLE = frozenset({"int32", "uint32"})


def _declare(name: str, severity: str, provenance: Provenance, matters: Callable[[Any], bool], **texts: Any) -> None:
    LATITUDES[name] = Latitude(name, severity, provenance, matters=matters, **texts)


def _tensors(step: Any, *roles: str) -> list[Any]:
    """The operands of a step that have one of the roles (prototypes: facts without values)."""
    tensors = Use(step.instruction, step.values, step.chip).tensors()
    return [tensor for (_, tensor), role in zip(tensors, step.roles, strict=True) if role in roles]


def _written(step: Any) -> list[Any]:
    return _tensors(step, "out", "inout")


def _operators(step: Any) -> list[AluOp]:
    return [value for value in step.values.values() if isinstance(value, AluOp)]


def _moves(step: Any) -> bool:
    return step.engine is engine.dma or step.instruction.name.startswith("dma_")


# ---------------------------------------------------------------- what an ordinary run notices
def _limited(step: Any) -> bool:
    function = step.values.get("op")
    return isinstance(function, Activation) and bool(np.isfinite(function.valid).any())


_declare(
    "function_range",
    "warning",
    "documented",
    _limited,
    ours="Outside its valid input range a function goes on as mathematics has it (sin: as the documented cubic).",
    other="The result is invalid (taken as NaN).",
    otherwise="if the chip gives NaN there",
    source="nki.api.shared.rst lists a valid input range for sin, arctan, log, sqrt, rsqrt and reciprocal, outside of which "
    "the Scalar Engine generates invalid results.",
    page="nki.api.shared.rst, Supported Activation Functions (SDK 2.32)",
    hint="bring the input into the range first (nl.sin reduces its own), or add an epsilon",
    seen=True,
)


def _through_float32(step: Any) -> bool:
    """32-bit integers into 32-bit integers by arithmetic that runs in float32."""
    operators = _operators(step)
    if "float32_integers" not in step.instruction.traits or step.values.get("negate") or any(map(is_bitvec, operators)):
        return False
    if step.engine is engine.gpsimd and step.instruction.name == "tensor_tensor":
        return False
    tiles = _tensors(step, "in", "out", "inout")
    numbers = [v for k, v in step.values.items() if k.startswith("operand") and isinstance(v, (int, float))]
    integral = all(float(n).is_integer() for n in numbers)
    exact = all(op.name not in ("rsqrt", "reciprocal", "divide", "average", "power") for op in operators)
    return integral and exact and all(tile.dtype in WHOLE for tile in tiles)


_declare(
    "integers",
    "error",
    "documented",
    _through_float32,
    ours="Arithmetic on 32-bit integers runs in float32, as documented, and so does opentrn: beyond 2**24 it rounds.",
    other="What the kernel may have meant: exact 32-bit integers.",
    otherwise="with exact integers",
    source="nisa.tensor_tensor and nisa.tensor_scalar cast to float32 before they compute; only tensor_tensor on GpSimd is "
    "exact on int32 and uint32.",
    page="nki.isa.tensor_tensor (SDK 2.32)",
    hint="use nisa.tensor_tensor on GpSimd, bitvec operators, or split the numbers into halves below 2**24",
    seen=True,
)
_declare(
    "fp8_overflow",
    "warning",
    "inferred",
    lambda step: any(tile.dtype in FP8 for tile in _written(step)),
    ours="A value beyond the range of an 8-bit float becomes infinity, or NaN where the type has no infinity.",
    other="It saturates at the largest finite value.",
    otherwise="if the chip saturates there",
    source="No public page says what an overflowing cast to an 8-bit float gives.",
    page="nki.api.shared.rst, Supported Data Types (SDK 2.32)",
    hint="scale the values first, or clip them to the type's range with nl.minimum and nl.maximum",
    seen=True,
)
_declare(
    "duplicates",
    "warning",
    "inferred",
    lambda step: any(tile.dynamic is not None and tile.dynamic.kind != "scalar" for tile in _written(step)),
    ours="Where an index of a scatter occurs twice, the last row wins, also where rows are added to what is there.",
    other="The first row wins, or each row is added in turn: descriptors of one transfer have no order among themselves.",
    otherwise="if the chip takes them in another order",
    source="nisa.dma_compute wants unique indices ('non-unique not yet supported'); nisa.dma_copy says nothing about the "
    "order of rows.",
    page="nki.isa.dma_compute (SDK 2.32)",
    hint="make the indices of one scatter unique, or sum duplicates before it",
    seen=True,
)
# ---------------------------------------------------------------- what only a second run shows
_declare(
    "denormals",
    "warning",
    "inferred",
    lambda step: not _moves(step) and any(tile.dt.is_float for tile in _tensors(step, "in", "out", "inout")),
    ours="Numbers below the smallest normal float32 (2**-126) keep their value.",
    other="They are flushed to zero, with their sign, when an engine reads or writes them.",
    otherwise="if the chip flushes denormals to zero",
    source="No public page says what the engines do with them.",
    page="trainium_inferentia2_arch.rst (SDK 2.32)",
    hint="keep numbers above 2**-126: scale them, or add an epsilon before a division or a logarithm",
)
_declare(
    "sum_order",
    "warning",
    "inferred",
    lambda step: "sums" in step.instruction.traits,
    ours="Sums are taken in a fixed order (16 lanes that are halved; products along the contraction).",
    other="The same sums from the last element to the first.",
    otherwise="summed from the last element to the first",
    source="No public page gives the order in which engines, the systolic array or a DMA add.",
    page="nki.isa.nc_matmul (SDK 2.32)",
    hint="avoid sums of large terms that cancel: subtract a mean or a maximum first, or add in another order",
)
_declare(
    "nan_extremes",
    "warning",
    "inferred",
    lambda step: any(op.name in ("maximum", "minimum") for op in _operators(step)),
    ours="maximum and minimum give NaN when an input is NaN, as numpy.maximum does.",
    other="They give the other input.",
    otherwise="if the chip passes over NaN there",
    source="nl.maximum is described as numpy.maximum's like; no public page says what the engines do.",
    page="nki.language.maximum (SDK 2.32)",
    hint="keep NaN out of what is compared, or select with a mask",
)
_declare(
    "rounding",
    "warning",
    "documented",
    lambda step: any(tile.dt.is_float and tile.dt.name not in ("float32", "float8_e8m0fnu") for tile in _written(step)),
    ours="float32 results round to the nearest bfloat16, float16 or 8-bit float.",
    other="They round stochastically: a process can ask for it, and PyTorch does with XLA_USE_BF16=1.",
    otherwise="with stochastic rounding",
    source="rounding-modes.rst: NEURON_RT_STOCHASTIC_ROUNDING_EN chooses the mode of the whole process.",
    page="rounding-modes.rst (SDK 2.32)",
    hint="keep running sums and differences of near numbers in float32 until the last step",
)
_declare(
    "sentinel",
    "warning",
    "documented",
    lambda step: True,
    ours="Memory that nothing wrote reads as NaN, in integers as 4.",
    other="It holds whatever was there before (taken as 0).",
    otherwise="if that memory holds 0",
    source="nki_simulator.rst: the sentinels belong to the simulator; the chip has none.",
    page="nki_simulator.rst (SDK 2.32)",
    hint="write every element before it is read (nisa.memset)",
)
_declare(
    "mx_scale",
    "advice",
    "documented",
    lambda step: step.instruction.name == "quantize_mx",
    ours="The scale of quantize_mx is twice that of the OCP specification's sample, as of NKI 0.5.",
    other="It is the sample's own, and the largest values of a group are clamped: NKI 0.4 and before.",
    otherwise="with the scale of NKI 0.4 and before",
    source="The release notes of Neuron 2.31 say that it is now two times larger; nki-library 2.29 has the other one in its "
    "reference of the instruction.",
    page="release-notes/components/nki.rst, NKI 0.5.0 (SDK 2.31)",
    hint="compare quantised data after scaling it back, not the bytes",
)
