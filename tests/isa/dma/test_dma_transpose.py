"""dma_transpose: rules by label, direct and gathered transposes against loops, the public examples."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from harness import call, cast, hbm, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, MemoryFault
from opentrn.program.recorder import ACTIVE

RNG = np.random.default_rng(21)
BF16 = ml_dtypes.bfloat16
X = RNG.standard_normal((16, 24)).astype(BF16)
CASE = {"dst": out((24, 16), "bfloat16"), "src": hbm(X)}
ROWS = RNG.standard_normal((200, 64)).astype(BF16)
HWDGE, SWDGE, SKIP = nisa.dge_mode.hwdge, nisa.dge_mode.swdge, nisa.oob_mode.skip


def shaped(*shape, dtype="bfloat16"):
    return cast(RNG.integers(-100, 100, shape), dtype)


def transposed(shape):
    return {2: shape[::-1], 3: shape[::-1], 4: (shape[-1], *shape[1:3], shape[0])}[len(shape)]


def case(*shape, dtype="bfloat16", memory=hbm):
    return {"dst": out(transposed(shape), dtype), "src": memory(shaped(*shape, dtype=dtype), dtype)}


def filled(values, dtype="uint32", buffer=nl.sbuf):
    """An index tensor, made inside the kernel of a case."""
    values = np.asarray(values)
    made = nl.ndarray(values.shape, dtype=dtype, buffer=buffer)
    ACTIVE.recorder.state.fill(made, values.astype(dtype))
    return made


def gathered(index, rows=None, source=ROWS, **facts):
    """A case that gathers rows of a 2-D source; `index` holds the row numbers."""
    index = np.asarray(index)
    rows = index.size if rows is None else rows
    width = source.shape[1]
    src = hbm(source).seen(lambda t: t.ap([[width, rows], [1, width]], vector_offset=filled(index, **facts)))
    return {"dst": out((width, rows), "bfloat16"), "src": src}


SOME = RNG.integers(0, 200, (32, 1))


def same(got, want):
    assert got.shape == want.shape
    assert np.array_equal(got.view(np.uint8), np.ascontiguousarray(want).view(np.uint8))


# ------------------------------------------------------------------ rules
@pytest.mark.parametrize(("shape", "axes"), [((4, 6), (1, 0)), ((4, 5, 6), (2, 1, 0)), ((4, 2, 3, 5), (3, 1, 2, 0))])
def test_c1_accepts_the_order_of_each_rank(shape, axes):
    made = case(*shape)
    same(result("dma_transpose", **made, axes=axes), made["src"].data.transpose(axes))
    same(result("dma_transpose", **made), made["src"].data.transpose(axes))
    same(result("dma_transpose", **made, axes=list(axes)), made["src"].data.transpose(axes))


def test_c1_refuses_other_orders_and_ranks():
    refused("dma_transpose", "c1", **case(4, 6), axes=(0, 1))
    refused("dma_transpose", "c1", **case(4, 5, 6), axes=(1, 0, 2))
    refused("dma_transpose", "c1", **case(4, 2, 3, 5), axes=(2, 1, 0))
    five = hbm(shaped(2, 2, 2, 2, 2))
    refused("dma_transpose", "c1", dst=out((2, 2, 2, 2, 2), "bfloat16"), src=five)


def test_c2_accepts_views_of_the_transposed_shape():
    made = result("dma_transpose", dst=out((24, 40), "bfloat16").seen(lambda t: t[:, 3:19]), src=hbm(X))
    same(made[:, 3:19].copy(), X.T)


def test_c2_refuses_another_shape_or_rank():
    """NKI 0.4.0 notes: dst is no longer padded to the rank of src."""
    refused("dma_transpose", "c2", dst=out((16, 24), "bfloat16"), src=hbm(X))
    refused("dma_transpose", "c2", dst=out((24, 1, 16), "bfloat16"), src=hbm(X))
    refused("dma_transpose", "c2", dst=out((24, 16), "bfloat16"), src=hbm(X.reshape(16, 1, 1, 24)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "uint8", "float8_e5m2"])
def test_c3_accepts_one_dtype_of_any_width(dtype):
    made = case(5, 7, dtype=dtype)
    same(result("dma_transpose", **made), made["src"].data.T)


def test_c3_refuses_a_conversion():
    refused("dma_transpose", "c3", dst=out((24, 16), "float32"), src=hbm(X))
    refused("dma_transpose", "c3", dst=out((24, 16), "float16"), src=hbm(X))


@pytest.mark.parametrize("shape", [(16, 128), (16, 24), (1, 16, 128), (2, 8, 64), (4, 3, 4, 8), (16, 1, 1, 128)])
def test_c4_accepts_what_the_hardware_does(shape):
    made = case(*shape)
    call("dma_transpose", **made, dge_mode=HWDGE)


def test_c4_refuses_what_the_hardware_does_not():
    refused("dma_transpose", "c4", **case(8, 24), dge_mode=HWDGE)  # 2-D: 16 rows
    refused("dma_transpose", "c4", **case(32, 24), dge_mode=HWDGE)
    refused("dma_transpose", "c4", **case(3, 16, 24), dge_mode=HWDGE)  # 1, 2, 4, 8 or 16
    refused("dma_transpose", "c4", **case(4, 3, 24), dge_mode=HWDGE)  # 4 * 3 % 16
    refused("dma_transpose", "c4", **CASE, dge_mode=HWDGE, target="trn1")
    refused("dma_transpose", "c4", **case(16, 24, dtype="float32"), dge_mode=HWDGE)
    refused("dma_transpose", "c4", **case(16, 24, dtype="uint8"), dge_mode=HWDGE)


@pytest.mark.parametrize("mode", [nisa.dge_mode.unknown, nisa.dge_mode.none, HWDGE, 3])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_c5_accepts_static_and_hardware_descriptors(mode):
    """`3` (none) is what nki-library's MLP kernels pass."""
    same(result("dma_transpose", **CASE, dge_mode=mode), X.T)


