"""nc_matmul: rules by label, meaning against exact sums, accumulation per element, transposes, the compiled core."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from gathered import columns, through
from harness import call, cast, inside, native, out, refused, result, sbuf, without_native
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault
from opentrn.isa.all import REGISTRY
from opentrn.isa.enums import matmul_perf_mode
from opentrn.isa.spec import Use
from opentrn.machine.chip import load_chip

RNG = np.random.default_rng(8)
A = RNG.standard_normal((32, 16)).astype(np.float32)
B = RNG.standard_normal((32, 24)).astype(np.float32)


def dst(*shape, dtype="float32"):
    return out(shape, dtype, nl.psum)


CASE = {"dst": dst(16, 24), "stationary": sbuf(A), "moving": sbuf(B)}
NARROW = ["bfloat16", "float16", "float8_e4m3", "float8_e5m2"]


def close_to(got, stationary, moving, before=0.0):
    """Within K + 2 float32 roundings of the exact sum of products, whatever their order."""
    a, b = stationary.astype(np.float64), moving.astype(np.float64)
    exact = np.einsum("km,kn->mn", a, b) + before
    bound = (a.shape[0] + 2) * 2.0**-23 * (np.einsum("km,kn->mn", np.abs(a), np.abs(b)) + np.abs(before)) + 1e-40
    assert (np.abs(got.astype(np.float64).reshape(exact.shape) - exact) <= bound).all()


# ------------------------------------------------------------------------------------------------------------- rules
def test_c1_accepts_equal_partitions():
    close_to(result("nc_matmul", **CASE), A, B)


def test_c1_refuses_other_partitions():
    refused("nc_matmul", "c1", **CASE | {"moving": sbuf(B[:31])})


def test_c2_accepts_128_columns():
    call("nc_matmul", **CASE | {"stationary": sbuf(A).shaped(32, 128), "dst": dst(128, 24)})


def test_c2_refuses_129_columns_and_more_than_a_column_tile():
    refused("nc_matmul", "c2", **CASE | {"stationary": sbuf(A).shaped(32, 129)})
    tile = {"tile_position": (0, 32), "tile_size": (128, 32)}
    refused("nc_matmul", "c2", **CASE | {"stationary": sbuf(A).shaped(32, 33)}, **tile)


def test_c3_accepts_a_bank_and_on_trn3_all_of_psum():
    wide = sbuf(B).shaped(32, 512)
    call("nc_matmul", **CASE | {"moving": wide, "dst": dst(16, 512)})
    call("nc_matmul", target="trn3", **CASE | {"moving": sbuf(B).shaped(32, 4096), "dst": dst(16, 4096)})
    huge = {"moving": sbuf(B).shaped(32, 8192), "dst": dst(16, 8192, dtype="bfloat16")}
    call("nc_matmul", target="trn3", **CASE | huge)


def test_c3_refuses_more():
    refused("nc_matmul", "c3", **CASE | {"moving": sbuf(B).shaped(32, 513), "dst": dst(16, 513)})
    refused("nc_matmul", "c3", target="trn3", **CASE | {"moving": sbuf(B).shaped(32, 4097)})


def test_c4_accepts_any_rank():
    close_to(result("nc_matmul", **CASE | {"dst": dst(16, 2, 3, 4)}), A, B)


def test_c4_refuses_other_sizes():
    refused("nc_matmul", "c4", **CASE | {"dst": dst(15, 24)})
    refused("nc_matmul", "c4", **CASE | {"dst": dst(16, 25)})


def test_c5_accepts_narrow_mixes_and_float32_with_tfloat32():
    call("nc_matmul", **CASE | {"stationary": sbuf(A, "bfloat16"), "moving": sbuf(B, "float8_e5m2")})
    call("nc_matmul", **CASE | {"moving": sbuf(B, "tfloat32")})


def test_c5_refuses_float32_with_bfloat16():
    refused("nc_matmul", "c5", **CASE | {"moving": sbuf(B, "bfloat16")})
    refused("nc_matmul", "c5", **CASE | {"stationary": sbuf(A, "float16"), "moving": sbuf(B, "tfloat32")})


def test_c6_accepts_e4m3fn_on_trn3():
    call("nc_matmul", target="trn3",
         **CASE | {"stationary": sbuf(A, "float8_e4m3fn"), "moving": sbuf(B, "float8_e5m2")})  # fmt: skip


def test_c6_refuses_e4m3fn_on_trn2_and_beside_e4m3():
    both = {"stationary": sbuf(A, "float8_e4m3fn"), "moving": sbuf(B, "float8_e4m3fn")}
    refused("nc_matmul", "c6", **CASE | both)
    refused("nc_matmul", "c6", target="trn3", **CASE | both | {"moving": sbuf(B, "float8_e4m3")})


def test_c7_accepts_bfloat16_on_trn3_and_the_dtype_of_a_transpose():
    call("nc_matmul", target="trn3", **CASE | {"dst": dst(16, 24, dtype="bfloat16")})
    call("nc_matmul", **transpose(cast(A, "bfloat16"), "bfloat16"))


def test_c7_refuses_bfloat16_on_trn2():
    refused("nc_matmul", "c7", **CASE | {"dst": dst(16, 24, dtype="bfloat16")})
    refused("nc_matmul", "c7", target="trn1", **transpose(cast(A, "bfloat16"), "bfloat16"))


def test_c8_accepts_the_last_bank():
    last = dst(16, 2, 512).seen(lambda t: t[:, 1, 488:512])
    call("nc_matmul", **CASE | {"dst": last})


def test_c8_refuses_crossing_a_bank():
    refused("nc_matmul", "c8", **CASE | {"dst": dst(16, 1024).seen(lambda t: t[:, 500:524])})


TILES = [((0, 0), (32, 128)), ((96, 0), (32, 128)), ((0, 96), (128, 32)), ((64, 64), (64, 64)), ((32, 64), (32, 32))]


@pytest.mark.parametrize(("position", "size"), TILES)
def test_c9_accepts_row_and_column_tiles(position, size):
    close_to(result("nc_matmul", **CASE, tile_position=position, tile_size=size), A, B)


BAD_TILES = [((16, 0), (32, 128)), ((0, 32), (128, 64)), ((0, 0), (16, 128)), ((128, 0), (64, 128)), ((), (128, 32)),
             ((0, 32), ())]  # fmt: skip


@pytest.mark.parametrize(("position", "size"), BAD_TILES)
def test_c9_refuses_other_tiles(position, size):
    refused("nc_matmul", "c9", **CASE, tile_position=position, tile_size=size)


def test_c9_refuses_operands_larger_than_the_tile_and_32_rows_on_trn1():
    large = {"stationary": sbuf(A).shaped(33, 16), "moving": sbuf(B).shaped(33, 24)}
    refused("nc_matmul", "c9", **CASE | large, tile_position=(0, 0), tile_size=(32, 128))
    refused("nc_matmul", "c9", target="trn1", **CASE, tile_position=(0, 0), tile_size=(32, 128))


def double(k, m, n, left="float8_e4m3", right="float8_e5m2", **more):
    a, b = RNG.standard_normal((k, 2, m)), RNG.standard_normal((k, 2, n))
    return {"dst": dst(m, n), "stationary": sbuf(a, left), "moving": sbuf(b, right),
            "perf_mode": nisa.matmul_perf_mode.double_row, **more}  # fmt: skip


def pairs(operand):
    """(2 K, free) values of a (K, 2, free) operand."""
    return operand.data.astype(np.float64).reshape(operand.shape[0] * 2, -1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (128, 128, 512), (17, 3, 40)])
def test_c10_accepts_double_row(shape):
    """NKI 0.6.0 release notes: a missed performance mode gave an oversized result."""
    case = double(*shape)
    close_to(result("nc_matmul", **case), pairs(case["stationary"]), pairs(case["moving"]))


def test_c10_accepts_the_public_shapes_and_spelling():
    """[1, 256] @ [256, 3] of the page; ones of test_nki_isa_nc_matmul.py; the string of older kernels."""
    case = double(128, 1, 3) | {"perf_mode": "double_row"}
    with pytest.warns(DeprecationWarning, match="double_row"):
        close_to(result("nc_matmul", **case), pairs(case["stationary"]), pairs(case["moving"]))
    ones = double(128, 1, 512) | {"stationary": sbuf(np.ones((128, 2, 1)), "float8_e5m2")}
    ones |= {"moving": sbuf(np.ones((128, 2, 512)), "float8_e5m2")}
    assert np.array_equal(result("nc_matmul", **ones), np.full((1, 512), 256, np.float32))


def test_c10_refuses_what_double_row_cannot():
    refused("nc_matmul", "c10", target="trn1", **double(32, 16, 24))
    refused("nc_matmul", "c10", **double(32, 16, 24, left="bfloat16"))
    refused("nc_matmul", "c10", **double(32, 16, 24, tile_position=(0, 32), tile_size=(128, 32)))
    refused("nc_matmul", "c10", **CASE | {"stationary": sbuf(A, "float8_e4m3"), "moving": sbuf(B, "float8_e4m3")},
            perf_mode=nisa.matmul_perf_mode.double_row)  # fmt: skip


INDEX = np.argsort(RNG.random(24))[:16].reshape(16, 1)


def test_c11_accepts_gathers_and_a_scatter_on_trn3():
    a, b = cast(A[:16], "bfloat16"), cast(B[:16], "bfloat16")
    seen = columns(INDEX, 16, 0, group=32)
    case = {"dst": dst(16, 16), "stationary": sbuf(a), "moving": sbuf(b).seen(through(INDEX))}
    close_to(result("nc_matmul", target="trn3", **case), a, b[:, seen])
    scattered = dst(16, 24).seen(through(INDEX))
    got = result("nc_matmul", target="trn3", dst=scattered, stationary=sbuf(a), moving=sbuf(b[:, :16]))
    close_to(got[:, seen], a, b[:, :16])


def test_c11_accumulates_where_a_scatter_has_been():
    a, b = cast(A[:16], "bfloat16"), cast(B[:16, :16], "bfloat16")
    kept = {}

    def kernel(anchor):
        stationary, moving, product = sbuf_tile(a), sbuf_tile(b), nl.ndarray((16, 24), nl.float32, nl.psum)
        for _ in range(2):
            nisa.nc_matmul(through(INDEX)(product), stationary, moving)
        kept["got"] = product.numpy()
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel, target="trn3")(np.zeros((1, 1), np.float32))
    seen = columns(INDEX, 16, 0, group=32)
    once = np.einsum("km,kn->mn", a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_allclose(kept["got"][:, seen], 2 * once, rtol=1e-4, atol=1e-5)


def test_c11_refuses_tiling_transposes_and_float32():
    a, b = sbuf(A[:16], "bfloat16"), sbuf(B[:16], "bfloat16").seen(through(INDEX))
    case = {"target": "trn3", "dst": dst(16, 16), "stationary": a, "moving": b}
    refused("nc_matmul", "c11", **case, tile_position=(0, 32), tile_size=(128, 32))
    refused("nc_matmul", "c11", **case, is_transpose=True)
    refused("nc_matmul", "c11", **case | {"stationary": sbuf(A[:16]), "moving": sbuf(B[:16]).seen(through(INDEX))})


def test_c12_accepts_an_index_on_a_quadrant():
    b = sbuf(B[:16], "bfloat16").seen(through(INDEX, address=(0, 64)))
    call("nc_matmul", target="trn3", dst=dst(16, 16), stationary=sbuf(A[:16], "bfloat16"), moving=b)


def test_c12_refuses_an_index_elsewhere():
    case = {"target": "trn3", "dst": dst(16, 7), "stationary": sbuf(A[:16], "bfloat16")}
    off = sbuf(B[:16], "bfloat16").seen(through(INDEX, 7, address=(16, 0)))
    refused("nc_matmul", "c12", **case, moving=off)
    into = dst(16, 7).seen(through(INDEX, 7, address=(16, 0)))
    refused("nc_matmul", "c12", **case | {"dst": into}, moving=sbuf(B[:16, :7], "bfloat16"))


# ----------------------------------------------------------------------------------------------------------- meaning
@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([*NARROW, "float32", "tfloat32"]), st.sampled_from(NARROW), st.sampled_from(KINDS),
    st.sampled_from(KINDS), st.sampled_from([1, 2, 31, 128]), st.sampled_from([1, 3, 128]),
    st.sampled_from([1, 2, 45, 256]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning(left, right, kind, other, k, m, n, seed):
    rng = np.random.default_rng(seed)
    right = left if left in ("float32", "tfloat32") else right
    views = window(kind, k, m), window(other, k, n)
    a, b = (sbuf(rng.standard_normal(v.shape), t) for v, t in zip(views, (left, right), strict=True))
    with without_native():
        got = result("nc_matmul", dst=dst(m, n), stationary=a.seen(views[0].view), moving=b.seen(views[1].view))
    close_to(got, *(np.asarray(v.look(x.data)).reshape(k, -1) for v, x in zip(views, (a, b), strict=True)))


def test_meaning_is_exact_for_small_integers():
    a, b = RNG.integers(-9, 10, (128, 50)), RNG.integers(-9, 10, (128, 70))
    got = result("nc_matmul", dst=dst(50, 70), stationary=sbuf(a, "bfloat16"), moving=sbuf(b, "bfloat16"))
    assert np.array_equal(got, a.T @ b)


def test_operands_of_more_than_two_dimensions():
    """NKI 0.4.0 and 0.3.0 release notes: higher dimensions were dropped (conv-style kernels)."""
    a, b = RNG.integers(-9, 10, (128, 2, 3, 8)), RNG.integers(-9, 10, (128, 3, 5, 4))
    moving = sbuf(b, "bfloat16").seen(lambda t: t[:, :, 1:4, ::2])
    got = result("nc_matmul", dst=dst(48, 3, 3, 2), stationary=sbuf(a, "bfloat16"), moving=moving)
    want = np.einsum("km,kn->mn", a.reshape(128, -1), b[:, :, 1:4, ::2].reshape(128, -1))
    assert np.array_equal(got.reshape(48, -1), want)


def test_infinities_and_nan_without_warnings():
    a = np.array([[np.inf, 1.0], [1.0, 3e38]], np.float32)
    b = np.array([[1.0, -1.0, 0.0], [1.0, -np.inf, 10.0]], np.float32)
    for context in (without_native, warnings.catch_warnings):
        with context(), warnings.catch_warnings():
            warnings.simplefilter("error")
            got = result("nc_matmul", dst=dst(2, 3), stationary=sbuf(a), moving=sbuf(b))
        want = np.array([[np.inf, -np.inf, np.nan], [3e38, -np.inf, np.inf]], np.float32)
        np.testing.assert_array_equal(got, want)


def test_a_bfloat16_dst_is_widened_added_to_and_rounded():
    start = cast(RNG.standard_normal((16, 24)) * 100, "bfloat16")
    case = CASE | {"dst": sbuf(start).where(nl.psum), "stationary": sbuf(A, "bfloat16"), "moving": sbuf(B, "bfloat16")}
    got = result("nc_matmul", target="trn3", **case, accumulate=True)
    exact = np.einsum("km,kn->mn", *(cast(x, "bfloat16").astype(np.float64) for x in (A, B)))
    want = cast(start.astype(np.float32) + exact.astype(np.float32), "bfloat16")
    steps = np.abs(got.view(np.int16).astype(int) - want.view(np.int16))
    assert steps.max() <= 1 and (steps == 0).mean() > 0.99


# ------------------------------------------------------------------------------------------------------ accumulation
def sbuf_tile(array, dtype=None):
    made = nl.ndarray(array.shape, dtype=dtype or str(array.dtype), buffer=nl.sbuf)
    inside.core().fill(made, array if dtype is None else cast(array, dtype))
    return made


LEFT, RIGHT = RNG.integers(-5, 6, (32, 16)).astype(np.float32), RNG.integers(-5, 6, (32, 24)).astype(np.float32)
ONCE = LEFT.T @ RIGHT


def test_accumulate_true_false_and_none():
    @inside
    def _():
        a, b, product = sbuf_tile(LEFT), sbuf_tile(RIGHT), nl.ndarray((16, 24), nl.float32, nl.psum)
        for accumulate, times in ((None, 1), (None, 2), (True, 3), (False, 1), (True, 2), (None, 3)):
            nisa.nc_matmul(product, a, b, accumulate=accumulate)
            assert np.array_equal(product.numpy(), ONCE * times), accumulate


def test_accumulating_onto_nothing_raises():
    with pytest.raises(MemoryFault):
        call("nc_matmul", **CASE, accumulate=True)


def test_a_new_tensor_at_an_old_address_starts_anew():
    @inside
    def _():
        a, b = sbuf_tile(LEFT), sbuf_tile(RIGHT)
        for _ in range(2):
            product = nl.ndarray((16, 24), nl.float32, nl.psum, address=(0, 2048))
            nisa.nc_matmul(product, a, b)
            assert np.array_equal(product.numpy(), ONCE)


@pytest.mark.parametrize("compiled", [True, False])
def test_overlapping_regions_accumulate_where_they_overlap(compiled):
    """NKI 0.6.0 release notes: the convolution pattern."""

    def check():
        @inside
        def _():
            a, b, product = sbuf_tile(LEFT), sbuf_tile(RIGHT), nl.ndarray((16, 40), nl.float32, nl.psum)
            want = np.zeros((16, 40), np.float32)
            for start in (0, 8, 16):
                nisa.nc_matmul(product[:, start : start + 24], a, b)
                want[:, start : start + 24] += ONCE
            assert np.array_equal(product.numpy(), want)

    if compiled:
        check()
    else:
        with without_native():
            check()


def test_it_adds_to_what_memset_wrote_and_leaves_the_rest():
    """nki-library depthwise_conv1d.py: memset, then slices of a tile are accumulated onto."""

    @inside
    def _():
        a, b, product = sbuf_tile(LEFT), sbuf_tile(RIGHT), nl.ndarray((16, 48), nl.float32, nl.psum)
        nisa.memset(product, 1.0)
        nisa.nc_matmul(product[:, 0:24], a, b)
        assert np.array_equal(product.numpy(), np.concatenate([ONCE + 1, np.ones((16, 24), np.float32)], 1))


def test_column_tiles_of_one_bank():
    """nki-library router_topk.py:426, mlp_tkg_gate_up_projection.py:187: four products side by side in the array."""
    a = RNG.integers(-5, 6, (128, 4, 8)).astype(np.float32)
    b = RNG.integers(-5, 6, (128, 4, 24)).astype(np.float32)

    @inside
    def _():
        left, right, product = (
            sbuf_tile(a, "bfloat16"),
            sbuf_tile(b, "bfloat16"),
            nl.ndarray((128, 24), nl.float32, nl.psum),
        )
        for column in range(4):
            nisa.nc_matmul(dst=product[nl.ds(32 * column, 8), :], stationary=left[:, column, :],
                           moving=right[:, column, :], tile_position=(0, 32 * column), tile_size=(128, 32))  # fmt: skip
        for column in range(4):
            want = np.einsum("km,kn->mn", a[:, column], b[:, column])
            assert np.array_equal(product[nl.ds(32 * column, 8), :].numpy(), want)


def test_row_tiles_hold_the_operands_at_their_rows():
    """Example 3 of test_nki_isa_nc_matmul.py, in NKI 0.6."""

    @inside
    def _():
        a, b = RNG.integers(-5, 6, (128, 64)).astype(np.float32), RNG.integers(-5, 6, (128, 200)).astype(np.float32)
        left, right = sbuf_tile(a), sbuf_tile(b)
        for row in (0, 64):
            product = nl.ndarray((64, 200), nl.float32, nl.psum)
            nisa.nc_matmul(
                product, left[row : row + 64], right[row : row + 64], tile_position=(row, 0), tile_size=(64, 128)
            )
            assert np.array_equal(product.numpy(), a[row : row + 64].T @ b[row : row + 64])


# -------------------------------------------------------------------------------------------------------- transposes
def transpose(data, dtype, identity=None, **more):
    kind = str(data.dtype)
    eye = np.eye(data.shape[0]) if identity is None else identity
    return {"dst": dst(data.shape[1], eye.shape[1], dtype=dtype), "stationary": sbuf(data), "moving": sbuf(eye, kind),
            "is_transpose": True, **more}  # fmt: skip


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2"])
@pytest.mark.parametrize("shape", [(1, 1), (128, 128), (7, 33)])
def test_transposes_move_every_bit(kind, shape):
    """Every bit pattern: NaN payloads, infinities, subnormals (trainium2_arch.rst, "Built-in Transpose Support")."""
    raw = np.dtype(cast(np.zeros(1), kind).dtype)
    data = RNG.integers(0, 256, (*shape, raw.itemsize), np.uint8).view(raw)[..., 0]
    data.flat[0] = np.nan
    got = result("nc_matmul", **transpose(data, kind))
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(data.T).tobytes()


def test_a_transpose_may_widen_and_permute():
    data, order = cast(A, "bfloat16"), RNG.permutation(32)
    assert np.array_equal(result("nc_matmul", **transpose(data, "float32")), data.T.astype(np.float32))
    got = result("nc_matmul", **transpose(data, "bfloat16", identity=np.eye(32)[:, order]))
    assert np.array_equal(got, data[order].T)


def test_a_transpose_on_trn1_is_a_matmul():
    data = A.copy()
    data[3, 5] = np.nan
    got = result("nc_matmul", target="trn1", **transpose(data, "float32"))
    assert np.isnan(got[5]).all() and np.array_equal(got[4], data[:, 4])


def test_a_transpose_overwrites_unless_told_to_add():
    start = sbuf(np.ones((16, 32), np.float32)).where(nl.psum)
    case = transpose(A, "float32") | {"dst": start}
    assert np.array_equal(result("nc_matmul", **case), A.T)
    assert np.array_equal(result("nc_matmul", **case, accumulate=True), A.T + 1)


# ------------------------------------------------------------------------------------------------------------ native
@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([*NARROW, "float32"]), st.sampled_from(NARROW), st.sampled_from(KINDS), st.sampled_from(KINDS),
    st.sampled_from([1, 5, 128]), st.sampled_from([1, 6, 128]), st.sampled_from([1, 34, 128]),
    st.sampled_from([None, True, False]), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_native_sums_within_the_bound_of_any_order(left, right, kind, other, k, m, n, accumulate, filled, seed):
    """The core sums in the order of k, numpy in its own: both lie within K + 2 roundings of the exact value."""
    if not native.available():
        pytest.skip("the compiled core is not in use here")
    rng = np.random.default_rng(seed)
    right = left if left == "float32" else right
    views = window(kind, k, m), window(other, k, n)
    a, b = (sbuf(rng.standard_normal(v.shape), t) for v, t in zip(views, (left, right), strict=True))
    start = rng.standard_normal((m, n)).astype(np.float32)
    filled = filled or accumulate is True
    case = {"dst": sbuf(start).where(nl.psum) if filled else dst(m, n), "stationary": a.seen(views[0].view),
            "moving": b.seen(views[1].view), "accumulate": accumulate}  # fmt: skip
    exact = tuple(np.asarray(v.look(x.data)).reshape(k, -1) for v, x in zip(views, (a, b), strict=True))
    before = start.astype(np.float64) if filled and accumulate is not False else 0.0
    close_to(result("nc_matmul", **case), *exact, before)
    with without_native():
        close_to(result("nc_matmul", **case), *exact, before)


def test_the_cost_follows_dtype_and_hints():
    class View:
        shape, partitions, elements, dtype = (128, 512), 128, 512, "bfloat16"

    class Wide(View):
        dtype = "float32"

    def busy(kind, **hints):
        values = {"dst": None, "stationary": kind, "moving": kind, "perf_mode": matmul_perf_mode.none, "is_transpose": False,
                  "is_stationary_onezero": False, "is_moving_onezero": False} | hints  # fmt: skip
        made = REGISTRY["nc_matmul"]
        assert made.price is not None
        return made.price(Use(made, values, load_chip("trn2"))).busy_ns

    # 4 cycles between passes (measured), of which float32 takes two and a transpose one
    assert busy(View) == busy(View, is_moving_onezero=True) == pytest.approx((512 + 4) / 2.4)
    assert busy(Wide) == pytest.approx((4 * 512 + 8) / 2.4)
    assert busy(Wide, is_moving_onezero=True) == pytest.approx((2 * 512 + 8) / 2.4)
    assert busy(Wide, is_transpose=True) == pytest.approx((2 * 512 + 4) / 2.4)
