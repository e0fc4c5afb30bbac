"""nc_transpose: rules by label, meaning element by element, native core against the meaning, the choice of the engine."""

from __future__ import annotations

import numpy as np
import pytest
from harness import bits, call, cast, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault

RNG = np.random.default_rng(16)
X = RNG.standard_normal((24, 40)).astype(np.float32)
TENSOR, VECTOR = nisa.engine.tensor, nisa.engine.vector
CASE = {"dst": out((40, 24), region=nl.psum), "data": sbuf(X)}
DTYPES = ["float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2", "int32", "uint32", "int16", "uint8"]


def oracle(array):
    """(F, P) from (P, ...), one element at a time."""
    flat = np.ascontiguousarray(array).reshape(array.shape[0], -1)
    made = np.empty(flat.shape[::-1], flat.dtype)
    for row in range(flat.shape[0]):
        for column in range(flat.shape[1]):
            made[column, row] = flat[row, column]
    return made


def chosen(data_region, dst_region, shape=(16, 24), **more):
    """The engine that a transpose without (or with) an explicit engine runs on."""

    def kernel(x):
        tile = nl.ndarray(shape, dtype=x.dtype, buffer=data_region)
        nisa.tensor_copy(dst=tile, src=nl.load(x))
        flipped = nl.ndarray(shape[::-1], dtype=x.dtype, buffer=dst_region)
        nisa.nc_transpose(dst=flipped, data=tile, **more)
        back = nl.ndarray(shape[::-1], dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back, src=nl.copy(flipped) if dst_region is nl.psum else flipped)
        return back

    data = RNG.standard_normal(shape).astype(np.float32)
    report = opentrn.run(kernel)(data)
    assert np.array_equal(report.results, data.T)
    return next(step.engine for step in report.steps if step.instruction.name == "nc_transpose")


def test_c1_accepts_several_free_dimensions():
    got = result("nc_transpose", dst=out((40, 4, 6), region=nl.psum), data=sbuf(X.reshape(24, 5, 2, 4)))
    assert np.array_equal(got.reshape(40, 24), X.T)


@pytest.mark.parametrize("shape", [(24, 40), (40, 23), (39, 24)])
def test_c1_refuses_another_shape(shape):
    refused("nc_transpose", "c1", **{**CASE, "dst": out(shape, region=nl.psum)})


@pytest.mark.parametrize("dtype", DTYPES)
def test_c2_accepts_equal_dtypes(dtype):
    data = cast(RNG.integers(0, 100, (24, 40)), dtype)
    got = result("nc_transpose", dst=out((40, 24), dtype, nl.psum), data=sbuf(data))
    assert np.array_equal(bits(got), bits(data.T))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("target", ["trn1", "trn2"])
def test_c2_accepts_float32_psum_for_narrower_floats(dtype, target):
    """nki-library tp_broadcast.py, and qkv_cte_utils.py on NeuronCore-v2."""
    data = cast(X, dtype)
    got = result("nc_transpose", target=target, dst=out((40, 24), region=nl.psum), data=sbuf(data))
    assert np.array_equal(got, data.T.astype(np.float32))


@pytest.mark.parametrize(
    ("source", "target"), [("float32", "bfloat16"), ("bfloat16", "float16"), ("int32", "float32"), ("int32", "uint32")]
)
def test_c2_refuses_other_conversions(source, target):
    refused("nc_transpose", "c2", dst=out((40, 24), target, nl.psum), data=out((24, 40), source))


def test_c2_refuses_a_wider_dst_on_the_vector_engine():
    refused("nc_transpose", "c2", dst=out((8, 4)), data=out((4, 8), "bfloat16"), engine=VECTOR)


def test_c3_accepts_128_by_128_from_sbuf_to_psum():
    data = RNG.standard_normal((128, 128)).astype(np.float32)
    got = result("nc_transpose", dst=out((128, 128), region=nl.psum), data=sbuf(data), engine=TENSOR)
    assert np.array_equal(got, data.T)


@pytest.mark.parametrize(("source", "target"), [(nl.sbuf, nl.sbuf), (nl.psum, nl.psum), (nl.psum, nl.sbuf)])
def test_c3_refuses_other_memories_on_the_tensor_engine(source, target):
    case = {"dst": out((8, 4), region=target), "data": out((4, 8), region=source)}
    refused("nc_transpose", "c3", **case, engine=TENSOR)


