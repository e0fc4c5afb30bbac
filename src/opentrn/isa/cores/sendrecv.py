"""sendrecv: swap SBUF tiles between the cores of a logical NeuronCore."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from opentrn.errors import KernelError
from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import tiers_of
from opentrn.isa.rules import same_dtype, same_tile
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, into, of
from opentrn.isa.transfers import dma_cost, pieces


@instruction(
    operands={"src": of(SBUF), "dst": into(SBUF)},
    attributes={
        "send_to_rank": a.integer,
        "recv_from_rank": a.integer,
        "pipe_id": a.integer,
        "dma_engine": a.choice(enums.dma_engine),
    },
    engines=(enums.engine.dma, enums.engine.gpsimd),
    page="nki.isa.sendrecv (SDK 2.32)",
    traits=("per_core",),
    since=3,
)
def sendrecv(src, dst, send_to_rank, recv_from_rank, pipe_id, dma_engine=enums.dma_engine.dma, name=None):
    """Send ``src`` to core ``send_to_rank`` and receive ``dst`` from core ``recv_from_rank``, both in SBUF.

    Blocks until the partner executes its sendrecv of the same ``pipe_id``. Bits are copied; a core that sends to and
    receives from itself copies. ``gpsimd_dma`` limits the bytes per partition. Raises KernelError when the two sides do
    not fit, or there is no other core.
    """


@sendrecv.rule("c1", "documented", "src and dst have one data type")
def _(use: Use) -> None:
    same_dtype(use.src, use.dst)


@sendrecv.rule("c2", "documented", "src and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.src, use.dst)


@sendrecv.rule("c3", "documented", "ranks are 0 or 1")
def _(use: Use) -> None:
    if use.send_to_rank not in (0, 1) or use.recv_from_rank not in (0, 1):
        raise Broken(f"send_to_rank={use.send_to_rank}, recv_from_rank={use.recv_from_rank}", "0 or 1")


@sendrecv.rule("c4", "documented", "gpsimd_dma moves at most 1024, 512 or 256 bytes per partition by element size")
def _(use: Use) -> None:
    if use.dma_engine is not enums.dma_engine.gpsimd_dma:
        return
    limit = use.chip.limits[f"sendrecv_gpsimd_bytes_per_partition_{8 * use.src.dt.itemsize}bit"]
    if use.src.elements * use.src.dt.itemsize > limit:
        raise Broken(f"{use.src.elements * use.src.dt.itemsize} bytes per partition", f"at most {limit}")


@sendrecv.chooses
def _(use: Use) -> enums.engine:
    return enums.engine.gpsimd if use.dma_engine is enums.dma_engine.gpsimd_dma else enums.engine.dma


@sendrecv.meaning
def _(use: Use) -> None:
    me, send, receive = use.core.index, use.send_to_rank, use.recv_from_rank
    if send == receive == me:
        use.dst.take(use.src)
        return
    if use.core.lockstep.cores == 1:
        raise KernelError(
            "sendrecv with a core that is not there",
            kind="meeting",
            expected="the other core of kernel[2] (LNC2)",
            got=f"core {me} sends to {send}, receives from {receive}, in a launch of one core",
        )
    values, written = use.src.moved()
    mine = (send, use.src.dtype, values.copy(), written)
    theirs = use.core.meet("sendrecv", f"pipe {use.pipe_id}", mine)
    to, dtype, values, written = mine if receive == me else theirs
    if to != me or dtype != use.dst.dtype or values.size != use.dst.size:
        raise KernelError(
            "the two sides of a sendrecv do not fit",
            kind="sendrecv",
            hint="send_to_rank, recv_from_rank, shape and dtype of the one side have to answer those of the other",
            got=f"core {receive} sends {values.shape} {dtype} to core {to}",
            expected=f"{use.dst.partitions, use.dst.elements} {use.dst.dtype} for core {me}",
        )
    use.dst.place(values, written)


@sendrecv.cost
def _(use: Use) -> Cost:
    # measured as a whole for a small tile: what a plain transfer would need before its first byte is in there
    base = dma_cost(use, use.dst, (use.src,), pieces(use, use.dst, use.src))
    assert base.transfer is not None
    first = use.chip.cost.sendrecv_ns - base.transfer.complete_ns
    later = first - base.transfer.first_byte_ns
    move = replace(base.transfer, first_byte_ns=first)
    tiers = (*base.tiers, *tiers_of(use, "sendrecv_ns"))
    meets = f"sendrecv {use.pipe_id}"
    return replace(base, latency_ns=base.latency_ns + later, transfer=move, meets=meets, tiers=tiers)


sendrecv.differ(
    "src and dst need equal partitions and elements per partition, not equal shapes (nki-library's transformer_tkg).",
    "A core waits at each sendrecv; the chip lets groups of another pipe_id pass.",
)


@sendrecv.shown
def _(m: SimpleNamespace) -> Any:
    def to_myself(x: Any) -> Any:
        tile, got = m.nl.load(x), m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        me = m.nl.program_id()
        m.nisa.sendrecv(src=tile, dst=got, send_to_rank=me, recv_from_rank=me, pipe_id=0)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=got)
        return out

    return to_myself, (m.np.ones((4, 8), m.np.float32),)
