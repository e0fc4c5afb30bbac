"""rand2: rules by label, meaning against XORWOW with exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from harness import cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError
from opentrn.program.recorder import ACTIVE

CASE = {"dst": out((4, 8)), "min": -1.0, "max": 1.0}
FLOATS = ["float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2", "tfloat32"]
INTEGERS = ["int8", "int16", "int32", "uint8", "uint16", "uint32"]
MASK = 2**32 - 1


def words(state, count):
    """`count` values of four XORWOWs in turn, from 24 words."""
    streams = [[int(n) for n in state[6 * s : 6 * s + 6]] for s in range(4)]
    values = []
    for i in range(count):
        x, y, z, w, v, d = streams[i % 4]
        t = x ^ x >> 2
        after = (v ^ v << 4 ^ t ^ t << 1) & MASK
        d = (d + 362437) & MASK
        streams[i % 4] = [y, z, w, v, after, d]
        values.append((after + d) & MASK)
    return values


def seeded(state, shape, dtype, low, high, view=lambda t: t):
    """rand2 on trn3 after the Vector Engine got `state`; `low` and `high` are numbers or arrays."""
    kept = []

    def kernel(anchor):
        def tile(array):
            made = nl.ndarray(array.shape, dtype=array.dtype, buffer=nl.sbuf)
            ACTIVE.recorder.state.fill(made, array)
            return made

        nisa.rand_set_state(tile(state), engine=nisa.engine.vector)
        dst = nl.ndarray(shape, dtype=dtype, buffer=nl.sbuf)
        limits = [tile(v) if isinstance(v, np.ndarray) else v for v in (low, high)]
        nisa.rand2(view(dst), *limits)
        kept.append(view(dst).numpy())
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel, target="trn3")(np.zeros((1, 1), np.float32))
    return kept[0]


def oracle(state, partitions, count, low, high):
    """min + u (max - min) as fractions, rounded to float32."""
    lows, highs = (np.broadcast_to(np.asarray(v, np.float32).reshape(-1), partitions).tolist() for v in (low, high))
    rows = []
    for lane in range(partitions):
        a, b = Fraction(lows[lane]), Fraction(highs[lane])
        rows.append([float(a + Fraction(word >> 8, 2**24) * (b - a)) for word in words(state[lane], count)])
    return np.array(rows, np.float64).astype(np.float32)


def test_c1_accepts_numbers_and_columns():
    case = {**CASE, "min": sbuf(np.zeros((4, 1), np.float32)), "max": 2.0}
    got = result("rand2", target="trn3", **case)
    assert (got >= 0).all()
    assert (got <= 2).all()


@pytest.mark.parametrize("key", ["min", "max"])
def test_c1_refuses_another_shape(key):
    for shape in ((4, 2), (3, 1)):
        refused("rand2", "c1", target="trn3", **{**CASE, key: out(shape)})


def test_c2_accepts_the_smallest_range():
    above = float(np.nextafter(np.float32(1), np.float32(2)))
    got = result("rand2", target="trn3", dst=out((4, 64)), min=1.0, max=above)
    assert set(np.unique(got).tolist()) == {1.0, above}


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0)])
def test_c2_refuses_an_empty_range(low, high):
    refused("rand2", "c2", target="trn3", dst=out((4, 8)), min=low, max=high)


def test_meaning_refuses_an_empty_range_of_tiles_at_run_time():
    low = np.array([[0], [0], [3], [0]], np.float32)
    with pytest.raises(KernelError, match="empty range"):
        result("rand2", target="trn3", dst=out((4, 8)), min=sbuf(low), max=2.0)


def test_meaning_does_not_overflow():
    got = result("rand2", target="trn3", dst=out((128, 32)), min=-3e38, max=3e38)
    assert np.isfinite(got).all()
    assert got.min() < -2.9e38
    assert got.max() > 2.9e38


def test_meaning_is_uniform():
    got = result("rand2", target="trn3", dst=out((128, 512)), min=2.0, max=6.0)
    counts = np.histogram(got, 64, (2.0, 6.0))[0]
    assert counts.sum() == got.size
    expected = got.size / 64
    chi = ((counts - expected) ** 2 / expected).sum()
    assert 30 < chi < 110  # 63 degrees of freedom: 0.01 % tails lie at 27 and 111


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(FLOATS + INTEGERS), st.sampled_from([1, 3, 128]), st.integers(1, 9), st.integers(1, 3),
    st.booleans(), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_scales_xorwow(dtype, partitions, columns, step, permuted, tiles, seed):
    rng = np.random.default_rng(seed)
    state = rng.integers(0, 2**32, (128, 24), np.uint32)
    low = rng.uniform(0, 9, (partitions, 1)).astype(np.float32)
    high = low + np.float32(5.3)
    if not tiles:
        low, high = float(low[0, 0]), float(high[0, 0])
    order = (0, 2, 1) if permuted else (0, 1, 2)
    got = seeded(state, (partitions, 2, columns * step), dtype, low, high, lambda t: t[:, :, ::step].permute(order))
    want = oracle(state, partitions, 2 * columns, low, high)
    want = cast(np.rint(want), dtype) if dtype in INTEGERS else cast(want, dtype)
    if dtype == "tfloat32":
        assert np.allclose(got.reshape(partitions, -1).astype(np.float32), want.astype(np.float32), rtol=2**-11, atol=0)
        return
    assert np.array_equal(got.reshape(partitions, -1).astype(np.float64), want.astype(np.float64))
