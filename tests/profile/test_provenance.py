"""The band is as wide as the numbers under it are unsure."""

from dataclasses import replace

import pytest
from tests.profile.small import Row, load_multiply_add, timeline
from tests.timing.synthetic import synthetic_timeline

from opentrn.machine.chip import TIERS
from opentrn.profile.critical import walk
from opentrn.profile.provenance import UNCERTAINTY, band, shares, worst_tier


def test_every_tier_has_an_uncertainty_and_a_reason_and_they_are_in_order():
    assert set(UNCERTAINTY) == {*TIERS, "changed"}
    fractions = [each.fraction for each in UNCERTAINTY.values()]
    assert fractions == sorted(fractions) and all(0 <= f < 1 for f in fractions)
    assert all(len(each.reason) > 20 for each in UNCERTAINTY.values())


@pytest.mark.parametrize(
    ("tiers", "worst"),
    [
        (("documented",), "documented"),
        (("measured", "fitted", "code"), "fitted"),
        (("inferred", "measured"), "inferred"),
        ((), "inferred"),
    ],
)
def test_an_instruction_is_as_sure_as_its_least_sure_number(tiers, worst):
    assert worst_tier(tiers) == worst


def test_an_unknown_tier_is_an_error_and_not_a_default():
    with pytest.raises(KeyError):
        worst_tier(("guessed",))


def test_shares_add_up_and_follow_the_path():
    made = load_multiply_add()
    found = shares(made, walk(made))
    assert sum(found.values()) == pytest.approx(1)
    # documented: both DMAs and the product; measured: the addition after its handover
    assert found["measured"] >= 600 / 5400
    made = synthetic_timeline(500, 2)
    assert sum(shares(made, walk(made)).values()) == pytest.approx(1)


def test_a_path_of_one_tier_gives_that_tiers_band():
    made = timeline([Row("gpsimd", 0, 1000)])
    low, high = band(made, shares(made, walk(made)))
    assert (low, high) == pytest.approx((1 - UNCERTAINTY["inferred"].fraction, 1 + UNCERTAINTY["inferred"].fraction))


def test_a_mixture_is_in_between():
    low, high = band(timeline([], total=100_000), {"measured": 0.5, "fitted": 0.5})
    half = 50 * (UNCERTAINTY["measured"].fraction + UNCERTAINTY["fitted"].fraction)
    assert (100 - low, high - 100) == pytest.approx((half, half))


def test_runs_at_other_phases_of_the_clock_widen_it():
    made = replace(timeline([], total=100_000), phase_totals_ns=(90_000.0, 100_000.0, 120_000.0))
    assert band(made, {"changed": 1.0}) == pytest.approx((90, 120))
