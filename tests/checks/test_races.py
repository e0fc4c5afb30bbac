"""Races and deadlocks: the seeded bugs, what is no finding, the order they rest on, and the limits."""

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from tests.checks.looking import look

import opentrn
from opentrn import nki
from opentrn.checks.conflicts import races_of
from opentrn.checks.explore import Search, explored
from opentrn.checks.look import Choice
from opentrn.checks.order import order_of
from opentrn.cli.kernels import launches_of, module_of
from opentrn.errors import KernelError
from opentrn.machine.chip import load_chip
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl
from opentrn.nki.check import evidence_of
from opentrn.program.trace import Geometry

BUGS = Path(__file__).parent.parent / "bugs"
X = opentrn.ShapeDtype((256, 128), "float32")


def seeded(name):
    opentrn.install()
    return module_of(BUGS / name)


def findings(module, name, limit):
    (launch,) = launches_of(module, name, None, None)
    given = launch.inputs
    evidence = evidence_of(launch.kernel, given.args, given.kwargs, given.target, watch=False, limit=limit)
    return look("run", evidence, Choice(only=("races", "deadlock")))


RACES, CLEAN = seeded("races.py"), seeded("clean_races.py")


@pytest.mark.parametrize("name", RACES.EXPECTS)
def test_a_seeded_bug_is_found_and_nothing_else(name):
    found = findings(RACES, name, 20_000)
    assert {f.label for f in found} == {RACES.EXPECTS[name]}
    first = getattr(RACES, name).func.__code__.co_firstlineno
    assert all(f.file == str(BUGS / "races.py") and first < f.line < first + 22 and f.hint and f.page for f in found)


@pytest.mark.parametrize("name", CLEAN.CHECK_INPUTS)
def test_the_corrected_forms_have_no_finding(name):
    assert findings(CLEAN, name, 20_000) == []


def test_the_message_names_both_accesses_their_bytes_and_the_missing_edge():
    (found,) = findings(RACES, "flag_in_memory", 0)
    for part in (
        "nisa.dma_copy on core 0 (DMA queue of ", "races.py:", " writes bytes 0 to 65,536 of the tensor of line",
        "([128, 128] float32, shared_hbm)", "nisa.dma_copy on core 1 (DMA queue of ", "reads them",
        "no core_barrier or sendrecv lies between them",
    ):  # fmt: skip
        assert part in found.message
    assert "core_barrier(data=..., cores=(0, 1)) over the tensor of line" in found.hint
    assert found.related[0].line < found.line
    between = findings(RACES, "barrier_over_another_tensor", 0)[0].message
    assert "the core_barrier at line" in between and "orders accesses to its data, the tensor of line" in between


def check(kernel, *args, **options):
    return [f.label for f in opentrn.check(kernel, only=["races", "deadlock"], **options)(*args)]


