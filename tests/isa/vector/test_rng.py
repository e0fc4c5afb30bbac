"""rng: rules by label, meaning against XORWOW and a shift register of Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from harness import out, refused, result
from hypothesis import given, settings
from hypothesis import strategies as st
from words import filled, inside, xorwow

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn import nki

GPSIMD, VECTOR = nisa.engine.gpsimd, nisa.engine.vector
CASE = {"dst": out((4, 8), "uint32")}
INTEGERS = ["int8", "int16", "int32", "uint8", "uint16", "uint32"]


def drawn(shape, dtype="uint32", engine=VECTOR, view=lambda t: t, region=nl.sbuf):
    tile = nl.ndarray(shape, dtype=dtype, buffer=region)
    nisa.rng(dst=view(tile), engine=engine)
    return view(tile).numpy()


def shifted(word):
    """32 steps of a right-shifting register with feedback x^32 + x^22 + x^2 + x + 1."""
    for _ in range(32):
        word = word >> 1 ^ (word & 1) * 0x80200003
    return word


@pytest.mark.parametrize("target", ["trn2", "trn3"])
def test_c1_accepts_gpsimd_from_trn2_on(target):
    assert result("rng", **CASE, engine=GPSIMD, target=target).shape == (4, 8)


def test_c1_refuses_gpsimd_on_trn1():
    refused("rng", "c1", target="trn1", **CASE, engine=GPSIMD)
    assert result("rng", **CASE, target="trn1").shape == (4, 8)


def test_c2_accepts_psum_on_the_vector_engine():
    assert result("rng", dst=out((4, 8), "uint32", nl.psum)).shape == (4, 8)


def test_c2_refuses_psum_on_gpsimd():
    refused("rng", "c2", dst=out((4, 8), "uint32", nl.psum), engine=GPSIMD)


def test_meaning_is_the_same_in_every_run_and_differs_between_lanes_and_engines():
    first, again = result("rng", **CASE), result("rng", **CASE)
    assert np.array_equal(first, again)
    assert len(np.unique(first)) == first.size
    assert len(np.unique(np.stack([first, result("rng", **CASE, engine=GPSIMD)]))) == 2 * first.size
    three = [result("rng", **CASE, target="trn3", engine=e) for e in (GPSIMD, VECTOR)]
    assert len(np.unique(np.stack(three))) == 2 * first.size


@pytest.mark.parametrize("target", ["trn1", "trn2"])
def test_meaning_on_the_vector_engine_is_a_shift_register(target):
    words = inside(lambda: drawn((128, 6)), target)
    for row in words.tolist():
        assert [shifted(word) for word in row[:-1]] == row[1:]


@pytest.mark.parametrize("target", ["trn2", "trn3"])
def test_meaning_on_gpsimd_is_xorwow(target):
    state = np.random.default_rng(1).integers(0, 2**32, (128, 6), np.uint32)

    def body():
        nisa.rand_set_state(filled(state))
        return drawn((128, 3), engine=GPSIMD), drawn((64, 2, 2), engine=GPSIMD)

    first, second = inside(body, target)
    want = [xorwow(row, 7) for row in state]
    assert first.tolist() == [row[:3] for row in want]
    assert second.reshape(64, 4).tolist() == [row[3:] for row in want[:64]]


def test_meaning_on_the_vector_engine_of_trn3_is_four_xorwows_in_turn():
    state = np.random.default_rng(2).integers(0, 2**32, (128, 24), np.uint32)

    def body():
        nisa.rand_set_state(filled(state), engine=VECTOR)
        return drawn((128, 9))

    words = inside(body, "trn3")
    for lane in (0, 1, 77, 127):
        for stream in range(4):
            own = words[lane, stream::4].tolist()
            assert own == xorwow(state[lane, 6 * stream : 6 * stream + 6], len(own))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(INTEGERS), st.sampled_from([1, 3, 32, 128]), st.integers(1, 9), st.integers(1, 3), st.booleans(),
    st.sampled_from([GPSIMD, VECTOR]), st.sampled_from(["trn2", "trn3"]),
)  # fmt: skip
def test_meaning_keeps_the_lowest_bits(dtype, partitions, columns, step, permuted, engine, target):
    order = (0, 2, 1) if permuted else (0, 1, 2)

    def draw(kind):
        return inside(
            lambda: drawn((partitions, 2, columns * step), kind, engine, lambda t: t[:, :, ::step].permute(order)),
            target,
        )

    whole, narrow = draw("uint32"), draw(dtype)
    size = 8 * narrow.dtype.itemsize
    want = [[int(v) % 2**size for v in row] for row in whole.reshape(partitions, -1)]
    if dtype.startswith("int"):
        want = [[v - 2**size if v >= 2 ** (size - 1) else v for v in row] for row in want]
    assert narrow.reshape(partitions, -1).tolist() == want


@pytest.mark.parametrize("engine", [GPSIMD, VECTOR])
def test_meaning_uses_the_lanes_of_its_partitions_and_no_others(engine):
    everywhere = inside(lambda: drawn((128, 4), engine=engine))

    def body():
        part = drawn((128, 2), engine=engine, view=lambda t: t[32:64])
        return part, drawn((128, 2), engine=engine)

    part, rest = inside(body)
    assert np.array_equal(part, everywhere[32:64, :2])
    assert np.array_equal(rest[32:64], everywhere[32:64, 2:])
    assert np.array_equal(rest[:32], everywhere[:32, :2])
    assert np.array_equal(rest[64:], everywhere[64:, :2])


@pytest.mark.parametrize("engine", [GPSIMD, VECTOR])
def test_meaning_has_balanced_bits(engine):
    words = inside(lambda: drawn((128, 512), engine=engine))
    ones = np.array([(words >> bit & 1).mean() for bit in range(32)])
    assert np.abs(ones - 0.5).max() < 4.5 * 0.5 / np.sqrt(words.size)  # 4.5 standard deviations


def test_meaning_differs_between_cores():
    @nki.jit
    def kernel(x):
        tile = nl.ndarray((4, 8), dtype=nl.uint32, buffer=nl.sbuf)
        nisa.rng(dst=tile)
        back = nl.ndarray((2, 4, 8), dtype=nl.uint32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back[nl.program_id(0)], src=tile)
        return back

    both = np.asarray(nki.simulate(kernel[2])(np.zeros((1, 1), np.float32)))
    assert len(np.unique(both)) == both.size
