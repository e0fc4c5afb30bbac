"""Machines that do not exist: what can be asked for, and what is refused."""

import pickle

import pytest

from opentrn.errors import MachineError
from opentrn.machine.change import ALIASES, asked_of, changed, changes_of, parse_changes
from opentrn.machine.chip import load_chip

TRN2 = load_chip("trn2")


def test_a_factor_scales_everything_that_belongs_to_the_alias():
    made = changed(TRN2, {"dma": "2x"})
    for path in ALIASES["dma"].paths:
        assert made.quantity(path).value == 2 * TRN2.quantity(path).value
        assert made.quantity(path).tier == "changed"
        assert str(TRN2.quantity(path).value) in made.quantity(path).source
    assert made.cost.dma.cap_bytes_per_ns_core == 2 * TRN2.cost.dma.cap_bytes_per_ns_core
    assert set(changes_of(made)) == set(ALIASES["dma"].paths)


def test_everything_else_stays_and_the_chip_itself_is_untouched():
    before = dict(TRN2.quantities())
    made = changed(TRN2, {"cost.semaphore_ns": 0})
    assert TRN2.quantities() == before and changes_of(TRN2) == {}
    assert {p for p, q in made.quantities().items() if q != before[p]} == {"cost.semaphore_ns"}
    assert (made.name, made.nc_version, made.cost.semaphore_ns) == ("trn2", 3, 0)


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        ("sbuf", "32MiB", "memory.sbuf_bytes", 32 * 2**20),
        ("sbuf", "32MiB", "memory.sbuf_bytes_per_partition", 256 * 2**10),
        ("sbuf", "0.5x", "memory.sbuf_usable_bytes_per_partition", 212_984 // 2),
        ("tensor_clock", "2.8GHz", "engines.tensor.clock_hz", 2.8e9),
        ("tensor_clock", 2_800_000_000, "engines.tensor.clock_hz", 2.8e9),
        ("dma", "400GB/s", "cost.dma.cap_bytes_per_ns_core", 400),
        ("hbm", "1TB/s", "cost.hbm.bytes_per_ns_stack", 1000),
        ("cost.semaphore_ns", "1us", "cost.semaphore_ns", 1000),
        ("dma_engines", "32", "engines.dma.engines", 32),
        ("features.hardware_dge", "off", "features.hardware_dge", False),
        ("throttle", "off", "cost.tensor.startup_rate", 1.0),
        ("throttle", 0.25, "cost.tensor.startup_rate", 0.25),
    ],
)
def test_values_and_their_units(name, value, path, expected):
    assert changed(TRN2, {name: value}).quantity(path).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "near"),
    [("dmaa", "dma"), ("sbuff", "sbuf"), ("semaphore_ns", "cost.semaphore_ns"), ("cost.semaphor_ns", "cost.semaphore_ns"),
     ("cost.dma.bandwidth", "cost.dma")],
)  # fmt: skip
def test_an_unknown_name_is_refused_with_near_ones(name, near):
    with pytest.raises(MachineError) as refused:
        changed(TRN2, {name: "2x"})
    assert near in str(refused.value.hint)


def test_a_name_like_nothing_lists_the_aliases():
    with pytest.raises(MachineError, match="throttle"):
        changed(TRN2, {"zzzzzzzzz": "2x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dma", "-1x"), ("dma", "0x"), ("dma", "nan"), ("dma", "inf"), ("dma", "fast"), ("dma", "2y"), ("dma", "off"),
        ("dma", True), ("dma", "32MiB"), ("sbuf", "2GHz"), ("sbuf", "1.5"), ("dma_engines", "2.5"), ("dma_engines", "1.03x"),
        ("cost.semaphore_ns", -1), ("throttle", 1.5), ("throttle", 0), ("tensor_clock", 0), ("name", "trn9"), ("nc_version", 4),
        ("limits.lnc_values", 4), ("features.hardware_dge", 1), ("features.hardware_dge", "maybe"), ("engines.dma", "2x"),
        ("dma", "1_.x"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(name, value):
    with pytest.raises(MachineError):
        changed(TRN2, {name: value})


def test_a_number_that_the_chip_does_not_have_is_refused():
    with pytest.raises(MachineError, match="no public number"):
        changed(load_chip("trn1"), {"cost.tensor.clock_threshold": "2x"})


def test_one_number_changes_once():
    with pytest.raises(MachineError, match="twice"):
        changed(TRN2, {"dma": "2x", "cost.dma.cap_bytes_per_ns_core": 100})


def test_changes_of_changes():
    made = changed(changed(TRN2, {"dma": "2x"}), {"dma": "2x", "sbuf": "2x"})
    assert made.cost.dma.cap_bytes_per_ns_core == 4 * TRN2.cost.dma.cap_bytes_per_ns_core
    assert made.quantity("memory.sbuf_bytes").tier == "changed"
    assert asked_of(made) == ("dma=2x", "dma=2x", "sbuf=2x") and asked_of(TRN2) == ()


def test_a_changed_chip_can_be_pickled():
    made = changed(TRN2, {"hbm": "0.5x"})
    again = pickle.loads(pickle.dumps(made))
    assert asked_of(again) == asked_of(made) == ("hbm=0.5x",)
    assert (
        changes_of(again) == changes_of(made) and again.cost.hbm.bytes_per_ns_stack == made.cost.hbm.bytes_per_ns_stack
    )


def test_every_alias_is_one_of_a_chip():
    for name, alias in ALIASES.items():
        assert alias.text
        assert changed(TRN2, {name: "1x"}).quantity(alias.paths[0]).value == TRN2.quantity(alias.paths[0]).value


def test_text_becomes_changes():
    assert parse_changes(" dma=2x, throttle = off,sbuf=32MiB ") == {"dma": "2x", "throttle": "off", "sbuf": "32MiB"}


@pytest.mark.parametrize("text", ["", ",", "dma", "dma=", "=2x", "dma=2x,dma=3x"])
def test_text_that_says_nothing_is_refused(text):
    with pytest.raises(MachineError):
        parse_changes(text)
