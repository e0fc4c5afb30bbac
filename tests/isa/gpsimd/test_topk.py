"""topk: rules by label, meaning against a selection of one largest element after the other."""

from __future__ import annotations

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from harness import call, out, refused, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault
from opentrn.isa.all import REGISTRY
from opentrn.isa.enums import engine
from opentrn.isa.spec import Use
from opentrn.machine import load_chip

RNG = np.random.default_rng(51)
BF16 = ml_dtypes.bfloat16
X = RNG.permutation(16 * 3).reshape(16, 3).astype(BF16)
CASE = {"val_dst": out((16, 8), "bfloat16"), "idx_dst": out((16, 8), "uint32"), "src": sbuf(X), "n": 42}


def largest(group, n, k):
    """(value, position) of the K largest of one snake, ascending, found one after the other from the largest."""
    left = {position: float(group[position % 16, position // 16]) for position in range(n)}
    found = []
    for _ in range(k):
        best = max(left, key=lambda position: (left[position], position))
        found.append((left.pop(best), best))
    return found[::-1]


def check(values, index, data, n, k, background=7):
    """Every element of both (partitions, K) results, those outside the snake included."""
    for p in range(len(data)):
        group = data[p // 16 * 16 : p // 16 * 16 + 16]
        want = largest(group, n, k)
        for column in range(k):
            result = p % 16 + 16 * column
            value, position = want[result] if result < k else (background, background)
            assert (float(values[p, column]), int(index[p, column])) == (value, position), (p, column)


def sized(k, partitions=16):
    """Destinations for K results that hold 7 everywhere."""
    return {
        "val_dst": sbuf(np.full((partitions, k), 7), "bfloat16"),
        "idx_dst": sbuf(np.full((partitions, k), 7), "uint32"),
    }


def test_c1_accepts_equal_shapes():
    made = call("topk", **{**CASE, **sized(8)})
    check(made["val_dst"], made["idx_dst"], X, 42, 8)


def test_c1_refuses_other_shapes():
    refused("topk", "c1", **{**CASE, "idx_dst": out((16, 7), "uint32")})
    refused("topk", "c1", **{**CASE, "idx_dst": out((32, 8), "uint32")})


@pytest.mark.parametrize(("n", "k"), [(8, 8), (8, 1), (48, 48)])
def test_c2_accepts_the_smallest_n_and_any_k_up_to_it(n, k):
    made = call("topk", **{**CASE, **sized(k), "n": n})
    check(made["val_dst"], made["idx_dst"], X, n, k)


def test_c2_accepts_the_largest_n():
    data = RNG.permutation(65536).reshape(16, 4096).astype(np.float32).astype(BF16)
    made = call("topk", **{**sized(1), "src": sbuf(data), "n": 65535})
    assert made["val_dst"][0, 0] == BF16(65536.0)


def test_c2_refuses_other_n_and_k():
    refused("topk", "c2", **{**CASE, **sized(1), "n": 7})
    refused("topk", "c2", **{**CASE, **sized(43)})
    refused("topk", "c2", **{**sized(1), "src": sbuf(np.zeros((16, 4096)), "bfloat16"), "n": 65536})
    wide = {"val_dst": out((16, 32768), "bfloat16"), "idx_dst": out((16, 32768), "uint32")}
    refused("topk", "c2", **wide, src=sbuf(np.zeros((16, 2048)), "bfloat16"), n=32768)


def test_c3_accepts_a_longer_source():
    data = np.hstack([X, np.full((16, 2), 99).astype(BF16)])
    made = call("topk", **{**CASE, **sized(8), "src": sbuf(data)})
    check(made["val_dst"], made["idx_dst"], X, 42, 8)


def test_c3_refuses_a_shorter_source():
    refused("topk", "c3", **{**CASE, "n": 49})


@pytest.mark.parametrize("partitions", [16, 48, 128])
def test_c4_accepts_multiples_of_16(partitions):
    data = RNG.permutation(partitions * 3)[: partitions * 3].reshape(partitions, 3).astype(BF16)
    made = call("topk", **{**sized(20, partitions), "src": sbuf(data), "n": 42})
    check(made["val_dst"], made["idx_dst"], data, 42, 20)


def test_c4_refuses_other_partitions():
    refused("topk", "c4", **{**CASE, **sized(8, 8), "src": sbuf(X[:8])})
    refused("topk", "c4", **{**CASE, **sized(8, 32)})


def test_meaning_of_a_snake_written_out():
    """Element i of the source is in partition i % 16, column i // 16; so is result i, ascending."""
    data = np.zeros((16, 3), np.float32)
    for position, value in ((17, 5), (3, 4), (40, 9), (16, 1)):
        data[position % 16, position // 16] = value
    made = call("topk", **{**CASE, **sized(4), "src": sbuf(data, "bfloat16")})
    assert made["val_dst"][:5, 0].tolist() == [1, 4, 5, 9, 7]
    assert made["idx_dst"][:5, 0].tolist() == [16, 3, 17, 40, 7]
    assert (made["val_dst"][:, 1:] == 7).all()


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(KINDS), st.sampled_from(KINDS), st.sampled_from([16, 64]), st.integers(8, 80), st.integers(1, 80),
    st.integers(2, 1000), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_one_largest_after_the_other(kind, dst_kind, partitions, n, k, spread, seed):
    """Views of all operands; few different values (ties) and many."""
    k = min(k, n)
    seen, gone = window(kind, partitions, -(-n // 16)), window(dst_kind, partitions, k)
    data = np.random.default_rng(seed).integers(-spread, spread, seen.shape).astype(BF16)
    made = call(
        "topk", val_dst=sbuf(np.full(gone.shape, 7), "bfloat16").seen(gone.view),
        idx_dst=sbuf(np.full(gone.shape, 7), "uint32").seen(gone.view), src=sbuf(data, "bfloat16").seen(seen.view), n=n,
    )  # fmt: skip
    flat = [np.ascontiguousarray(w.look(a)).reshape(partitions, -1) for w, a in
            ((gone, made["val_dst"]), (gone, made["idx_dst"]), (seen, data))]  # fmt: skip
    check(*flat, n, k)
    untouched = np.ones(gone.shape, bool)
    gone.look(untouched)[...] = False
    assert (made["val_dst"][untouched] == 7).all()


def partly_written(columns, partitions=16):
    """Top 4 of 40 elements of which `columns` columns, and 8 partitions of the third, are written; uses partitions."""

    def kernel(x, y):
        source = nl.ndarray((16, 3), dtype=nl.bfloat16)
        values, index = nl.ndarray((16, 4), dtype=nl.bfloat16), nl.ndarray((16, 4), dtype=nl.uint32)
        nisa.dma_copy(dst=source[:, :columns], src=x[:, :columns])
        nisa.dma_copy(dst=source[:8, columns : columns + 1], src=x[:8, columns : columns + 1])
        nisa.topk(values, index, source, 40)
        nisa.tensor_copy(dst=values[:partitions, :1], src=values[:partitions, :1])
        nisa.tensor_scalar(values[:partitions, :1], values[:partitions, :1], nl.add, 0.0)
        nisa.dma_copy(dst=y, src=index[:4, :1])
        return y

    return opentrn.run(kernel)(X, np.zeros((4, 1), np.uint32)).results[:, 0].tolist()


def test_elements_behind_n_need_not_be_written():
    assert partly_written(2, 4) == [position for _, position in largest(X, 40, 4)]
    with pytest.raises(MemoryFault, match="never written"):
        partly_written(1, 4)


def test_destinations_behind_k_stay_unwritten():
    """gpsimd_topk.py (nki-library 2.32): only the snake positions below K are written."""
    with pytest.raises(MemoryFault, match="never written"):
        partly_written(2, 5)


def test_the_cost_is_4_n_and_k_cycles():
    made = REGISTRY["topk"]
    assert made.price is not None
    values = {"val_dst": SimpleNamespace(elements=8), "idx_dst": None, "src": None, "n": 42}
    cost = made.price(Use(made, values, load_chip("trn2"), engine.gpsimd))
    assert cost.busy_ns == pytest.approx((4 * 42 + 8) / 1.2)
