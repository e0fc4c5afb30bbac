"""DMA transfers: who triggers them, over how many engines they spread, in how many pieces they move."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.isa.spec import Cost, Transfer

LOAD, STORE = "load", "store"


def costs(body: Any, *arrays: Any, target: str = "trn2") -> list[Cost]:
    """Costs of the DMA instructions that `body` executes, in order."""
    report = opentrn.run(body, target=target)(*arrays)
    return [step.cost for step in report.steps if step.cost.transfer is not None]


def copied(
    shape: tuple[int, ...] = (128, 512),
    where: Any = nl.shared_hbm,
    *,
    way: str = LOAD,
    target: str = "trn2",
    **how: Any,
) -> Cost:
    """One copy between HBM and SBUF."""

    def kernel(x: Any) -> Any:
        far, near = (
            nl.ndarray(shape, dtype=nl.float32, buffer=where),
            nl.ndarray(shape, dtype=nl.float32, buffer=nl.sbuf),
        )
        nisa.memset(dst=near, value=0.0)
        nisa.dma_copy(dst=far, src=near, **how)
        if way == LOAD:
            nisa.dma_copy(dst=near, src=far, **how)
        return x

    return costs(kernel, np.zeros((1, 1), np.float32), target=target)[-1]


def moved(cost: Cost) -> Transfer:
    assert cost.transfer is not None
    return cost.transfer


@pytest.mark.parametrize(
    ("where", "way", "how", "engine", "mode"),
    [
        (nl.shared_hbm, LOAD, {}, "gpsimd", "swdge"),
        (nl.shared_hbm, STORE, {}, "gpsimd", "swdge"),
        (nl.private_hbm, LOAD, {}, "sync", "hwdge"),
        (nl.private_hbm, STORE, {}, "scalar", "hwdge"),
        (nl.shared_hbm, LOAD, {"engine": nisa.engine.sync}, "sync", "hwdge"),
        (nl.shared_hbm, LOAD, {"engine": nisa.engine.scalar}, "scalar", "hwdge"),
        (nl.private_hbm, LOAD, {"engine": nisa.engine.gpsimd}, "gpsimd", "swdge"),
        (nl.shared_hbm, LOAD, {"engine": nisa.engine.vector}, "vector", "none"),
        (nl.shared_hbm, LOAD, {"dge_mode": nisa.dge_mode.none}, "sync", "none"),
        (nl.shared_hbm, LOAD, {"dge_mode": nisa.dge_mode.hwdge}, "sync", "hwdge"),
        (nl.shared_hbm, STORE, {"dge_mode": nisa.dge_mode.hwdge, "engine": nisa.engine.sync}, "sync", "hwdge"),
        (nl.private_hbm, LOAD, {"dge_mode": nisa.dge_mode.swdge, "engine": nisa.engine.sync}, "gpsimd", "swdge"),
    ],
)
def test_who_triggers(where: Any, way: str, how: dict[str, Any], engine: str, mode: str):
    cost = copied(where=where, way=way, **how)
    assert (cost.engine, moved(cost).generated) == (engine, mode)


def test_a_chip_without_hardware_descriptors_builds_them_ahead():
    cost = copied(target="trn1")
    assert (cost.engine, moved(cost).generated) == ("sync", "none")


def test_only_software_descriptors_hold_gpsimd():
    software, hardware = copied(), copied(where=nl.private_hbm)
    assert moved(software).generate_ns == software.busy_ns == 600
    assert moved(hardware).generate_ns == 0 and hardware.busy_ns == 600
    assert copied(dge_mode=nisa.dge_mode.none).busy_ns < 100


@pytest.mark.parametrize(("rows", "engines"), [(128, 16), (64, 8), (9, 2), (8, 1), (1, 1)])
def test_each_engine_serves_its_own_partitions(rows: int, engines: int):
    """nki-dma-overview.rst, Examples 1 and 2: eight partitions for each of 16 engines."""
    move = moved(copied((rows, 512)))
    assert (move.engines, move.descriptors, move.nbytes) == (engines, rows, rows * 2048)


def test_the_last_byte_is_later_the_more_engines_take_part():
    many, one = moved(copied((128, 512))), moved(copied((8, 512)))
    assert many.stagger_ns - one.stagger_ns == 15 * 24
    assert moved(copied((8, 512), way=STORE)).stagger_ns == 0


def pieces_of(kernel: Any, shape: tuple[int, ...], dtype: Any = np.float32) -> Transfer:
    return moved(costs(kernel, np.zeros(shape, dtype))[0])


def test_pieces_are_contiguous_on_both_sides():
    def columns(x: Any) -> Any:
        tile = nl.ndarray((128, 64), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=x[:, 0:64])
        return x

    def every_other(x: Any) -> Any:
        tile = nl.ndarray((128, 64), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=x[:, 0:128:2])
        return x

    def two_rows_in_one(x: Any) -> Any:
        tile = nl.ndarray((128, 2, 256), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=x.reshape((2, 128, 256)).permute((1, 0, 2)))
        return x

    assert pieces_of(columns, (128, 512)).descriptors == 128
    assert pieces_of(every_other, (128, 512)).descriptors == 128 * 64
    assert pieces_of(two_rows_in_one, (256, 256)).descriptors == 256


def test_a_piece_is_at_most_64_kib():
    def one_row(x: Any) -> Any:
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=x)
        return out

    move = pieces_of(one_row, (1 << 16,))
    assert (move.nbytes, move.descriptors, move.engines) == (1 << 18, 4, 4)


def test_the_wider_side_counts():
    def narrowed(x: Any) -> Any:
        tile = nl.ndarray((128, 512), dtype=nl.bfloat16, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=x)
        return x

    assert pieces_of(narrowed, (128, 512)).nbytes == 128 * 2048


def test_gathered_rows_are_pieces_that_software_describes():
    def gather(x: Any, index: Any) -> Any:
        rows, tile = nl.load(index), nl.ndarray((64, 32), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=x.ap([[32, 64], [1, 32]], vector_offset=rows, indirect_dim=0))
        return x

    cost = costs(gather, np.zeros((256, 32), np.float32), np.zeros((64, 1), np.uint32))[-1]
    assert (cost.engine, moved(cost).descriptors, moved(cost).nbytes) == ("gpsimd", 64, 64 * 128)


def test_transposes_and_sums_run_at_their_share_of_the_rate():
    def kernel(x: Any) -> Any:
        tile, near = (nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf) for _ in range(2))
        nisa.dma_transpose(dst=tile, src=x)
        nisa.dma_transpose(dst=near, src=tile)
        nisa.dma_compute(dst=near, srcs=[tile, near], reduce_op=nl.add)
        return x

    rates = [moved(c).bytes_per_ns for c in costs(kernel, np.zeros((128, 128), ml_dtypes.bfloat16))]
    assert rates == pytest.approx([27.2 * 0.9, 27.2 * 0.5, 27.2 * 0.5])
