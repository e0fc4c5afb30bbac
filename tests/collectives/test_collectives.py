"""Collectives on simulated ranks: values against numpy, what is refused, and ranks that can never meet."""

from __future__ import annotations

import numpy as np
import pytest

import opentrn
import opentrn.nki as nki
import opentrn.nki.collectives as ncc
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, LaunchError, MachineError, RuleError

RNG = np.random.default_rng(5)
REDUCE = {"add": np.add.reduce, "minimum": np.minimum.reduce, "maximum": np.maximum.reduce}
pytestmark = pytest.mark.filterwarnings("error")


def inputs(ranks, *shape):
    return [RNG.integers(-50, 50, shape).astype(np.float32) for _ in range(ranks)]


def run(body, data, lnc=1, groups=None, **more):
    """``body(src, dst_shape -> tensor, group)`` on a copy of each rank's array in HBM; the results by rank."""
    group = ncc.ReplicaGroup(groups or [list(range(len(data)))])

    @nki.jit
    def kernel(x):
        src = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=src, src=x)
        return body(src, lambda shape: nl.ndarray(shape, dtype=x.dtype, buffer=nl.shared_hbm), group)

    return nki.simulate_ranks(kernel, lnc, [{"x": x} for x in data], **more)


# ------------------------------------------------------------------ values
@pytest.mark.parametrize("lnc", [1, 2])
@pytest.mark.parametrize("op", ["add", "minimum", "maximum"])
def test_all_reduce_in_hbm(op, lnc):
    def body(src, new, group):
        dst = new(src.shape)
        ncc.all_reduce(dsts=[dst], srcs=[src], op=getattr(nl, op), replica_group=group)
        return dst

    data = inputs(3, 4, 6)
    for got in run(body, data, lnc):
        assert np.array_equal(got, REDUCE[op](data))


def test_all_reduce_rounds_once():
    """1 + 1/256 + 1/256 in bfloat16: rounding after each sum would lose both small terms."""

    def body(src, new, group):
        dst = new(src.shape)
        ncc.all_reduce(srcs=[src], dsts=[dst], op=nl.add, replica_group=group)
        return dst

    data = [np.full((1, 2), v, np.float32).astype(nl_bfloat16()) for v in (1, 2**-8, 2**-8)]
    assert float(run(body, data)[0][0, 0]) == 1 + 2**-7


def nl_bfloat16():
    import ml_dtypes

    return ml_dtypes.bfloat16


def test_all_reduce_in_sbuf_core_by_core():
    @nki.jit
    def kernel(x, group):
        core = nl.program_id(0)
        mine, total = nl.load(x[core]), nl.ndarray(x.shape[1:], dtype=x.dtype, buffer=nl.sbuf)
        ncc.all_reduce([mine], [total], group, nl.add)
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out[core], src=total)
        return out

    data = inputs(2, 2, 8, 3)
    for got in nki.simulate_ranks(kernel, 2, [{"x": x, "group": ncc.ReplicaGroup([[0, 1]])} for x in data]):
        assert np.array_equal(got, data[0] + data[1])


def test_several_tensors_at_once():
    def body(src, new, group):
        dsts = [new(src.shape), new(src.shape)]
        ncc.all_reduce(srcs=[src, src], dsts=dsts, op=nl.add, replica_group=group)
        return tuple(dsts)

    data = inputs(2, 4, 4)
    for first, second in run(body, data):
        assert np.array_equal(first, data[0] + data[1]) and np.array_equal(second, first)


def test_all_gather_within_groups_in_their_order():
    def body(src, new, group):
        dst = new((2 * src.shape[0], src.shape[1]))
        ncc.all_gather([src], [dst], group, 0)
        return dst

    data = inputs(4, 3, 5)
    got = run(body, data, groups=[[2, 0], [1, 3]])
    assert np.array_equal(got[0], np.concatenate([data[2], data[0]])) and np.array_equal(got[0], got[2])
    assert np.array_equal(got[3], np.concatenate([data[1], data[3]])) and np.array_equal(got[1], got[3])


