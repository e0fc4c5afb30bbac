"""The corrected forms of the seeded bugs in races.py: kernels in which nothing is wrong."""

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "barrier": "x=float32[256,128] lnc=2",
    "barrier_for_each": "x=float32[256,128] lnc=2",
    "disjoint_columns": "x=float32[256,128] lnc=2",
    "one_core_stores": "x=float32[256,128] lnc=2",
    "read_before_it_is_reused": "x=float32[256,128] lnc=2",
    "argument_after_a_barrier": "x=float32[256,128] lnc=2",
    "barrier_on_another_engine": "x=float32[256,128] lnc=2",
    "ordered_by_sendrecv": "x=float32[256,128] lnc=2",
    "shift_through_sbuf": "x=float32[128,128]",
    "sum_of_tiles": "x=float32[128,1024]",
    "product_of_tiles": "x=bfloat16[128,1024]",
    "state_in_order": "x=float32[128,1024]",
    "meetings_in_order": "x=float32[256,128] lnc=2",
    "counts_down": "x=float32[128,128] count=int32[1,1]{3:4}",
    "edge_inside_a_loop": "x=float32[128,512]",
    "turns_alike": "x=float32[128,512] lnc=2",
}
EXPECTS: dict[str, str] = {}


def doubled(x, rows):
    """The rows of x, twice as large, in SBUF."""
    tile = nl.load(x[rows, :])
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)
    return tile


def halves(core):
    """The rows of this core, and those of the other."""
    return slice(128 * core, 128 * core + 128), slice(128 - 128 * core, 256 - 128 * core)


@nki.jit
def barrier(x):
    """Each core reads the half that the other has written, after a barrier over it."""
    own, other = halves(nl.program_id(0))
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=middle[own, :], src=doubled(x, own))
    nisa.core_barrier(data=middle, cores=(0, 1))
    nisa.dma_copy(dst=out[own, :], src=nl.load(middle[other, :]))
    return out


@nki.jit
def barrier_for_each(x):
    """Two tensors are exchanged, with a barrier over each."""
    own, other = halves(nl.program_id(0))
    first = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    second = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = doubled(x, own)
    nisa.dma_copy(dst=first[own, :], src=tile)
    nisa.dma_copy(dst=second[own, :], src=tile)
    nisa.core_barrier(data=first, cores=(0, 1))
    nisa.core_barrier(data=second, cores=(0, 1))
    both = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.tensor_tensor(dst=both, data1=nl.load(first[other, :]), data2=nl.load(second[other, :]), op=nl.add)
    nisa.dma_copy(dst=out[own, :], src=both)
    return out


@nki.jit
def disjoint_columns(x):
    """The cores write columns side by side: rows of bytes that alternate, and never meet."""
    core = nl.program_id(0)
    out = nl.ndarray((128, 256), dtype=x.dtype, buffer=nl.shared_hbm)
    own, _ = halves(core)
    nisa.dma_copy(dst=out[:, own], src=doubled(x, own))
    return out


@nki.jit
def one_core_stores(x):
    """Both cores compute the same, and one stores it."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = doubled(x, slice(0, 128))
    if nl.program_id(0) == 0:
        nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def read_before_it_is_reused(x):
    """A second barrier over the shared tensor stands before it is written again."""
    own, other = halves(nl.program_id(0))
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = doubled(x, own)
    nisa.dma_copy(dst=middle[own, :], src=tile)
    nisa.core_barrier(data=middle, cores=(0, 1))
    nisa.dma_copy(dst=out[own, :], src=nl.load(middle[other, :]))
    nisa.core_barrier(data=middle, cores=(0, 1))
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
    nisa.dma_copy(dst=middle[own, :], src=tile)
    return out


@nki.jit
def argument_after_a_barrier(x):
    """An argument is changed in place after both cores have read it."""
    own, other = halves(nl.program_id(0))
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out[own, :], src=nl.load(x[other, :]))
    tile = doubled(x, own)
    nisa.core_barrier(data=x, cores=(0, 1))
    nisa.dma_copy(dst=x[own, :], src=tile)
    return out


@nki.jit
def barrier_on_another_engine(x):
    """The barrier is executed by the Vector Engine; what touches its data waits for it on every engine."""
    own, other = halves(nl.program_id(0))
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=middle[own, :], src=doubled(x, own))
    nisa.core_barrier(data=middle, cores=(0, 1), engine=nisa.engine.vector)
    nisa.dma_copy(dst=out[own, :], src=nl.load(middle[other, :]))
    return out


@nki.jit
def ordered_by_sendrecv(x):
    """What a core sends depends on what it stored, and what it reads waits for what it received."""
    core = nl.program_id(0)
    own, other = halves(core)
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    got = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=middle[own, :], src=doubled(x, own))
    tile = nl.load(middle[own, :])
    swap = nisa.sendrecv(src=tile, dst=got, send_to_rank=1 - core, recv_from_rank=1 - core, pipe_id=0)
    theirs = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=theirs, src=middle[other, :]).depends_on(swap)
    nisa.tensor_tensor(dst=got, data1=got, data2=theirs, op=nl.subtract)
    nisa.dma_copy(dst=out[own, :], src=got)
    return out


@nki.jit
def shift_through_sbuf(x):
    """Rows move down by one through a tile."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    nisa.dma_copy(dst=out[0:1, :], src=tile[0:1, :])
    nisa.dma_copy(dst=out[1:128, :], src=tile[0:127, :])
    return out


