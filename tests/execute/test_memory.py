"""What memory holds: unwritten elements one by one, the same bytes as other dtypes, sentinels, PSUM, HBM results."""

from __future__ import annotations

from collections.abc import Iterator

import ml_dtypes
import numpy as np
import pytest
from harness import inside, without_native
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault

ANCHOR = np.zeros((1, 1), np.float32)


@pytest.fixture(params=["native", "numpy"], autouse=True)
def executor(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test with the compiled core (where there is one) and without."""
    if request.param == "native":
        yield
    else:
        with without_native():
            yield


def tensor(shape=(4, 8), dtype=nl.float32, buffer=nl.sbuf):
    return nl.ndarray(shape, dtype=dtype, buffer=buffer)


def use(view):
    """An instruction that computes with every element of `view`."""
    nisa.tensor_scalar(dst=tensor(view.shape), data=view, op0=nl.add, operand0=1.0)
    inside.core().flush()


def faulty(action) -> MemoryFault:
    with pytest.raises(MemoryFault) as caught:
        action()
    assert caught.value.kind == "uninitialised"
    return caught.value


# ------------------------------------------------------------------ uninitialised reads
def test_a_tensor_that_nobody_wrote():
    @inside
    def _():
        fault = faulty(lambda: use(tensor()))
        assert "32 of 32 elements" in fault.got
        assert "data reads" in str(fault)
        assert "tensor_scalar" in str(fault)
        assert fault.site.file.endswith("test_memory.py")


def test_one_missing_element_is_found_and_named():
    @inside
    def _():
        made = tensor((34, 8))
        nisa.memset(made[0:32], value=1.0)
        nisa.memset(made[32:34, 0:5], value=1.0)
        nisa.memset(made[32:34, 6:8], value=1.0)
        use(made[:, 0:5])
        use(made[0:32])
        use(made[:, 6:8])
        assert "2 of 272 elements, the first at index (32, 5)" in faulty(lambda: use(made)).got
        nisa.memset(made[32:34, 5:6], value=1.0)
        use(made)


def test_strided_writes_leave_the_gaps():
    @inside
    def _():
        made = tensor()
        nisa.memset(made[:, 0::2], value=1.0)
        use(made[:, 0::2])
        use(made[:, 2:7:4])
        faulty(lambda: use(made[:, 1::2]))
        faulty(lambda: use(made[:, 0:2]))
        nisa.memset(made[:, 1::2], value=2.0)
        use(made)


def test_a_permuted_view_of_a_partly_written_tensor():
    @inside
    def _():
        made = tensor((4, 3, 5))
        nisa.memset(made[:, 1, :], value=1.0)
        use(made.permute((0, 2, 1))[:, :, 1])
        assert "(0, 0, 0)" in faulty(lambda: use(made.permute((0, 2, 1)))).got


REGION = st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(0, 9), st.integers(1, 10), st.integers(1, 3))


def clip(region, shape=(4, 10)):
    row, rows, column, columns, step = region
    return slice(row, min(row + rows, shape[0])), slice(column, min(column + columns, shape[1]), step)


@settings(deadline=None, max_examples=60)
@given(st.lists(REGION, max_size=6), REGION)
def test_any_read_needs_exactly_the_elements_it_touches(writes, read):
    written = np.zeros((4, 10), bool)
    for region in writes:
        written[clip(region)] = True
    fine = written[clip(read)].all()

    @inside
    def _():
        made = tensor((4, 10), buffer=nl.private_hbm)
        for region in writes:
            part = made[clip(region)]
            nisa.dma_copy(dst=part, src=nl.full(part.shape, 1.0, dtype=nl.float32))
        source = made[clip(read)]
        if fine:
            nisa.dma_compute(dst=tensor(source.shape), srcs=[source], reduce_op=nl.add)
            inside.core().flush()
        else:
            fault = faulty(
                lambda: (
                    nisa.dma_compute(dst=tensor(source.shape), srcs=[source], reduce_op=nl.add),
                    inside.core().flush(),
                )
            )
            assert f"{int((~written[clip(read)]).sum())} of {source.size} elements" in fault.got


# ------------------------------------------------------------------ other dtypes over the same bytes
def test_bfloat16_halves_written_and_read_as_int32():
    low, high = 1.5, -2.0
    bits = [int(np.array(v, ml_dtypes.bfloat16).view(np.uint16)) for v in (low, high)]

    @inside
    def _():
        made = tensor((4, 8), nl.int32)
        halves = made.view(nl.bfloat16)
        assert halves.shape == (4, 16)
        nisa.memset(halves[:, 0::2], value=low)
        fault = faulty(lambda: use(made))
        assert "32 of 32 elements" in fault.got  # half an element is no element
        use(halves[:, 0::2])
        nisa.memset(halves[:, 1::2], value=high)
        use(made)
        want = np.uint32(bits[0] | bits[1] << 16).view(np.int32)
        assert (made.numpy() == want).all()


def test_a_byte_of_a_word_is_followed():
    @inside
    def _():
        made = tensor((2, 2), nl.uint32)
        nisa.memset(made, value=0)
        fresh = tensor((2, 2), nl.uint32)
        nisa.memset(fresh.view(nl.uint8)[:, 0:3], value=7)
        faulty(lambda: use(fresh[:, 0:1]))
        nisa.memset(fresh.view(nl.uint8)[:, 3:4], value=7)
        use(fresh[:, 0:1])
        faulty(lambda: use(fresh[:, 1:2]))
        assert (fresh[:, 0:1].numpy() == 0x07070707).all()


def test_words_written_read_as_bytes():
    @inside
    def _():
        made = tensor((2, 3), nl.int32)
        nisa.memset(made[:, 0:2], value=0x01020304)
        use(made.view(nl.uint8)[:, 0:8])
        faulty(lambda: use(made.view(nl.uint8)[:, 7:9]))
        assert made.view(nl.uint8).numpy()[0, :4].tolist() == [4, 3, 2, 1]


# ------------------------------------------------------------------ strict=False
def lenient(kernel, *args):
    return opentrn.run(kernel, strict=False)(*args)


def test_without_strict_faults_become_warnings_and_sentinels_show():
    def kernel(x):
        tile = tensor((2, 4))
        nisa.memset(tile[:, 0:2], value=5.0)
        result = tensor((2, 4))
        nisa.tensor_scalar(dst=result, data=tile, op0=nl.add, operand0=1.0)
        whole = tensor((2, 4), nl.int32)
        numbers = tensor((2, 4), nl.int32)
        nisa.tensor_scalar(dst=numbers, data=whole, op0=nl.add, operand0=1)
        nisa.dma_copy(dst=x, src=result)
        second = nl.ndarray((2, 4), dtype=nl.int32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=second, src=numbers)
        return x, second

    report = lenient(kernel, np.zeros((2, 4), np.float32))
    floats, ints = report.results
    assert np.array_equal(floats[:, 0:2], np.full((2, 2), 6.0))
    assert np.isnan(floats[:, 2:4]).all()  # NaN + 1
    assert (ints == 5).all()  # 4 + 1
    assert [w.kind for w in report.warnings] == ["uninitialised", "uninitialised"]
    assert "4 of 8 elements" in report.warnings[0].got
    assert all("tensor_scalar" in str(w) and w.site.line for w in report.warnings)
    assert report.warnings[0].site.line < report.warnings[1].site.line


def test_strict_raises_where_lenient_warns():
    def kernel(x):
        nisa.tensor_scalar(dst=tensor((2, 4)), data=tensor((2, 4)), op0=nl.add, operand0=1.0)
        nisa.dma_copy(dst=x, src=x)

    assert len(lenient(kernel, np.zeros((2, 4), np.float32)).warnings) == 1
    with pytest.raises(MemoryFault):
        opentrn.run(kernel)(np.zeros((2, 4), np.float32))


def test_a_correct_kernel_warns_of_nothing():
    def kernel(x):
        nisa.dma_copy(dst=x, src=nl.load(x))

    assert lenient(kernel, np.zeros((2, 4), np.float32)).warnings == []


# ------------------------------------------------------------------ PSUM
def product(dst, accumulate, value=1.0, rows=4):
    ones = nl.full((rows, dst.shape[0]), value, dtype=nl.bfloat16)
    nisa.nc_matmul(
        dst=dst, stationary=ones, moving=nl.full((rows, dst.shape[1]), 1.0, dtype=nl.bfloat16), accumulate=accumulate
    )


def test_accumulate_none_overwrites_what_is_unwritten_and_adds_to_the_rest():
    @inside
    def _():
        psum = tensor((8, 6), nl.float32, nl.psum)
        product(psum[:, 0:3], None)
        product(psum, None)
        assert psum.numpy().tolist() == [[8.0] * 3 + [4.0] * 3] * 8
        product(psum[:, 3:6], False, 2.0)
        product(psum, True)
        assert psum.numpy().tolist() == [[12.0] * 6] * 8


def test_accumulate_true_on_unwritten_psum_is_a_fault():
    @inside
    def _():
        psum = tensor((8, 6), nl.float32, nl.psum)
        product(psum[:, 0:3], False)

        def action():
            product(psum, True)
            inside.core().flush()

        assert "24 of 48 elements" in faulty(action).got


def test_a_new_psum_tensor_starts_unwritten():
    @inside
    def _():
        for _round in range(3):
            psum = tensor((8, 6), nl.float32, nl.psum)
            product(psum, None)
            assert psum.numpy().tolist() == [[4.0] * 6] * 8


# ------------------------------------------------------------------ results
def test_unwritten_elements_at_a_run_time_address_show_sentinels_too():
    def kernel(x):
        tile, index = nl.ndarray((4, 8), dtype=nl.float32), nl.zeros((1, 1), dtype=nl.int32)
        got = nl.ndarray((4, 8), dtype=nl.float32)
        nisa.activation(dst=got, op=nl.copy, data=tile.ap([[8, 4], [1, 8]], scalar_offset=index, indirect_dim=1))
        nisa.dma_copy(dst=x, src=got)
        return x

    report = lenient(kernel, np.zeros((4, 8), np.float32))
    assert [w.kind for w in report.warnings] == ["uninitialised"]
    assert np.isnan(report.results).all()


def test_unwritten_elements_of_a_result_are_sentinels():
    def kernel(x):
        made = []
        for dtype in (nl.float32, nl.bfloat16, nl.int32, nl.uint8):
            out = nl.ndarray((2, 4), dtype=dtype, buffer=nl.shared_hbm)
            tile = tensor((2, 2), dtype)
            nisa.memset(tile, value=1)
            nisa.dma_copy(dst=out[:, 0:2], src=tile)
            made.append(out)
        return (*made, nl.ndarray((3,), dtype=nl.float16, buffer=nl.shared_hbm))

    *parts, nothing = opentrn.run(kernel)(ANCHOR).results
    for array in parts:
        assert (array[:, 0:2].astype(np.float32) == 1).all()
        rest = array[:, 2:4].astype(np.float32)
        assert np.isnan(rest).all() if array.dtype.kind not in "iu" else (rest == 4).all()
    assert nothing.dtype == np.float16
    assert np.isnan(nothing).all()


def test_looking_at_a_tensor_shows_what_was_never_written():
    @inside
    def _():
        made = tensor((2, 3))
        nisa.memset(made[:, 0:2], value=7.0)
        text = repr(made)
        assert "7.0" in text
        assert "--" in text
        assert "never written" in text


def test_moving_bytes_that_are_partly_unwritten_keeps_them_unwritten():
    @inside
    def _():
        source, target = tensor((2, 4)), tensor((2, 4))
        nisa.memset(source[:, 0:2], value=7.0)
        nisa.memset(target, value=1.0)
        nisa.dma_copy(dst=target, src=source)
        use(target[:, 0:2])
        assert "4 of 8" in faulty(lambda: use(target)).got