@pytest.mark.parametrize("dimension", [0, 1])
def test_all_gather_in_sbuf(dimension):
    @nki.jit
    def kernel(x, group):
        shape = [x.shape[0], x.shape[1]]
        shape[dimension] *= 2
        both = nl.ndarray(shape, dtype=x.dtype, buffer=nl.sbuf)
        ncc.all_gather([nl.load(x)], [both], group, collective_dim=dimension)
        out = nl.ndarray(shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=both)
        return out

    data = inputs(2, 4, 3)
    for got in nki.simulate_ranks(kernel, 1, [{"x": x, "group": ncc.ReplicaGroup([[0, 1]])} for x in data]):
        assert np.array_equal(got, np.concatenate(data, axis=dimension))


def test_reduce_scatter():
    def body(src, new, group):
        dst = new((2, 3))
        ncc.reduce_scatter([src], [dst], group, 0, nl.add)
        return dst

    data = inputs(4, 8, 3)
    for rank, got in enumerate(run(body, data)):
        assert np.array_equal(got, sum(data)[2 * rank : 2 * rank + 2])


def test_all_to_all():
    def body(src, new, group):
        dst = new(src.shape)
        ncc.all_to_all([src], [dst], group, collective_dim=0)
        return dst

    data = inputs(4, 8, 3)
    for rank, got in enumerate(run(body, data)):
        assert np.array_equal(got, np.concatenate([x[2 * rank : 2 * rank + 2] for x in data]))


def test_collective_permute_leaves_others_alone():
    def body(src, new, group):
        dst = new(src.shape)
        nisa.dma_copy(dst=dst, src=src)
        ncc.collective_permute([src], [dst], [(0, 2), (2, 1)])
        return dst

    data = inputs(4, 2, 3)
    got = run(body, data)
    assert [np.array_equal(got[r], data[s]) for r, s in ((0, 0), (1, 2), (2, 0), (3, 3))] == [True] * 4


def test_a_ring_of_permutes_names_whose_data_arrived():
    """After each step a rank holds the data of the rank whose number the ring reports."""
    steps = 3

    @nki.jit
    def kernel(x, group, numbers):
        held = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=held, src=x)
        out = nl.ndarray((steps, *x.shape), dtype=x.dtype, buffer=nl.shared_hbm)
        whose = nl.ndarray((steps, 1), dtype=nl.int32, buffer=nl.shared_hbm)
        for step in range(steps):
            rank = ncc.collective_permute_implicit_current_processing_rank_id(step, group)
            nisa.dma_copy(
                dst=whose[step : step + 1], src=numbers.ap([[1, 1], [1, 1]], scalar_offset=rank, indirect_dim=0)
            )
            nisa.dma_copy(dst=out[step], src=held)
            following = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
            ncc.collective_permute_implicit([[held]], [[following]], group)
            held = following
        return out, whose

    data, group = inputs(3, 2, 2), ncc.ReplicaGroup([[0, 2, 1]])
    numbers = np.arange(3, dtype=np.int32)[:, None]
    given = [{"x": x, "group": group, "numbers": numbers} for x in data]
    for rank, (got, whose) in enumerate(nki.simulate_ranks(kernel, 1, given)):
        assert whose[0, 0] == rank and sorted(whose[:, 0]) == [0, 1, 2]
        for step in range(steps):
            assert np.array_equal(got[step], data[whose[step, 0]])


def test_permute_with_reduction_on_two_channels():
    def body(src, new, group):
        dsts = [new(src.shape), new(src.shape)]
        ncc.collective_permute_implicit_reduce(
            [[src], [src]], [[src], [src]], [[d] for d in dsts], group, nl.add, channel_ids=[0, 1]
        )
        return tuple(dsts)

    data = inputs(3, 2, 4)
    for rank, got in enumerate(run(body, data)):
        assert all(np.array_equal(each, 2 * data[rank - 1]) for each in got)


def _variable(function, metadata, data, size, **flags):
    @nki.jit
    def kernel(x, meta, group):
        src = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        dst = nl.zeros((size,), dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=src, src=x)
        function([src], [dst], group, meta, **flags)
        return dst, meta

    group = ncc.ReplicaGroup([list(range(len(data)))])
    given = [{"x": x, "meta": m, "group": group} for x, m in zip(data, metadata, strict=True)]
    return nki.simulate_ranks(kernel, 1, given)


