"""tensor_copy_predicated: rules by label, meaning against a loop over single elements, native core against the meaning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gathered import through
from harness import Operand, bits, call, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price, vector_ns
from scalars import DTYPES, rounded, sample
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault

RNG = np.random.default_rng(41)
X = RNG.standard_normal((16, 24)).astype(np.float32)
OLD = RNG.standard_normal((16, 24)).astype(np.float32)
MASK = (RNG.random((16, 24)) < 0.5).astype(np.uint8)
CASE = {"dst": sbuf(OLD), "src": sbuf(X), "predicate": sbuf(MASK)}
NAME = "tensor_copy_predicated"
SEED = st.integers(0, 2**32 - 1)


def picked(old, new, mask, reverse=False):
    """Element by element; `new` is an array or one number."""
    kept = old.copy()
    for at in np.ndindex(old.shape):
        if bool(mask[at]) != reverse:
            kept[at] = new[at] if isinstance(new, np.ndarray) else new
    return kept


def test_c1_accepts_other_ranks():
    """Release notes, NKI 0.6.0: 2-D source with 4-D destination and predicate, and the other way around."""
    deep = (16, 2, 3, 4)
    case = {"dst": sbuf(OLD.reshape(deep)), "src": sbuf(X), "predicate": sbuf(MASK.reshape(deep))}
    assert np.array_equal(result(NAME, **case).reshape(16, 24), picked(OLD, X, MASK))
    case = {"dst": sbuf(OLD), "src": sbuf(X.reshape(deep)), "predicate": sbuf(MASK.reshape(16, 8, 3))}
    assert np.array_equal(result(NAME, **case), picked(OLD, X, MASK))


def test_c1_refuses_other_sizes():
    refused(NAME, "c1", **{**CASE, "src": sbuf(X[:, :23])})
    refused(NAME, "c1", **{**CASE, "predicate": sbuf(MASK[:, :1])})
    refused(NAME, "c1", **{**CASE, "predicate": sbuf(MASK[:8])})


@pytest.mark.parametrize("dtype", ["bfloat16", "int32", "float8_e5m2", "uint8"])
def test_c2_accepts_one_dtype(dtype):
    old, new = sample(dtype, (16, 24), 1), sample(dtype, (16, 24), 2)
    got = result(NAME, dst=sbuf(old.copy(), dtype), src=sbuf(new, dtype), predicate=sbuf(MASK))
    assert got.tobytes() == picked(old, new, MASK).tobytes()


def test_c2_refuses_two_dtypes():
    refused(NAME, "c2", **{**CASE, "src": sbuf(X, "bfloat16")})
    refused(NAME, "c2", **{**CASE, "src": sbuf(X.astype(np.int32))})


def test_c3_accepts_one_of_them_in_psum():
    assert np.array_equal(result(NAME, **{**CASE, "src": psum(X)}), picked(OLD, X, MASK))
    assert np.array_equal(result(NAME, **{**CASE, "predicate": psum(MASK)}), picked(OLD, X, MASK))
    assert np.array_equal(result(NAME, **{**CASE, "predicate": psum(MASK), "src": 2.0}), picked(OLD, 2.0, MASK))
    assert np.array_equal(result(NAME, **{**CASE, "dst": psum(OLD), "src": psum(X)}), picked(OLD, X, MASK))


def test_c3_refuses_both_in_psum():
    refused(NAME, "c3", **{**CASE, "src": psum(X), "predicate": psum(MASK)})


def test_c4_accepts_numbers_of_the_dtype():
    for dtype, number in (
        ("uint8", 255),
        ("int32", -(2**31)),
        ("int16", 7.0),
        ("float32", -3e38),
        ("bfloat16", np.inf),
    ):
        old = sample(dtype, (16, 24), 3)
        got = result(NAME, dst=sbuf(old.copy(), dtype), src=number, predicate=sbuf(MASK))
        want = picked(old, old.dtype.type(number), MASK)
        assert np.array_equal(bits(got), bits(want))


@pytest.mark.parametrize("number", [256, -1, 0.5, float("nan"), float("inf")])
def test_c4_refuses_numbers_that_integers_cannot_hold(number):
    refused(NAME, "c4", dst=sbuf(MASK), src=number, predicate=sbuf(MASK))


def test_c4_refuses_anything_but_zero_into_packed_types():
    packed = Operand(nl.sbuf, (16, 24), "float8_e5m2_x4", np.ones((16, 24), np.uint32))
    refused(NAME, "c4", target="trn3", dst=packed, src=1, predicate=sbuf(MASK))
    got = call(NAME, target="trn3", dst=packed, src=0, predicate=sbuf(MASK))["dst"]
    assert np.array_equal(got.view(np.uint32), 1 - MASK.astype(np.uint32))


PLACED = {"dst": sbuf(OLD[:, :16].copy()), "src": 1.0, "predicate": sbuf(MASK[:, :16].copy())}
STARTS = np.arange(16).reshape(16, 1)


def placed(key, tensor, index):
    """PLACED with operand `key` at partition `tensor`, seen through an index at partition `index` that changes nothing."""
    return {**PLACED, key: replace(PLACED[key], address=(tensor, 0)).seen(through(STARTS, address=(index, 4096)))}


@pytest.mark.parametrize("key", ["dst", "predicate"])
def test_c5_accepts_indices_beside_their_data(key):
    want = call(NAME, target="trn3", **PLACED)["dst"]
    for start in (0, 32, 96):
        assert np.array_equal(call(NAME, target="trn3", **placed(key, start, start))["dst"], want)


def test_c5_refuses_indices_elsewhere():
    refused(NAME, "c5", target="trn3", **placed("predicate", 32, 64))
    refused(NAME, "c5", target="trn3", **placed("dst", 32, 16))
    beside = {**placed("dst", 32, 64), "predicate": replace(PLACED["predicate"], address=(32, 2048))}
    refused(NAME, "c5", target="trn3", **beside)


def test_the_public_example():
    """nki/test/test_nki_isa_copypredicated.py: keep where the first operand is at most 0.8."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((128, 512), np.float32) * 100 for _ in range(2))
    where = np.less_equal(a, 0.8)
    got = result(NAME, src=sbuf(a), dst=sbuf(b), predicate=sbuf(where.astype(np.uint8)))
    assert np.array_equal(got, np.where(where, a, b))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_meaning_of_any_nonzero_predicate(dtype):
    mask = RNG.choice([0, 1, 2, np.iinfo(dtype).max], (16, 24)).astype(dtype)
    assert np.array_equal(result(NAME, **{**CASE, "predicate": sbuf(mask)}), picked(OLD, X, mask))
    got = result(NAME, **{**CASE, "predicate": sbuf(mask)}, reverse_pred=True)
    assert np.array_equal(got, picked(OLD, X, mask, reverse=True))


