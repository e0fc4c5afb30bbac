"""nc_matmul_mx: rules by label, meaning against exact sums of dequantised values, packed scales, whole MX kernels."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from gathered import columns, through
from harness import Operand, call, cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, MemoryFault

RNG = np.random.default_rng(10)
KINDS = {"float8_e5m2_x4": ml_dtypes.float8_e5m2, "float8_e4m3fn_x4": ml_dtypes.float8_e4m3fn,
         "float4_e2m1fn_x4": ml_dtypes.float4_e2m1fn}  # fmt: skip


def dst(*shape, dtype="float32"):
    return out(shape, dtype, nl.psum)


def packed(rng, k, f, name):
    """((k, f) packed operand, its (k, f, 4) values): four bytes, or four half bytes, the first lowest."""
    values = rng.uniform(-2, 2, (k, f, 4)).astype(KINDS[name])
    raw = values.view(np.uint8).astype(np.uint32)
    bits = 4 if name == "float4_e2m1fn_x4" else 8
    data = sum((raw[..., j] & (2**bits - 1)) << (bits * j) for j in range(4))
    return Operand(nl.sbuf, (k, f), name, data.astype(np.uint16 if bits == 4 else np.uint32)), values.astype(np.float64)


def scattered(codes, rows, start=0):
    """(rows, f) scale tile in which four rows of `codes` sit in each quadrant, from row `start` of it; 0xFF elsewhere."""
    tile = np.full((rows, codes.shape[1]), 255, np.uint8)
    for group, row in enumerate(codes):
        tile[32 * (group // 4) + start + group % 4] = row
    return tile


def scaled(values, codes):
    """Values times 2**(code - 127) of their group of 8 partitions."""
    return values * 2.0 ** (np.repeat(codes, 8, 0)[:, :, None].astype(np.float64) - 127)


def side(rng, k, f, name, rows=None):
    """(operand, scale tile, dequantised values (k, f, 4)) of one side."""
    data, values = packed(rng, k, f, name)
    codes = rng.integers(117, 137, (k // 8, f)).astype(np.uint8)
    return data, scattered(codes, rows or (k if k > 32 else 4)), scaled(values, codes)


def close_to(got, left, right, before=0.0):
    """Within 4 K + 2 float32 roundings of the exact sum, in any order."""
    exact = np.einsum("kmj,knj->mn", left, right) + before
    magnitude = np.einsum("kmj,knj->mn", np.abs(left), np.abs(right)) + np.abs(before)
    assert (np.abs(got.astype(np.float64) - exact) <= (4 * left.shape[0] + 2) * 2.0**-23 * magnitude).all()


A, A_SCALE, A_VALUES = side(RNG, 32, 8, "float8_e5m2_x4")
B, B_SCALE, B_VALUES = side(RNG, 32, 12, "float8_e4m3fn_x4")
CASE = {
    "dst": dst(8, 12),
    "stationary": A,
    "moving": B,
    "stationary_scale": sbuf(A_SCALE),
    "moving_scale": sbuf(B_SCALE),
}
HERE = CASE | {"target": "trn3"}


def ones(k, f):
    """Packed ones with scales of one, as keyword operands of one side."""
    values = np.full((k, f), 0x38383838, np.uint32)
    return Operand(nl.sbuf, (k, f), "float8_e4m3fn_x4", values), sbuf(np.full((k if k > 32 else 4, f), 127, np.uint8))


def case_of(k, m, n, **more):
    (a, a_scale), (b, b_scale) = ones(k, m), ones(k, n)
    return {"target": "trn3", "dst": dst(m, n), "stationary": a, "moving": b, "stationary_scale": a_scale,
            "moving_scale": b_scale, **more}  # fmt: skip


def test_it_exists_from_trn3_on():
    refused("nc_matmul_mx", "target", target="trn2", **CASE)


def test_c1_accepts_whole_quadrants():
    for k in (32, 64, 96, 128):
        assert np.array_equal(result("nc_matmul_mx", **case_of(k, 2, 3)), np.full((2, 3), 4 * k))


def test_c1_refuses_other_partitions():
    refused("nc_matmul_mx", "c1", **case_of(32, 2, 3) | {"moving": ones(64, 3)[0]})
    refused("nc_matmul_mx", "c1", **case_of(40, 2, 3))


def test_c2_accepts_128():
    call("nc_matmul_mx", **case_of(32, 128, 3))


def test_c2_refuses_odd_and_130():
    refused("nc_matmul_mx", "c2", **case_of(32, 3, 3))
    refused("nc_matmul_mx", "c2", **case_of(32, 130, 3) | {"dst": dst(128, 3)})


def test_c3_accepts_all_of_psum():
    call("nc_matmul_mx", **case_of(32, 2, 4096))
    call("nc_matmul_mx", **case_of(32, 2, 8192) | {"dst": dst(2, 8192, dtype="bfloat16")})


def test_c3_refuses_more():
    refused("nc_matmul_mx", "c3", **case_of(32, 2, 4097) | {"dst": dst(2, 4096)})


def test_c4_accepts_any_rank():
    got = result("nc_matmul_mx", **HERE | {"dst": dst(8, 3, 4)})
    close_to(got.reshape(8, 12), A_VALUES, B_VALUES)


def test_c4_refuses_other_sizes():
    refused("nc_matmul_mx", "c4", **HERE | {"dst": dst(8, 11)})


def test_c5_accepts_larger_scale_tiles():
    close_to(result("nc_matmul_mx", **HERE | {"moving_scale": sbuf(scattered(B_SCALE, 32))}), A_VALUES, B_VALUES)


def test_c5_refuses_missing_rows_and_columns_and_other_places():
    refused("nc_matmul_mx", "c5", **HERE | {"moving_scale": sbuf(B_SCALE[:3])})
    refused("nc_matmul_mx", "c5", **HERE | {"stationary_scale": sbuf(B_SCALE)})
    late = sbuf(scattered(A_SCALE, 32)).seen(lambda t: t[16:20])
    refused("nc_matmul_mx", "c5", **HERE | {"stationary_scale": late})
    other = sbuf(scattered(A_SCALE, 64)).seen(lambda t: t[32:36])
    refused("nc_matmul_mx", "c5", **HERE | {"stationary_scale": other})


@pytest.mark.parametrize(("position", "size"), [((0, 0), (32, 128)), ((64, 0), (64, 128)), (None, None), ((), ())])
def test_c6_accepts_row_tiles(position, size):
    close_to(result("nc_matmul_mx", **HERE, tile_position=position, tile_size=size), A_VALUES, B_VALUES)


BAD = [((0, 32), (128, 32)), ((0, 0), (128, 64)), ((16, 0), (32, 128)), ((128, 0), (32, 128)), ((0, 0), None)]


@pytest.mark.parametrize(("position", "size"), BAD)
def test_c6_refuses_column_tiles_and_odd_places(position, size):
    refused("nc_matmul_mx", "c6", **HERE, tile_position=position, tile_size=size)


def test_c6_refuses_operands_larger_than_the_tile():
    refused("nc_matmul_mx", "c6", **case_of(64, 2, 3), tile_position=(0, 0), tile_size=(32, 128))


# both readings of the groups of 16 and of 32 partitions give these columns
INDEX = np.tile(RNG.permutation(12)[:8], 4)[:, None]


def gathered_case(count=8):
    """Moving data and scales through one index; both in tiles of 32 partitions, as an index needs."""
    data, scale = B.seen(through(INDEX, count)), sbuf(scattered(B_SCALE, 32)).seen(through(INDEX, count))
    return HERE | {"dst": dst(8, count), "moving": data, "moving_scale": scale}


def test_c7_accepts_data_and_scales_through_one_index():
    seen = columns(INDEX, 8, 0)
    assert seen == columns(INDEX, 8, 16) == columns(INDEX, 8, 0, group=32)
    close_to(result("nc_matmul_mx", **gathered_case()), A_VALUES, B_VALUES[:, seen])


def test_c7_refuses_one_of_a_pair_and_tiles():
    refused("nc_matmul_mx", "c7", **gathered_case(12) | {"moving_scale": sbuf(B_SCALE)})
    refused("nc_matmul_mx", "c7", **gathered_case(), tile_position=(32, 0), tile_size=(32, 128))


def test_different_indices_for_data_and_scales_raise():
    other = sbuf(scattered(B_SCALE, 32)).seen(through((INDEX + 1) % 12, 8))
    with pytest.raises(KernelError, match="different indices"):
        call("nc_matmul_mx", **gathered_case() | {"moving_scale": other})


def test_c8_accepts_an_index_on_a_quadrant():
    call("nc_matmul_mx", **gathered_case() | {"moving": B.seen(through(INDEX, 8, address=(0, 128)))})


def test_c8_refuses_an_index_beside_another_quadrant():
    far = Operand(nl.sbuf, B.shape, B.dtype, B.data, through(INDEX, 8, address=(32, 0)), address=(0, 256))
    refused("nc_matmul_mx", "c8", **gathered_case() | {"moving": far})


# ----------------------------------------------------------------------------------------------------------- meaning
@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(KINDS)), st.sampled_from([32, 64, 96, 128]),
    st.sampled_from([2, 6, 128]), st.sampled_from([1, 7, 64]), st.sampled_from(["uint8", "float8_e8m0fnu"]),
    st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning(left, right, k, m, n, scales, rest, seed):
    """Whatever the tiles hold between the scale rows (NaN scales here, or nothing) plays no part."""
    rng = np.random.default_rng(seed)
    (a, a_scale, a_values), (b, b_scale, b_values) = side(rng, k, m, left), side(rng, k, n, right)
    kept = [s.view(getattr(ml_dtypes, scales, np.uint8)) for s in (a_scale, b_scale)]
    got = result("nc_matmul_mx", target="trn3", dst=dst(m, n), stationary=a, moving=b, stationary_scale=sbuf(kept[0]),
                 moving_scale=sbuf(kept[1]), accumulate=None if rest else False)  # fmt: skip
    close_to(got, a_values, b_values)


def test_meaning_of_the_scale_nan_and_of_the_extreme_scales():
    codes = np.array([[254, 255], [0, 127], [0, 127], [0, 127]], np.uint8)
    smallest = sbuf(np.zeros((4, 3), np.uint8))
    got = result("nc_matmul_mx", **case_of(32, 2, 3) | {"stationary_scale": sbuf(codes), "moving_scale": smallest})
    assert np.isnan(got[1]).all() and np.array_equal(got[0], np.full(3, 32, np.float32))


@pytest.mark.parametrize("offset", [0, 4, 8, 12])
@pytest.mark.parametrize("k", [32, 64, 128])
def test_scales_may_begin_at_four_places_of_a_quadrant(offset, k):
    """mxfp-matmul.rst, "Packing Scale Values"."""
    (a, _, _), (b, b_scale, b_values) = side(RNG, k, 6, "float4_e2m1fn_x4"), side(RNG, k, 10, "float8_e5m2_x4")
    codes = RNG.integers(120, 130, (k // 8, 6)).astype(np.uint8)
    tile = sbuf(scattered(codes, k, offset)).seen(lambda t: t[offset:, :])
    got = result("nc_matmul_mx", target="trn3", dst=dst(6, 10), stationary=a, moving=b, stationary_scale=tile,
                 moving_scale=sbuf(b_scale))  # fmt: skip
    bits = (a.data[..., None].astype(np.uint32) >> np.arange(0, 16, 4)) & 15
    close_to(got, scaled(bits.astype(np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float64), codes), b_values)


def test_a_bfloat16_dst_is_widened_added_to_and_rounded():
    start = cast(RNG.standard_normal((8, 12)) * 50, "bfloat16")
    got = result("nc_matmul_mx", **HERE | {"dst": sbuf(start).where(nl.psum)})
    exact = np.einsum("kmj,knj->mn", A_VALUES, B_VALUES)
    want = cast(start.astype(np.float32) + exact.astype(np.float32), "bfloat16")
    assert np.abs(got.view(np.int16).astype(int) - want.view(np.int16)).max() <= 1
    overwritten = result("nc_matmul_mx", **HERE | {"dst": sbuf(start).where(nl.psum)}, accumulate=False)
    assert np.abs(overwritten.view(np.int16).astype(int) - cast(exact, "bfloat16").view(np.int16)).max() <= 1


def test_accumulation_is_that_of_nc_matmul():
    start = RNG.standard_normal((8, 12)).astype(np.float32)
    for accumulate in (None, True):
        got = result("nc_matmul_mx", **HERE | {"dst": sbuf(start).where(nl.psum)}, accumulate=accumulate)
        close_to(got, A_VALUES, B_VALUES, start.astype(np.float64))
    with pytest.raises(MemoryFault):
        call("nc_matmul_mx", **HERE, accumulate=True)


def test_unwritten_scales_raise():
    with pytest.raises(MemoryFault):
        call("nc_matmul_mx", **HERE | {"moving_scale": out((4, 12), "uint8")})


def test_low_precision_kept_as_float32_gives_the_same(monkeypatch):
    monkeypatch.setenv("NKI_PRECISE_FP", "0")
    scales = {"stationary_scale": sbuf(A_SCALE.view(ml_dtypes.float8_e8m0fnu)), "moving_scale": sbuf(B_SCALE)}
    close_to(result("nc_matmul_mx", **HERE | scales), A_VALUES, B_VALUES)


# ----------------------------------------------------------------------------------------------------- whole kernels
def interleaved_product(left, right, kind, dst_dtype):
    """A (512, M).T @ (512, N) product of bf16 HBM tensors: interleave, quantise both into one scale tile, multiply.

    Contraction row r = 128 j + p becomes value j of partition p, as mxfp-matmul.rst lays MX data out.
    """

    def kernel(a, b):
        scales = nl.ndarray((128, b.shape[1]), dtype=nl.uint8)
        sides = []
        for number, x in enumerate((a, b)):
            free = x.shape[1]
            strided = nl.ndarray((128, free, 4), dtype=x.dtype)
            nisa.dma_copy(
                dst=strided, src=x.reshape((4, 128, free)).ap([[free, 128], [1, free], [128 * free, 4]], offset=0)
            )
            data, scale = nl.ndarray((128, free), dtype=kind), scales[4 * number :, :free]
            nisa.quantize_mx(dst=data, src=strided.reshape((128, free * 4)), dst_scale=scale)
            sides.append((data, scale))
        product = nl.ndarray((a.shape[1], b.shape[1]), dtype=dst_dtype, buffer=nl.psum)
        nisa.nc_matmul_mx(product, sides[0][0], sides[1][0], sides[0][1], sides[1][1])
        kept = nl.ndarray(product.shape, dtype=dst_dtype)
        nisa.tensor_copy(dst=kept, src=product)
        back = nl.ndarray(product.shape, dtype=dst_dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back, src=kept)
        return back

    return opentrn.run(kernel, target="trn3")(left, right).results


@pytest.mark.parametrize("kind", ["float8_e5m2_x4", "float8_e4m3fn_x4"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_that_quantise_exactly_give_the_exact_product(kind, dtype):
    """The tutorial's chain (mxfp-matmul.rst): copy strided, quantise with packed scales, multiply; small whole numbers fit."""
    a, b = (RNG.integers(-3, 4, (512, n)).astype(ml_dtypes.bfloat16) for n in (16, 40))
    got = interleaved_product(a, b, kind, dtype)
    want = cast(a.astype(np.float32).T @ b.astype(np.float32), dtype)
    assert np.array_equal(got, want)


def test_quantised_random_data_stay_within_the_rounding_of_e4m3():
    a, b = (RNG.uniform(-1, 1, (512, n)).astype(ml_dtypes.bfloat16) for n in (128, 512))
    got = interleaved_product(a, b, "float8_e4m3fn_x4", "float32")
    want = a.astype(np.float64).T @ b.astype(np.float64)
    error = np.abs(got - want)
    assert error.max() < 0.05 * np.abs(want).max() and 0 < np.sqrt((error**2).mean()) < 0.05 * np.sqrt((want**2).mean())
