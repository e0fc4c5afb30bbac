"""activate2: rules by label, meaning against Python's math, its reductions in the Scalar Engine's registers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from functions import FUNCTIONS, POSITIVE, apply, rounded, steps_apart
from gathered import columns, through
from harness import call, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.program.recorder import ACTIVE

RNG = np.random.default_rng(7)
X = RNG.uniform(-3, 3, (16, 24)).astype(np.float32)
B = RNG.uniform(0.5, 1, (16, 1)).astype(np.float32)
CASE = {"dst": out((16, 24)), "op": nl.copy, "data": sbuf(X), "imm0": 2.0, "imm1": 0.5, "op0": nl.multiply,
        "op1": nl.add}  # fmt: skip
HERE = CASE | {"target": "trn3"}
CMD = nisa.reduce_cmd
PAIRS = [("multiply", "add"), ("multiply", "subtract"), ("multiply", "bypass"), ("add", "bypass"), ("subtract", "bypass"),
         ("bypass", "bypass")]  # fmt: skip


def stages(op0, op1):
    return {"op0": getattr(nl, op0), "op1": getattr(nl, op1)}


def test_it_exists_from_trn3_on():
    refused("activate2", "target", target="trn2", **CASE)


def test_c1_accepts_other_ranks():
    assert np.array_equal(
        result("activate2", **HERE | {"dst": out((16, 4, 6))}).reshape(16, 24), X * 2 + np.float32(0.5)
    )


def test_c1_refuses_other_sizes():
    refused("activate2", "c1", **HERE | {"dst": out((8, 24))})


def test_c2_accepts_columns():
    call("activate2", **HERE | {"imm0": sbuf(B), "imm1": psum(B), "relu_param": sbuf(B), "op": nl.prelu},
         reduce_op=nl.add, reduce_cmd=CMD.reset_reduce, reduce_res=out((16, 1)))  # fmt: skip


@pytest.mark.parametrize("name", ["imm0", "imm1", "relu_param"])
def test_c2_refuses_rows(name):
    refused("activate2", "c2", **HERE | {name: sbuf(X)})
    refused("activate2", "c2", **HERE, reduce_op=nl.add, reduce_cmd=CMD.reset_reduce, reduce_res=out((16, 2)))


def test_c3_accepts_the_six_combinations():
    for pair in PAIRS:
        call("activate2", **HERE | stages(*pair))


@pytest.mark.parametrize(
    "pair", [("bypass", "add"), ("add", "multiply"), ("multiply", "multiply"), ("maximum", "bypass")]
)
def test_c3_refuses_other_combinations(pair):
    refused("activate2", "c3", **HERE | stages(*pair))


def test_c4_accepts_a_number_beside_a_narrow_column():
    call("activate2", **HERE | {"imm0": sbuf(B, "bfloat16")})
    call("activate2", **HERE | {"imm0": sbuf(B, "bfloat16"), "imm1": sbuf(B, "bfloat16")})


def test_c4_refuses_columns_of_two_dtypes():
    refused("activate2", "c4", **HERE | {"imm0": sbuf(B, "bfloat16"), "imm1": sbuf(B)})


def test_c5_accepts_reversed_stages():
    got = result("activate2", **HERE | stages("multiply", "subtract"), reverse0=True, reverse1=True)
    assert np.array_equal(got, np.float32(0.5) - np.float32(2) * X)


def test_c5_refuses_reversing_what_is_left_out():
    refused("activate2", "c5", **HERE | stages("bypass", "bypass"), reverse0=True)
    refused("activate2", "c5", **HERE | stages("subtract", "bypass"), reverse1=True)


REDUCTIONS = ["add", "maximum", "minimum", "abs_max", "abs_min"]


@pytest.mark.parametrize("name", REDUCTIONS)
def test_c6_accepts_the_five_reductions(name):
    call("activate2", **HERE, reduce_op=getattr(nl, name), reduce_cmd=CMD.reset_reduce)


def test_c6_refuses_others_and_none():
    refused("activate2", "c6", **HERE, reduce_op=nl.multiply)
    refused("activate2", "c6", **HERE, reduce_cmd=CMD.reset_reduce)


def test_c7_accepts_reset():
    got = result("activate2", "reduce_res", **HERE, reduce_op=nl.maximum, reduce_cmd=CMD.reset, reduce_res=out((16, 1)))
    assert np.array_equal(got, np.full((16, 1), -np.inf, np.float32))


def test_c7_refuses_load_reduce():
    refused("activate2", "c7", **HERE, reduce_op=nl.add, reduce_cmd=CMD.load_reduce)


def test_c8_accepts_a_scatter():
    index = np.argsort(RNG.random(24))[:16].reshape(16, 1)
    start = sbuf(np.zeros((16, 24), np.float32)).seen(through(index, address=(0, 0)))
    got = result("activate2", **HERE | {"dst": start, "data": sbuf(X[:, :16])})
    want = np.zeros((16, 24), np.float32)
    want[:, columns(index, 16, 0)] = X[:, :16] * 2 + np.float32(0.5)
    assert np.array_equal(got, want)


def test_c8_refuses_a_scatter_into_psum():
    into = out((16, 24), region=nl.psum).seen(through(np.arange(16).reshape(16, 1)))
    refused("activate2", "c8", **HERE | {"dst": into, "data": sbuf(X[:, :16])})


def stage(name, x, operand, swap):
    """One stage in float64, rounded to float32."""
    a, b = (operand, x) if swap else (x, operand)
    exact = {"multiply": lambda: a * b, "add": lambda: a + b, "subtract": lambda: a - b, "bypass": lambda: x}[name]()
    return np.asarray(exact, np.float64).astype(np.float32).astype(np.float64)


@settings(deadline=None, max_examples=120)
@given(
    st.sampled_from(sorted(FUNCTIONS)), st.sampled_from(PAIRS), st.booleans(), st.booleans(),
    st.sampled_from(["float32", "bfloat16", "uint8"]), st.sampled_from(["float32", "float16", "float8_e4m3fn"]),
    st.sampled_from(KINDS), st.sampled_from([1, 3, 128]), st.sampled_from([1, 2, 7]), st.booleans(),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning(name, pair, swap0, swap1, source, target, kind, partitions, elements, vectors, seed):
    rng, seen = np.random.default_rng(seed), window(kind, partitions, elements)
    data = sbuf(rng.uniform(2 if name in POSITIVE else -3, 3, seen.shape), source)
    imm = rng.uniform(0.2, 0.9, (2, partitions, 1)).astype(np.float32)
    if not vectors:
        imm[:] = imm[:, :1]
    swap0, swap1 = swap0 and pair[0] != "bypass", swap1 and pair[1] != "bypass"
    if name in POSITIVE and "subtract" in pair:
        swap0, swap1 = False, False
    given_imm = [sbuf(v) if vectors else float(v[0, 0]) for v in imm]
    got = result("activate2", target="trn3", dst=out((partitions, elements), target), op=getattr(nl, name),
                 data=data.seen(seen.view), imm0=given_imm[0], imm1=given_imm[1], **stages(*pair), reverse0=swap0,
                 reverse1=swap1)  # fmt: skip
    x = np.asarray(seen.look(data.data)).reshape(partitions, -1).astype(np.float64)
    middle = stage(pair[0], x, imm[0].astype(np.float64), swap0)
    middle = stage(pair[1], middle, imm[1].astype(np.float64), swap1).astype(np.float32)
    if name in POSITIVE and (middle <= 0).any():
        return
    assert steps_apart(got, rounded(apply(name, middle), target)) <= 1


def test_prelu_has_its_slope_here():
    want = np.where(X > 0, X, X * B)
    bypass = stages("bypass", "bypass")
    assert np.array_equal(result("activate2", **HERE | bypass | {"op": nl.prelu}, relu_param=sbuf(B)), want)
    got = result("activate2", **HERE | bypass | {"op": nl.prelu}, relu_param=0.25)
    assert np.array_equal(got, np.where(X > 0, X, X * np.float32(0.25)))
    assert np.array_equal(result("activate2", **HERE | bypass | {"op": nl.prelu}), np.maximum(X, 0))


FOLDS = {"add": math.fsum, "maximum": max, "minimum": min, "abs_max": lambda v: max(v, key=abs),
         "abs_min": lambda v: min(v, key=abs)}  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("shape", [(1, 1), (16, 24), (128, 33)])
def test_reductions_chain_from_their_neutral_element(name, shape):
    x = RNG.permutation(np.arange(1, shape[0] * shape[1] * 2 + 1)).astype(np.float32).reshape(2, *shape)
    x *= RNG.choice([-1, 1], x.shape)
    seen = {}

    def kernel(anchor):
        fill = ACTIVE.recorder.state.fill
        parts = [nl.ndarray(shape, dtype=nl.float32) for _ in x]
        total = nl.ndarray((shape[0], 1), dtype=nl.float32)
        for part, values in zip(parts, x, strict=True):
            fill(part, values)
        stay = {"imm0": 0.0, "imm1": 0.0, **stages("bypass", "bypass"), "reduce_op": getattr(nl, name)}
        nisa.activate2(parts[0], nl.copy, parts[0], **stay, reduce_cmd=CMD.reset_reduce)
        nisa.activate2(parts[1], nl.copy, parts[1], **stay, reduce_cmd=CMD.reduce, reduce_res=total)
        seen["total"] = total.numpy()
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel, target="trn3")(np.zeros((1, 1), np.float32))
    want = [FOLDS[name]([float(v) for v in row]) for row in np.concatenate(x, 1)]
    assert seen["total"][:, 0].tolist() == want


def test_the_public_example():
    """nisa.activate2, Example: gelu(x * 2 + 0.5)."""
    got = result("activate2", **HERE | {"op": nl.gelu})
    assert steps_apart(got, apply("gelu", X * 2 + np.float32(0.5))) <= 1