def test_meaning_copies_nan_payloads():
    words = np.full((16, 24), 0x7FA5A5A5, np.uint32)
    got = result(NAME, **{**CASE, "src": sbuf(words.view(np.float32))}).view(np.uint32)
    assert np.array_equal(got, picked(OLD.view(np.uint32), words, MASK))


def unwritten(reverse, reads):
    """What comes back when dst was never written and its `reads` columns are used afterwards; column 0 is copied."""

    def kernel(x, mask):
        tile, where = nl.load(x), nl.load(mask)
        target = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
        nisa.tensor_copy_predicated(dst=target, src=tile, predicate=where, reverse_pred=reverse)
        nisa.tensor_scalar(tile[:, reads], target[:, reads], nl.add, 1.0)
        nisa.dma_copy(dst=x, src=tile)
        return x

    mask = np.zeros((16, 24), np.uint8)
    mask[:, 0] = 1
    return opentrn.run(kernel)(X.copy(), (1 - mask) if reverse else mask).results


@pytest.mark.parametrize("reverse", [False, True])
def test_elements_that_are_not_copied_stay_unwritten(reverse):
    assert np.array_equal(unwritten(reverse, slice(0, 1))[:, 0], X[:, 0] + 1)
    with pytest.raises(MemoryFault, match="never written"):
        unwritten(reverse, slice(0, 2))


def test_meaning_when_dst_and_src_overlap():
    def kernel(x, mask):
        tile, where = nl.load(x), nl.load(mask)
        nisa.tensor_copy_predicated(dst=tile[:, 1:24], src=tile[:, 0:23], predicate=where[:, 0:23])
        nisa.dma_copy(dst=x, src=tile)
        return x

    got = opentrn.run(kernel)(X.copy(), MASK.copy()).results
    assert np.array_equal(got[:, 1:], picked(X[:, 1:], X[:, :23], MASK[:, :23]))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(DTYPES), st.sampled_from(["uint8", "uint16", "uint32"]), st.tuples(*[st.sampled_from(KINDS)] * 3),
    st.sampled_from([1, 3, 128]), st.integers(1, 7), st.booleans(), st.booleans(), SEED,
)  # fmt: skip
def test_meaning_is_a_choice_of_each_element(dtype, mask_dtype, kinds, rows, columns, reverse, number, seed):
    goes, look, chosen = (window(kind, rows, columns) for kind in kinds)
    want, data = sample(dtype, goes.shape, seed), sample(dtype, look.shape, seed + 1)
    mask = np.random.default_rng(seed).integers(0, 3, chosen.shape).astype(mask_dtype)
    got = result(
        NAME, dst=sbuf(want.copy(), dtype).seen(goes.view), src=3 if number else sbuf(data, dtype).seen(look.view),
        predicate=sbuf(mask).seen(chosen.view), reverse_pred=reverse,
    )  # fmt: skip
    cells = goes.look(want)
    new = rounded([[3.0]], dtype)[0, 0] if number else np.ascontiguousarray(look.look(data)).reshape(cells.shape)
    cells[...] = picked(cells, new, np.ascontiguousarray(chosen.look(mask)).reshape(cells.shape), reverse)
    assert np.array_equal(bits(got), bits(want))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(DTYPES), st.sampled_from(KINDS), st.sampled_from(KINDS), st.integers(1, 150), st.booleans(), SEED
)
def test_native_equals_meaning(dtype, kind, other, columns, reverse, seed):
    goes, look = window(kind, 6, columns), window(other, 6, columns)
    mask = np.random.default_rng(seed).integers(0, 2, (6, columns)).astype(np.uint8)
    native_equals_meaning(
        NAME, dst=sbuf(sample(dtype, goes.shape, seed), dtype).seen(goes.view),
        src=sbuf(sample(dtype, look.shape, seed + 1), dtype).seen(look.view), predicate=sbuf(mask), reverse_pred=reverse,
    )  # fmt: skip


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), SEED)
def test_native_equals_meaning_for_an_unwritten_dst(columns, seed):
    mask = np.ones((6, columns), np.uint8)
    native_equals_meaning(
        NAME, dst=out((6, columns)), src=sbuf(sample("float32", (6, columns), seed)), predicate=sbuf(mask)
    )


def test_the_cost_is_one_pass():
    wide, mask = np.zeros((128, 512), np.float32), np.zeros((128, 512), np.uint8)
    assert price(NAME, dst=sbuf(wide), src=1.0, predicate=sbuf(mask)).busy_ns == pytest.approx(vector_ns(1.06 * 512))