def test_all_to_all_v_by_slots_tells_what_arrived():
    data = inputs(2, 8)
    counts, begins = np.array([[1, 3], [2, 4]]), np.array([[0, 1], [2, 4]])
    metadata = [np.array([counts[r], begins[r], [9, 9]], np.uint32) for r in range(2)]
    for rank, (dst, meta) in enumerate(_variable(ncc.all_to_all_v, metadata, data, 10)):
        want = np.zeros(10, np.float32)
        for sender in range(2):
            begin, count = begins[sender, rank], counts[sender, rank]
            want[5 * sender : 5 * sender + count] = data[sender][begin : begin + count]
        assert np.array_equal(dst, want) and np.array_equal(meta[2], counts[:, rank])


def test_all_to_all_v_where_the_receiver_says_and_counts_are_known():
    data = inputs(2, 4)
    metadata = [np.array([[2, 2], [0, 2], [7, 7], [3, 0]], np.uint32) for _ in range(2)]
    flags = {"has_rdispls": True, "recv_counts_known": True}
    for rank, (dst, meta) in enumerate(_variable(ncc.all_to_all_v, metadata, data, 6, **flags)):
        part = slice(2 * rank, 2 * rank + 2)
        assert np.array_equal(dst, [*data[1][part], 0, *data[0][part], 0]) and np.all(meta[2] == 7)


def test_all_gather_v_sends_one_part_to_all():
    data = inputs(2, 6)
    metadata = [np.array([[2 + r, 0], [1, 0], [0, 0]], np.uint32) for r in range(2)]
    for dst, meta in _variable(ncc.all_gather_v, metadata, data, 8):
        assert np.array_equal(dst, [*data[0][1:3], 0, 0, *data[1][1:4], 0]) and list(meta[2]) == [2, 3]


def test_more_than_a_slot_is_refused():
    metadata = [np.array([[5, 0], [0, 0], [0, 0]], np.uint32) for _ in range(2)]
    with pytest.raises(KernelError, match="receives more than fits"):
        _variable(ncc.all_gather_v, metadata, inputs(2, 6), 8)


def test_rank_id():
    @nki.jit
    def kernel(x):
        out = nl.ndarray(x.shape[1:], dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=x.ap([[3, 2], [1, 3]], scalar_offset=ncc.rank_id(), indirect_dim=0))
        return out

    x = inputs(1, 4, 2, 3)[0]
    for rank, got in enumerate(nki.simulate_ranks(kernel, 2, [{"x": x}] * 4)):
        assert np.array_equal(got, x[rank])


def test_ranks_do_not_share_an_array():
    @nki.jit
    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
        nisa.dma_copy(dst=x, src=tile)
        return x

    x = np.zeros((2, 2), np.float32)
    first, second = nki.simulate_ranks(kernel, 1, [{"x": x}, {"x": x}])
    assert first is x and np.all(x == 1) and np.all(second == 1)


# ------------------------------------------------------------------ refusals
def _copy(src, new, group, **call):
    dst = new(src.shape)
    ncc.all_reduce(**{"srcs": [src], "dsts": [dst], "op": nl.add, "replica_group": group, **call})
    return dst


@pytest.mark.parametrize(
    ("rule", "call"),
    [
        ("replica_group.value", lambda src, new: {"replica_group": [[0, 1], [1]]}),
        ("replica_group.value", lambda src, new: {"replica_group": 3}),
        ("c1", lambda src, new: {"dsts": [new(src.shape), new(src.shape)]}),
        ("c2", lambda src, new: {"op": nl.multiply}),
        ("c3", lambda src, new: {"dsts": [new((1, 1))]}),
    ],
)
def test_rules_of_all_reduce(rule, call):
    with pytest.raises(RuleError) as caught:
        run(lambda src, new, group: _copy(src, new, group, **call(src, new)), inputs(2, 2, 3))
    assert caught.value.rule == rule and caught.value.site is not None


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        ("c2", lambda s, new, g: ncc.all_gather([s], [new(s.shape)], g, 0)),
        ("c2", lambda s, new, g: ncc.all_gather([s], [new((4, 8))], g, 1)),
        ("c2", lambda s, new, g: ncc.reduce_scatter([s], [new((1, 4))], g, 0, nl.multiply)),
        ("c3", lambda s, new, g: ncc.reduce_scatter([s], [new(s.shape)], g, 0, nl.add)),
        ("c2", lambda s, new, g: ncc.all_to_all([s], [new((1, 4))], g, 0)),
        ("c1", lambda s, new, g: ncc.collective_permute([s], [new((1, 1))], [(0, 1)])),
        ("source_target_pairs.value", lambda s, new, g: ncc.collective_permute([s], [new(s.shape)], [(0, 1), (0, 0)])),
        ("c1", lambda s, new, g: ncc.collective_permute_implicit([[s]], [[new((1, 1))]], g)),
        ("channel_ids.value", lambda s, new, g: ncc.collective_permute_implicit([[s]], [[s]], g, channel_ids=[1])),
        ("c1", lambda s, new, g: ncc.collective_permute_implicit_reduce([[s]], [[s]], [[new((1, 1))]], g, nl.add)),
        ("c2", lambda s, new, g: ncc.collective_permute_implicit_reduce([[s]], [[s]], [[s]], g, nl.divide)),
        ("c1", lambda s, new, g: ncc.all_to_all_v([s], [s], g, nl.zeros((2, 2), nl.uint32, buffer=nl.shared_hbm))),
        (
            "c1",
            lambda s, new, g: ncc.all_gather_v([s, s], [s, s], g, nl.zeros((3, 2), nl.uint32, buffer=nl.shared_hbm)),
        ),
    ],
)
def test_rules_of_the_others(rule, body):
    with pytest.raises(RuleError) as caught:
        run(body, inputs(2, 4, 4))
    assert caught.value.rule == rule


