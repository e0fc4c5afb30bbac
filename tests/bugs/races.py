"""Seeded bugs: accesses that nothing orders, cores that never meet, loops without an end."""

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "no_barrier": "x=float32[256,128] lnc=2",
    "barrier_over_another_tensor": "x=float32[256,128] lnc=2",
    "barrier_before_the_store": "x=float32[256,128] lnc=2",
    "halves_that_overlap": "x=float32[256,128] lnc=2",
    "one_offset_for_both": "x=float32[256,128] lnc=2",
    "reused_before_it_was_read": "x=float32[256,128] lnc=2",
    "in_place_argument": "x=float32[256,128] lnc=2",
    "barrier_of_one": "x=float32[256,128] lnc=2",
    "flag_in_memory": "x=float32[128,128] lnc=2",
    "sendrecv_after_the_read": "x=float32[256,128] lnc=2",
    "shift_in_place": "x=float32[256,128]",
    "running_product": "x=float32[128,1024]",
    "previous_tile": "x=float32[128,1024]",
    "barrier_on_one_core": "x=float32[256,128] lnc=2",
    "barrier_against_sendrecv": "x=float32[256,128] lnc=2",
    "pipes_that_differ": "x=float32[256,128] lnc=2",
    "both_send_to_core_0": "x=float32[256,128] lnc=2",
    "one_barrier_too_few": "x=float32[256,128] lnc=2",
    "counter_that_stays": "x=float32[128,128] count=int32[1,1]{3:4}",
    "condition_that_stays": "x=float32[128,128]",
    "edge_out_of_a_loop": "x=float32[128,512]",
    "turns_by_core": "x=float32[128,512] lnc=2",
}
EXPECTS = {
    "no_barrier": "races.cores",
    "barrier_over_another_tensor": "races.cores",
    "barrier_before_the_store": "races.cores",
    "halves_that_overlap": "races.cores",
    "one_offset_for_both": "races.cores",
    "reused_before_it_was_read": "races.cores",
    "in_place_argument": "races.cores",
    "barrier_of_one": "races.cores",
    "flag_in_memory": "races.cores",
    "sendrecv_after_the_read": "races.cores",
    "shift_in_place": "races.overlap",
    "running_product": "races.carried",
    "previous_tile": "races.carried",
    "barrier_on_one_core": "deadlock.meeting",
    "barrier_against_sendrecv": "deadlock.meeting",
    "pipes_that_differ": "deadlock.meeting",
    "both_send_to_core_0": "deadlock.sendrecv",
    "one_barrier_too_few": "deadlock.meeting",
    "counter_that_stays": "deadlock.endless",
    "condition_that_stays": "deadlock.endless",
    "edge_out_of_a_loop": "deadlock.edge",
    "turns_by_core": "deadlock.diverges",
}


def doubled(x, rows):
    """The rows of x, twice as large, in SBUF."""
    tile = nl.load(x[rows, :])
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)
    return tile


def halves(core):
    """The rows of this core, and those of the other."""
    return slice(128 * core, 128 * core + 128), slice(128 - 128 * core, 256 - 128 * core)


@nki.jit
def no_barrier(x):
    """Each core reads the half that the other writes, and nothing says that it is there."""
    own, other = halves(nl.program_id(0))
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=middle[own, :], src=doubled(x, own))
    nisa.dma_copy(dst=out[own, :], src=nl.load(middle[other, :]))
    return out


@nki.jit
def barrier_over_another_tensor(x):
    """The barrier is over out, and what has to be there is middle."""
    own, other = halves(nl.program_id(0))
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=middle[own, :], src=doubled(x, own))
    nisa.core_barrier(data=out, cores=(0, 1))
    nisa.dma_copy(dst=out[own, :], src=nl.load(middle[other, :]))
    return out


@nki.jit
def barrier_before_the_store(x):
    """The barrier comes before the store that it is meant for."""
    own, other = halves(nl.program_id(0))
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = doubled(x, own)
    nisa.core_barrier(data=middle, cores=(0, 1))
    nisa.dma_copy(dst=middle[own, :], src=tile)
    nisa.dma_copy(dst=out[own, :], src=nl.load(middle[other, :]))
    return out


