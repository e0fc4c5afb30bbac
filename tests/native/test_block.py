"""Block: storage, states and the shadow."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from tests.native.harness import View, block_of, execute, native, spec

from opentrn.execute.block import Block


def fill(shape, strides, dtype=np.float32):
    return native.plan("memset", [spec(shape, dtype, "out", strides)], [], [1.5])


def test_a_new_block_is_untouched_and_aligned():
    block = native.Block(1000, 4)
    assert (block.nbytes, block.unit, block.state) == (1000, 4, 0)
    assert block.array.ctypes.data % 64 == 0
    assert block.array.shape == (1000,)


@pytest.mark.parametrize(("nbytes", "unit"), [(-4, 4), (8, 0), (6, 4)])
def test_a_malformed_block_is_refused(nbytes, unit):
    with pytest.raises(ValueError, match="Block:"):
        native.Block(nbytes, unit)


def test_views_outlive_the_block():
    block = native.Block(64, 4)
    array, shadow = block.array, block.shadow
    array[:] = 7
    block.discard()
    del block
    gc.collect()
    assert array.sum() == 7 * 64
    assert shadow.sum() == 0


@pytest.mark.parametrize("kind", [native.Block, Block])
def test_a_discarded_block_holds_nothing_and_can_be_written_again(kind):
    block = kind(64, 4)
    block.array[:] = 7
    block.state = 1
    block.shadow[:4] = 1
    before = block.array
    block.discard()
    assert block.state == 0 and not block.shadow.any()
    block.array[:] = 8
    assert (before == 7).all() and (block.array == 8).all()


def test_wrap_shares_the_buffer():
    buffer = np.zeros(64, np.uint8)
    block = native.Block.wrap(buffer, 4)
    assert block.state == 2
    assert execute(fill((16,), (1,)), View(block, 0)) == 1
    assert np.all(buffer.view(np.float32) == 1.5)
    del buffer
    gc.collect()
    assert np.all(block.array.view(np.float32) == 1.5)


def test_wrap_refuses_what_it_cannot_share():
    with pytest.raises(TypeError):
        native.Block.wrap(np.zeros(64, np.uint8)[::2], 4)
    frozen = np.zeros(64, np.uint8)
    frozen.flags.writeable = False
    with pytest.raises(TypeError):
        native.Block.wrap(frozen, 4)


def test_pieces_add_up_to_a_whole():
    block = native.Block(8 * 6 * 4, 4)
    half = fill((8, 3), (6, 1))
    assert execute(half, View(block, 0)) == 1
    assert block.state == 1
    expected = np.zeros((8, 6), np.uint8)
    expected[:, :3] = 1
    assert np.array_equal(block.shadow.reshape(8, 6), expected)
    assert execute(half, View(block, 2)) == 1
    assert block.state == 1
    assert execute(half, View(block, 3)) == 1
    assert block.state == 2


@pytest.mark.parametrize("strides", [(6, 1), (1, 8)])
def test_writing_everything_at_once(strides):
    block = native.Block(8 * 6 * 4, 4)
    assert execute(fill((8, 6), strides), View(block, 0)) == 1
    assert block.state == 2


def test_a_small_element_refines_the_shadow():
    block = native.Block(16, 4)
    assert execute(fill((1,), (1,), np.float16), View(block, 3)) == 1
    assert block.unit == 2
    assert block.shadow.tolist() == [0, 0, 0, 1, 0, 0, 0, 0]


def test_refine_repeats_entries():
    block = native.Block(8, 4)
    block.state = 1
    block.shadow[:] = [1, 2]
    block.refine(1)
    assert block.shadow.tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    with pytest.raises(ValueError, match="divide"):
        block.refine(2)


def test_clobbered_bytes_cannot_be_read_until_written():
    block = block_of(np.ones(4, np.float32))
    block.shadow[2] = 2
    block.state = 1
    out = native.Block(16, 4)
    copy = native.plan("copy", [spec((4,), np.float32, "out"), spec((4,), np.float32, "in")], [], [])
    assert execute(copy, View(out, 0), View(block, 0)) == 0
    assert out.state == 0
    assert execute(fill((1,), (1,)), View(block, 2)) == 1
    assert block.state == 2
    assert execute(copy, View(out, 0), View(block, 0)) == 1


def test_state_from_written_to_partial_keeps_everything_written():
    block = block_of(np.ones(4, np.float32))
    block.state = 1
    assert block.shadow.tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="0, 1 or 2"):
        block.state = 3


def test_a_shadow_view_that_python_kept_does_not_mislead():
    block = native.Block(16, 4)
    block.state = 1
    kept = block.shadow
    assert execute(fill((2,), (1,)), View(block, 0)) == 1
    kept[0] = 2
    assert execute(fill((2,), (1,)), View(block, 2)) == 1
    assert block.state == 1