@nki.jit
def both_alike(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for start in (0, 128):
        nisa.dma_copy(dst=out[start : start + 128, :], src=nl.load(x[start : start + 128, :]))
    return out


def test_cores_that_store_the_same_values_get_a_warning():
    (found,) = opentrn.check(both_alike[2], only=["races"])(X)
    assert found.label == "races.both" and found.severity == "warning"


@nki.jit
def exchanged(x, equal, turn):
    """Both cores add their halves up and store the sum; `equal` decides whether it is one sum. The tile is used again.

    Without `turn` the cores do not change places in any order that can be tried: the tile is placed by hand.
    """
    core = nl.program_id(0)
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    flag = nl.ndarray((2, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    mine, theirs = (nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf) for _ in range(2))
    total = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf, address=None if turn else (0, 65536))
    nisa.dma_copy(dst=mine, src=x[128 * core : 128 * core + 128, :])
    nisa.dma_copy(dst=flag[core : core + 1, :], src=mine[0:1, :])
    nisa.sendrecv(src=mine, dst=theirs, send_to_rank=1 - core, recv_from_rank=1 - core, pipe_id=0)
    if turn:
        nisa.dma_copy(dst=flag[core : core + 1, :], src=theirs[0:1, :])
    nisa.tensor_tensor(dst=total, data1=mine, data2=theirs, op=nl.add if equal else nl.subtract)
    nisa.dma_copy(dst=out, src=total)
    nisa.memset(dst=total, value=0.0)
    return out, flag


@pytest.mark.parametrize("turn", [True, False])
def test_sums_of_exchanged_parts_are_the_same_values(turn):
    x = np.random.default_rng(3).standard_normal((256, 128)).astype(np.float32)
    assert check(exchanged[2], x, True, turn) == ["races.both"]
    assert check(exchanged[2], x, False, turn) == ["races.cores"]


def test_one_core_has_nothing_to_race_with():
    assert check(both_alike, X) == []


@nki.jit
def through_depends_on(x, edge):
    """Stores before a barrier over something else; `edge` makes the barrier wait for the store."""
    core = nl.program_id(0)
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    other = nl.ndarray((1, 1), dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    own, theirs = slice(128 * core, 128 * core + 128), slice(128 - 128 * core, 256 - 128 * core)
    tile = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    store = nisa.dma_copy(dst=middle[own, :], src=nl.load(x[own, :]))
    barrier = nisa.core_barrier(data=other, cores=(0, 1))
    load = nisa.dma_copy(dst=tile, src=middle[theirs, :])
    if edge:
        barrier.depends_on(store)
        load.depends_on(barrier)
    nisa.dma_copy(dst=out[own, :], src=tile)
    return out


def test_depends_on_carries_an_order_across_a_barrier():
    assert check(through_depends_on[2], X, True) == []
    assert set(check(through_depends_on[2], X, False)) == {"races.cores"}


@nki.jit
def through_no_reorder(x):
    core = nl.program_id(0)
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    other = nl.ndarray((1, 1), dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    own, theirs = slice(128 * core, 128 * core + 128), slice(128 - 128 * core, 256 - 128 * core)
    with nl.no_reorder():
        nisa.dma_copy(dst=middle[own, :], src=nl.load(x[own, :]))
        nisa.core_barrier(data=other, cores=(0, 1))
        nisa.dma_copy(dst=out[own, :], src=nl.load(middle[theirs, :]))
    return out


def test_no_reorder_orders_across_a_barrier():
    assert check(through_no_reorder[2], X) == []


@nki.jit
def reused_tile(x, address):
    """The second tile may lie where the first was; only by hand does that order anything."""
    core = nl.program_id(0)
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    other = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    own, theirs = slice(128 * core, 128 * core + 128), slice(128 - 128 * core, 256 - 128 * core)
    first = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf, address=address)
    nisa.dma_copy(dst=first, src=x[own, :])
    nisa.dma_copy(dst=middle[own, :], src=first, engine=nisa.engine.scalar)
    second = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf, address=address)
    nisa.memset(dst=second, value=1.0)
    nisa.dma_copy(dst=other[own, :], src=second)
    nisa.core_barrier(data=other, cores=(0, 1))
    third = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=third, src=other[theirs, :])
    loaded = nisa.dma_copy(dst=third, src=middle[theirs, :])
    nisa.dma_copy(dst=out[own, :], src=third).depends_on(loaded)
    return out


def test_the_allocator_orders_nothing_and_addresses_by_hand_do():
    assert set(check(reused_tile[2], X, None)) == {"races.cores"}
    assert check(reused_tile[2], X, (0, 0)) == []


@nki.jit
def spins(x, kind):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    register = nisa.register_alloc(0)
    while kind == "read" and register.read() < 1:
        pass
    while kind == "record":
        nisa.dma_copy(dst=out, src=x)
    if kind == "turns":
        nl.fori_loop(0, 2**30, lambda i: None)
    return out


@pytest.mark.parametrize(("kind", "line"), [("read", 3), ("record", 6), ("turns", 8)])
def test_loops_that_do_not_end_are_stopped_at_the_limit(kind, line):
    (found,) = opentrn.check(spins, only=["deadlock"], limit=5_000)(X, kind)
    assert found.label == "deadlock.endless" and "5,000" in found.message
    assert abs(found.line - spins.func.__code__.co_firstlineno - line) <= 1


def test_a_plain_launch_has_no_limit():
    @nki.jit
    def long(x):
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nl.fori_loop(0, 3000, lambda i: None)
        nisa.dma_copy(dst=out, src=x)
        return out

    assert long(np.ones((4, 4), np.float32)).shape == (4, 4)
    assert check(long, X, limit=2000) == ["deadlock.endless"]


def test_affine_range_is_a_range_while_it_is_checked():
    @nki.jit
    def asks(x):
        trips = nl.affine_range(1, 7, 2)
        assert (list(trips), len(trips), trips[1], trips == range(1, 7, 2)) == ([1, 3, 5], 3, 3, True)
        return nl.store(x[0:1, 0:1], nl.load(x[0:1, 0:1])) or x

    assert check(asks, X) == []