@pytest.mark.parametrize("source", [nl.sbuf, nl.psum])
@pytest.mark.parametrize("target", [nl.sbuf, nl.psum])
def test_c4_accepts_32_by_32_between_all_memories(source, target):
    data = RNG.standard_normal((32, 32)).astype(np.float32)
    case = {"dst": out((32, 32), region=target), "data": sbuf(data).where(source)}
    assert np.array_equal(result("nc_transpose", **case, engine=VECTOR), data.T)


@pytest.mark.parametrize("shape", [(33, 1), (1, 33), (128, 32)])
def test_c4_refuses_larger_tiles(shape):
    refused("nc_transpose", "c4", dst=out(shape[::-1]), data=out(shape), engine=VECTOR)
    refused("nc_transpose", "c4", dst=out(shape[::-1]), data=out(shape))  # chosen for an SBUF dst


def test_c5_accepts_a_whole_bank():
    dst = out((64, 1024), region=nl.psum).seen(lambda t: t[:, 512 - 24 : 512])
    call("nc_transpose", dst=dst, data=sbuf(RNG.standard_normal((24, 64)).astype(np.float32)))


def test_c5_refuses_a_dst_across_banks():
    across = out((40, 1024), region=nl.psum).seen(lambda t: t[:, 500:524])
    refused("nc_transpose", "c5", **{**CASE, "dst": across})
    call("nc_transpose", target="trn3", **{**CASE, "dst": across})


def test_unknown_engine_goes_by_the_destination_buffer():
    """NKI 0.4.0 release notes."""
    assert chosen(nl.sbuf, nl.psum) is TENSOR
    assert chosen(nl.sbuf, nl.sbuf) is VECTOR
    assert chosen(nl.psum, nl.sbuf) is VECTOR
    assert chosen(nl.psum, nl.psum) is VECTOR
    assert chosen(nl.sbuf, nl.psum, (128, 100)) is TENSOR


def test_an_explicit_engine_is_honoured():
    """NKI 0.4.0 release notes: it was silently ignored before."""
    assert chosen(nl.sbuf, nl.psum, engine=VECTOR) is VECTOR
    assert chosen(nl.sbuf, nl.psum, engine=TENSOR) is TENSOR


@pytest.mark.parametrize("engine", [TENSOR, VECTOR])
def test_meaning_is_bit_accurate_with_nan_and_infinity(engine):
    """trainium2_arch.rst, "Built-in Transpose Support"."""
    words = np.array([[0x7FC12345, 0xFF800000, 0x7F800000], [0x80000000, 0x7F812345, 1]], np.uint32)
    dst = out((3, 2), region=nl.psum if engine is TENSOR else nl.sbuf)
    got = result("nc_transpose", dst=dst, data=sbuf(words.view(np.float32)), engine=engine)
    assert np.array_equal(got.view(np.uint32), words.T)


def test_meaning_of_a_repeated_read_broadcasts():
    """nki-library tp_broadcast.py: a column read many times becomes a row in every partition."""
    data = sbuf(X).seen(lambda t: t[:, 3:4].broadcast(1, 128))
    got = result("nc_transpose", dst=out((128, 24), region=nl.psum), data=data)
    assert np.array_equal(got, np.tile(X[:, 3], (128, 1)))


def test_meaning_of_interleaved_transposes():
    """nki-library mxfp_load_utils.py: two transposes with a step of two share one PSUM tile."""

    def kernel(x):
        tile = nl.load(x)
        flipped = nl.ndarray((20, 48), dtype=x.dtype, buffer=nl.psum)
        for odd in range(2):
            nisa.nc_transpose(
                dst=flipped.ap([[48, 20], [2, 24]], offset=odd), data=tile.ap([[40, 24], [2, 20]], offset=odd)
            )
        back = nl.ndarray((20, 48), dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back, src=nl.copy(flipped))
        return back

    got = opentrn.run(kernel)(X).results
    assert np.array_equal(got[:, 0::2], X[:, 0::2].T)
    assert np.array_equal(got[:, 1::2], X[:, 1::2].T)


