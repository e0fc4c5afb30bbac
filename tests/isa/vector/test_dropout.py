"""dropout: rules by label, meaning against the bits that rng draws from the same seed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from harness import bits, call, cast, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.program.recorder import ACTIVE

RNG = np.random.default_rng(13)
X = RNG.standard_normal((16, 24)).astype(np.float32)
CASE = {"dst": out((16, 24)), "data": sbuf(X), "prob": 0.5}
FLOATS = ["float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2"]
INTEGERS = ["int32", "uint32", "int16", "uint8"]


def test_c1_accepts_another_rank():
    got = result("dropout", **{**CASE, "dst": out((16, 4, 6)), "prob": 0.0})
    assert np.array_equal(got.reshape(16, 24), X)


@pytest.mark.parametrize("shape", [(16, 23), (15, 24)])
def test_c1_refuses_another_size(shape):
    refused("dropout", "c1", **{**CASE, "dst": out(shape)})


@pytest.mark.parametrize("dtype", FLOATS + INTEGERS)
def test_c2_accepts_every_dtype(dtype):
    data = cast(RNG.integers(1, 100, (16, 24)), dtype)
    got = result("dropout", dst=out((16, 24), dtype), data=sbuf(data), prob=0.0)
    assert np.array_equal(bits(got), bits(data))


def test_c2_refuses_a_conversion():
    refused("dropout", "c2", **{**CASE, "dst": out((16, 24), "bfloat16")})


def test_c3_accepts_a_probability_for_each_partition():
    prob = np.tile([[0.0], [1.0]], (8, 1)).astype(np.float32)
    got = result("dropout", **{**CASE, "prob": sbuf(prob)})
    assert np.array_equal(got[::2], X[::2])
    assert (got[1::2] == 0).all()


@pytest.mark.parametrize("shape", [(16, 2), (15, 1)])
def test_c3_refuses_another_shape(shape):
    refused("dropout", "c3", **{**CASE, "prob": out(shape)})


@pytest.mark.parametrize(
    ("data", "prob"),
    [
        ("float32", "bfloat16"),
        ("bfloat16", "float32"),
        ("float16", "float16"),
        ("int32", "float32"),
        ("uint8", "float32"),
    ],
)
def test_c4_accepts_documented_pairs(data, prob):
    case = {"dst": out((4, 8), data), "data": sbuf(np.ones((4, 8)), data), "prob": sbuf(np.ones((4, 1)), prob)}
    assert (result("dropout", **case).astype(np.float32) == 0).all()


@pytest.mark.parametrize(
    ("data", "prob"), [("int32", "bfloat16"), ("uint8", "float16"), ("int32", "int32"), ("float32", "int32")]
)
def test_c4_refuses_others(data, prob):
    refused("dropout", "c4", dst=out((4, 8), data), data=out((4, 8), data), prob=out((4, 1), prob))


@pytest.mark.parametrize("target", ["trn1", "trn2", "trn3"])
def test_meaning_of_the_documented_ends(target):
    data = X.copy()
    data[0, :4] = np.array([0x7FC12345, 0xFF800000, 0x7F800000, 0x80000000], np.uint32).view(np.float32)
    case = {**CASE, "data": sbuf(data)}
    assert np.array_equal(
        result("dropout", target=target, **{**case, "prob": 0.0}).view(np.uint32), data.view(np.uint32)
    )
    assert (result("dropout", target=target, **{**case, "prob": 1.0}).view(np.uint32) == 0).all()


def test_meaning_does_not_scale_what_it_keeps():
    got = result("dropout", **CASE)
    assert set(np.unique(np.where(got == X, 1, got)).tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("prob", [0.1, 0.5, 0.93])
def test_meaning_drops_that_share(prob):
    got = result("dropout", dst=out((128, 512)), data=sbuf(np.ones((128, 512), np.float32)), prob=prob)
    dropped = (got == 0).mean()
    assert abs(dropped - prob) < 4.5 * np.sqrt(prob * (1 - prob) / got.size)  # 4.5 standard deviations


def test_meaning_keeps_an_element_whose_bits_equal_the_probability():
    words = result("rng", dst=out((128, 512), "uint32"))  # the same start of the same generator
    row, column = np.argwhere(words % 256 == 0)[0]  # such a word is exact in float32
    prob = float(words[row, column]) / 2**32
    data = sbuf(np.ones((128, 512), np.float32))
    above = float(np.nextafter(np.float32(prob), np.float32(1)))
    assert result("dropout", dst=out((128, 512)), data=data, prob=prob)[row, column] == 1
    assert result("dropout", dst=out((128, 512)), data=data, prob=above)[row, column] == 0


def test_meaning_in_place_draws_anew_each_time():
    kept = []

    def kernel(anchor):
        tile = nl.ndarray((32, 64), dtype=nl.float32)
        ACTIVE.recorder.state.fill(tile, np.ones((32, 64), np.float32))
        for _ in range(2):
            nisa.dropout(dst=tile, data=tile, prob=0.5)
            kept.append(tile.numpy())
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel)(np.zeros((1, 1), np.float32))
    first, second = kept
    assert (second[first == 0] == 0).all()
    assert 0 < second.sum() < first.sum()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(FLOATS + INTEGERS), st.sampled_from([1, 3, 32, 128]), st.integers(1, 9), st.integers(1, 3),
    st.sampled_from(["plain", "permuted", "broadcast"]), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_compares_random_bits(dtype, partitions, columns, step, view, from_psum, tile, seed):
    rng = np.random.default_rng(seed)
    data = cast(rng.integers(1, 100, (partitions, 2, columns * step)), dtype)
    views = {
        "plain": (lambda t: t[:, :, ::step], data[:, :, ::step]),
        "permuted": (lambda t: t[:, :, ::step].permute((0, 2, 1)), data[:, :, ::step].transpose(0, 2, 1)),
        "broadcast": (lambda t: t[:, 0:1, ::step].broadcast(1, 2), np.repeat(data[:, 0:1, ::step], 2, 1)),
    }
    seen, values = views[view]
    probs = rng.random((partitions, 1)).astype(np.float32)
    prob = sbuf(probs) if tile else float(probs[0, 0])
    src = (psum if from_psum else sbuf)(data).seen(seen)
    got = call("dropout", dst=out((partitions, 2 * columns), dtype), data=src, prob=prob)["dst"]
    words = result("rng", dst=out((partitions, 2 * columns), "uint32"))  # the same start of the same generator
    want = np.ascontiguousarray(values).reshape(partitions, -1).copy()
    for row in range(partitions):
        limit = Fraction(float(probs[row if tile else 0, 0]))
        for column, word in enumerate(words[row].tolist()):
            if Fraction(word, 2**32) < limit:
                want[row, column] = 0
    assert np.array_equal(bits(got), bits(want))