def test_inner_lists_hold_one_tensor():
    with pytest.raises(LaunchError, match="tensors by channel"):
        run(lambda src, new, group: ncc.collective_permute_implicit([src], [src], group), inputs(2, 2, 2))


def test_no_inputs():
    with pytest.raises(LaunchError, match="simulate_ranks"):
        nki.simulate_ranks(lambda x: x, 1, [])


def test_a_group_larger_than_the_launch():
    with pytest.raises(KernelError, match="ranks that are not there"):
        run(_copy, inputs(2, 2, 2), groups=[[0, 1, 2]])


def test_a_rank_outside_every_group():
    with pytest.raises(KernelError, match="in none of its groups"):
        run(_copy, inputs(2, 2, 2), groups=[[0]])


def test_a_rank_that_never_arrives_is_named():
    @nki.jit
    def kernel(x, skip):
        src, dst = (nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm) for _ in range(2))
        nisa.dma_copy(dst=src, src=x)
        if not skip:
            ncc.all_reduce([src], [dst], ncc.ReplicaGroup([[0, 1]]), nl.add)
        return src

    with pytest.raises(KernelError, match=r"rank 0 core 0 waits at all_reduce of ranks 0, 1.*rank 1 core 0 has ended"):
        nki.simulate_ranks(kernel, 1, [{"x": x, "skip": rank == 1} for rank, x in enumerate(inputs(2, 2, 2))])


def test_ranks_in_different_collectives_can_never_meet():
    @nki.jit
    def kernel(x, other):
        src, dst = (nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm) for _ in range(2))
        nisa.dma_copy(dst=src, src=x)
        group = ncc.ReplicaGroup([[0, 1]])
        if other:
            ncc.all_to_all([src], [dst], group, 0)
        else:
            ncc.all_reduce([src], [dst], group, nl.add)
        return dst

    with pytest.raises(KernelError, match=r"rank 0 core 0 waits at all_reduce.*rank 1 core 0 waits at all_to_all"):
        nki.simulate_ranks(kernel, 1, [{"x": x, "other": rank == 1} for rank, x in enumerate(inputs(2, 2, 2))])


# ------------------------------------------------------------------ time
def test_more_ranks_and_bytes_take_longer():
    @nki.jit
    def kernel(x, ranks):
        src, dst = (nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm) for _ in range(2))
        nisa.dma_copy(dst=src, src=x)
        ncc.all_reduce([src], [dst], ncc.ReplicaGroup([list(range(ranks))]), nl.add)
        return dst

    def latency(rows, ranks):
        shape = opentrn.ShapeDtype((rows, 4096), "float32")
        return opentrn.profile(kernel, mode="timing")(shape, ranks).latency_us

    assert latency(16, 1) < latency(16, 2) < latency(128, 2) < latency(2048, 2) < latency(2048, 16)


@pytest.mark.parametrize("chip", ["trn1", "trn2", "trn3"])
def test_every_chip_has_the_number_of_a_hop(chip):
    hop = opentrn.machine.load_chip(chip).quantity("collectives.hop_min_ns")
    assert hop.value > 0 and hop.tier == "documented"
    with pytest.raises(MachineError):
        opentrn.machine.load_chip(chip).quantity("collectives.hop_ns")
