"""The memory check beyond the seeded bugs of tests/bugs/memory.py: what its rules do not report, and what its texts say."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import opentrn
from opentrn import nki
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl

X = opentrn.ShapeDtype((128, 512), "bfloat16")


def found(kernel, *args, **options):
    return {f.label: f for f in opentrn.check(kernel, **options)(*args)}


def summed(first, accumulate, target="trn2"):
    """Findings of a kernel that writes PSUM with `first` and then with a product."""

    @nki.jit
    def kernel(x):
        out = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.shared_hbm)
        tile, total = nl.load(x), nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.sbuf)
        product = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
        first(product, tile)
        nisa.nc_matmul(dst=product, stationary=tile[:, :128], moving=tile, accumulate=accumulate)
        nisa.tensor_copy(dst=total, src=product)
        nisa.dma_copy(dst=out, src=total)
        return out

    return found(kernel, X, target=target)


def zeros(product, tile):
    nisa.memset(dst=product, value=0.0)


def ones(product, tile):
    nisa.memset(dst=product, value=1.0)


def product_before(product, tile):
    nisa.nc_matmul(dst=product, stationary=tile[:, :128], moving=tile, accumulate=False)


@pytest.mark.parametrize("accumulate", [None, True])
def test_a_sum_that_another_engine_starts(accumulate):
    finding = summed(ones, accumulate)["memory.accumulate"]
    assert "nisa.nc_matmul adds to PSUM that nisa.memset wrote" in finding.message
    assert finding.related[0].line == ones.__code__.co_firstlineno + 1


def test_a_sum_that_starts_from_zeros_is_a_warning():
    """AWS's own depthwise_conv1d and its architecture guide start sums so, and the page of nc_matmul forbids it."""
    assert {label: f.severity for label, f in summed(zeros, None).items()} == {"memory.zeroed_sum": "warning"}


@pytest.mark.parametrize(("first", "accumulate", "target"), [
    (zeros, False, "trn2"), (zeros, True, "trn3"), (product_before, True, "trn2"), (product_before, None, "trn2"),
])  # fmt: skip
def test_sums_that_are_right(first, accumulate, target):
    assert summed(first, accumulate, target) == {}


part = st.tuples(st.sampled_from(["memset", "product", "sum", "auto"]), st.integers(0, 3), st.integers(1, 4))


@settings(max_examples=40, deadline=None)
@given(st.lists(part, min_size=1, max_size=6))
def test_sums_are_followed_element_by_element(parts):
    parts = [(what, start, min(start + width, 4)) for what, start, width in parts]
    writer, wrong = [None] * 4, False
    for what, start, end in parts:
        cells = range(start, end)
        adds = what in ("sum", "auto")
        wrong |= adds and any(writer[c] == "memset" for c in cells)
        for c in cells:
            writer[c] = "memset" if what == "memset" else "product"

    @nki.jit
    def kernel(x):
        tile = nl.load(x)
        product = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
        for what, start, end in parts:
            window = product[:, 128 * start : 128 * end]
            if what == "memset":
                nisa.memset(dst=window, value=1.0)
            else:
                accumulate = {"product": False, "sum": True, "auto": None}[what]
                moving = tile[:, 128 * start : 128 * end]
                nisa.nc_matmul(dst=window, stationary=tile[:, :128], moving=moving, accumulate=accumulate)
        return x

    assert ("memory.accumulate" in found(kernel, X, only=["memory.accumulate"])) == wrong


def test_an_operand_of_more_than_a_bank_is_met_once():
    @nki.jit
    def kernel(x):
        product = nl.ndarray((128, 1024), dtype=nl.float32, buffer=nl.psum)
        for _ in range(3):
            nisa.memset(dst=product, value=0.0)
            nisa.memset(dst=product[:, 256:768], value=0.0)  # as wide as a bank
        return x

    finding = found(kernel, X)["memory.span"]
    assert (
        "nisa.memset has an operand of 4,096 bytes per partition in PSUM, where a bank holds 2,048" in finding.message
    )
    assert finding.count == 1


def test_a_result_that_nobody_reads_is_advice():
    @nki.jit
    def kernel(x):
        tile, lost = nl.load(x), nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
        nisa.activation(dst=lost, op=nl.exp, data=tile)
        nisa.dma_copy(dst=x, src=tile)
        return x

    finding = found(kernel, X)["memory.dead"]
    assert finding.severity == "advice" and "what nisa.activation writes to" in finding.message


def test_a_tensor_that_a_register_or_python_reads_is_used():
    @nki.jit
    def kernel(x):
        number, tile = nl.ndarray((1, 1), dtype=nl.int32, buffer=nl.sbuf), nl.load(x)
        nisa.memset(dst=number, value=3)
        register = nisa.register_alloc()
        nisa.register_load(register, number)
        shown = nl.load(x)
        str(shown.numpy())
        nisa.dma_copy(dst=x, src=nl.divide(tile, tile))
        return x

    assert "memory.dead" not in found(kernel, X)


def test_over_capacity_shows_when_each_line_needs_its_tensors():
    @nki.jit
    def kernel(x):
        tiles = [nl.load(x) for _ in range(20)]
        for tile in tiles:
            nisa.dma_copy(dst=x, src=tile)
        return x

    finding = found(kernel, opentrn.ShapeDtype((128, 8192), "bfloat16"))["memory.capacity"]
    assert "14 x    16,384 B [" in finding.message.replace("   14", "14") or " x " in finding.message
    assert "keep at most 12 of the 14 tensors of line" in str(finding.hint) or "keep at most 13" in str(finding.hint)


def test_what_came_before_a_broken_rule_is_still_reported():
    @nki.jit
    def kernel(x):
        tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
        nisa.activation(dst=tile, op=nl.exp, data=tile)
        nisa.nc_matmul(dst=tile, stationary=tile, moving=tile)
        return x

    assert set(found(kernel, X)) == {"memory.uninitialised", "rules.nc_matmul.dst.memory"}


def test_a_python_error_in_the_kernel_is_no_traceback():
    @nki.jit
    def kernel(x):
        np.zeros(3)[7]
        return x

    assert opentrn.check(kernel, only=["memory"])(X) == []