def test_c5_accepts_software_descriptors_for_a_gather():
    same(result("dma_transpose", **gathered(SOME), dge_mode=SWDGE), ROWS[SOME[:, 0]].T)


def test_c5_refuses_the_other_modes():
    refused("dma_transpose", "c5", **CASE, dge_mode=SWDGE)
    refused("dma_transpose", "c5", **gathered(SOME), dge_mode=nisa.dge_mode.none)
    refused("dma_transpose", "c5", **gathered(RNG.integers(0, 200, (16, 1))), dge_mode=HWDGE)


@pytest.mark.parametrize("width", [128, 64, 1])
def test_c6_accepts_rows_of_up_to_128_elements(width):
    """SDK notes: the last dimension may be less than 128."""
    source = RNG.standard_normal((50, width)).astype(BF16)
    index = RNG.integers(0, 50, (16, 1))
    same(result("dma_transpose", **gathered(index, source=source)), source[index[:, 0]].T)


def test_c6_accepts_four_dimensions_with_one_middle_dimension():
    source = RNG.standard_normal((9, 1, 5, 32)).astype(BF16)
    index = RNG.integers(0, 9, (16, 1))
    src = hbm(source).seen(lambda t: t.ap([[160, 16], [160, 1], [32, 5], [1, 32]], vector_offset=filled(index)))
    got = result("dma_transpose", dst=out((32, 1, 5, 16), "bfloat16"), src=src)
    same(got, source[index[:, 0]].transpose(3, 1, 2, 0))


def test_c6_refuses_other_gathers():
    refused("dma_transpose", "c6", **gathered(SOME, rows=24))
    refused("dma_transpose", "c6", target="trn1", **gathered(SOME))
    index = np.zeros((16, 1))
    float32 = ROWS.astype(np.float32)
    src = hbm(float32).seen(lambda t: t.ap([[64, 16], [1, 64]], vector_offset=filled(index)))
    refused("dma_transpose", "c6", dst=out((64, 16)), src=src)
    four = RNG.standard_normal((9, 2, 2, 32)).astype(BF16)
    src = hbm(four).seen(lambda t: t.ap([[128, 16], [64, 2], [32, 2], [1, 32]], vector_offset=filled(index)))
    refused("dma_transpose", "c6", dst=out((32, 2, 2, 16), "bfloat16"), src=src)
    onchip = sbuf(ROWS[:16]).seen(lambda t: t.ap([[64, 16], [1, 64]], vector_offset=filled(index)))
    refused("dma_transpose", "c6", dst=out((64, 16), "bfloat16"), src=onchip)


def test_c7_accepts_skip_with_an_index():
    call("dma_transpose", **gathered(SOME), oob_mode=SKIP)


def test_c7_refuses_skip_without_an_index():
    refused("dma_transpose", "c7", **CASE, oob_mode=SKIP)


def test_c8_accepts_priority_on_trn3():
    call("dma_transpose", target="trn3", **CASE, priority=0)


def test_c8_refuses_priority_on_trn2_and_out_of_range():
    refused("dma_transpose", "c8", **CASE, priority=1)
    refused("dma_transpose", "c8", target="trn3", **CASE, priority=4)
    refused("dma_transpose", "c8", target="trn3", **CASE, priority=-1)