@nki.jit
def halves_that_overlap(x):
    """The halves of the two cores share eight rows, to which each writes something else."""
    core = nl.program_id(0)
    out = nl.ndarray((248, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    own, _ = halves(core)
    nisa.dma_copy(dst=out[120 * core : 120 * core + 128, :], src=doubled(x, own))
    return out


@nki.jit
def one_offset_for_both(x):
    """Each core computes its half and stores it to the rows of core 0."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    own, _ = halves(nl.program_id(0))
    nisa.dma_copy(dst=out, src=doubled(x, own))
    return out


@nki.jit
def reused_before_it_was_read(x):
    """After the exchange a core writes to its half again, which the other may not have read yet."""
    own, other = halves(nl.program_id(0))
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = doubled(x, own)
    nisa.dma_copy(dst=middle[own, :], src=tile)
    nisa.core_barrier(data=middle, cores=(0, 1))
    nisa.dma_copy(dst=out[own, :], src=nl.load(middle[other, :]))
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
    nisa.dma_copy(dst=middle[own, :], src=tile)
    return out


@nki.jit
def in_place_argument(x):
    """One core changes its half of an argument while the other reads all of it."""
    own, other = halves(nl.program_id(0))
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out[own, :], src=nl.load(x[other, :]))
    nisa.dma_copy(dst=x[own, :], src=doubled(x, own))
    return out


@nki.jit
def barrier_of_one(x):
    """cores=(0,) and (1,) name one core each: such a barrier waits for nobody."""
    core = nl.program_id(0)
    own, other = halves(core)
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=middle[own, :], src=doubled(x, own))
    nisa.core_barrier(data=middle, cores=(core,))
    nisa.dma_copy(dst=out[own, :], src=nl.load(middle[other, :]))
    return out


@nki.jit
def flag_in_memory(x):
    """Core 0 stores a result, and core 1 reads it a few instructions later without having waited."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    middle = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = doubled(x, slice(0, 128))
    if nl.program_id(0) == 0:
        nisa.dma_copy(dst=middle, src=tile)
    else:
        for _ in range(4):
            nisa.activation(dst=tile, op=nl.exp, data=tile)
        nisa.dma_copy(dst=out, src=nl.load(middle))
    return out


@nki.jit
def sendrecv_after_the_read(x):
    """The tiles are swapped after the shared tensor was read, and that is too late."""
    core = nl.program_id(0)
    own, other = halves(core)
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile, got = doubled(x, own), nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=middle[own, :], src=tile)
    theirs = nl.load(middle[other, :])
    nisa.sendrecv(src=tile, dst=got, send_to_rank=1 - core, recv_from_rank=1 - core, pipe_id=0)
    nisa.tensor_tensor(dst=got, data1=got, data2=theirs, op=nl.add)
    nisa.dma_copy(dst=out[own, :], src=got)
    return out


@nki.jit
def shift_in_place(x):
    """One DMA moves rows down by one inside their own tensor."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=x)
    nisa.dma_copy(dst=out[1:256, :], src=out[0:255, :])
    return out


@nki.jit
def running_product(x):
    """An affine_range in which each iteration scales and adds to what the one before it left."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    state = nl.zeros((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    for i in nl.affine_range(8):
        tile = nl.load(x[:, 128 * i : 128 * i + 128])
        nisa.activation(dst=state, op=nl.tanh, data=state)
        nisa.tensor_tensor(dst=state, data1=state, data2=tile, op=nl.add)
    nisa.dma_copy(dst=out, src=state)
    return out


@nki.jit
def previous_tile(x):
    """Each iteration of an affine_range reads the column that the one before it stored in HBM."""
    out = nl.ndarray((128, 1024), dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out[:, 0:128], src=x[:, 0:128])
    for i in nl.affine_range(1, 8):
        before = nl.load(out[:, 128 * i - 128 : 128 * i])
        tile = nl.load(x[:, 128 * i : 128 * i + 128])
        nisa.tensor_tensor(dst=tile, data1=tile, data2=before, op=nl.subtract)
        nisa.dma_copy(dst=out[:, 128 * i : 128 * i + 128], src=tile)
    return out


@nki.jit
def barrier_on_one_core(x):
    """Only core 0 comes to the barrier."""
    core = nl.program_id(0)
    own, _ = halves(core)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out[own, :], src=doubled(x, own))
    if core == 0:
        nisa.core_barrier(data=out, cores=(0, 1))
    return out


