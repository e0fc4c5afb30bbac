"""kernel.with_schedule: dependencies by the names of instructions (how-to-scheduling-apis.rst, SDK 2.32)."""

import numpy as np
import pytest

import opentrn
from opentrn import nki
from opentrn.errors import LaunchError, UnsupportedError
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl

X = np.linspace(0.5, 2, 128 * 512, dtype=np.float32).reshape(128, 512)


@nki.jit
def exp_and_sum(t):
    """exp and plus1 run on two engines, side by side."""
    x = nl.load(t)
    a, b, c = (nl.ndarray(t.shape, t.dtype, buffer=nl.sbuf) for _ in range(3))
    nisa.activation(dst=a, data=x, op=nl.exp, name="exp")
    nisa.tensor_scalar(dst=b, data=x, op0=nl.add, operand0=1.0, name="plus1")
    nisa.tensor_tensor(dst=c, data1=a, data2=b, op=nl.add)
    out = nl.ndarray(t.shape, t.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=c, name="store")
    return out


@nki.jit
def named_twice(t):
    x = nl.load(t)
    for _ in range(2):
        nisa.activation(dst=x, data=x, op=nl.relu, name="relu")
    last = nisa.tensor_scalar(dst=x, data=x, op0=nl.add, operand0=1.0, name="plus1")
    out = nl.ndarray(t.shape, t.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=x).depends_on(last)
    return out


def spans(kernel):
    """Start and end of exp and of plus1, in ns, on the first core."""
    timeline = opentrn.profile(kernel, mode="timing")(X).timeline
    found = {}
    for row in np.flatnonzero(timeline.core == 0):
        name = timeline.operations[timeline.operation[row]].name
        found[name] = timeline.start[row], timeline.end[row]
    return found["activation"], found["tensor_scalar"]


@pytest.mark.parametrize("schedule", [[("plus1", "exp")], [("plus1", ["exp"])], (["plus1", ("exp",)],)])
def test_the_first_of_a_pair_waits_for_the_second(schedule):
    scheduled = exp_and_sum.with_schedule(schedule)
    exp, plus1 = spans(exp_and_sum)
    assert plus1[0] < exp[1]
    exp, plus1 = spans(scheduled)
    assert plus1[0] >= exp[1]
    assert np.array_equal(scheduled(X), exp_and_sum(X))


def test_on_two_cores_each_has_its_own():
    exp, plus1 = spans(exp_and_sum.with_schedule([("plus1", "exp")])[2])
    assert plus1[0] >= exp[1]


def test_a_scheduled_kernel_inside_another_one():
    @nki.jit
    def outer(t):
        return exp_and_sum.with_schedule([("plus1", "exp")])(t)

    exp, plus1 = spans(outer)
    assert plus1[0] >= exp[1]


def test_a_schedule_of_the_whole_adds_to_what_the_kernel_says_itself():
    traces = opentrn.profile(named_twice.with_schedule([]), mode="timing")(X).traces
    assert len(traces[0].edges) == 1


def test_a_check_finds_the_source_of_a_scheduled_kernel():
    assert opentrn.check(exp_and_sum.with_schedule([("plus1", "exp")]))(X) == opentrn.check(exp_and_sum)(X)


@pytest.mark.parametrize(
    "schedule", ["plus1", [("plus1",)], [("plus1", 3)], [(1, "exp")], [("plus1", ["exp", None])], None]
)
def test_a_schedule_of_another_form_is_refused_at_once(schedule):
    with pytest.raises(LaunchError, match="with_schedule") as caught:
        exp_and_sum.with_schedule(schedule)
    assert caught.value.site.file == __file__


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ([("plus1", "ex")], "'ex', which 0 instructions"),
        ([("plus1", "plus1")], "'plus1' after itself"),
    ],
)
def test_names_that_make_no_sense(schedule, says):
    with pytest.raises(LaunchError, match=says):
        exp_and_sum.with_schedule(schedule)(X)


def test_a_name_of_several_instructions_says_how_many():
    with pytest.raises(LaunchError, match="'relu', which 2 instructions"):
        named_twice.with_schedule([("plus1", "relu")])(X)


def test_an_order_against_the_kernels_own_is_not_modelled():
    with pytest.raises(UnsupportedError, match="'exp' stands before 'plus1'"):
        exp_and_sum.with_schedule([("exp", "plus1")])(X)
