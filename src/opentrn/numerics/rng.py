"""Random bits of the engines: XORWOW (GpSimd from NeuronCore-v3, Vector from v4) and an LFSR (Vector before v4).

Sources: nisa.rng, set_rng_seed, rand_set_state, rand_get_state (SDK 2.32) and trainium3_arch.rst name the algorithms
and the state sizes. The order of the state words, the polynomial of the LFSR and how its one seed reaches 128 lanes are
not public: the choices below are deterministic, and the bits differ from the chip's.
"""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["WORDS", "Lfsr", "Xorwow"]

WORDS = 6  # 32-bit words of one XORWOW state: x, y, z, w, v and the counter d
_WEYL = 362437
# Primitive polynomial x^32 + x^22 + x^2 + x + 1 (Xilinx XAPP 052, table 3), as Galois feedback for a right shift.
_TAPS = 0x80200003


class Xorwow:
    """Marsaglia's xorwow ("Xorshift RNGs", J. Stat. Softw. 8, 2003), one or more streams in each lane.

    `state` is uint32 [lanes, 6 * streams]: 6 words on GpSimd, 24 on the Vector engine. With several streams, element i
    of a draw comes from stream i modulo their number, and only streams that gave an element move on.
    """

    def __init__(self, state: np.ndarray) -> None:
        self.state = state

    @classmethod
    def seeded(cls, seed: int, lanes: int, streams: int = 1) -> Xorwow:
        """A generator whose state words are all derived from one seed, different in every lane."""
        return cls(_spread(seed, lanes * WORDS * streams).reshape(lanes, -1))

    @property
    def state(self) -> np.ndarray:
        """A copy of the state; assigning it back continues the same sequence."""
        lanes, streams, words = self._state.shape
        return self._state.reshape(lanes, streams * words).copy()

    @state.setter
    def state(self, state: np.ndarray) -> None:
        self._state = np.array(state, np.uint32).reshape(len(state), -1, WORDS)

    def draw(self, count: int) -> np.ndarray:
        """The next `count` values of every lane: uint32 [lanes, count]."""
        lanes, streams, _ = self._state.shape
        out = np.empty((lanes, count), np.uint32)
        for start in range(0, count, streams):
            used = min(streams, count - start)
            out[:, start : start + used] = _xorwow_step(self._state[:, :used])
        return out


def _xorwow_step(state: np.ndarray) -> np.ndarray:
    first, last = state[..., 0].copy(), state[..., 4].copy()
    mixed = first ^ (first >> 2)
    state[..., 0:4] = state[..., 1:5].copy()
    state[..., 4] = last ^ (last << 4) ^ mixed ^ (mixed << 1)
    state[..., 5] += np.uint32(_WEYL)
    return state[..., 4] + state[..., 5]


class Lfsr:
    """A 32-bit linear feedback shift register per lane, moved 32 steps for each value. `state` is uint32 [lanes]."""

    def __init__(self, state: np.ndarray) -> None:
        self.state = np.array(state, np.uint32)

    @classmethod
    def seeded(cls, seed: int, lanes: int) -> Lfsr:
        """Lane states derived from one 32-bit seed; never zero, from which a register would not move."""
        return cls(np.maximum(_spread(seed, lanes), 1))

    def draw(self, count: int) -> np.ndarray:
        """The next `count` values of every lane: uint32 [lanes, count]."""
        out = np.empty((self.state.size, count), np.uint32)
        for i in range(count):
            self.state = out[:, i] = _leap(self.state)
        return out


def _leap(state: np.ndarray) -> np.ndarray:
    tables = _leap_tables()
    octets = state[:, None] >> np.arange(0, 32, 8, dtype=np.uint32) & 0xFF
    return np.bitwise_xor.reduce(tables[np.arange(4), octets], axis=1)


@cache
def _leap_tables() -> np.ndarray:
    """32 steps of the register are linear in its bits: uint32 [4, 256], what each octet of the state contributes."""
    state = np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    for _ in range(32):
        state = (state >> 1) ^ np.where(state & 1, np.uint32(_TAPS), np.uint32(0))
    return state


def _spread(seed: int, count: int) -> np.ndarray:
    """`count` different words from one: the finaliser of MurmurHash3 over a Weyl sequence."""
    word = np.uint32(seed & 0xFFFFFFFF) + np.arange(1, count + 1, dtype=np.uint32) * np.uint32(0x9E3779B9)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word = (word ^ (word >> shift)) * np.uint32(factor)
    return word ^ (word >> 16)
