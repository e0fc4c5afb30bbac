"""The tables of `opentrn.validation`: rows, what is skipped, what the machine learned from where."""

import re

import pytest

from opentrn.errors import OpentrnError
from opentrn.machine.chip import TIERS, load_chip
from opentrn.validation import fit
from opentrn.validation.cases import CASES, case_of
from opentrn.validation.metrics import METRICS
from opentrn.validation.rows import explanations, rows, select, skipped


def test_ids_are_unique():
    ids = [row.id for row in rows()]
    assert len(ids) == len(set(ids)) > 150


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.id)
def test_every_row_is_whole(row):
    assert row.kind in ("instruction", "dma", "kernel")
    assert row.target in ("trn1", "trn2")
    assert row.measured_us > 0
    assert row.metric in METRICS
    assert row.tier in TIERS
    assert row.reliability in "AB"
    assert row.schedule in ("trace", "source", "inferred", "probe")
    assert (row.schedule == "probe") == (row.kind != "kernel")
    assert re.search(r"@[0-9a-f]{7,}:", row.source), "a source is repository@commit:path"
    assert row.case in CASES
    case = case_of(row)
    assert case.launches
    assert bool(case.instruction) == (row.kind != "kernel")


def test_every_row_of_a_case_follows_its_like():
    """`predictions` records a case once for neighbouring rows."""
    keys = [(row.target, row.case, row.arguments) for row in rows() if row.kind == "kernel"]
    assert len(keys) > len(set(keys)), "some kernels are published in two metrics"


def test_skipped_rows_have_reasons():
    assert all(each.ids and each.what and each.reason for each in skipped())
    assert not {row.id for row in rows()} & {each.ids for each in skipped()}


def test_explanations_are_about_rows_and_say_what_settles():
    known = {row.id for row in rows()} | {row.family for row in rows()}
    assert all(each.about in known and each.text and each.settles for each in explanations())


def test_select():
    assert {row.family for row in select("mlp")} == {"mlp"}
    assert {row.target for row in select(target="trn1")} == {"trn1"}
    assert list(select()) == list(rows())
    with pytest.raises(OpentrnError, match="no published row has the family 'atention'") as error:
        select("atention")
    assert "attention" in error.value.hint


# ------------------------------------------------------------------ what was learned from where
def quantities():
    return {(e.chip, e.path) for e in fit.estimates()}


def test_the_first_estimate_is_the_value_of_the_chip():
    for chip, path in quantities():
        first = next(e for e in fit.estimates() if (e.chip, e.path) == (chip, path))
        assert load_chip(chip).quantity(path).value == pytest.approx(first.value, rel=0.02), f"{chip} {path}"


UNREAD = {"semaphore_wait_min_ns", "static_data_ns", "swdge_trigger_ns", "hwdge_sync_first_ns"}
UNREAD |= {"completion_spacing_ns", "dependent_interval_ns", "kernel_fixed_ns"}  # no cost reads these


def test_every_quantity_that_a_validated_publication_taught_is_listed():
    for chip in ("trn1", "trn2"):
        for path, quantity in load_chip(chip).quantities().items():
            taught = any(re.search(text, quantity.source) for text in fit.PUBLICATIONS.values())
            if path.startswith("cost.") and quantity.tier != "documented" and path.rpartition(".")[2] not in UNREAD:
                assert not taught or (chip, path) in quantities(), f"{chip} {path} ({quantity.source})"


def test_a_held_out_machine_knows_nothing_of_the_family():
    chip = load_chip("trn2")
    held_out = fit.held_out(chip, "attention")
    assert held_out is not None
    assert held_out.quantity("cost.semaphore_ns").value == 15  # of the screenshots
    assert held_out.quantity("cost.semaphore_ns").tier == "changed"
    assert held_out.cost.further_wait_ns.vector == 0  # nobody else knows it
    assert held_out.quantity("cost.tensor.fixed_ns") == chip.quantity("cost.tensor.fixed_ns")  # of the tutorial
    assert fit.held_out(chip, "attention") is held_out


def test_nothing_changes_for_a_family_that_taught_nothing():
    assert fit.publications("kmeans") == frozenset()
    assert fit.without("trn2", "kmeans") == {}
    assert fit.held_out(load_chip("trn2"), "kmeans") is None
