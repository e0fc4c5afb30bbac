"""The chips against the public numbers, written out again here; and how they refuse what nobody has published."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import opentrn.machine
from opentrn.errors import MachineError
from opentrn.machine import CHIP_NAMES, TIERS, Quantity, load_chip

TIER_SET = {"documented", "code", "measured", "figure", "derived", "fitted", "inferred"}
FOLDER = Path(opentrn.machine.__file__).parent

# One row per number: path, then trn1, trn2, trn3. None: no public number, so asking for it is an error.
KEY_NUMBERS: list[tuple[str, Any, Any, Any]] = [
    ("name", "trn1", "trn2", "trn3"),
    ("nc_version", 2, 3, 4),
    ("memory.partitions", 128, 128, 128),
    ("memory.sbuf_bytes", 24 * 2**20, 28 * 2**20, 32 * 2**20),
    ("memory.sbuf_bytes_per_partition", 192 * 1024, 224 * 1024, 256 * 1024),
    ("memory.sbuf_usable_bytes_per_partition", 180224, 212984, 245752),
    ("memory.psum_bytes_per_partition", 16384, 16384, 16384),
    ("memory.psum_banks", 8, 8, 8),
    ("memory.psum_bank_bytes", 2048, 2048, 2048),
    ("memory.sbuf_min_align", 1, 1, 1),
    ("memory.psum_min_align", 4, 4, 4),
    ("memory.hbm_bytes", 32 * 2**30, 96 * 2**30, 144 * 2**30),
    ("limits.pmax", 128, 128, 128),
    ("limits.gemm_stationary_fmax", 128, 128, 128),
    ("limits.gemm_moving_fmax", 512, 512, 4096),
    ("limits.gemm_moving_fmax_bf16_dst", None, None, 8192),
    ("limits.matmul_tile_row_sizes", (64, 128), (32, 64, 128), (32, 64, 128)),
    ("limits.psum_bank_fmax", 512, 512, 512),
    ("limits.bn_stats_fmax", 512, 512, 512),
    ("limits.max8_min", 8, 8, 8),
    ("limits.max8_max", 16384, 16384, 16384),
    ("limits.access_pattern_dims", 4, 4, 4),
    ("limits.free_size_max", 65535, 65535, 65535),
    ("limits.psum_free_size_max", 4096, 4096, 4096),
    ("limits.start_partitions_up_to_32", (0, 32, 64, 96), (0, 32, 64, 96), (0, 32, 64, 96)),
    ("limits.double_row_contraction_max", None, 256, 256),
    ("limits.mx_contraction_max", None, None, 512),
    ("limits.topk_n_max", None, 65535, 65535),
    ("limits.rand_state_words_vector", None, None, 24),
    ("limits.lnc_values", (1,), (1, 2), (1, 2)),
    ("features.fp8_double_row", False, True, True),
    ("features.mx_matmul", False, False, True),
    ("features.vector_gpsimd_sbuf_parallel", False, True, True),
    ("engines.tensor.clock_hz", 2_800_000_000, 2_400_000_000, 2_400_000_000),
    ("engines.vector.clock_hz", 1_120_000_000, 960_000_000, 1_200_000_000),
    ("engines.scalar.clock_hz", 1_400_000_000, 1_200_000_000, 1_200_000_000),
    ("engines.gpsimd.clock_hz", 1_400_000_000, 1_200_000_000, 1_200_000_000),
    ("engines.sync.clock_hz", 1_400_000_000, 1_200_000_000, None),
    ("engines.semaphores", 256, 256, None),
    ("engines.dma.engines", 16, 16, 16),
    ("engines.dma.dge_blocks", 0, 2, None),
    ("cost.kernel_fixed_ns", 18000, 9403.4, None),
    ("cost.min_ii_cycles", 64, 64, 64),
    ("cost.access_static_cycles", 60, 60, 60),
    ("cost.semaphore_ns", 9, 36, 36),
    ("cost.vector.drain_ns", 295, 90, 72),
    ("cost.vector.quantize_mx_elements_per_cycle", None, None, 4),
    ("cost.vector.cycles_per_element_fp32_copy", 1, 0.5, 0.5),
    ("cost.vector.cycles_per_element_16bit_copy", 1, 0.25, 0.25),
    ("cost.vector.cycles_per_element_fp32_tensor_tensor", 2, 1, 1),
    ("cost.vector.cycles_per_element_reciprocal", 8, 6, 6),
    ("cost.vector.cycles_per_element_tensor_tensor_scan", 2, 2, 2),
    ("cost.scalar.drain_ns", 115, 109, 109),
    ("cost.scalar.broadcast_operand_ns", None, 93, 93),
    ("cost.scalar.act_table_load_ns", 1283, 1283, 1283),
    ("cost.tensor.fixed_ns", 158, 163, 163),
    ("cost.tensor.cycles_per_row_fp32", 4, 4, 4),
    ("cost.tensor.ramp_ns", None, 3000, 3000),
    ("cost.gpsimd.fixed_cycles", 150, 150, 150),
    ("cost.dma.issue_ns", None, 600, 600),
    ("cost.dma.first_byte_ns", None, 750, 750),
    ("cost.dma.descriptor_ns", 6.8, 5, 5),
    ("cost.dma.bytes_per_ns_per_engine", 18.2, 27.2, 38.4),
    ("cost.dma.sustained_bytes_per_ns_per_engine", 17, 23, 33),
    ("cost.dma.peak_bytes_per_ns_per_engine", 27.2, 27.2, 38.4),
    ("cost.dma.cap_bytes_per_ns_core", 272, 435, 528),
    ("cost.dma.complete_ns", 315, 315, 315),
    ("cost.hbm.bytes_per_ns_chip", 820, 2900, 4900),
    ("cost.hbm.bytes_per_ns_stack", 410, 716, 1225),
    ("package.cores", 2, 8, 8),
    ("package.collective_cores", 6, 16, 16),
    ("calibration.vector.tensor_copy_fp32_sbuf.ns_per_element", None, 0.5207, None),
]


def leaves(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every table of the raw TOML that holds no other table."""
    inner = {name: item for name, item in table.items() if isinstance(item, dict)}
    if not inner:
        yield path, table
    else:
        assert inner.keys() == table.keys(), f"{path} mixes bare values and tables"
        for name, item in inner.items():
            yield from leaves(item, f"{path}.{name}".strip("."))


