"""What all collectives share: how they are declared, who takes part, how ranks meet, rules, and the cost of the wires.

Each core of a rank meets the same core of the other ranks: SBUF tensors belong to one core, and a tensor in shared HBM
that both cores fill needs a nisa.core_barrier before (so do AWS's kernels, nki-library transformer_tkg).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from math import ceil, log2
from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.spec import HBM, SBUF, Attribute, Broken, Cost, Instruction, Operand, Use, instruction, into, of
from opentrn.isa.transfers import dma_cost, pieces
from opentrn.numerics.casts import from_f32, to_f32

__all__ = [
    "COLLECTIVES", "DSTS", "HBM_DSTS", "HBM_SRCS", "SRCS", "collective", "cost_of", "exchange", "op", "op_rule", "pairs",
    "permuted", "place", "reduced", "replica_group", "ring_neighbours", "same_kind", "splits",
]  # fmt: skip

COLLECTIVES: dict[str, Instruction] = {}
"""Every collective by its public name, filled by importing `opentrn.collectives.all`."""

SRCS, DSTS = of(HBM | SBUF, many=True), into(HBM | SBUF, many=True)
HBM_SRCS, HBM_DSTS = of(HBM, many=True), into(HBM, many=True)


def _lists(value: Any) -> tuple[tuple[int, ...], ...]:
    try:
        groups = tuple(a.integers.parse(group) for group in getattr(value, "replica_groups", value))
    except TypeError:
        raise Broken(repr(value), "a ReplicaGroup: lists of ranks") from None
    ranks = [rank for group in groups for rank in group]
    if not ranks or len(set(ranks)) != len(ranks):
        raise Broken(str(groups), "lists of ranks without overlap")
    return groups


def _pairs(value: Any) -> tuple[tuple[int, ...], ...]:
    try:
        found = tuple(a.integers.parse(tuple(pair)) for pair in value)
    except TypeError:
        raise Broken(repr(value), "[(source, target), ...]") from None
    for side in (0, 1):
        ends = [pair[side] for pair in found if len(pair) == 2]
        if not ends or len(ends) != len(found) or len(set(ends)) != len(ends):
            raise Broken(
                str(found), "(source, target) pairs in which a rank sends at most once and receives at most once"
            )
    return found


def _channels(value: Any) -> tuple[int, ...]:
    ids = a.integers.parse(value)
    if ids != tuple(range(len(ids))):
        raise Broken(str(ids), "consecutive integers from 0")
    return ids


replica_group = Attribute(_lists, "list of lists of ranks")
pairs = Attribute(_pairs, "list of (source, target) ranks")
channels = Attribute(_channels, "list of channel numbers")
op = a.alu


def collective(
    operands: dict[str, Operand], attributes: dict[str, Attribute]
) -> Callable[[Callable[..., None]], Instruction]:
    """Declare a collective, as `isa.spec.instruction` declares an instruction; `priority` is common to all."""

    def declare(declaration: Callable[..., None]) -> Instruction:
        return instruction(
            operands=operands,
            attributes={**attributes, "priority": a.optional(a.integer)},
            engines=(enums.engine.dma,),
            page=f"nki.collectives.{declaration.__name__} (SDK 2.32)",
            registry=COLLECTIVES,
        )(declaration)

    return declare


# ---------------------------------------------------------------- rules
def same_kind(use: Use, *lists: Sequence[Any]) -> None:
    """Raise Broken unless the lists are equally long, in one kind of memory, of one dtype pairwise; SBUF takes one tensor."""
    tensors = [t for tiles in lists for t in tiles]
    if len({len(tiles) for tiles in lists}) != 1:
        raise Broken(" and ".join(str(len(tiles)) for tiles in lists) + " tensors", "equally many")
    if len({t.buffer.is_hbm for t in tensors}) != 1:
        raise Broken("tensors in HBM and in SBUF", "all in HBM, or all in SBUF")
    if not tensors[0].buffer.is_hbm and len(lists[0]) > 1:
        raise Broken(f"{len(lists[0])} tensors in SBUF", "one; several only in HBM")
    for tiles in zip(*lists, strict=True):
        if len({t.dtype for t in tiles}) != 1:
            raise Broken(" and ".join(t.dtype for t in tiles), "one dtype")


def op_rule(use: Use) -> None:
    """Raise Broken unless the operator is one that the DMA engines reduce with."""
    if use.op.name not in ("add", "minimum", "maximum"):
        raise Broken(f"nl.{use.op.name}", "nl.add, nl.minimum or nl.maximum")


def splits(use: Use, whole: Any, part: Any, dimension: int) -> None:
    """Raise Broken unless `whole` has along `dimension` as many times the elements of `part` as ranks are in a group."""
    for group in use.replica_group:
        if whole.size != part.size * len(group):
            raise Broken(f"{whole.shape} and {part.shape} among {len(group)} ranks", f"sizes {len(group)} : 1")
    if dimension not in ((0,) if whole.buffer.is_hbm else (0, 1)):
        raise Broken(f"collective_dim={dimension}", "0" if whole.buffer.is_hbm else "0 or 1")


# ---------------------------------------------------------------- who takes part
def _refuse(use: Use, ranks: tuple[int, ...]) -> None:
    core = use.core
    missing = [rank for rank in ranks if rank >= core.ranks]
    if missing:
        raise KernelError(
            f"{use.instruction.name} with ranks that are not there",
            got=f"ranks {ranks} in a launch of {core.ranks}",
            expected="every rank of the group in the launch",
            hint="opentrn.nki.simulate_ranks(kernel, lnc, [arguments of rank 0, ...]) launches several ranks",
        )


def members(use: Use) -> tuple[int, ...]:
    """The ranks with which this one works, in the order of the group."""
    return group_of(use.replica_group, use.core.rank, use.instruction.name)


def group_of(groups: Sequence[tuple[int, ...]], rank: int, name: str) -> tuple[int, ...]:
    """The group that contains `rank`. KernelError where none does."""
    found = next((group for group in groups if rank in group), None)
    if found is None:
        raise KernelError(f"rank {rank} executes {name}, and is in none of its groups", got=str(groups))
    return found


def exchange(use: Use, payload: Any, ranks: tuple[int, ...] | None = None) -> list[Any]:
    """Wait for all ranks of the group; gives back what each brought, in the group's order."""
    taking = members(use) if ranks is None else ranks
    _refuse(use, taking)
    brought = use.core.meet_ranks(use.instruction.name, taking, payload)
    return [brought[rank] for rank in taking]


