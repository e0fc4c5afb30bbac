"""The conditions that follow from the operand tables, tried on every operand of every instruction.

Each instruction's `CASE` (its test file) is a valid call; here one operand at a time gets a memory or dtype that its
table does not allow, more than 128 partitions, or an unaligned start partition.
"""

from __future__ import annotations

from typing import Any

import pytest
from harness import Operand, call, refused
from test_completeness import NAMES, module

import opentrn.nki.language as nl
from opentrn.isa.all import REGISTRY
from opentrn.isa.enums import MemoryRegion, engine

REGIONS = [MemoryRegion.sbuf, MemoryRegion.psum, MemoryRegion.private_hbm]


def _case(name: str) -> tuple[dict[str, Any], str]:
    return module(name).CASE, "trn3" if REGISTRY[name].since == 4 else "trn2"


def _tensors(case: dict[str, Any]) -> list[tuple[str, str, Operand]]:
    """(operand, label, value) of each tensor; of a list of tensors the first."""
    found = []
    for key, value in case.items():
        if isinstance(value, Operand):
            found.append((key, key, value))
        elif isinstance(value, list) and value and isinstance(value[0], Operand):
            found.append((key, f"{key}[0]", value[0]))
    return found


def _with(case: dict[str, Any], key: str, value: Operand) -> dict[str, Any]:
    return {**case, key: [value, *case[key][1:]] if isinstance(case[key], list) else value}


@pytest.mark.parametrize("name", NAMES)
def test_the_case_is_valid(name: str) -> None:
    case, target = _case(name)
    made = call(name, target=target, **case)
    assert set(made)


@pytest.mark.parametrize("name", NAMES)
def test_memories_outside_the_table_are_refused(name: str) -> None:
    case, target = _case(name)
    for key, label, value in _tensors(case):
        for region in REGIONS:
            if region not in REGISTRY[name].operands[key].memory:
                refused(name, f"{label}.memory", target=target, **_with(case, key, value.where(region)))


@pytest.mark.parametrize("name", NAMES)
def test_dtypes_outside_the_table_are_refused(name: str) -> None:
    case, target = _case(name)
    for key, label, value in _tensors(case):
        allowed = REGISTRY[name].operands[key].dtypes
        if allowed is None:
            continue
        other = next(d for d in ("int8", "float16", "uint16", "int32", "float32", "bool") if d not in allowed)
        bare = Operand(value.region, value.shape, other, view=value.view)
        refused(name, f"{label}.dtype", target=target, **_with(case, key, bare))


@pytest.mark.parametrize("name", [n for n in NAMES if engine.dma not in REGISTRY[n].engines])
def test_unaligned_start_partitions_are_refused(name: str) -> None:
    case, target = _case(name)
    for key, label, value in _tensors(case):
        if value.region not in (nl.sbuf, nl.psum):
            continue
        shape = (value.shape[0] + 1, *value.shape[1:])
        if shape[0] > 128:
            continue
        moved = Operand(value.region, shape, value.dtype).seen(lambda t, v=value: v.view(t[1:]))
        refused(name, f"{label}.start", target=target, **_with(case, key, moved))


@pytest.mark.parametrize("name", [n for n in NAMES if REGISTRY[n].since > 2])
def test_older_chips_are_refused(name: str) -> None:
    case, _ = _case(name)
    refused(name, "target", target="trn1" if REGISTRY[name].since == 3 else "trn2", **case)


@pytest.mark.parametrize("name", [n for n in NAMES if "engine" in REGISTRY[n].signature.parameters])
def test_engines_outside_the_table_are_refused(name: str) -> None:
    case, target = _case(name)
    wrong = next(e for e in engine if e is not engine.unknown and e not in REGISTRY[name].engines)
    refused(name, "engine", target=target, **{**case, "engine": wrong})


@pytest.mark.parametrize("name", NAMES)
def test_operands_of_a_wrong_kind_are_refused(name: str) -> None:
    case, target = _case(name)
    for key, _, _ in _tensors(case):
        refused(name, f"{key}.kind", target=target, **{**case, key: "a string"})
