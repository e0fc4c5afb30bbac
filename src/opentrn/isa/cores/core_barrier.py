"""core_barrier: make the cores of a logical NeuronCore wait for each other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.errors import KernelError
from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import tiers_of
from opentrn.isa.spec import ANY, Attribute, Broken, Cost, Use, instruction, of


def _cores(value: Any) -> tuple[int, ...]:
    # public kernels also write [0, 1], (0,) and 0, the latter two as "no partner"
    return (a.integer.parse(value),) if hasattr(value, "__index__") else a.integers.parse(value)


cores_attribute = Attribute(_cores, "tuple of core numbers")


@instruction(
    operands={"data": of(ANY)},
    attributes={"cores": cores_attribute},
    engines=(enums.engine.gpsimd, enums.engine.vector, enums.engine.scalar, enums.engine.tensor, enums.engine.sync),
    page="nki.isa.core_barrier (SDK 2.32)",
    since=3,
)
def core_barrier(data, cores, engine=enums.engine.gpsimd, name=None):
    """Wait until every core in ``cores`` has reached its barrier; what each wrote to ``data`` before is then visible.

    ``cores`` is (0, 1) under LNC2; a single core waits for nobody. Barriers meet in the order in which the cores execute
    them. Raises KernelError when cores 0 and 1 are to meet in a launch of one core.
    """


@core_barrier.rule("c1", "documented", "cores is (0, 1), or the one core itself")
def _(use: Use) -> None:
    if tuple(sorted(use.cores)) not in ((0, 1), (0,), (1,)):
        raise Broken(str(use.cores), "(0, 1)")


@core_barrier.meaning
def _(use: Use) -> None:
    if len(use.cores) == 1:
        return
    if use.core.lockstep.cores == 1:
        raise KernelError(
            "core_barrier between cores 0 and 1 in a launch of one core",
            got="kernel[1]",
            expected="kernel[2] (LNC2)",
            kind="meeting",
        )
    use.core.meet("core_barrier", "0 and 1")


@core_barrier.cost
def _(use: Use) -> Cost:
    alone = len(use.cores) == 1
    name = "semaphore_ns" if alone else "core_barrier_ns"
    meets = None if alone else "core_barrier"
    return Cost(use.engine.name, use.chip.cost[name], tiers=tiers_of(use, name), meets=meets)


core_barrier.differ(
    "All engines of a core wait at the barrier; the chip holds only the engine that executes it.",
    "`data` may be in any memory, and is not compared between the cores (public kernels pass SBUF tiles too).",
)


@core_barrier.shown
def _(m: SimpleNamespace) -> Any:
    def halves(x: Any) -> Any:
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=x)
        m.nisa.core_barrier(data=out, cores=(0,))
        return out

    return halves, (m.np.ones((4, 8), m.np.float32),)