def place(use: Use) -> int:
    """This rank's position in its group."""
    return members(use).index(use.core.rank)


def ring_neighbours(group: tuple[int, ...], rank: int) -> tuple[int, int]:
    """(predecessor, successor) of `rank` in the ring of its group, which runs in the order of the list."""
    at = group.index(rank)
    return group[at - 1], group[(at + 1) % len(group)]


# ---------------------------------------------------------------- values
def reduced(use: Use, tile: Any, terms: Sequence[np.ndarray]) -> np.ndarray:
    """`terms` (carrier dtype of `tile`) reduced in the order of the ranks in float32, rounded once."""
    combine = {"add": np.add, "minimum": np.minimum, "maximum": np.maximum}[use.op.name]
    return from_f32(reduce(combine, [to_f32(t, tile.held) for t in terms]), tile.held)


def permuted(use: Use, payloads: list[np.ndarray]) -> None:
    """Send `payloads` to the next rank of the ring, and store what the one before sent."""
    group = members(use)
    brought = exchange(use, payloads)
    before, _ = ring_neighbours(group, use.core.rank)
    for dst, values in zip(use.dsts_by_channel, brought[group.index(before)], strict=True):
        dst.put(values)


# ---------------------------------------------------------------- cost
def cost_of(use: Use, dsts: Sequence[Any], srcs: Sequence[Any], ranks: int, traffic: float) -> Cost:
    """`traffic` times the bytes of `srcs` moved by the DMA engines, and the hops between chips before the last byte.

    One hop below the size up to which the mesh algorithm is used, log2(ranks) above. The number of a hop is the documented
    lower one; who shares the wires is not known here, so this is a lower bound.
    """
    first = dma_cost(use, dsts[0], tuple(srcs), sum(pieces(use, d, s) for d, s in zip(dsts, srcs, strict=True)))
    plain, table = first.transfer, use.chip.collectives
    assert plain is not None
    nbytes = max(1, round(plain.nbytes * traffic))
    hops = 1 if nbytes < table.mesh_below_bytes else ceil(log2(max(2, ranks)))
    wait = hops * table.hop_min_ns if ranks > 1 else 0.0
    move = replace(plain, nbytes=nbytes, first_byte_ns=plain.first_byte_ns + wait)
    tiers = (*first.tiers, use.chip.quantity("collectives.hop_min_ns").tier, "inferred")
    return replace(first, latency_ns=first.latency_ns + wait + move.work_ns - plain.work_ns, transfer=move, tiers=tiers)
