"""Rows moved as a whole against addresses of single elements, which are the meaning."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from opentrn.execute import indirect
from opentrn.execute.block import new_block
from opentrn.isa.enums import MemoryRegion
from opentrn.numerics.dtypes import DTYPES
from opentrn.program.storage import Allocation, Storage
from opentrn.program.view import Indirection, View

ROWS, WIDTH = 7, 12


def tensor(dtype: str, written: np.ndarray | None, seed: int) -> Storage:
    kind = DTYPES[dtype]
    made = Allocation(0, "t", (ROWS, WIDTH), kind, MemoryRegion.private_hbm, 0, None, None, False)
    block = new_block(ROWS * WIDTH * kind.itemsize, kind.itemsize)
    block.array[:] = 0
    if written is not None:
        block.array[:] = np.random.default_rng(seed).integers(0, 100, block.nbytes, np.uint8)
        block.shadow.reshape(ROWS, -1)[:] = written[:, None]
        block.state = 2 if written.all() else 1
    return Storage(made, block)


@st.composite
def cases(draw):
    kind = draw(st.sampled_from(["scalar", "vector"]))
    count = draw(st.integers(1, 6))
    step, offset = draw(st.sampled_from([WIDTH, 4, 1])), draw(st.integers(0, 6))
    inner = draw(st.sampled_from([((4,), (1,)), ((2, 3), (4, 1)), ((3, 2), (1, 0))]))
    lead = (count, 0) if kind == "vector" else (count, draw(st.sampled_from([0, 1, WIDTH])))
    index = (
        draw(st.lists(st.integers(-1, 8), min_size=count, max_size=count))
        if kind == "vector"
        else draw(st.integers(-1, 8))
    )
    written = draw(st.none() | st.lists(st.booleans(), min_size=ROWS, max_size=ROWS).map(np.array))
    return kind, ((lead[0], *inner[0]), (lead[1], *inner[1])), step, offset, index, written


@settings(deadline=None, max_examples=300)
@given(cases(), st.sampled_from(["float32", "bfloat16", "uint8"]), st.integers(0, 3), st.integers(0, 2**31))
def test_rows_are_the_addresses_of_their_elements(case, dtype, masking, seed):
    kind, (shape, strides), step, offset, index, written = case
    numbers = np.atleast_1d(np.array(index, np.int64)).reshape([-1] + [1] * (len(shape) - 1))
    legal = (numbers >= 0) & (numbers < 6)
    move = Indirection(kind, SimpleNamespace(), step, 6)
    first, second = (tensor(dtype, written, seed) for _ in range(2))
    views = [View(each, shape, strides, offset, dtype, move) for each in (first, second)]
    rows = indirect._rows(views[0], move, numbers, legal)
    plain = indirect._elements(views[1], move, numbers, legal)
    if rows is None:  # part of a legal row would be outside
        total = ROWS * WIDTH
        assert not np.all((plain.index >= 0) & (plain.index < total) | ~np.broadcast_to(legal, shape))
        return
    assert np.array_equal(rows.valid, plain.valid) and rows.all_valid == plain.all_valid
    assert rows.complaint == plain.complaint
    assert np.array_equal(rows.unwritten(), plain.unwritten())
    got, want = (np.where(plain.valid, each.gather(), 0) for each in (rows, plain))
    assert got.shape == shape and np.array_equal(got.astype(np.float32), want.astype(np.float32), equal_nan=True)
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 50, shape).astype(DTYPES[dtype].carrier)
    where = None if masking == 0 else rng.random(shape) < 0.5 if masking == 1 else rng.random(shape[0]) < 0.5
    if masking > 1 and where is not None:
        where = np.broadcast_to(where.reshape([-1] + [1] * (len(shape) - 1)), shape)
    distinct = np.unique(plain.index[plain.valid]).size == plain.valid.sum()
    if distinct:  # elements that overlap in one pattern have no order
        for each in (rows, plain):
            each.scatter(values, where)
        same(first, second)
        if masking == 1 and where is not None:
            for each in (rows, plain):
                each.forget(where)
            same(first, second)


def same(first: Storage, second: Storage) -> None:
    assert first.block.state == second.block.state
    assert np.array_equal(first.block.array, second.block.array)
    if first.block.state == 1:
        assert np.array_equal(first.block.shadow, second.block.shadow)
