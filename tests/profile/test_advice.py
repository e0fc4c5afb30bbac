"""Each rule has a program that trips it, and a good program trips none."""

from dataclasses import replace

import pytest
from tests.profile.small import COPY, EXP, MATMUL, Move, Row, timeline

from opentrn.profile.advice import RULES
from opentrn.profile.report import profile_report


def rules(made):
    return {advice.rule: advice for advice in profile_report(made).advice}


def waiting(engine, cause, **facts):
    return timeline([Row(engine, 300, 1000, ready=0, cause=cause, line=7, **facts)])


def busy_tensor(op=MATMUL):
    return timeline([Row("tensor", 0, 1000, op=op)], [])


BIG = {"nbytes": 1 << 20, "descriptors": 128}
NARROW = replace(EXP, operands="dst (1, 512) float32 sbuf, data (1, 512) float32 sbuf")
SHORT = replace(MATMUL, elements=64)
WIDE = replace(MATMUL, operands=MATMUL.operands.replace("bfloat16", "float32"))


def reloading(*, low=0, wait=0.3):
    """Four loads, and products that wait for them."""
    rows, moves = [], []
    for n in range(4):
        rows.append(Row("sync", 1000 * n, 1000 * n + 60, 1000 * n + 990, line=3))
        moves.append(Move(len(rows) - 1, 1000 * n, 1000 * n + 990, low=low * n, nbytes=1 << 18))
        start = 1000 * n + 1000 * wait
        rows.append(Row("tensor", start, 1000 * (n + 1), ready=1000 * n, cause="dma", blocker=len(rows) - 1, line=4))
    return timeline(rows, moves)


def spilling():
    rows = [Row("sync", 0, 60, 1000, line=5), Row("sync", 1000, 1060, 2000, line=6)]
    return timeline(
        rows, [Move(0, 0, 900, direction=1, tensor=1, **BIG), Move(1, 1000, 1900, direction=0, tensor=1, **BIG)]
    )


def in_turns():
    rows, engines = [], ("tensor", "vector", "scalar")
    for n in range(9):
        last = max((r.end for r in rows if r.engine == engines[n % 3]), default=0)
        rows.append(
            Row(engines[n % 3], 115 * n, 115 * n + 100, ready=last, cause="semaphore" if n else "start", blocker=n - 1)
        )
    return timeline(rows)


TRIPS = {
    "dma_triggers": timeline(
        [
            Row("gpsimd", 100 * n, 100 * n + 99, 100 * n + 200, ready=100 * n, cause="engine", blocker=n - 1, line=8)
            for n in range(9)
        ],
        [Move(n, 100 * n, 100 * n + 9, low=n << 18) for n in range(9)],
    ),
    "small_descriptors": timeline(
        [Row("sync", 0, 60, 2000, line=4)], [Move(0, 500, 1900, nbytes=1 << 18, descriptors=1 << 10)]
    ),
    "tensor_waits_for_dma": waiting("tensor", "dma"),
    "reloads": reloading(),
    "spills": spilling(),
    "loads_behind_stores": timeline(
        [
            Row("sync", 0, 60, 400),
            Row("vector", 436, 1000, ready=0, cause="dma", blocker=0, line=2),
            Row("sync", 1000, 1060, 1500, ready=60, cause="semaphore", blocker=1, line=3),
            Row("sync", 1060, 1120, 1600, ready=1060, cause="engine", blocker=2),
            Row("vector", 1636, 2000, ready=1000, cause="dma", blocker=3, line=2),
        ],
        [Move(0, 100, 300), Move(2, 1100, 1400, direction=1, tensor=1), Move(3, 1400, 1500, low=1 << 18)],
    ),
    "throttled": timeline([Row("tensor", 0, 1000)], half=((0, 800),)),
    "table": waiting("scalar", "table"),
    "weights": waiting("tensor", "weights"),
    "bank": waiting("vector", "bank"),
    "port": waiting("gpsimd", "port"),
    "register": waiting("sync", "register"),
    "few_partitions": timeline([Row("scalar", 0, 1000, op=NARROW, line=9)]),
    "short_products": busy_tensor(SHORT),
    "float32_products": busy_tensor(WIDE),
    "engines_take_turns": in_turns(),
    "too_small": timeline([Row("tensor", 400, 500)], total=1000, prologue=400),
}
LINES = {
    "dma_triggers": 8,
    "loads_behind_stores": 3,
    "small_descriptors": 4,
    "tensor_waits_for_dma": 7,
    "reloads": 3,
    "spills": 5,
    "table": 7,
    "bank": 7,
    "few_partitions": 9,
}


@pytest.mark.parametrize("rule", TRIPS)
def test_a_program_that_trips_it(rule):
    advice = rules(TRIPS[rule])[rule]
    assert any(letter.isdigit() for letter in advice.evidence), "evidence is a number"
    assert len(advice.hint) > 20 and advice.us > 0
    if rule in LINES:
        assert advice.place.line == LINES[rule]


def test_every_rule_is_tripped_here():
    tripped = {advice.rule for made in TRIPS.values() for advice in profile_report(made).advice}
    assert tripped == set(TRIPS)
    assert len(RULES) <= len(TRIPS)


@pytest.mark.parametrize(
    "good",
    [
        busy_tensor(),
        reloading(wait=0.01),
        timeline([Row("sync", 0, 60, 2000)], [Move(0, 500, 1900, **BIG)]),
        timeline([Row("scalar", 0, 1000)]),
        timeline([Row("tensor", 10, 1000, ready=0, cause="dma")]),
        timeline([Row("tensor", 0, 1000)], half=((0, 20),)),
        timeline(
            [Row("sync", 0, 60, 1000, op=replace(COPY, operands="dst (1, 8) float32 sbuf"))], [Move(0, 0, 900, **BIG)]
        ),
    ],
)
def test_a_good_program_trips_none(good):
    assert rules(good) == {}


def test_loading_each_byte_once_is_no_reload():
    assert "reloads" in rules(reloading()) and "reloads" not in rules(reloading(low=1 << 18))


def test_the_most_time_comes_first_and_what_changes_results_last():
    for made in TRIPS.values():
        found = [advice.us for advice in profile_report(made).advice if advice.rule != "float32_products"]
        assert found == sorted(found, reverse=True)
    waits = [
        Row("tensor", 200, 1000, ready=0, cause="weights", op=WIDE),
        Row("tensor", 1000, 2000, ready=1000, op=WIDE),
    ]
    assert [advice.rule for advice in profile_report(timeline(waits)).advice] == ["weights", "float32_products"]
