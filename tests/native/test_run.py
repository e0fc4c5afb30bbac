"""run(): order, refusals and what is left untouched by them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.native.harness import Step, View, block_of, execute, native, spec

FLOAT = np.float32


def adder(shape=(4,), strides=None):
    return native.plan("tensor_tensor", [spec(shape, FLOAT, role, strides) for role in ("out", "in", "in")], [0, 0], [])


def test_runs_in_order_from_begin_to_end():
    block = block_of(np.ones(4, FLOAT))
    item = (Step(adder()), (View(block, 0),) * 3, 7)
    assert native.run([item] * 5, 1, 4) == 4
    assert np.all(block.array.view(FLOAT) == 8)


@pytest.mark.parametrize("plan", [None, "something else"])
def test_stops_before_an_item_without_a_plan(plan):
    block = block_of(np.ones(4, FLOAT))
    good, bad = ((Step(p), (View(block, 0),) * 3, 0) for p in (adder(), plan))
    assert native.run([good, bad, good], 0, 3) == 1
    assert np.all(block.array.view(FLOAT) == 2)


def test_stops_before_an_unwritten_input():
    out, a, b = native.Block(16, 4), block_of(np.ones(4, FLOAT)), native.Block(16, 4)
    assert execute(adder(), View(out, 0), View(a, 0), View(b, 0)) == 0
    assert out.state == 0


def test_only_the_bytes_of_the_view_must_be_written():
    partly, out = native.Block(8 * 4, 4), native.Block(16, 4)
    partly.state = 1
    partly.shadow[::2] = 1
    partly.array.view(FLOAT)[::2] = 3
    views = View(out, 0), View(partly, 0), View(partly, 0)
    operands = [spec((4,), FLOAT, "out")] + [spec((4,), FLOAT, "in", (2,))] * 2
    assert execute(native.plan("tensor_tensor", operands, [0, 0], []), *views) == 1
    assert out.array.view(FLOAT).tolist() == [6] * 4
    assert execute(adder(), *views) == 0


@pytest.mark.parametrize(("strides", "offset"), [((1,), 1), ((1,), -1), ((2,), 0), ((-1,), 2)])
def test_refuses_to_leave_the_block(strides, offset):
    block, a = native.Block(16, 4), block_of(np.ones(64, FLOAT))
    operands = [spec((4,), FLOAT, "out", strides), spec((4,), FLOAT, "in"), spec((4,), FLOAT, "in")]
    assert execute(native.plan("tensor_tensor", operands, [0, 0], []), View(block, offset), View(a, 0), View(a, 0)) == 0
    assert block.state == 0
    operands = [spec((4,), FLOAT, "out"), spec((4,), FLOAT, "in", strides), spec((4,), FLOAT, "in")]
    small = block_of(np.ones(4, FLOAT))
    assert (
        execute(native.plan("tensor_tensor", operands, [0, 0], []), View(block, 0), View(small, offset), View(a, 0))
        == 0
    )


def test_another_kind_of_block_is_left_to_python():
    block = block_of(np.ones(4, FLOAT))
    assert execute(adder(), View(block, 0), View(object(), 0), View(block, 0)) == 0


def test_a_wrong_number_of_operands_is_left_to_python():
    block = block_of(np.ones(4, FLOAT))
    assert execute(adder(), View(block, 0), View(block, 0)) == 0


def test_malformed_items_raise():
    with pytest.raises((TypeError, SystemError, AttributeError)):
        native.run([3], 0, 1)
    with pytest.raises(AttributeError):
        native.run([(object(), (), 0)], 0, 1)
    with pytest.raises(IndexError):
        native.run([], 0, 1)


def test_unknown_instructions_and_shapes_have_no_plan():
    assert native.plan("no_such_thing", [spec((4,), FLOAT, "out")], [], []) is None
    assert native.plan("tensor_tensor", [spec(s, FLOAT, "in") for s in ((4,), (5,), (4,))], [0, 0], []) is None
    assert native.plan("copy", [spec((0,), FLOAT, "out"), spec((0,), FLOAT, "in")], [], []) is None
    assert native.plan("memset", [spec((4,), FLOAT, "out", (0,))], [], [1.0]) is None


def test_malformed_operands_raise():
    with pytest.raises(ValueError, match="dtype"):
        native.plan("memset", [(99, (4,), (1,), "out")], [], [1.0])
    with pytest.raises(ValueError, match="rank"):
        native.plan("memset", [(0, (4,), (1, 1), "out")], [], [1.0])
    with pytest.raises(ValueError, match="role"):
        native.plan("memset", [(0, (4,), (1,), "sideways")], [], [1.0])


def test_levels():
    assert native.cpu_level() == native.cpu_levels()[0]
    assert native.version()
    with pytest.raises(ValueError, match="level"):
        native.plan("memset", [spec((4,), FLOAT, "out")], [], [1.0], "v99")
