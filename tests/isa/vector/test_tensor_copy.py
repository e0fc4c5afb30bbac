"""tensor_copy: rules by label, meaning against casts of single numbers, native core against the meaning."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from gathered import through
from harness import Operand, call, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import STATIC, price, vector_ns
from scalars import DTYPES, FLOATS, rounded, same, sample, seen
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault

RNG = np.random.default_rng(31)
X = RNG.standard_normal((16, 16)).astype(np.float32)
CASE = {"dst": out((16, 16)), "src": sbuf(X)}
VECTOR, SCALAR, GPSIMD = nisa.engine.vector, nisa.engine.scalar, nisa.engine.gpsimd
ORDER = RNG.permutation(16)


def indirect(operand: Operand) -> Operand:
    """The operand seen through tensor indirection: column n of the view is column ORDER[n] of the tensor."""
    return operand.seen(through(ORDER.reshape(16, 1)))


def test_c1_accepts_other_ranks():
    assert np.array_equal(result("tensor_copy", dst=out((16, 4, 4)), src=sbuf(X)).reshape(16, 16), X)


def test_c1_refuses_other_sizes():
    refused("tensor_copy", "c1", dst=out((16, 15)), src=sbuf(X))
    refused("tensor_copy", "c1", dst=out((8, 32)), src=sbuf(X))


@pytest.mark.parametrize("engine", [VECTOR, SCALAR, nisa.engine.unknown])
def test_c2_accepts_psum_on_vector_and_scalar(engine):
    assert np.array_equal(result("tensor_copy", dst=out((16, 16)), src=psum(X), engine=engine), X)
    assert np.array_equal(result("tensor_copy", dst=out((16, 16), region=nl.psum), src=psum(X), engine=engine), X)


def test_c2_refuses_psum_on_gpsimd():
    refused("tensor_copy", "c2", dst=out((16, 16)), src=psum(X), engine=GPSIMD)
    refused("tensor_copy", "c2", dst=out((16, 16), region=nl.psum), src=sbuf(X), engine=GPSIMD)


@pytest.mark.parametrize("target", ["trn2", "trn3"])
def test_c3_accepts_the_scalar_engine(target):
    assert np.array_equal(call("tensor_copy", target=target, **CASE, engine=SCALAR)["dst"], X)


def test_c3_refuses_the_scalar_engine_of_trn1():
    assert "activation" in str(refused("tensor_copy", "c3", target="trn1", **CASE, engine=SCALAR))


@pytest.mark.parametrize("engine", [VECTOR, SCALAR])
def test_c4_accepts_indirection_on_vector_and_scalar(engine):
    got = call("tensor_copy", target="trn3", dst=out((16, 16)), src=indirect(sbuf(X)), engine=engine)["dst"]
    assert np.array_equal(got, X[:, ORDER])


def test_c4_refuses_indirection_on_gpsimd():
    refused("tensor_copy", "c4", target="trn3", dst=out((16, 16)), src=indirect(sbuf(X)), engine=GPSIMD)
    refused("tensor_copy", "c4", target="trn3", dst=indirect(out((16, 16))), src=sbuf(X), engine=GPSIMD)


def test_c5_accepts_a_scatter_into_sbuf_and_on_vector_into_psum():
    want = np.empty_like(X)
    for n, column in enumerate(ORDER):
        want[:, column] = X[:, n]
    for engine, region in ((SCALAR, nl.sbuf), (VECTOR, nl.sbuf), (VECTOR, nl.psum)):
        dst = indirect(out((16, 16), region=region))
        assert np.array_equal(call("tensor_copy", target="trn3", dst=dst, src=sbuf(X), engine=engine)["dst"], want)


def test_c5_refuses_a_scatter_into_psum_on_scalar():
    dst = indirect(out((16, 16), region=nl.psum))
    refused("tensor_copy", "c5", target="trn3", dst=dst, src=sbuf(X), engine=SCALAR)


PLACED = {"dst": out((16, 16)), "src": sbuf(X)}
STARTS = np.arange(16).reshape(16, 1)


def placed(key, tensor, index):
    """PLACED with operand `key` at partition `tensor`, seen through an index at partition `index` that changes nothing."""
    return {**PLACED, key: replace(PLACED[key], address=(tensor, 0)).seen(through(STARTS, address=(index, 4096)))}


@pytest.mark.parametrize("key", ["dst", "src"])
def test_c6_accepts_indices_beside_their_data(key):
    want = call("tensor_copy", target="trn3", **PLACED)["dst"]
    for start in (0, 32, 96):
        assert np.array_equal(call("tensor_copy", target="trn3", **placed(key, start, start))["dst"], want)


def test_c6_refuses_indices_elsewhere():
    refused("tensor_copy", "c6", target="trn3", **placed("src", 32, 64))
    refused("tensor_copy", "c6", target="trn3", **placed("dst", 32, 16))
    beside = {**placed("dst", 32, 64), "src": replace(PLACED["src"], address=(32, 2048))}
    refused("tensor_copy", "c6", target="trn3", **beside)


@pytest.mark.parametrize("engine", [VECTOR, SCALAR, GPSIMD, nisa.engine.unknown])
def test_meaning_of_equal_dtypes_is_the_bits(engine):
    """Bit-accurate when the dtypes match: NaN payloads, and int32 beyond 24 bits."""
    words = RNG.integers(0, 2**32, (16, 16), np.uint32)
    words[0] = 0x7FA5A5A5
    for dtype in (np.float32, np.int32, np.uint32):
        got = result("tensor_copy", dst=out((16, 16), np.dtype(dtype).name), src=sbuf(words.view(dtype)), engine=engine)
        assert got.tobytes() == words.tobytes()
    halves = words.view(np.uint16).view(ml_dtypes.bfloat16)
    assert result("tensor_copy", dst=out(halves.shape, "bfloat16"), src=sbuf(halves)).tobytes() == words.tobytes()


@pytest.mark.parametrize("dtype", ["float8_e4m3fn_x4", "float4_e2m1fn_x4"])
def test_meaning_of_packed_types_is_the_bits(dtype):
    held = np.dtype(np.uint16 if "float4" in dtype else np.uint32)
    words = RNG.integers(0, 2 ** (8 * held.itemsize), (4, 6)).astype(held)
    src = Operand(nl.sbuf, (4, 6), dtype, words)
    assert call("tensor_copy", target="trn3", dst=out((4, 6), dtype), src=src)["dst"].tobytes() == words.tobytes()


def test_meaning_of_different_dtypes_goes_through_float32():
    data = np.array([[2**24 + 1, -(2**31), 2**31 - 1, 300]], np.int32)
    assert result("tensor_copy", dst=out((1, 4)), src=sbuf(data)).tolist() == [[2.0**24, -(2.0**31), 2.0**31, 300.0]]
    assert result("tensor_copy", dst=out((1, 4), "uint8"), src=sbuf(data)).tolist() == [[255, 0, 255, 255]]
    halves = np.array([[0.5, 1.5, 2.5, -0.5, np.nan, np.inf]], np.float32)
    assert result("tensor_copy", dst=out((1, 6), "int8"), src=sbuf(halves)).tolist() == [[0, 2, 2, 0, 0, 127]]


def test_meaning_between_overlapping_views():
    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_copy(dst=tile[:, 3:16], src=tile[:, 0:13])
        nisa.tensor_copy(dst=tile[:, 0:8], src=tile[:, 8:16])
        nisa.dma_copy(dst=x, src=tile)
        return x

    moved = np.hstack([X[:, :3], X[:, :13]])
    assert np.array_equal(opentrn.run(kernel)(X.copy()).results, np.hstack([moved[:, 8:], moved[:, 8:]]))


def test_an_unwritten_source_raises():
    with pytest.raises(MemoryFault):
        call("tensor_copy", dst=out((16, 16)), src=out((16, 16)))


SEED = st.integers(0, 2**32 - 1)
ROWS = st.sampled_from([1, 2, 33, 128])


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from(KINDS), st.sampled_from(KINDS), ROWS,
    st.integers(1, 7), SEED,
)  # fmt: skip
def test_meaning_is_a_cast_of_each_number(source, target, kind, other, rows, columns, seed):
    look, goes = window(kind, rows, columns), window(other, rows, columns)
    data = sample(source, look.shape, seed)
    background = sample(target, goes.shape, seed + 1)
    got = result(
        "tensor_copy", dst=sbuf(background.copy(), target).seen(goes.view), src=sbuf(data, source).seen(look.view)
    )
    want = background.copy()
    inside = np.ascontiguousarray(look.look(data))
    cells = goes.look(want)
    cells[...] = (inside if source == target else rounded(seen(inside), target)).reshape(cells.shape)
    if {source, target} in ({"int32", "uint32"}, {"int16", "uint16"}, {"int8", "uint8"}):
        cells[...] = inside.view(target).reshape(cells.shape)  # integers of one width: the bits
    same(got, want)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(FLOATS), st.integers(1, 5), st.integers(1, 6), SEED)
def test_meaning_of_a_broadcast_source(dtype, times, columns, seed):
    data = sample("float32", (4, 1, columns), seed)
    got = result(
        "tensor_copy", dst=out((4, times, columns), dtype), src=sbuf(data).seen(lambda t: t.broadcast(1, times))
    )
    same(got, rounded([[row[0].tolist()] * times for row in data.astype(float)], dtype))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from([*DTYPES, "tfloat32", "bool"]), st.sampled_from([*DTYPES, "tfloat32", "bool"]),
    st.sampled_from(KINDS), st.sampled_from(KINDS), st.integers(1, 150), SEED,
)  # fmt: skip
def test_native_equals_meaning(source, target, kind, other, columns, seed):
    look, goes = window(kind, 6, columns), window(other, 6, columns)
    data = sample(source, look.shape, seed) if source in DTYPES else sample("float32", look.shape, seed)
    src = sbuf(data, source) if source != "bool" else sbuf(data > 0, "bool")
    native_equals_meaning(
        "tensor_copy", dst=psum(np.zeros(goes.shape), target).seen(goes.view), src=src.seen(look.view)
    )


def test_the_cost_on_each_engine():
    """256 fp32 elements per cycle on 128 lanes of the Vector Engine at 0.96 GHz, 128 on the others at 1.2 GHz."""
    wide, narrow = np.zeros((128, 512), np.float32), np.zeros((128, 512), ml_dtypes.bfloat16)
    case = {"dst": out((128, 512)), "src": sbuf(wide)}
    half = {"dst": out((128, 512), "bfloat16"), "src": sbuf(narrow)}
    assert price("tensor_copy", **case).busy_ns == pytest.approx(vector_ns(256))
    assert price("tensor_copy", **half).busy_ns == pytest.approx(vector_ns(128))
    assert price("tensor_copy", **{**case, "src": psum(wide)}).busy_ns == pytest.approx(vector_ns(512))
    assert price("tensor_copy", **case, engine=SCALAR).busy_ns == pytest.approx((STATIC + 512) / 1.2 + 31)  # from SBUF
    assert [price("tensor_copy", **case, engine=e).engine for e in (VECTOR, SCALAR, GPSIMD)] == [
        "vector",
        "scalar",
        "gpsimd",
    ]
    one = {"dst": out((1, 1)), "src": sbuf(wide[:1, :1])}
    assert price("tensor_copy", **one).busy_ns == pytest.approx(64 / 0.96)  # never below the initiation interval
