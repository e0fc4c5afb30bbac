"""rand_get_state: rules by label, and the state after some draws against XORWOW of Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, out, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from words import MASK, filled, inside

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

GPSIMD, VECTOR = nisa.engine.gpsimd, nisa.engine.vector
STATE = np.random.default_rng(15).integers(0, 2**32, (128, 24), np.uint32)
CASE = {"dst": out((128, 6), "uint32")}


def got(engine, partitions=128, region=nl.sbuf, view=lambda t: t):
    tile = nl.ndarray((partitions, 24 if engine is VECTOR else 6), dtype=nl.uint32, buffer=region)
    nisa.rand_get_state(dst=view(tile), engine=engine)
    return view(tile)


def drawn(engine, partitions, count):
    tile = nl.ndarray((partitions, count), dtype=nl.uint32, buffer=nl.sbuf)
    nisa.rng(dst=tile, engine=engine)
    return tile.numpy()


def step(state):
    x, y, z, w, v, d = state
    t = x ^ x >> 2
    return [y, z, w, v, (v ^ v << 4 ^ t ^ t << 1) & MASK, (d + 362437) & MASK]


def advanced(state, count):
    """One lane's words after `count` draws, spread over its streams in turn."""
    streams = [[int(n) for n in state[at : at + 6]] for at in range(0, len(state), 6)]
    for i in range(count):
        streams[i % len(streams)] = step(streams[i % len(streams)])
    return [n for stream in streams for n in stream]


def test_c1_accepts_the_vector_engine_of_trn3():
    assert call("rand_get_state", target="trn3", dst=out((128, 24), "uint32"), engine=VECTOR)["dst"].shape == (128, 24)


def test_c1_refuses_the_vector_engine_of_trn2():
    refused("rand_get_state", "c1", dst=out((128, 24), "uint32"), engine=VECTOR)


@pytest.mark.parametrize("target", ["trn2", "trn3"])
def test_c2_accepts_six_words_on_gpsimd(target):
    words = call("rand_get_state", target=target, **CASE)["dst"]
    assert np.unique(words).size == words.size


def test_c2_refuses_another_number_of_words_or_dimensions():
    for shape in ((128, 5), (128, 24), (128, 2, 3)):
        refused("rand_get_state", "c2", dst=out(shape, "uint32"))
    for shape in ((128, 6), (128, 25), (128, 4, 6)):
        refused("rand_get_state", "c2", target="trn3", dst=out(shape, "uint32"), engine=VECTOR)


def test_c3_accepts_psum_on_the_vector_engine_of_trn3():
    dst = out((128, 24), "uint32", nl.psum)
    assert call("rand_get_state", target="trn3", dst=dst, engine=VECTOR)["dst"].shape == (128, 24)


@pytest.mark.parametrize("target", ["trn2", "trn3"])
def test_c3_refuses_psum_on_gpsimd(target):
    refused("rand_get_state", "c3", target=target, dst=out((128, 6), "uint32", nl.psum))


@pytest.mark.parametrize(("engine", "target"), [(GPSIMD, "trn2"), (GPSIMD, "trn3"), (VECTOR, "trn3")])
def test_meaning_continues_the_sequence_when_it_is_set_again(engine, target):
    def body():
        drawn(engine, 128, 3)
        kept = got(engine)
        first = drawn(engine, 128, 7)
        nisa.rand_set_state(kept, engine=engine)
        return first, drawn(engine, 128, 7)

    first, again = inside(body, target)
    assert np.array_equal(first, again)


def test_meaning_does_not_disturb_the_generator():
    def body():
        return got(GPSIMD).numpy(), got(GPSIMD).numpy(), drawn(GPSIMD, 128, 4)

    first, second, words = inside(body, "trn2")
    assert np.array_equal(first, second)
    assert np.array_equal(words, inside(lambda: drawn(GPSIMD, 128, 4), "trn2"))


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([(GPSIMD, "trn2"), (GPSIMD, "trn3"), (VECTOR, "trn3")]), st.sampled_from([1, 5, 64, 128]),
    st.integers(0, 11), st.sampled_from([0, 64]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_the_state_after_the_draws(where, partitions, count, start, seed):
    engine, target = where
    state = np.random.default_rng(seed).integers(0, 2**32, (128, 24 if engine is VECTOR else 6), np.uint32)

    def body():
        nisa.rand_set_state(filled(state), engine=engine)
        if count:
            drawn(engine, partitions, count)
        return got(engine, view=lambda t: t[start:128]).numpy()

    want = [advanced(row, count if lane < partitions else 0) for lane, row in enumerate(state)]
    assert inside(body, target).tolist() == want[start:]