@pytest.mark.parametrize(
    ("shape", "rows"), [((16, 1), 16), ((128, 1), 128), ((64, 1), 48), ((128, 3), 384), ((128, 2), 144)]
)
def test_c9_accepts_columns_of_indices(shape, rows):
    index = RNG.integers(0, 200, shape)
    same(result("dma_transpose", **gathered(index, rows)), ROWS[index.T.flatten()[:rows]].T)


def test_c9_refuses_other_indices():
    refused("dma_transpose", "c9", **gathered(np.zeros((8, 1)), 16))
    refused("dma_transpose", "c9", **gathered(np.zeros((24, 1)), 16))
    refused("dma_transpose", "c9", **gathered(np.zeros((64, 2)), 64))
    refused("dma_transpose", "c9", **gathered(np.zeros((16, 1)), 32))
    refused("dma_transpose", "c9", **gathered(np.zeros((16, 1)), dtype="int32"))
    refused("dma_transpose", "c9", **gathered(np.zeros((16, 1)), buffer=nl.private_hbm))
    refused("dma_transpose", "c9", **gathered(np.zeros((16, 1, 1)), 16))


def test_c9_looks_at_the_indices_of_every_call():
    """One signature of the source with a good index tile first: the bad one is still refused."""
    call("dma_transpose", **gathered(np.zeros((16, 1))))
    refused("dma_transpose", "c9", **gathered(np.zeros((16, 1)), dtype="int32"))


# ------------------------------------------------------------------ meaning
DTYPES = ["bfloat16", "float32", "int32", "uint8", "float8_e4m3"]


@settings(deadline=None, max_examples=80)
@given(
    st.integers(2, 4).flatmap(lambda rank: st.tuples(*[st.integers(1, 7)] * rank)),
    st.sampled_from(DTYPES),
    st.booleans(),
    st.integers(1, 2),
)
def test_meaning_is_the_same_element_at_the_transposed_place(shape, dtype, on_chip, step):
    whole = (*shape[:-1], shape[-1] * step)
    data = shaped(*whole, dtype=dtype)
    src = (sbuf if on_chip else hbm)(data, dtype).seen(lambda t: t[..., ::step])
    got = result("dma_transpose", dst=out(transposed(shape), dtype), src=src)
    for place in np.ndindex(*shape):
        first, *middle, last = place
        if len(shape) == 3:
            wanted = (last, middle[0], first)
        else:
            wanted = (last, *middle, first)
        assert got[wanted].tobytes() == data[..., ::step][place].tobytes()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans())
