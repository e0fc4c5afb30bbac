"""set_rng_seed: rules by label, and what rng, rand2 and dropout draw afterwards."""

from __future__ import annotations

import numpy as np
import pytest
from harness import out, psum, refused, result, sbuf

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.program.recorder import ACTIVE

CASE = {"src_seeds": sbuf(np.array([[42]], np.int32))}
TARGETS = ["trn1", "trn2", "trn3"]


def draws(*seeds, target="trn2", region=nl.sbuf, engine=nisa.engine.vector, partitions=128):
    """rng words (P, 8) drawn on `engine` after each seed; None draws on without seeding."""
    kept = []

    def kernel(anchor):
        for seed in seeds:
            if seed is not None:
                tile = nl.ndarray((1, 1), dtype=seed.dtype, buffer=region)
                ACTIVE.recorder.state.fill(tile, seed.reshape(1, 1))
                nisa.set_rng_seed(tile)
            words = nl.ndarray((partitions, 8), dtype=nl.uint32, buffer=nl.sbuf)
            nisa.rng(dst=words, engine=engine)
            kept.append(words.numpy())
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel, target=target)(np.zeros((1, 1), np.float32))
    return kept


def shifted(word):
    for _ in range(32):
        word = word >> 1 ^ (word & 1) * 0x80200003
    return word


@pytest.mark.parametrize("made", [sbuf, psum])
@pytest.mark.parametrize("dtype", ["int32", "uint32", "float32"])
def test_c1_accepts_one_word_in_either_memory(made, dtype):
    assert result("set_rng_seed", "src_seeds", src_seeds=made(np.ones((1, 1)), dtype)).tolist() == [[1]]


@pytest.mark.parametrize("shape", [(2, 1), (1, 2), (128, 1)])
def test_c1_refuses_another_shape(shape):
    refused("set_rng_seed", "c1", src_seeds=out(shape, "int32"))


@pytest.mark.parametrize("target", TARGETS)
def test_meaning_equal_seeds_give_equal_numbers(target):
    seed, other = np.int32(42), np.int32(43)
    first, more, again, different = draws(seed, None, seed, other, target=target)
    assert np.array_equal(first, again)
    for later in (more, different):
        assert np.intersect1d(first, later).size <= 2  # by chance: 2^20 pairs of 2^32 values
    assert np.array_equal(first, draws(seed, target=target)[0])
    assert not np.array_equal(first, draws(None, target=target)[0])


@pytest.mark.parametrize("target", TARGETS)
def test_meaning_takes_the_32_bits_as_they_are(target):
    same = [np.float32(-1.5), np.uint32(0xBFC00000), np.int32(-0x40400000)]
    results = [draws(seed, target=target)[0] for seed in same]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    assert np.array_equal(results[0], draws(same[1], target=target, region=nl.psum)[0])


@pytest.mark.parametrize("seed", [0, 1, 0x9E3779B9, 0xFFFFFFFF])
@pytest.mark.parametrize("target", TARGETS)
def test_meaning_gives_every_lane_its_own_sequence(target, seed):
    words = draws(np.uint32(seed), target=target)[0]
    assert (words != 0).any(1).all()
    assert np.unique(words).size >= words.size - 2


def test_meaning_starts_a_shift_register_in_each_lane():
    for row in draws(np.uint32(7))[0].tolist():
        assert [shifted(word) for word in row[:-1]] == row[1:]


def test_meaning_leaves_gpsimd_alone():
    seed = np.int32(42)
    gpsimd = nisa.engine.gpsimd
    assert np.array_equal(draws(seed, engine=gpsimd)[0], draws(None, engine=gpsimd)[0])


@pytest.mark.parametrize("target", TARGETS)
def test_meaning_seeds_dropout_and_rand2(target):
    def kernel(x, seed):
        tile, word = nl.load(x), nl.load(seed)
        nisa.set_rng_seed(word)
        if nisa.get_nc_version() >= nisa.nc_version.gen4:
            nisa.rand2(tile, 0.0, 1.0)
        else:
            nisa.dropout(dst=tile, data=tile, prob=0.5)
        back = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back, src=tile)
        return back

    ones = np.ones((32, 32), np.float32)
    one, again, other = (
        opentrn.run(kernel, target=target)(ones, np.array([[seed]], np.int32)).results for seed in (5, 5, 6)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
