"""nc_stream_shuffle: rules by label, meaning partition by partition, what public kernels rely on."""

from __future__ import annotations

import numpy as np
import pytest
from harness import bits, call, cast, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault
from opentrn.program.recorder import ACTIVE

RNG = np.random.default_rng(12)
X = RNG.standard_normal((128, 12)).astype(np.float32)
ROTATE = [(i - 1) % 32 for i in range(32)]
FIRST = [0] * 32
CASE = {"dst": out((32, 12)), "src": sbuf(X[:32]), "shuffle_mask": ROTATE}


def oracle(dst, src, mask):
    """`dst` after the shuffle, row by row."""
    made = dst.copy()
    for row in range(len(dst)):
        quadrant, lane = divmod(row, 32)
        if mask[lane] != 255:
            made[row] = src[32 * quadrant + mask[lane]]
    return made


def rows(array, view):
    """Run a kernel that loads `array` and shuffles within it by `view`; gives back the tile."""

    def kernel(x):
        tile = nl.load(x)
        view(tile)
        back = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back, src=tile)
        return back

    return opentrn.run(kernel)(array).results


def test_c1_accepts_equal_dtypes():
    for dtype in ("int32", "uint8", "float8_e5m2"):
        data = cast(RNG.integers(0, 100, (32, 12)), dtype)
        got = result("nc_stream_shuffle", dst=out((32, 12), dtype), src=sbuf(data), shuffle_mask=ROTATE)
        assert np.array_equal(bits(got), bits(np.roll(data, 1, 0)))


def test_c1_refuses_other_dtypes():
    refused("nc_stream_shuffle", "c1", **{**CASE, "dst": out((32, 12), "bfloat16")})


def test_c2_accepts_another_rank():
    got = result("nc_stream_shuffle", **{**CASE, "dst": out((32, 3, 4))})
    assert np.array_equal(got.reshape(32, 12), np.roll(X[:32], 1, 0))


def test_c2_refuses_another_size():
    refused("nc_stream_shuffle", "c2", **{**CASE, "dst": out((32, 11))})


def test_c3_accepts_every_lane_and_255():
    mask = [31 - i if i % 2 else 255 for i in range(32)]
    got = call("nc_stream_shuffle", **{**CASE, "shuffle_mask": mask, "dst": sbuf(np.zeros((32, 12), np.float32))})
    assert np.array_equal(got["dst"], oracle(np.zeros((32, 12), np.float32), X[:32], mask))


@pytest.mark.parametrize("mask", [ROTATE[:31], [*ROTATE, 0], [32, *ROTATE[1:]], [-1, *ROTATE[1:]], [254, *ROTATE[1:]]])
def test_c3_refuses_a_bad_mask(mask):
    refused("nc_stream_shuffle", "c3", **{**CASE, "shuffle_mask": mask})


@pytest.mark.parametrize(
    ("start", "count"), [(0, 128), (0, 96), (0, 64), (64, 64), (0, 32), (32, 32), (64, 32), (96, 32)]
)
def test_c4_accepts_the_documented_starts(start, count):
    tile = sbuf(X).seen(lambda t: t[start : start + count])
    got = result("nc_stream_shuffle", dst=out((128, 12)).seen(lambda t: t[start : start + count]), src=tile,
                 shuffle_mask=ROTATE)  # fmt: skip
    want = oracle(np.zeros((count, 12)), X[start : start + count], ROTATE)
    assert np.array_equal(got[start : start + count], want.astype(np.float32))


def test_c4_accepts_tiles_in_different_quadrants():
    src, dst = sbuf(X).seen(lambda t: t[96:128]), out((64, 12)).seen(lambda t: t[32:64])
    got = result("nc_stream_shuffle", dst=dst, src=src, shuffle_mask=ROTATE)
    assert np.array_equal(got[32:], np.roll(X[96:], 1, 0))


@pytest.mark.parametrize(
    ("source", "target"), [((0, 64), (32, 32)), ((32, 32), (0, 64)), ((96, 32), (0, 128)), ((64, 20), (0, 96))]
)
def test_c4_refuses_starts_that_the_larger_tile_forbids(source, target):
    (a, n), (b, m) = source, target
    mask = [0 if n > 0 else 255] * 32
    src, dst = out((128, 12)).seen(lambda t: t[a : a + n]), out((128, 12)).seen(lambda t: t[b : b + m])
    refused("nc_stream_shuffle", "c4", dst=dst, src=src, shuffle_mask=mask)


def test_c5_accepts_fewer_partitions_when_the_mask_stays_within():
    got = result("nc_stream_shuffle", dst=out((20, 12)), src=sbuf(X[:1]), shuffle_mask=FIRST)
    assert np.array_equal(got, np.repeat(X[:1], 20, 0))


def test_c5_refuses_partitions_that_src_does_not_have():
    refused("nc_stream_shuffle", "c5", **{**CASE, "src": sbuf(X[:31]), "shuffle_mask": [31] * 32})
    refused("nc_stream_shuffle", "c5", dst=out((64, 12)), src=sbuf(X[:1]), shuffle_mask=FIRST)


