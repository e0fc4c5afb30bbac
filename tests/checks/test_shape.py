"""`opentrn.check`: a run's faults and broken rules as findings."""

import numpy as np
import pytest

import opentrn
from opentrn import nki
from opentrn.checks.all import CHECKS
from opentrn.checks.failures import LABELS
from opentrn.errors import LaunchError
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl


@nki.jit
def half_loaded(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile[:, :100], src=x[:, :100])
    nisa.activation(dst=tile, op=nl.exp, data=tile)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def wrong_memory(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=x)
    nisa.nc_matmul(dst=out, stationary=out, moving=out)
    return out


SHAPE = opentrn.ShapeDtype((128, 256), "bfloat16")


def test_a_read_of_unwritten_elements_is_a_finding_with_its_line():
    (found,) = opentrn.check(half_loaded)(SHAPE)
    assert (found.check, found.rule, found.severity, found.provenance) == (
        "memory",
        "uninitialised",
        "error",
        "documented",
    )
    assert found.file == __file__ and found.line == half_loaded.func.__code__.co_firstlineno + 5
    assert "19968 of 32768 elements" in found.message and "memset" in str(found.hint)


def test_a_broken_rule_is_a_finding_that_names_it():
    (found,) = opentrn.check(wrong_memory, target="trn2")(SHAPE)
    assert found.label == "rules.nc_matmul.dst.memory" and found.page == "nki.isa.nc_matmul (SDK 2.32)"


def test_the_callers_arrays_stay_as_they_are():
    given = np.ones((128, 256), np.float32)

    def writes(x):
        tile = nl.load(x)
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
        nisa.dma_copy(dst=x, src=tile)
        return x

    assert opentrn.check(writes)(given) == []
    assert (given == 1).all()


def test_a_check_can_be_left_out_and_its_severity_changed():
    assert opentrn.check(half_loaded, ignore=["memory.uninitialised"])(SHAPE) == []
    (found,) = opentrn.check(half_loaded, severity={"memory": "advice"})(SHAPE)
    assert found.severity == "advice"
    with pytest.raises(LaunchError, match="did you mean memory"):
        opentrn.check(half_loaded, only=["memroy"])


def test_every_error_class_belongs_to_a_declared_rule():
    assert {pair for pair in LABELS.values() if pair[0] in CHECKS and pair[1] not in CHECKS[pair[0]].rules} == set()