@nki.jit
def sum_of_tiles(x):
    """An affine_range that sums: an associative reduction, which may go in any order."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    total = nl.zeros((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    for i in nl.affine_range(8):
        tile = nl.load(x[:, 128 * i : 128 * i + 128])
        nisa.tensor_tensor(dst=total, data1=total, data2=tile, op=nl.add)
    nisa.dma_copy(dst=out, src=total)
    return out


@nki.jit
def product_of_tiles(x):
    """An affine_range whose matmuls sum up in PSUM, inside another with tiles of its own."""
    out = nl.ndarray((128, 256), dtype=nl.float32, buffer=nl.shared_hbm)
    copy = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.sbuf)
    for n in nl.affine_range(2):
        product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
        for i in nl.affine_range(4):
            tile = nl.load(x[:, 512 * n + 128 * i : 512 * n + 128 * i + 128])
            nisa.nc_matmul(dst=product, stationary=tile, moving=tile)
        nisa.tensor_copy(dst=copy, src=product)
        nisa.dma_copy(dst=out[:, 128 * n : 128 * n + 128], src=copy)
    return out


@nki.jit
def state_in_order(x):
    """A recurrence in a plain range."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    state = nl.zeros((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    for i in range(8):
        tile = nl.load(x[:, 128 * i : 128 * i + 128])
        nisa.activation(dst=state, op=nl.tanh, data=state)
        nisa.tensor_tensor(dst=state, data1=state, data2=tile, op=nl.add)
    nisa.dma_copy(dst=out, src=state)
    return out


@nki.jit
def meetings_in_order(x):
    """Both cores come to the sendrecv, then to the barrier."""
    core = nl.program_id(0)
    own, other = halves(core)
    middle = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile, got = doubled(x, own), nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.sbuf)
    nisa.sendrecv(src=tile, dst=got, send_to_rank=1 - core, recv_from_rank=1 - core, pipe_id=0)
    nisa.dma_copy(dst=middle[own, :], src=got)
    nisa.core_barrier(data=middle, cores=(0, 1))
    nisa.dma_copy(dst=out[own, :], src=nl.load(middle[other, :]))
    return out


@nki.jit
def counts_down(x, count):
    """The loop's counter is counted down, and read from where it is counted."""
    out = nl.ndarray((128, 128), dtype=x.dtype, buffer=nl.shared_hbm)
    tile, left = nl.load(x), nl.load(count)
    register = nisa.register_alloc(left)

    def body(condition):
        nisa.activation(dst=tile, op=nl.tanh, data=tile)
        nisa.tensor_scalar(dst=left, data=left, op0=nl.subtract, operand0=1)
        nisa.register_load(condition, left)
        return condition

    nl.while_loop(register, body)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def edge_inside_a_loop(x):
    """Producer and consumer are in one body; another producer stands before the loop."""
    out = nl.ndarray((128, 512), dtype=x.dtype, buffer=nl.shared_hbm)
    tile, other = nl.load(x), nl.ndarray((128, 512), dtype=x.dtype, buffer=nl.sbuf)
    before = nisa.memset(dst=other, value=0.0)

    def body(_):
        first = nisa.activation(dst=tile, op=nl.tanh, data=tile)
        nisa.tensor_scalar(dst=other, data=other, op0=nl.add, operand0=1.0).depends_on(first, before)

    nl.fori_loop(0, 2, body)
    nisa.tensor_tensor(dst=tile, data1=tile, data2=other, op=nl.add)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def turns_alike(x):
    """A device loop makes as many turns on either core."""
    core = nl.program_id(0)
    out = nl.ndarray((256, 512), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)

    def body(_):
        nisa.activation(dst=tile, op=nl.tanh, data=tile)

    nl.fori_loop(0, 4, body)
    nisa.dma_copy(dst=out[128 * core : 128 * core + 128, :], src=tile)
    return out