def test_meaning_rotates_in_place():
    """test_nki_isa_nc_stream_shuffle.py, example 1 (SDK 2.32)."""
    got = rows(X[:32], lambda t: nisa.nc_stream_shuffle(dst=t, src=t, shuffle_mask=ROTATE))
    assert np.array_equal(got, np.roll(X[:32], 1, 0))


def test_meaning_broadcasts_a_partition():
    """The same file, example 2."""
    got = result("nc_stream_shuffle", dst=out((32, 12)), src=sbuf(X[5:6]), shuffle_mask=FIRST)
    assert np.array_equal(got, np.repeat(X[5:6], 32, 0))


def test_meaning_serves_each_quadrant_alone():
    """The same file, example 3."""
    got = result("nc_stream_shuffle", dst=out((128, 12)), src=sbuf(X), shuffle_mask=ROTATE)
    assert np.array_equal(got.reshape(4, 32, 12), np.roll(X.reshape(4, 32, 12), 1, 1))


def test_meaning_of_255_keeps_what_was_there():
    """NKI 0.4.0 release notes: the simulator zeroed such partitions before."""
    mask = [255] * 31 + [0]
    old = RNG.standard_normal((64, 12)).astype(np.float32)
    got = result("nc_stream_shuffle", dst=sbuf(old), src=sbuf(X[:64]), shuffle_mask=mask)
    want = old.copy()
    want[31], want[63] = X[0], X[32]
    assert np.array_equal(got, want)


def test_meaning_broadcasts_by_quadrants():
    """nki-library stream_shuffle_broadcast.py: partition 0 of a tile to all quadrants of the same tile."""

    def everywhere(tile):
        for quadrant in range(4):
            nisa.nc_stream_shuffle(src=tile[0:1, :], dst=tile[32 * quadrant : 32 * quadrant + 32], shuffle_mask=FIRST)

    assert np.array_equal(rows(X, everywhere), np.repeat(X[:1], 128, 0))


def run_partly_written(use):
    """`use(tile)` on a (128, 4) tile of which only partitions 0..31 were written."""

    def kernel(anchor):
        tile = nl.ndarray((128, 4), dtype=nl.float32)
        ACTIVE.recorder.state.fill(tile[0:32], np.arange(128, dtype=np.float32).reshape(32, 4))
        use(tile)
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel)(np.zeros((1, 1), np.float32))


def reduced(tile):
    total = nl.ndarray((tile.shape[0], 1), dtype=nl.float32)
    nisa.tensor_reduce(dst=total, op=nl.add, data=tile, axis=1)
    return total


def test_meaning_does_not_read_partitions_that_the_mask_leaves_out():
    """nki-library find_nonzero_indices.py: only every 16th partition of the tile was written."""
    seen = []

    def use(tile):
        nisa.nc_stream_shuffle(dst=tile, src=tile, shuffle_mask=[16] + [255] * 31)
        seen.append(reduced(tile[0:32]).numpy())

    run_partly_written(use)
    data = np.arange(128, dtype=np.float32).reshape(32, 4)
    data[0] = data[16]
    assert np.array_equal(seen[0], data.sum(1, keepdims=True))


def test_meaning_leaves_unwritten_what_it_does_not_write():
    def use(tile):
        fresh = nl.ndarray((32, 4), dtype=nl.float32)
        nisa.nc_stream_shuffle(dst=fresh, src=tile[0:32], shuffle_mask=[0] * 31 + [255])
        reduced(fresh[0:31]).numpy()
        reduced(fresh).numpy()

    with pytest.raises(MemoryFault, match="never written"):
        run_partly_written(use)


def test_meaning_moves_nothing_out_of_unwritten_partitions():
    def use(tile):
        nisa.nc_stream_shuffle(dst=tile, src=tile, shuffle_mask=FIRST)
        reduced(tile[0:32]).numpy()
        reduced(tile[32:64]).numpy()

    with pytest.raises(MemoryFault, match="never written"):
        run_partly_written(use)


DTYPES = ["float32", "bfloat16", "float16", "float8_e4m3", "int32", "uint16", "uint8"]


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(DTYPES), st.sampled_from([1, 7, 32, 33, 64, 100, 128]), st.integers(1, 9), st.integers(1, 3),
    st.sampled_from(["sbuf", "psum", "permuted"]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_moves_rows(dtype, partitions, columns, step, kind, seed):
    rng = np.random.default_rng(seed)
    data = cast(rng.integers(0, 120, (partitions, 2, columns * step)), dtype)
    old = cast(rng.integers(0, 120, (partitions, 2 * columns)), dtype)
    last = partitions % 32 or 32
    mask = [int(m) if rng.random() < 0.7 else 255 for m in rng.integers(0, last, 32)]
    swapped = kind == "permuted"
    seen = data[:, :, ::step].transpose(0, 2, 1) if swapped else data[:, :, ::step]
    view = (lambda t: t[:, :, ::step].permute((0, 2, 1))) if swapped else (lambda t: t[:, :, ::step])
    src = (psum if kind == "psum" else sbuf)(data).seen(view)
    got = result("nc_stream_shuffle", dst=sbuf(old), src=src, shuffle_mask=mask)
    want = oracle(old, np.ascontiguousarray(seen).reshape(partitions, -1), mask)
    assert np.array_equal(got.view(np.uint8), want.view(np.uint8))