def raw_leaves(chip: str) -> dict[str, dict[str, Any]]:
    return dict(leaves(tomllib.loads((FOLDER / f"{chip}.toml").read_text(encoding="utf-8"))))


def at(chip: str, path: str) -> Any:
    """The value by plain attribute access, one dot at a time."""
    found: Any = load_chip(chip)
    for name in path.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("chip", CHIP_NAMES)
def test_every_leaf_has_value_unit_tier_and_source(chip: str):
    found = raw_leaves(chip)
    assert len(found) > 150
    for path, leaf in found.items():
        assert leaf.keys() == {"value", "unit", "tier", "source"}, path
        assert leaf["tier"] in TIER_SET, path
        assert leaf["unit"].strip(), path
        assert len(leaf["source"].strip()) > 5, path
        assert isinstance(leaf["value"], int | float | str | list), path


def test_tiers_are_the_published_set():
    assert set(TIERS) == TIER_SET


@pytest.mark.parametrize("chip", CHIP_NAMES)
def test_unit_in_the_name_is_the_unit_of_the_row(chip: str):
    wanted = {"bytes_per_ns": "byte/ns", "bits_per_ns": "bit/ns", "_ns": "ns", "_hz": "Hz", "_bytes": "byte"}
    for path, leaf in raw_leaves(chip).items():
        units = [unit for ending, unit in wanted.items() if path.endswith(ending)]
        assert not units or leaf["unit"] == units[0], path


@pytest.mark.parametrize("chip", CHIP_NAMES)
def test_chip_holds_exactly_the_leaves_of_its_file(chip: str):
    assert set(load_chip(chip).quantities()) == set(raw_leaves(chip))


@pytest.mark.parametrize(("path", "trn1", "trn2", "trn3"), KEY_NUMBERS, ids=[row[0] for row in KEY_NUMBERS])
def test_key_number(path: str, trn1: Any, trn2: Any, trn3: Any):
    for chip, expected in zip(CHIP_NAMES, (trn1, trn2, trn3), strict=True):
        if expected is None:
            with pytest.raises(MachineError, match=f"{chip} has no public number for"):
                load_chip(chip).quantity(path)
            with pytest.raises(MachineError, match=f"{chip} has no public number for"):
                at(chip, path)
        else:
            assert at(chip, path) == expected
            assert type(at(chip, path)) is type(expected)
            assert load_chip(chip).quantity(path).value == expected


@pytest.mark.parametrize("chip", CHIP_NAMES)
def test_memory_adds_up(chip: str):
    memory, package = load_chip(chip).memory, load_chip(chip).package
    assert memory.sbuf_bytes == memory.partitions * memory.sbuf_bytes_per_partition
    assert memory.psum_bytes == memory.partitions * memory.psum_bytes_per_partition
    assert memory.psum_bytes_per_partition == memory.psum_banks * memory.psum_bank_bytes
    assert memory.hbm_bytes == package.hbm_stacks * memory.hbm_bytes_per_stack
    assert memory.sbuf_usable_bytes_per_partition < memory.sbuf_bytes_per_partition
    assert load_chip(chip).limits.psum_bank_fmax * 4 == memory.psum_bank_bytes