@nki.jit
def barrier_against_sendrecv(x):
    """Core 0 waits at a barrier while core 1 waits at a sendrecv."""
    core = nl.program_id(0)
    own, _ = halves(core)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile, got = doubled(x, own), nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    if core == 0:
        nisa.core_barrier(data=out, cores=(0, 1))
    nisa.sendrecv(src=tile, dst=got, send_to_rank=1 - core, recv_from_rank=1 - core, pipe_id=0)
    if core == 1:
        nisa.core_barrier(data=out, cores=(0, 1))
    nisa.dma_copy(dst=out[own, :], src=got)
    return out


@nki.jit
def pipes_that_differ(x):
    """The two sides of a sendrecv name different pipes, and wait for each other for ever."""
    core = nl.program_id(0)
    own, _ = halves(core)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile, got = doubled(x, own), nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.sendrecv(src=tile, dst=got, send_to_rank=1 - core, recv_from_rank=1 - core, pipe_id=core)
    nisa.dma_copy(dst=out[own, :], src=got)
    return out


@nki.jit
def both_send_to_core_0(x):
    """Both cores send to core 0, so nothing arrives on core 1."""
    core = nl.program_id(0)
    own, _ = halves(core)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile, got = doubled(x, own), nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.sendrecv(src=tile, dst=got, send_to_rank=0, recv_from_rank=1 - core, pipe_id=0)
    nisa.dma_copy(dst=out[own, :], src=got)
    return out


@nki.jit
def one_barrier_too_few(x):
    """A loop with a barrier in it makes two turns on core 0 and one on core 1."""
    core = nl.program_id(0)
    own, _ = halves(core)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = doubled(x, own)
    for _ in range(2 - core):
        nisa.dma_copy(dst=out[own, :], src=tile)
        nisa.core_barrier(data=out, cores=(0, 1))
    return out


@nki.jit
def counter_that_stays(x, count):
    """The loop's counter is counted down in one tensor and read from another."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    tile, left, spare = nl.load(x), nl.load(count), nl.ndarray((1, 1), dtype=nl.int32, buffer=nl.sbuf)
    register = nisa.register_alloc(left)

    def body(condition):
        nisa.tensor_scalar(dst=spare, data=left, op0=nl.subtract, operand0=1)
        nisa.register_load(condition, left)
        return condition

    nl.while_loop(register, body)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def condition_that_stays(x):
    """A while loop over a register that nothing in it changes."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    register = nisa.register_alloc(1)
    nl.while_loop(register, lambda condition: condition)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def edge_out_of_a_loop(x):
    """An instruction after a device loop depends on one inside it."""
    out = nl.ndarray((128, 512), dtype=x.dtype, buffer=nl.shared_hbm)
    tile, other = nl.load(x), nl.zeros((128, 512), dtype=x.dtype, buffer=nl.sbuf)
    inside = []

    def body(_):
        inside.append(nisa.activation(dst=tile, op=nl.tanh, data=tile))

    nl.fori_loop(0, 2, body)
    nisa.tensor_scalar(dst=other, data=other, op0=nl.add, operand0=1.0).depends_on(inside[-1])
    nisa.tensor_tensor(dst=tile, data1=tile, data2=other, op=nl.add)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def turns_by_core(x):
    """A device loop makes three turns on core 0 and five on core 1."""
    core = nl.program_id(0)
    out = nl.ndarray((256, 512), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)

    def body(_):
        nisa.activation(dst=tile, op=nl.tanh, data=tile)

    nl.fori_loop(0, 3 + 2 * core, body)
    nisa.dma_copy(dst=out[128 * core : 128 * core + 128, :], src=tile)
    return out
