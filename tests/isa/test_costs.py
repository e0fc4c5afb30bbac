"""What instructions cost: every one has a cost with tiers on every chip, and published measurements are met."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import opentrn
import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MachineError
from opentrn.isa.all import REGISTRY
from opentrn.isa.spec import Cost
from opentrn.machine import CHIP_NAMES, TIERS, load_chip
from opentrn.timing.timeline import ENGINES

MODULES = SimpleNamespace(nki=nki, nl=nl, nisa=nisa, np=np)
NO_PUBLIC_NUMBER = {("dma_transpose", "trn1"), ("topk", "trn1")}
"""NeuronCore-v2 has neither a transposing DMA nor topk that any public page would describe."""
EXAMPLES = [
    (name, chip) for name, made in sorted(REGISTRY.items()) for chip in CHIP_NAMES
    if load_chip(chip).nc_version >= made.since and (name, chip) not in NO_PUBLIC_NUMBER
]  # fmt: skip


def costs_of(name: str, chip: str) -> list[Cost]:
    """The costs of an instruction in its example."""
    example = REGISTRY[name].example
    assert example is not None
    kernel, arguments = example(MODULES)
    report = opentrn.run(kernel, target=chip)(*arguments)
    return [step.cost for step in report.steps if step.instruction.name == name]


def check(cost: Cost, chip: str) -> None:
    assert cost.engine in ENGINES
    assert cost.tiers and set(cost.tiers) <= set(TIERS)
    numbers = [cost.busy_ns, cost.latency_ns, cost.preload_ns, cost.address_ns, cost.flops, cost.elements]
    assert all(math.isfinite(n) and n >= 0 for n in numbers)
    assert cost.busy_ns > 0
    assert cost.shared_ns is None or cost.shared_ns >= cost.busy_ns
    if cost.transfer is not None:
        move = cost.transfer
        assert 1 <= move.engines <= min(move.descriptors, load_chip(chip).engines.dma.engines)
        assert min(move.nbytes, move.bytes_per_ns, move.descriptor_ns, move.first_byte_ns, move.complete_ns) > 0


@pytest.mark.parametrize(("name", "chip"), sorted(NO_PUBLIC_NUMBER))
def test_a_number_that_is_not_public_is_an_error(name: str, chip: str):
    with pytest.raises(MachineError, match=f"{chip} has no public number for"):
        costs_of(name, chip)


@pytest.mark.parametrize(("name", "chip"), EXAMPLES, ids=["-".join(pair) for pair in EXAMPLES])
def test_every_instruction_costs_something_on_every_chip_that_has_it(name: str, chip: str):
    found = costs_of(name, chip)
    assert found
    for cost in found:
        check(cost, chip)
