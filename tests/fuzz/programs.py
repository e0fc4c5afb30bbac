"""Strategies for programs over every instruction of the registry.

A call begins as the instruction's own example (which obeys its rules) and is varied as its description allows: sizes and
dtypes change together wherever they occur, memories and dtypes come from the operand table, attributes from what their
descriptions say, views from `layouts`. Whether the result is valid is for the rules to decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hypothesis import strategies as st
from tests.fuzz.layouts import SEEDS, chance, layout
from tests.fuzz.parts import Call, Program, Seen, Tensor

from opentrn.docs import example_report
from opentrn.isa import enums
from opentrn.isa.all import REGISTRY
from opentrn.isa.attributes import operator
from opentrn.isa.spec import Attribute
from opentrn.numerics.activations import ACTIVATIONS
from opentrn.numerics.alu import ALU
from opentrn.numerics.dtypes import DTYPES

__all__ = ["programs", "seeds"]

SIZES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 16, 17, 24, 32, 33, 64, 65, 128])
NUMBERS = st.sampled_from([0, 1, 2, 3, -1, 0.5, -2.25, 7, 1e30, -0.0, float("inf"), float("nan"), 255, 2**31 - 1])
DTYPE_NAMES = st.sampled_from([name for name, kind in DTYPES.items() if kind.code >= 0])
CONTENTS = st.sampled_from(["normal", "small", "special", "bits"])


@cache
def seeds(name: str) -> tuple[dict[str, Any], ...]:
    """Operands (prototypes) and attributes of the uses of an instruction in its example."""
    return tuple(s.values for s in example_report(REGISTRY[name]).steps if s.instruction.name == name)


@dataclass
class _Draft:
    """One program in the making; `sizes` and `dtypes` are what the present call's example becomes."""

    draw: Any
    target: str
    tensors: list[Tensor] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    bold: int = 1

    def dares(self, percent: int) -> bool:
        """Vary this part of the example: never in a timid call, more often in a bold one."""
        return self.bold > 0 and chance(self.draw, percent * self.bold)

    def new(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def size(self, old: int) -> int:
        if old not in self.sizes:
            self.sizes[old] = self.draw(SIZES) if self.dares(3 if old == 1 else 30) else old
        return self.sizes[old]

    def dtype(self, old: str, allowed: frozenset[str] | None) -> str:
        if old not in self.dtypes:
            self.dtypes[old] = self.draw(DTYPE_NAMES) if self.dares(25) else old
        new = self.dtypes[old]
        if self.dares(6) or (allowed and new not in allowed):
            new = self.draw(st.sampled_from(sorted(allowed)) if allowed else DTYPE_NAMES)
        return new


def _operand(draft: _Draft, like: Any, operand: Any) -> Seen:
    draw = draft.draw
    region = like.buffer.value
    if draft.dares(8):
        region = draw(st.sampled_from(sorted(r.value for r in operand.memory)))
    region = "private_hbm" if region == "shared_hbm" else region
    dtype = draft.dtype(like.dtype, operand.dtypes)
    shape = tuple(draft.size(n) for n in like.shape)
    shape, held, steps = layout(draw, shape, dtype, region, operand.role, draft.new)
    same = [n for n, t in enumerate(draft.tensors) if (t.region, t.shape, t.dtype) == (region, shape, held)]
    if same and chance(draw, 30):
        return Seen(draw(st.sampled_from(same)), steps)
    written = "none" if operand.role == "out" and not chance(draw, 15) else "half" if chance(draw, 3) else "all"
    values = draw(CONTENTS) if operand.dtypes is None or chance(draw, 20) else "small"
    return Seen(draft.new(Tensor(region, shape, held, values, draw(SEEDS), written)), steps)


def _value(draft: _Draft, operand: Any, old: Any) -> Any:
    if operand.optional and draft.dares(10):
        return None
    if operand.or_number and old is not None and draft.dares(15):
        return draft.draw(NUMBERS)
    if isinstance(old, list):
        return [_operand(draft, one, operand) for one in old]
    return _operand(draft, old, operand) if hasattr(old, "shape") else old


def _named(value: Any) -> Any:
    """An attribute as a caller writes it: parsed operators and functions are named again."""
    return operator(value.name) if hasattr(value, "name") and not hasattr(value, "value") else value


def _other(attribute: Attribute, old: Any, draft: _Draft) -> Any:
    """Another value of an attribute, by what its description says."""
    draw, text = draft.draw, attribute.text
    enumeration = re.match(r"`nisa\.(\w+)`: (.*)", text)
    if "or None" in text and chance(draw, 25):
        return None
    if enumeration:
        return getattr(enums, enumeration[1])[draw(st.sampled_from(re.findall(r"`(\w+)`", enumeration[2])))]
    if text.startswith("math operator"):
        return operator(draw(st.sampled_from(sorted(ALU))))
    if text.startswith("activation function"):
        return operator(draw(st.sampled_from(sorted(ACTIVATIONS))))
    if text.startswith("bool"):
        return draw(st.booleans())
    if text.startswith(("number", "integer")):
        return draw(NUMBERS if text.startswith("number") else st.integers(-2, 70))
    if "tuple" in text or "list" in text or "pair" in text:
        return tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 32, 64, 128]), max_size=3)))
    return old


def _attribute(draft: _Draft, attribute: Attribute, old: Any) -> Any:
    if draft.dares(15):
        return _other(attribute, old, draft)
    if "pattern" in attribute.text and old:
        return [[step, draft.size(count)] for step, count in old]
    return _named(old)


def _call(draft: _Draft, name: str) -> Call:
    made, draw = REGISTRY[name], draft.draw
    draft.sizes, draft.dtypes, draft.bold = {}, {}, draw(st.integers(0, 2))
    old = draw(st.sampled_from(seeds(name)))
    given = {key: _value(draft, operand, old[key]) for key, operand in made.operands.items()}
    given |= {key: _attribute(draft, attribute, old[key]) for key, attribute in made.attributes.items()}
    if "engine" in made.signature.parameters and draft.dares(15):
        given["engine"] = draw(st.sampled_from(made.engines))
    return Call(name, given)


@st.composite
def programs(draw: Any, names: tuple[str, ...] = tuple(sorted(REGISTRY)), most: int = 4) -> Program:
    """Programs of one to `most` calls, on any chip that has the first one's instruction."""
    wanted = draw(st.lists(st.sampled_from(names), min_size=1, max_size=most))
    chips = ["trn2", "trn3", "trn1"] if max(REGISTRY[n].since for n in wanted) < 4 else ["trn3"]
    target = draw(st.sampled_from(chips)) if chance(draw, 30) else chips[0]
    draft = _Draft(draw, target)
    calls = tuple(_call(draft, name) for name in wanted)
    lnc = 2 if target != "trn1" and chance(draw, 10) else 1
    return Program(target, lnc, tuple(draft.tensors), calls)