def test_a_range_is_no_index_and_is_named_as_it_was_written():  # NkiTensor.__getitem__, SDK 2.32
    @nki.jit
    def misuses(x):
        nl.load(x[nl.affine_range(4), 0:4])
        return x

    (found,) = opentrn.check(misuses, only=["memory.bounds"])(X)
    assert "range(0, 4)" in found.message and found.hint == "a slice takes several elements"


def test_a_race_ends_the_order_only_for_its_own_pair_of_lines():
    found = opentrn.check(RACES.no_barrier[2], only=["races"])(X)
    assert len({(f.line, f.related[0].line) for f in found}) == len(found) == 2


# -------------------------------------------------------------------- against the definition
STEPS = st.lists(
    st.tuples(st.sampled_from(["load", "store", "barrier a", "barrier b", "swap"]), st.integers(0, 3), st.integers(1, 2),
              st.booleans()),
    min_size=1, max_size=9,
)  # fmt: skip


@nki.jit
def played(x, scripts):
    """Plays one script per core, and gives back what its tiles hold."""
    results = nl.ndarray((2, 2, 2, 4), dtype=nl.float32, buffer=nl.shared_hbm)
    core = nl.program_id(0)
    shared = {name: nl.ndarray((8, 4), dtype=nl.float32, buffer=nl.shared_hbm) for name in "ab"}
    tiles = [nl.ndarray((2, 4), dtype=nl.float32, buffer=nl.sbuf) for _ in range(2)]
    for tile in tiles:
        nisa.memset(dst=tile, value=float(core))
    for tensor in shared.values():
        if core == 0:
            nisa.dma_copy(dst=tensor, src=nl.load(x))
        nisa.core_barrier(data=tensor, cores=(0, 1))
    for what, place, rows, second in scripts[core]:
        tensor, tile = shared["ab"[second]], tiles[place % 2]
        if what == "load":
            nisa.dma_copy(dst=tile[0:rows, :], src=tensor[place : place + rows, :])
        elif what == "store":
            nisa.dma_copy(dst=tensor[place : place + rows, :], src=tile[0:rows, :])
        elif what == "swap":
            nisa.sendrecv(src=tiles[0], dst=tiles[1], send_to_rank=1 - core, recv_from_rank=1 - core, pipe_id=0)
        else:
            nisa.core_barrier(data=shared[what[-1]], cores=(0, 1))
        nisa.tensor_scalar(dst=tiles[place % 2], data=tiles[place % 2], op0=nl.add, operand0=1.0)
    for number, tile in enumerate(tiles):
        nisa.dma_copy(dst=results[core, number], src=tile)
    return results


