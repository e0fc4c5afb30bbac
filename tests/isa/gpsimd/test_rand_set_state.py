"""rand_set_state: rules by label, and the numbers that follow against XORWOW of Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, out, refused, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from words import filled, inside, xorwow

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

GPSIMD, VECTOR = nisa.engine.gpsimd, nisa.engine.vector
STATE = np.random.default_rng(14).integers(0, 2**32, (128, 24), np.uint32)
CASE = {"src_seeds": sbuf(STATE[:, :6])}


def after(*states, engine=GPSIMD, target="trn2", count=5, view=lambda t: t):
    """uint32 [128, count] words that rng draws on `engine` after the states were set."""

    def body():
        for state in states:
            nisa.rand_set_state(view(filled(state)), engine=engine)
        words = nl.ndarray((128, count), dtype=nl.uint32, buffer=nl.sbuf)
        nisa.rng(dst=words, engine=engine)
        return words.numpy()

    return inside(body, target)


def test_c1_accepts_the_vector_engine_of_trn3():
    call("rand_set_state", target="trn3", src_seeds=sbuf(STATE), engine=VECTOR)


def test_c1_refuses_the_vector_engine_of_trn2():
    refused("rand_set_state", "c1", src_seeds=sbuf(STATE), engine=VECTOR)


@pytest.mark.parametrize("target", ["trn2", "trn3"])
def test_c2_accepts_six_words_on_gpsimd(target):
    call("rand_set_state", target=target, **CASE)


def test_c2_refuses_another_number_of_words_or_dimensions():
    for shape in ((128, 5), (128, 24), (128, 2, 3)):
        refused("rand_set_state", "c2", src_seeds=out(shape, "uint32"))
    for shape in ((128, 6), (128, 25), (128, 4, 6)):
        refused("rand_set_state", "c2", target="trn3", src_seeds=out(shape, "uint32"), engine=VECTOR)


def test_meaning_starts_marsaglias_sequence():
    """The seeds of "Xorshift RNGs" (J. Stat. Softw. 8, 2003)."""
    seeds = np.array([[123456789, 362436069, 521288629, 88675123, 5783321, 6615241]], np.uint32)
    assert after(seeds)[0].tolist() == xorwow(seeds[0], 5)


def test_meaning_replaces_an_older_state():
    assert np.array_equal(after(STATE[:, 6:12], STATE[:, :6]), after(STATE[:, :6]))


def test_meaning_keeps_other_lanes():
    part, fresh = after(STATE[:32, :6]), after(count=5)
    assert part[:32].tolist() == [xorwow(row, 5) for row in STATE[:32, :6]]
    assert np.array_equal(part[32:], fresh[32:])


def test_meaning_seeds_the_lanes_of_its_partitions():
    part, fresh = after(STATE[:, :6], view=lambda t: t[64:128]), after(count=5)
    assert np.array_equal(part[:64], fresh[:64])
    assert part[64:].tolist() == [xorwow(row, 5) for row in STATE[64:, :6]]


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["trn2", "trn3"]), st.sampled_from([1, 5, 32, 128]), st.integers(1, 3), st.integers(0, 2**32 - 1)
)
def test_meaning_on_gpsimd_is_one_xorwow_per_lane(target, partitions, step, seed):
    state = np.random.default_rng(seed).integers(0, 2**32, (partitions, 6 * step), np.uint32)
    words = after(state, target=target, view=lambda t: t[:, ::step])
    assert words[:partitions].tolist() == [xorwow(row, 5) for row in state[:, ::step]]


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([1, 5, 32, 128]), st.integers(1, 11), st.integers(0, 2**32 - 1))
def test_meaning_on_vector_is_four_xorwows_per_lane(partitions, count, seed):
    state = np.random.default_rng(seed).integers(0, 2**32, (partitions, 24), np.uint32)
    words = after(state, engine=VECTOR, target="trn3", count=count)[:partitions]
    for stream in range(min(4, count)):
        own = words[:, stream::4].tolist()
        assert own == [xorwow(row[6 * stream : 6 * stream + 6], len(own[0])) for row in state]