@pytest.mark.parametrize("chip", CHIP_NAMES)
def test_dma_cap_is_sixteen_engines(chip: str):
    """At their sustained rate; on trn2, where traces show more, at their peak."""
    found = load_chip(chip)
    rate = "peak_bytes_per_ns_per_engine" if chip == "trn2" else "sustained_bytes_per_ns_per_engine"
    assert found.cost.dma.cap_bytes_per_ns_core == pytest.approx(16 * found.cost.dma[rate], rel=0.001)


def test_trn2_neighbours_are_a_torus_of_four_links_each():
    neighbours = load_chip("trn2").instance.neighbors
    assert len(neighbours) == 16
    for device, others in enumerate(neighbours):
        assert len(set(others) - {device}) == 4
        assert all(device in neighbours[other] for other in others)


@pytest.mark.parametrize(
    ("chip", "spellings"),
    [("trn1", ["trn1", "inf2", "gen2", 2]), ("trn2", ["trn2", "gen3", 3]), ("trn3", ["trn3", "gen4", 4])],
)
def test_spellings_give_the_same_object(chip: str, spellings: list[str | int]):
    assert {id(load_chip(spelling)) for spelling in spellings} == {id(load_chip(chip))}
    assert load_chip(chip).name == chip


@pytest.mark.parametrize("name", ["trn4", "TRN2", "", 5, 0, "gen1", None, ["trn2"]])
def test_unknown_chip_lists_the_spellings(name: Any):
    with pytest.raises(MachineError) as caught:
        load_chip(name)
    for spelling in ("trn1", "inf2", "gen2", "trn2", "gen3", "trn3", "gen4"):
        assert spelling in str(caught.value.expected)


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("limits.gemm_moving_max", "limits.gemm_moving_fmax"),
        ("limits.p_max", "limits.pmax"),
        ("memory.pmax", "limits.pmax"),
        ("cost.dma.issue_time_ns", "cost.dma.issue_ns"),
        ("memroy", "memory"),
    ],
)
def test_unknown_name_tells_near_names(path: str, near: str):
    with pytest.raises(MachineError, match="no number of a chip is called") as by_path:
        load_chip("trn2").quantity(path)
    with pytest.raises(MachineError, match="no number of a chip is called") as by_attribute:
        at("trn2", path)
    for caught in (by_path, by_attribute):
        assert near in str(caught.value.hint).removeprefix("near names: ").split(", ")


def test_absent_number_names_the_chips_that_have_one_but_gives_none():
    with pytest.raises(MachineError) as caught:
        _ = load_chip("trn3").cost.dma.hwdge_sync_first_ns
    assert "there is one for trn2" in str(caught.value)
    assert "514" not in str(caught.value)
    with pytest.raises(MachineError, match="trn1 has no public number for 'calibration'"):
        _ = load_chip("trn1").calibration


def test_group_is_a_read_only_collection_of_names():
    engines = load_chip("trn2").engines
    assert engines["vector"].clock_hz == engines.vector.clock_hz
    assert "vector" in engines
    assert "quantum" not in engines
    assert set(engines) >= {"tensor", "vector", "scalar", "gpsimd", "sync", "dma"}
    assert len(engines) == len(list(engines))
    assert repr(engines).startswith("<trn2.engines: ")
    with pytest.raises(MachineError):
        _ = engines["quantum"]
    with pytest.raises(MachineError, match="is a group"):
        load_chip("trn2").quantity("engines.vector")


def test_everything_is_frozen():
    chip = load_chip("trn2")
    with pytest.raises(dataclasses.FrozenInstanceError):
        chip.name = "trn9"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        chip.limits.pmax = 64  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        chip.limits.new = 64  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        chip.quantity("limits.pmax").value = 64  # type: ignore[misc]
    assert chip.limits.pmax == 128


def test_a_chip_survives_copying_and_pickling_and_hashes():
    chip = load_chip("trn2")
    assert pickle.loads(pickle.dumps(chip)) is chip
    assert copy.deepcopy(chip) is chip
    assert {chip: 1}[load_chip("gen3")] == 1


def test_quantity_carries_its_source():
    found = load_chip("trn2").quantity("limits.gemm_moving_fmax")
    assert found == Quantity(
        value=512,
        unit="element",
        tier="documented",
        source="nki/api/nki/isa/__init__.py: nc_matmul, Tile size (612-615)",
    )