def interleaved(first, second):
    """Two scripts with the same meetings: those of `first` take the places of `second`'s, the rest is cut or filled."""
    meetings = [s for s in first if s[0] not in ("load", "store")]
    rest = [s for s in second if s[0] in ("load", "store")]
    cut = [len(rest) * (k + 1) // (len(meetings) + 1) for k in range(len(meetings))]
    other = []
    for k, meeting in enumerate(meetings):
        other += [*rest[cut[k - 1] if k else 0 : cut[k]], meeting]
    return first, other + rest[cut[-1] if cut else 0 :]


def touches(trace, row):
    """Bytes of shared memories that a row reads and writes, by name."""
    for k in range(*trace.first_operand[row : row + 2]):
        region = trace.region[k]
        tensor = trace.allocations[trace.region_allocation[region]]
        form: Geometry = trace.geometries[trace.region_geometry[region]]
        at = (
            np.indices(form.shape).reshape(len(form.shape), -1).T @ np.array(form.strides) + trace.region_offset[region]
        )
        yield tensor, set(at.tolist()), int(trace.access[k])


def happens_before(order):
    """For each pair of rows of different cores whether a path leads from one to the other, found by search."""
    edges = {}
    for number, core in enumerate(order.cores):
        known = core.known(np.arange(len(core.trace)))
        for row in range(len(core.trace)):
            for slot, last in enumerate(known[row]):
                done = [r for r in range(last + 1) if core.slot[r] == slot]
                edges.setdefault((number, row), set()).update((number, r) for r in done)
    for meeting in order.meetings:  # what the one side knows when it comes, the other knows when it leaves
        one, two = ((n, r) for n, r in enumerate(meeting.rows))
        both = edges[one] | edges[two]
        for n, row in (one, two):
            for later in range(row + 1, len(order.cores[n].trace)):
                if (n, row) in edges[n, later]:
                    edges[n, later] |= both
    return edges


def reaches(edges, before, after, seen):
    if before in edges[after]:
        return True
    return any(reaches(edges, before, node, seen) for node in edges[after] if node not in seen and not seen.add(node))


@settings(max_examples=60, deadline=None)
@given(STEPS, STEPS)
def test_races_are_the_conflicts_without_a_path(first, second):
    evidence = evidence_of(played[2], (np.zeros((8, 4), np.float32), interleaved(first, second)), {}, watch=False)
    assert all(not isinstance(f, KernelError) for f in evidence.failures)
    order = order_of(evidence.traces, load_chip("trn2"))
    edges, wanted = happens_before(order), set()
    for i in range(len(evidence.traces[0])):
        for j in range(len(evidence.traces[1])):
            pairs = [(a, b) for a in touches(evidence.traces[0], i) for b in touches(evidence.traces[1], j)]
            names = [t.shared for t in evidence.traces]
            bad = any(
                names[0].get(a[0].id, 0) == names[1].get(b[0].id, 1) and a[1] & b[1] and (a[2] | b[2]) & 2
                for a, b in pairs
                if "core_barrier" not in (what(evidence.traces[0], i), what(evidence.traces[1], j))
            )
            if bad and not reaches(edges, (0, i), (1, j), set()) and not reaches(edges, (1, j), (0, i), set()):
                wanted.add(frozenset(((0, i), (1, j))))
    found = {frozenset(race.at) for race in races_of(order)}
    assert found <= wanted and bool(found) == bool(wanted)


def what(trace, row):
    return trace.steps[trace.step[row]].instruction.name


# -------------------------------------------------------------------- other orders
EXPLORED = [name for name, label in RACES.EXPECTS.items() if label == "races.cores"]


@pytest.mark.parametrize("name", EXPLORED)
def test_exploration_shows_the_pair_that_changes_the_values(name):
    (launch,) = launches_of(RACES, name, None, None)
    again = [
        opentrn.check(launch.kernel, only=["races"], explore=3)(*launch.inputs.args, **launch.inputs.kwargs)
        for _ in range(2)
    ]
    assert again[0] == again[1]
    (values,) = (f for f in again[0] if f.rule == "values")
    pairs = {frozenset((f.line, f.related[0].line)) for f in again[0] if f.rule == "cores"}
    assert frozenset((values.line, values.related[0].line)) in pairs
    assert "before nisa.dma_copy on core" in values.message and "output 0 differs in" in values.message


@pytest.mark.parametrize("name", [n for n, text in CLEAN.CHECK_INPUTS.items() if "lnc=2" in text])
def test_no_other_order_changes_a_correct_kernel(name):
    (launch,) = launches_of(CLEAN, name, None, None)
    assert opentrn.check(launch.kernel, only=["races"], explore=5)(*launch.inputs.args, **launch.inputs.kwargs) == []


def test_cores_that_store_the_same_values_give_the_same_values_in_every_order():
    assert check(both_alike[2], X, explore=4) == ["races.both"]


def test_exploration_follows_values_that_steer_the_kernel():
    @nki.jit
    def steered(x, count):
        core = nl.program_id(0)
        out = nl.ndarray((2, 128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
        flag = nl.ndarray((1, 1), dtype=nl.int32, buffer=nl.shared_hbm)
        tile, turns = nl.load(x[0:128, :]), nisa.register_alloc(nl.load(count))
        if core == 0:
            nisa.dma_copy(dst=flag, src=nl.load(count))
        nisa.core_barrier(data=out, cores=(0, 1))
        nisa.register_load(turns, flag)
        nl.fori_loop(0, turns, lambda i: nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0) and None)
        nisa.dma_copy(dst=out[core], src=tile)
        return out

    labels = check(steered[2], X, np.full((1, 1), 3, np.int32), explore=4)
    assert labels in ([], ["races.values"])  # the register's own read of HBM is no recorded access


@settings(max_examples=25, deadline=None)
@given(STEPS, STEPS)
def test_values_differ_only_where_there_is_a_race(first, second):
    given = np.arange(32, dtype=np.float32).reshape(8, 4), interleaved(first, second)
    evidence = evidence_of(played[2], given, {}, watch=False)
    order = order_of(evidence.traces, load_chip("trn2"))
    wanted = bool(list(races_of(order)))
    found = list(explored(Search(order, evidence.reschedule), 4))
    assert wanted or not found
    assert all(one.first[0] != one.second[0] and one.decisions for one in found)
