"""numerics.rng against Marsaglia's xorwow and a bit-by-bit shift register, both with Python integers."""

import numpy as np
import pytest

from opentrn.numerics.rng import WORDS, Lfsr, Xorwow

MASK = 2**32 - 1


def xorwow(state, count):
    """The C text of the paper, one stream."""
    x, y, z, w, v, d = state
    out = []
    for _ in range(count):
        t = x ^ (x >> 2)
        x, y, z, w = y, z, w, v
        v = (v ^ (v << 4) ^ (t ^ (t << 1))) & MASK
        d = (d + 362437) & MASK
        out.append((d + v) & MASK)
    return out, [x, y, z, w, v, d]


def shift_register(state, steps):
    """x^32 + x^22 + x^2 + x + 1: the bit shifted out is fed back into bits 31, 21, 1 and 0."""
    for _ in range(steps):
        out = state & 1
        state >>= 1
        if out:
            state ^= 1 << 31 | 1 << 21 | 1 << 1 | 1
    return state


def test_xorwow_first_values_of_the_paper_state():
    """Marsaglia's own seeds (J. Stat. Softw. 8, 2003, p. 5)."""
    seeds = [123456789, 362436069, 521288629, 88675123, 5783321, 6615241]
    drawn = Xorwow(np.array([seeds], np.uint32)).draw(5)
    assert drawn.tolist() == [xorwow(seeds, 5)[0]]
    assert drawn[0, 0] == 246875399  # 6615241 + 362437 + the first v, by hand from the recurrence


@pytest.mark.parametrize("lanes", [1, 128])
def test_xorwow_lanes_are_independent(lanes):
    state = np.random.default_rng(1).integers(0, 2**32, (lanes, WORDS), np.uint32)
    generator = Xorwow(state)
    drawn = generator.draw(37)
    assert drawn.dtype == np.uint32
    for lane in range(lanes):
        values, after = xorwow([int(v) for v in state[lane]], 37)
        assert drawn[lane].tolist() == values
        assert generator.state[lane].tolist() == after


def test_xorwow_with_four_streams_takes_them_in_turn():
    state = np.random.default_rng(2).integers(0, 2**32, (3, 4 * WORDS), np.uint32)
    drawn = Xorwow(state).draw(10)
    for stream in range(4):
        own = [int(v) for v in state[1, stream * WORDS : (stream + 1) * WORDS]]
        assert drawn[1, stream::4].tolist() == xorwow(own, len(range(stream, 10, 4)))[0]


def test_state_round_trip_continues_the_sequence():
    first = Xorwow.seeded(7, 128, streams=4)
    first.draw(13)
    saved = first.state
    assert saved.shape == (128, 24)
    want = first.draw(9)
    assert np.array_equal(Xorwow(saved).draw(9), want)
    first.state = saved
    assert np.array_equal(first.draw(9), want)


def test_state_is_a_copy_both_ways():
    given = np.ones((2, WORDS), np.uint32)
    generator = Xorwow(given)
    generator.state[:] = 9
    generator.draw(3)
    assert given.tolist() == np.ones((2, WORDS)).tolist()
    assert generator.state[0, 0] == 1


def test_lfsr_moves_32_steps_a_value():
    state = np.array([1, 0x80000000, 0xDEADBEEF, 0xFFFFFFFF], np.uint32)
    generator = Lfsr(state)
    drawn = generator.draw(6)
    for lane, start in enumerate(state.tolist()):
        for i in range(6):
            start = shift_register(start, 32)
            assert drawn[lane, i] == start
    assert np.array_equal(generator.state, drawn[:, -1])


def test_lfsr_polynomial_is_primitive():
    """Order exactly 2^32 - 1: x^(2^32 - 1) = 1, and no x^((2^32 - 1) / p) is 1 for p in 3, 5, 17, 257, 65537."""
    polynomial = 1 << 32 | 1 << 22 | 1 << 2 | 1 << 1 | 1

    def times(a, b):
        product = 0
        for i in range(32):
            product ^= (a << i) * (b >> i & 1)
        for i in range(63, 31, -1):
            product ^= (polynomial << (i - 32)) * (product >> i & 1)
        return product

    def power(exponent):
        result, square = 1, 2
        while exponent:
            result = times(result, square) if exponent & 1 else result
            square, exponent = times(square, square), exponent >> 1
        return result

    order = 2**32 - 1
    assert power(order) == 1
    assert all(power(order // p) != 1 for p in (3, 5, 17, 257, 65537))


def test_seeds_repeat_differ_by_lane_and_never_stop_the_register():
    for make in (lambda seed: Lfsr.seeded(seed, 128), lambda seed: Xorwow.seeded(seed, 128)):
        once, again, other = make(5).draw(8), make(5).draw(8), make(6).draw(8)
        assert np.array_equal(once, again)
        assert not np.array_equal(once, other)
        assert len(np.unique(once)) == once.size
    for seed in range(-50, 50):
        assert Lfsr.seeded(seed, 128).state.all()


@pytest.mark.parametrize("generator", [Lfsr.seeded(1, 128), Xorwow.seeded(1, 128)])
def test_every_bit_is_a_fair_coin(generator):
    bits = generator.draw(512)[..., None] >> np.arange(32, dtype=np.uint32) & 1
    share = bits.mean(axis=(0, 1))
    assert np.abs(share - 0.5).max() < 5 * 0.5 / np.sqrt(128 * 512)
