"""What instructions cost: every one has a cost with tiers on every chip, and published measurements are met."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

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


def kernel_costs(body: Any, *arrays: Any, target: str = "trn2") -> dict[str, Cost]:
    """The cost of the last use of each instruction in `body`."""
    report = opentrn.run(body, target=target)(*arrays)
    return {step.instruction.name: step.cost for step in report.steps}


def tile(shape: tuple[int, ...], dtype: Any = nl.float32, buffer: Any = nl.sbuf) -> Any:
    made = nl.ndarray(shape, dtype=dtype, buffer=buffer)
    nisa.memset(dst=made, value=0.0)
    return made


X = np.zeros((1, 1), np.float32)


def test_activation_functions_name_their_table():
    def table(function: Any) -> str | None:
        def kernel(x: Any) -> Any:
            data = tile((128, 64))
            nisa.activation(dst=data, op=function, data=data)
            nisa.tensor_copy(dst=data, src=data, engine=nisa.engine.scalar)
            return x

        found = kernel_costs(kernel, X)
        assert found["tensor_copy"].table is None
        return found["activation"].table

    assert table(nl.square) == table(nl.rsqrt) != table(nl.exp)
    assert table(nl.gelu) == "gelu"


def test_matmuls_count_floating_point_operations_and_transposes_do_not():
    def kernel(x: Any) -> Any:
        left, right = tile((128, 64), nl.bfloat16), tile((128, 256), nl.bfloat16)
        nisa.nc_matmul(dst=tile((64, 256), buffer=nl.psum), stationary=left, moving=right)
        nisa.nc_transpose(dst=tile((64, 128), nl.bfloat16, nl.psum), data=left, engine=nisa.engine.tensor)
        return x

    found = kernel_costs(kernel, X)
    assert found["nc_matmul"].flops == 2 * 128 * 64 * 256 and found["nc_transpose"].flops == 0
    # 64 columns of 16-bit weights, four of them in a cycle
    assert found["nc_matmul"].preload_ns == found["nc_transpose"].preload_ns == pytest.approx(64 / 4 / 2.4)


def test_float32_products_of_half_the_array_take_twice_as_long():
    def busy(rows: int) -> float:
        def kernel(x: Any) -> Any:
            nisa.nc_matmul(dst=tile((128, 512), buffer=nl.psum), stationary=tile((rows, 128)), moving=tile((rows, 512)))
            return x

        return kernel_costs(kernel, X)["nc_matmul"].busy_ns

    assert busy(64) == 2 * busy(128) == pytest.approx(1707, rel=0.01)  # voyager-compiler timing_trainium2.json


def test_a_run_time_address_takes_its_minimum_of_cycles():
    def kernel(x: Any, index: Any) -> Any:
        rows, data = nl.load(index), tile((128, 512))
        nisa.tensor_copy(dst=tile((128, 8)), src=data.ap([[512, 128], [1, 8]], scalar_offset=rows, indirect_dim=1))
        nisa.tensor_scalar(dst=data, data=data, op0=nl.add, operand0=1.0)
        return x

    found = kernel_costs(kernel, X, np.zeros((1, 1), np.uint32))
    moved = found["tensor_copy"]
    assert moved.address_ns + moved.busy_ns == pytest.approx(600 / 0.96)
    assert found["tensor_scalar"].address_ns == 0


def test_fast_modes_fall_back_while_gpsimd_holds_the_port():
    def kernel(x: Any) -> Any:
        data = tile((128, 512))
        nisa.tensor_copy(dst=data, src=data, engine=nisa.engine.vector)
        nisa.tensor_tensor(dst=data, data1=data, data2=data, op=nl.add, engine=nisa.engine.vector)
        return x

    found = kernel_costs(kernel, X)
    copy, add = found["tensor_copy"], found["tensor_tensor"]
    assert copy.shared_ns == pytest.approx((60 + 512) / 0.96) and copy.busy_ns == pytest.approx((60 + 256) / 0.96)
    assert "inferred" in copy.tiers
    assert add.shared_ns is None  # one element a cycle at any time
    assert kernel_costs(kernel, X, target="trn1")["tensor_copy"].shared_ns is None  # the port is exclusive there


def test_cores_meet_by_name():
    def kernel(x: Any) -> Any:
        sent, got = tile((128, 64)), tile((128, 64))
        other = 1 - nl.program_id(0)
        nisa.core_barrier(data=sent, cores=(0, 1))
        nisa.sendrecv(src=sent, dst=got, send_to_rank=other, recv_from_rank=other, pipe_id=3)
        return x

    report = opentrn.run(nki.jit(kernel)[2], target="trn2")(X)
    found = {step.instruction.name: step.cost for step in report.steps}
    assert found["core_barrier"].meets == "core_barrier" and found["sendrecv"].meets == "sendrecv 3"
    move = found["sendrecv"].transfer
    assert move is not None and move.first_byte_ns + move.complete_ns == 2000  # measured for a small tile
