"""Random programs over every instruction: the native core leaves what the meanings leave, and checks never raise."""

import pytest
from tests.fuzz.differential import Counts
from tests.fuzz.programs import seeds
from tests.fuzz.rounds import fuzz

from opentrn.isa.all import REGISTRY
from opentrn.program import native


@pytest.mark.slow
@pytest.mark.skipif(not native.available(), reason="the compiled core is not in use here")
def test_native_equals_meaning_and_checks_never_raise():
    counts = Counts()
    fuzz(4, 250, counts)
    print(counts)
    assert counts.calls.total() > 200 and counts.native > 50 and counts.refused, counts


def test_every_instruction_has_a_program_to_start_from():
    assert all(seeds(name) for name in REGISTRY)