def test_meaning_of_fp8_with_a_step_of_two():
    """nki-library mlp_cte_transpose.py leaves room for the 16-bit words that an fp8 transpose makes."""
    data = cast(X, "float8_e4m3")
    dst = out((40, 48), "float8_e4m3", nl.psum).seen(lambda t: t[:, ::2])
    got = result("nc_transpose", dst=dst, data=sbuf(data))
    assert np.array_equal(bits(got[:, ::2]), bits(data.T))


def test_meaning_blockwise_by_quadrants_on_the_vector_engine():
    """nki-library attention_tkg.py:2629: a column of 128 becomes a row by four 32 x 1 transposes."""

    def kernel(x):
        tile = nl.load(x)
        row = nl.ndarray((1, 128), dtype=x.dtype, buffer=nl.sbuf)
        for at in range(0, 128, 32):
            nisa.nc_transpose(row[:1, at : at + 32], tile[at : at + 32, 2:3], engine=nisa.engine.vector)
        back = nl.ndarray((1, 128), dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back, src=row)
        return back

    data = RNG.standard_normal((128, 5)).astype(np.float32)
    assert np.array_equal(opentrn.run(kernel)(data).results, data[:, 2].reshape(1, 128))


def test_an_unwritten_source_raises():
    with pytest.raises(MemoryFault):
        call("nc_transpose", **{**CASE, "data": out((24, 40))})


VIEWS = ["plain", "permuted", "broadcast"]


def seen(data, step, view):
    """A way to look at a (P, 2, n) tile, and what it shows of `data`."""
    return {
        "plain": (lambda t: t[:, :, ::step], data[:, :, ::step]),
        "permuted": (lambda t: t[:, :, ::step].permute((0, 2, 1)), data[:, :, ::step].transpose(0, 2, 1)),
        "broadcast": (lambda t: t[:, 0:1, ::step].broadcast(1, 2), np.repeat(data[:, 0:1, ::step], 2, 1)),
    }[view]


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(DTYPES), st.sampled_from([1, 7, 32, 127, 128]), st.integers(1, 64), st.integers(1, 3),
    st.sampled_from(VIEWS), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_on_the_tensor_engine(dtype, partitions, columns, step, view, strided, seed):
    data = cast(np.random.default_rng(seed).integers(0, 100, (partitions, 2, columns * step)), dtype)
    look, values = seen(data, step, view)
    dst = out((2 * columns, 2 * partitions), dtype, nl.psum).seen(lambda t: t[:, ::2] if strided else t[:, :partitions])
    got = result("nc_transpose", dst=dst, data=sbuf(data).seen(look), engine=TENSOR)
    got = got[:, ::2] if strided else got[:, :partitions]
    assert np.array_equal(bits(got), bits(oracle(values)))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(DTYPES), st.integers(1, 32), st.integers(1, 16), st.integers(1, 3), st.sampled_from(VIEWS),
    st.booleans(), st.integers(0, 3), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_on_the_vector_engine(dtype, partitions, columns, step, view, from_psum, quadrant, seed):
    data = cast(np.random.default_rng(seed).integers(0, 100, (partitions, 2, columns * step)), dtype)
    look, values = seen(data, step, view)
    first = 32 * quadrant
    dst = out((128, partitions), dtype).seen(lambda t: t[first : first + 2 * columns])
    src = (psum if from_psum else sbuf)(data).seen(look)
    got = result("nc_transpose", dst=dst, data=src, engine=VECTOR)[first : first + 2 * columns]
    assert np.array_equal(bits(got), bits(oracle(values)))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([*DTYPES, "tfloat32"]), st.booleans(), st.sampled_from([1, 31, 128]), st.integers(1, 64), st.integers(1, 3),
    st.sampled_from(VIEWS), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_native_equals_meaning(dtype, widen, partitions, columns, step, view, seed):
    data = np.random.default_rng(seed).standard_normal((partitions, 2, columns * step)).astype(np.float32) * 50
    wide = widen and "float" in dtype
    dst = out((2 * columns, partitions), "float32" if wide else dtype, nl.psum)
    src = sbuf(np.abs(data) if dtype.startswith("uint") else data, dtype).seen(seen(data, step, view)[0])
    native_equals_meaning("nc_transpose", dst=dst, data=src)