def test_meaning_of_a_gather_is_row_by_row(columns, seed, skip):
    """``flat = indices.T.flatten()``: entry n of the index is at [n % 128, n // 128]."""
    rng = np.random.default_rng(seed)
    index = rng.integers(0, 250 if skip else 200, (128, columns))
    rows = 16 * int(rng.integers(1, 8 * columns + 1))
    made = gathered(index, rows)
    background = cast(np.full((64, rows), 7.0), "bfloat16")
    made["dst"] = sbuf(background)
    got = result("dma_transpose", **made, oob_mode=SKIP if skip else nisa.oob_mode.error)
    for n in range(rows):
        row = index[n % 128, n // 128]
        want = ROWS[row] if row < 200 else background[:, n]
        assert np.array_equal(got[:, n].view(np.uint16), want.view(np.uint16))


def test_meaning_of_skip_leaves_unwritten_columns_unwritten():
    """What is skipped keeps its values and, where it had none, stays unwritten."""
    index = np.zeros((16, 1))
    index[5] = 0xFFFFFFFF
    case = gathered(index)
    with pytest.raises(MemoryFault):
        nki_copy_after(case)


def nki_copy_after(case):
    def kernel(x):
        dst = nl.ndarray((64, 16), dtype=nl.bfloat16)
        source = nl.ndarray(ROWS.shape, dtype=nl.bfloat16, buffer=nl.private_hbm)
        ACTIVE.recorder.state.fill(source, ROWS)
        nisa.dma_transpose(dst, case["src"].view(source), oob_mode=SKIP)
        nisa.tensor_scalar(dst=dst, data=dst, op0=nl.add, operand0=1.0)
        nisa.dma_copy(dst=x, src=x)

    opentrn.run(kernel)(np.zeros((1, 1), np.float32))


def by_scalar(value, background, oob_mode=nisa.oob_mode.error):
    """Block `value` of a (5, 16, 8) tensor, transposed onto a background; and the blocks."""
    blocks = np.arange(640).reshape(5, 16, 8).astype(np.float32).astype(BF16)

    def kernel(x, where, below):
        index, dst = nl.load(where), nl.load(below)
        nisa.dma_transpose(dst=dst, src=x.select(0, index), oob_mode=oob_mode)
        result = nl.ndarray(dst.shape, dtype=dst.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=dst)
        return result

    return opentrn.run(kernel)(blocks, np.array([[value]], np.int32), background).results, blocks


@pytest.mark.parametrize("value", [0, 3, 4])
@pytest.mark.parametrize("oob_mode", [nisa.oob_mode.error, SKIP])
def test_a_scalar_index_in_bounds_is_the_same_in_both_modes(value, oob_mode):
    """NKI 0.5.0 notes: skip with a scalar offset is supported and moves what is valid."""
    got, blocks = by_scalar(value, np.full((8, 16), 7.0).astype(BF16), oob_mode)
    same(got, blocks[value].T)


@pytest.mark.parametrize("value", [5, -1, 2**31 - 1])
def test_a_scalar_index_out_of_bounds_is_skipped_or_raised(value):
    background = np.full((8, 16), 7.0).astype(BF16)
    same(by_scalar(value, background, SKIP)[0], background)
    with pytest.raises(KernelError, match="out of bounds"):
        by_scalar(value, background)


def test_a_vector_index_out_of_bounds_raises():
    with pytest.raises(KernelError) as caught:
        call("dma_transpose", **gathered(np.full((16, 1), 200)))
    assert "index 200" in caught.value.got
    assert "< 200" in caught.value.expected


def test_an_unwritten_source_raises():
    with pytest.raises(MemoryFault):
        call("dma_transpose", dst=out((24, 16), "bfloat16"), src=out((16, 24), "bfloat16", nl.private_hbm))


# ------------------------------------------------------------------ the page's examples
def gather_transpose(x, idx, rows, width):
    index = nl.load(idx)
    dst = nl.ndarray((width, rows), dtype=x.dtype, buffer=nl.sbuf)
    nisa.memset(dst=dst, value=0)
    nisa.dma_transpose(dst=dst, src=x.ap([[width, rows], [1, width]], vector_offset=index, indirect_dim=0), axes=(1, 0))
    result = nl.ndarray((width, rows), dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=result, src=dst)
    return result


@pytest.mark.parametrize("columns", [1, 2])
def test_the_examples_of_the_page_with_128_rows_of_indices(columns):
    x = RNG.standard_normal((300, 128)).astype(BF16)
    index = RNG.integers(0, 300, (128, columns)).astype(np.uint32)
    got = opentrn.run(gather_transpose)(x, index, 128 * columns, 128).results
    same(got, x[index.T.flatten()].T)


def test_the_four_dimensional_example_of_the_page():
    x = RNG.standard_normal((40, 1, 4, 64)).astype(BF16)
    index = RNG.integers(0, 40, (128, 2)).astype(np.uint32)

    def kernel(x, idx):
        _, d1, d2, d3 = x.shape
        rows = idx.shape[0] * idx.shape[1]
        dst = nl.ndarray((d3, d1, d2, rows), dtype=x.dtype, buffer=nl.sbuf)
        nisa.memset(dst=dst, value=0)
        source = x.ap([[d1 * d2 * d3, rows], [d2 * d3, d1], [d3, d2], [1, d3]], vector_offset=nl.load(idx))
        nisa.dma_transpose(dst=dst, src=source, axes=(3, 1, 2, 0))
        result = nl.ndarray(dst.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=dst)
        return result

    same(opentrn.run(kernel)(x, index).results, x[index.T.flatten()].transpose(3, 1, 2, 0))


def test_a_column_of_words_in_a_tensor_of_halves():
    """nki-library's topk_reduce: the last two 16-bit elements of each row are an int32, transposed as such."""
    x = np.zeros((48, 10), BF16)
    x.view(np.int32)[:, 4] = np.arange(48) * 1000

    def kernel(x):
        dst = nl.ndarray((4, 48), dtype=nl.int32, buffer=nl.sbuf)
        source = x.ap([[5, 48], [1, 1], [1, 1], [1, 1]], offset=4, dtype=nl.int32)
        nisa.dma_transpose(dst=dst.ap([[48, 1], [1, 1], [1, 1], [1, 48]]), src=source)
        result = nl.ndarray((1, 48), dtype=nl.int32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=dst[0:1])
        return result

    assert opentrn.run(kernel)(x).results.tolist() == [[n * 1000 for n in range(48)]]
