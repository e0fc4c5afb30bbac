"""The smells check: the profile's advice as findings, results that leave PSUM without need, silence about small runs."""

import pytest

import opentrn
from opentrn import nki
from opentrn.checks.found import smells as module
from opentrn.checks.found.smells import smells
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl
from opentrn.profile.advice import kinds

SHAPES = opentrn.ShapeDtype((128, 128), "bfloat16"), opentrn.ShapeDtype((128, 512), "bfloat16")
PRODUCTS = 48


def found(kernel, *args, **options):
    findings = opentrn.check(kernel, target="trn2", only=["smells"], **options)(*(args or SHAPES))
    return {f.rule: f for f in findings}


def result(tile):
    out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def product(left, right):
    made = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
    nisa.nc_matmul(dst=made, stationary=left, moving=right)
    return made


def tile():
    return nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.sbuf)


@nki.jit
def sums_in_sbuf(x, y):
    left, right, total = nl.load(x), nl.load(y), tile()
    nisa.memset(dst=total, value=0.0)
    for _ in range(PRODUCTS):
        nisa.tensor_tensor(dst=total, data1=total, data2=product(left, right), op=nl.add)
    return result(total)


@nki.jit
def sums_in_psum(x, y):
    left, right, total = nl.load(x), nl.load(y), tile()
    made = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
    for _ in range(PRODUCTS):
        nisa.nc_matmul(dst=made, stationary=left, moving=right)
    nisa.tensor_copy(dst=total, src=made)
    return result(total)


@nki.jit
def copied_for_one_reader(x, y):
    left, right, last = nl.load(x), nl.load(y), tile()
    for _ in range(PRODUCTS):
        copy = tile()
        nisa.tensor_copy(dst=copy, src=product(left, right))
        nisa.activation(dst=last, op=nl.gelu, data=copy)
    return result(last)


@nki.jit
def read_in_psum(x, y):
    left, right, last = nl.load(x), nl.load(y), tile()
    for _ in range(PRODUCTS):
        nisa.activation(dst=last, op=nl.gelu, data=product(left, right))
    return result(last)


@nki.jit
def copied_for_two_readers(x, y):
    left, right, last, other = nl.load(x), nl.load(y), tile(), tile()
    for _ in range(PRODUCTS):
        copy = tile()
        nisa.tensor_copy(dst=copy, src=product(left, right))
        nisa.activation(dst=last, op=nl.gelu, data=copy)
        nisa.tensor_tensor(dst=other, data1=last, data2=copy, op=nl.add)
    return result(other)


@nki.jit
def two_products_meet(x, y):
    left, right, last = nl.load(x), nl.load(y), tile()
    for _ in range(PRODUCTS):
        copy = tile()
        nisa.tensor_copy(dst=copy, src=product(left, right))
        nisa.tensor_tensor(dst=last, data1=copy, data2=product(left, right), op=nl.multiply)
    return result(last)


@nki.jit
def one_partition_at_a_time(x, y):
    rows = nl.load(x)
    for _ in range(8 * PRODUCTS):
        nisa.tensor_scalar(dst=rows[0:1], data=rows[0:1], op0=nl.multiply, operand0=0.5)
    return result(rows), result(nl.load(y))


def line(finding, kernel):
    return finding.line - kernel.func.__code__.co_firstlineno


def test_products_added_up_in_sbuf():
    one = found(sums_in_sbuf)["psum_sums"]
    assert one.severity == "advice" and line(one, sums_in_sbuf) == 5
    assert one.message.startswith(f"{PRODUCTS} instructions") and one.cost_us > 1
    assert "psum_sums" not in found(sums_in_psum)


def test_a_copy_for_a_single_reader_that_reads_psum():
    one = found(copied_for_one_reader)["psum_copies"]
    assert line(one, copied_for_one_reader) == 5 and one.cost_us > 1
    for good in (read_in_psum, copied_for_two_readers, two_products_meet):
        assert "psum_copies" not in found(good)


def test_advice_of_the_profile_is_a_finding_with_its_line_and_cost():
    one = found(one_partition_at_a_time)["few_partitions"]
    assert line(one, one_partition_at_a_time) == 4 and one.cost_us > 0 and "as few as 1" in one.message
    report = opentrn.profile(one_partition_at_a_time, mode="timing", target="trn2")(*SHAPES)
    assert {a.rule: a.us for a in report.advice}["few_partitions"] == pytest.approx(one.cost_us)


def test_every_kind_of_advice_is_a_rule():
    assert set(kinds()) | {"psum_copies", "psum_sums"} == set(smells.rules) | {"too_small"}
    assert all(rule.severity == "advice" and rule.text for rule in smells.rules.values())


def test_a_run_that_is_mostly_start_and_end_says_nothing(monkeypatch):
    monkeypatch.setattr("tests.checks.test_smells.PRODUCTS", 2)
    report = opentrn.profile(sums_in_sbuf, mode="timing", target="trn2")(*SHAPES)
    assert "too_small" in {a.rule for a in report.advice}
    assert found(sums_in_sbuf) == {}


def test_long_programs_are_timed_only_when_asked(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    assert found(sums_in_sbuf) == {}
    assert "psum_sums" in found(sums_in_sbuf, rerun=True)
