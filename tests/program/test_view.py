"""Views against numpy: every view method must show the elements that the same numpy expression shows."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from harness import inside
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import opentrn.nki.language as nl
from opentrn.errors import ViewError
from opentrn.program.strides import contiguous, is_dense, reshape_strides

SHAPES = st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple)


def pair(shape, region=None, dtype="int32"):
    """A tensor of running numbers and the same numpy array."""
    array = np.arange(prod(shape), dtype=dtype).reshape(shape)
    tensor = nl.ndarray(shape, dtype=dtype, buffer=region or nl.private_hbm)
    inside.core().fill(tensor, array)
    return tensor, array


def same(tensor, array):
    assert tensor.shape == array.shape
    assert np.array_equal(tensor.numpy(), array)


def slices(size):
    return st.tuples(st.integers(0, size - 1), st.integers(1, size), st.integers(1, 3)).filter(lambda t: t[0] < t[1])


@settings(deadline=None, max_examples=150)
@given(SHAPES, st.data())
def test_hbm_indexing_is_numpy_indexing(shape, data):
    keys = []
    for size in shape:
        keys.append(data.draw(st.one_of(st.integers(-size, size - 1), slices(size).map(lambda t: slice(*t)))))
    keys = keys[: data.draw(st.integers(1, len(shape)))]
    assume(not all(isinstance(k, int) for k in keys) or len(keys) < len(shape))

    @inside
    def _():
        tensor, array = pair(shape)
        same(tensor[tuple(keys)], array[tuple(keys)])
        if len(keys) == len(shape):
            same(tensor[(..., *keys)], array[(..., *keys)])


@settings(deadline=None, max_examples=100)
@given(SHAPES, st.data())
def test_on_chip_indexing_keeps_the_partition_and_two_dimensions(shape, data):
    keys = [data.draw(st.one_of(st.integers(0, n - 1), st.just(slice(None)))) for n in shape]

    @inside
    def _():
        tensor, array = pair(shape, nl.sbuf)
        seen = tensor[tuple(keys)]
        kept = [k if isinstance(k, slice) else slice(k, k + 1) for k in keys]
        elements = array[tuple(kept)]
        drop = [d for d, k in enumerate(keys) if isinstance(k, int) and d > 0]
        if len(shape) - len(drop) < 2:  # the last free dimension is kept
            drop = list(range(1, len(shape) - 1))
        same(seen, elements.squeeze(tuple(drop)))


def test_the_documented_examples_of_tensor_indexing():
    # nki-language-guide.rst, "Tensor Indexing"
    @inside
    def _():
        t = nl.ndarray((64, 64, 64), dtype=nl.float32, buffer=nl.sbuf)
        assert t[0, 0, 10].shape == (1, 1)
        assert t[:, 0].shape == (64, 64)
        assert t[:, 0, 10].shape == (64, 1)
        assert t[:, :, ::2].shape == (64, 64, 32)
        assert t[0, ..., :].shape == (1, 64, 64)
        assert t[0, ...][:, 0:32, :].shape == (1, 32, 64)
        assert t[0:64, :, :].permute((0, 2, 1))[:, 0, :].shape == (64, 64)
        u = nl.ndarray((128, 64), dtype=nl.float32, buffer=nl.sbuf).slice(dim=1, start=8, end=24)
        assert u.get_pattern() == [[64, 128], [1, 16]] and u.offset == 8


@settings(deadline=None, max_examples=100)
@given(SHAPES, st.data())
def test_permute_broadcast_expand_squeeze(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    dim = data.draw(st.integers(0, len(shape)))

    @inside
    def _():
        tensor, array = pair(shape)
        same(tensor.permute(order), array.transpose(order))
        wider, there = tensor.expand_dim(dim), np.expand_dims(array, dim)
        same(wider, there)
        same(wider.broadcast(dim, 5), np.repeat(there, 5, dim))
        same(wider.squeeze_dim(dim), array)


@settings(deadline=None, max_examples=150)
@given(SHAPES, st.data())
def test_reshape_shows_the_same_elements_or_refuses(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    total = prod(shape)
    first = data.draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0]))
    target = (first, total // first)

    @inside
    def _():
        tensor, array = pair(shape)
        same(tensor.reshape(target), array.reshape(target))
        moved = array.transpose(order)
        copy_free = reshape_strides(moved.shape, [s // 4 for s in moved.strides], target)
        if copy_free is None:
            with pytest.raises(ViewError, match="not dense"):
                tensor.permute(order).reshape(target)
        else:
            same(tensor.permute(order).reshape(target), moved.reshape(target))


@settings(deadline=None, max_examples=100)
@given(SHAPES, st.permutations(range(4)), st.data())
def test_reshape_strides_agrees_with_numpy(shape, order, data):
    array = np.arange(prod(shape)).reshape(shape).transpose([d for d in order if d < len(shape)])
    total = array.size
    first = data.draw(st.sampled_from([n for n in range(1, total + 1) if total % n == 0]))
    try:
        wanted = np.reshape(array, (first, total // first), copy=False).strides
    except ValueError:
        wanted = None
    got = reshape_strides(array.shape, [s // 8 for s in array.strides], (first, total // first))
    if wanted is None:
        assert got is None
    else:
        assert got is not None
        assert all(g * 8 == w for g, w, n in zip(got, wanted, (first, total // first), strict=True) if n > 1)


def test_dense_and_contiguous():
    assert contiguous((2, 3, 4)) == (12, 4, 1)
    assert is_dense((2, 1, 4), (4, 99, 1))
    assert not is_dense((2, 4), (5, 1))


@pytest.mark.parametrize(
    ("old", "new"), [("float32", "uint8"), ("uint8", "float32"), ("float32", "int32"), ("int32", "bfloat16")]
)
def test_view_reinterprets_the_bits(old, new):
    @inside
    def _():
        array = np.arange(8 * 16).astype("int32").view(np.uint8).reshape(8, 64).view(nl_np(old)).reshape(8, -1)
        tensor = nl.ndarray(array.shape, dtype=old, buffer=nl.sbuf)
        inside.core().fill(tensor, array)
        seen = tensor.view(new).numpy()
        assert np.array_equal(seen.view(np.uint8), array.view(np.uint8))
        half = tensor[:, array.shape[1] // 2 :].view(new).numpy()
        assert np.array_equal(half.view(np.uint8), np.ascontiguousarray(array[:, array.shape[1] // 2 :]).view(np.uint8))


def nl_np(name):
    from opentrn.numerics.dtypes import dtype

    return dtype(name).carrier


def test_ap_is_as_strided_over_the_storage():
    @inside
    def _():
        tensor, array = pair((16, 32), nl.sbuf)
        same(tensor.ap([[32, 16], [2, 8]], offset=3), array[:, 3:19:2])
        same(
            tensor.ap([[32, 4], [8, 2], [1, 3]], offset=64),
            np.lib.stride_tricks.as_strided(array[2:], (4, 2, 3), (128, 32, 4)),
        )
        inner = tensor.ap([[32, 16], [2, 16]])
        same(inner.ap([[32, 16], [1, 5]]), array[:, :5])
        # an explicit offset is added to the view's own (API reference of SDK 2.32)
        same(tensor[:, 4:].ap([[32, 16], [1, 2]], offset=1), array[:, 5:7])


def test_the_partition_step_of_a_pattern_may_count_the_views_own_elements():
    """nki-aps.rst: "equal to the number of elements in the free dimension of the tensor", and a slice is one."""

    @inside
    def _():
        tensor, array = pair((16, 4, 8), nl.sbuf)
        part = tensor[2:10, 1:3, :]
        same(part.ap([[16, 8], [8, 2], [2, 4]]), array[2:10, 1:3, ::2])
        same(part.ap([[16, 3], [1, 8]], offset=8), array[2:5, 2])
        assert part.ap([[16, 8], [1, 4]]).strides == (32, 1)
        halves = tensor[:, 0, 0:4].ap([[8, 16], [1, 8]], dtype=nl.uint16).numpy()
        assert np.array_equal(halves, array[:, 0, 0:4].view(np.uint16))
        with pytest.raises(ViewError, match="partition step"):
            part.ap([[8, 8], [1, 8]])


def test_ap_with_dtype_counts_in_the_new_dtype():
    @inside
    def _():
        tensor, array = pair((4, 8), nl.sbuf)
        halves = tensor.ap([[16, 4], [2, 8]], offset=1, dtype=nl.uint16).numpy()
        assert np.array_equal(halves, array.view(np.uint16)[:, 1::2])


def test_rearrange_like_einops():
    @inside
    def _():
        tensor, array = pair((6, 24), nl.sbuf)
        got = tensor.rearrange(("b", ("h", "w")), ("b", "w", "h"), {"h": 4})
        same(got, array.reshape(6, 4, 6).transpose(0, 2, 1))


def test_gathers_and_selects_by_run_time_indices():
    @inside
    def _():
        tensor, array = pair((5, 4, 6))
        index = nl.ndarray((3, 1), dtype=nl.int32, buffer=nl.sbuf)
        inside.core().fill(index, np.array([[4], [0], [4]], np.int32))
        one = nl.ndarray((1, 1), dtype=nl.int32, buffer=nl.sbuf)
        inside.core().fill(one, np.array([[3]], np.int32))
        same(tensor.vector_select(0, index), array[[4, 0, 4]])
        same(tensor.select(0, one), array[3])
        same(tensor.select(0, one)[:, 2:5], array[3][:, 2:5])
        same(tensor.ap([[6, 4], [1, 2]], scalar_offset=one, indirect_dim=0), array[3][:, :2])
        assert tensor.select(0, one).is_indirect() and not tensor.is_indirect()


REFUSED = {
    "slice past the end": lambda t: t[:, 0:65],
    "empty slice": lambda t: t[:, 8:8],
    "negative step": lambda t: t[:, ::-1],
    "index past the end": lambda t: t[:, 64],
    "too many indices": lambda t: t[0, 0, 0],
    "float index": lambda t: t[:, 1.0],
    "nan index": lambda t: t[:, float("nan")],
    "bool index": lambda t: t[:, True],
    "two ellipses": lambda t: t[..., ...],
    "newaxis": lambda t: t[None],
    "partition permuted": lambda t: t.permute((1, 0)),
    "partition reshaped": lambda t: t.reshape((64, 128)),
    "partition broadcast": lambda t: t[0:1].broadcast(0, 4),
    "expand before the partition": lambda t: t.expand_dim(0),
    "squeeze of size 64": lambda t: t.squeeze_dim(1),
    "wrong element count": lambda t: t.reshape((128, 63)),
    "pattern over every other partition": lambda t: t.ap([[128, 8], [1, 64]]),
    "pattern without counts": lambda t: t.ap([]),
    "view of odd bytes": lambda t: t.view("uint8")[:, 0:3].view("float32"),
    "no such dimension": lambda t: t.slice(2, 0, 1),
    "vector_select on chip": lambda t: t.vector_select(0, t),
}


@pytest.mark.parametrize("what", REFUSED)
def test_views_that_do_not_exist_are_refused_with_the_users_line(what):
    @inside
    def _():
        tensor = nl.ndarray((128, 64), dtype=nl.float32, buffer=nl.sbuf)
        with pytest.raises(ViewError) as caught:
            REFUSED[what](tensor)
        error = caught.value
        assert error.site is not None and error.site.file == __file__, str(error)
        assert error.got and error.expected, str(error)
