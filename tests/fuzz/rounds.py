"""One round of the fuzzer: a seed, a number of programs."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.fuzz.differential import Counts, check, compare
from tests.fuzz.parts import Program
from tests.fuzz.programs import programs

__all__ = ["fuzz"]


def fuzz(number: int, examples: int, counts: Counts) -> None:
    """Compare `examples` programs of seed `number`; every third is also checked. Raises with the smallest that differs."""

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs())
    def each(program: Program) -> None:
        compare(program, counts)
        if counts.programs % 3 == 0:
            check(program, counts)

    each()
