"""collective_permute: ranks send a tensor to the ranks that a list of pairs names."""

from __future__ import annotations

from opentrn.collectives.ranks import HBM_DSTS, HBM_SRCS, collective, cost_of, exchange, pairs, same_kind
from opentrn.isa.spec import Broken, Cost, Use


@collective({"srcs": HBM_SRCS, "dsts": HBM_DSTS}, {"source_target_pairs": pairs})
def collective_permute(srcs, dsts, source_target_pairs, priority=None, name=None):
    """For each pair (source, target) the source's ``srcs`` goes into the target's ``dsts``; one tensor each."""


@collective_permute.rule("c1", "documented", "one src and one dst of equal size and dtype")
def _(use: Use) -> None:
    same_kind(use, use.srcs, use.dsts)
    if len(use.srcs) != 1 or use.srcs[0].size != use.dsts[0].size:
        raise Broken(
            f"{[s.shape for s in use.srcs]} into {[d.shape for d in use.dsts]}", "one tensor into one of its size"
        )


@collective_permute.meaning
def _(use: Use) -> None:
    ranks = tuple(sorted({rank for pair in use.source_target_pairs for rank in pair}))
    if use.core.rank not in ranks:
        return
    sends = any(source == use.core.rank for source, _ in use.source_target_pairs)
    brought = exchange(use, use.srcs[0].flat().copy() if sends else None, ranks)
    for source, target in use.source_target_pairs:
        if target == use.core.rank:
            use.dsts[0].put(brought[ranks.index(source)])


@collective_permute.cost
def _(use: Use) -> Cost:
    return cost_of(use, use.dsts, use.srcs, len(use.source_target_pairs) + 1, 1)


collective_permute.differ("The dst of a rank that is the target of no pair stays as it was.")
