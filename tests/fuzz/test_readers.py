"""Whatever stands in a file or a text that opentrn reads: a result or an OpentrnError, and nothing of it is executed."""

import ast
import json
import random
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.checks.looking import look
from tests.profile.small import load_multiply_add

import opentrn
from opentrn.checks.evidence import read_source
from opentrn.checks.look import Choice
from opentrn.errors import OpentrnError
from opentrn.machine.change import changed, parse_changes
from opentrn.machine.chip import load_chip
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl
from opentrn.nki.inputs import fresh, parse_inputs
from opentrn.nki.values import Values
from opentrn.numerics.dtypes import dtype
from opentrn.profile.columns import read_columns, write_columns
from opentrn.profile.compare import compare, side_by_side
from opentrn.profile.files import FORM, load
from opentrn.profile.report import profile_report
from opentrn.profile.sweep import parse_axis

SOURCES = Path(opentrn.__file__).parent
QUIET = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
TEXTS = st.text(max_size=60) | st.text("abx=[](){}.,:;*/+-0123456789'\" \\\n_#e", max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def damaged(text: str, seed: int) -> str:
    """`text` with up to three cuts, repeats, or characters put in."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 3)):
        a, b = sorted(chance.randint(0, len(text)) for _ in range(2))
        text = chance.choice(
            [text[:a] + text[b:], text[:b] + text[a:], text[:a] + chance.choice("=[]{},:'#\0é-9e") + text[a:]]
        )
    return text


# ------------------------------------------------------------------ texts
INPUTS = "x=bfloat16[128,512] idx=int32[128]{0:4096} pair=(float32[4,4],2) scale=2.0 lnc=2 target=trn2"


@QUIET
@given(TEXTS | st.integers(0, 10**6).map(lambda seed: damaged(INPUTS, seed)))
def test_texts_of_inputs(text):
    with suppress(OpentrnError):
        parse_inputs(text)


def test_inputs_are_literals_and_not_evaluated():
    for text in ("x=__import__('os')", "x=print(1)", "x=[y for y in ()]", "x=9**9**9"):
        with pytest.raises(OpentrnError):
            parse_inputs(text)


@QUIET
@given(TEXTS, st.sampled_from(["float32", "int8", "bool", "float8_e4m3", "float8_e4m3fn_x4"]))
def test_kinds_of_values(kind, name):
    with suppress(OpentrnError):
        fresh((opentrn.ShapeDtype((2, 3), name),), Values(kind))


CHANGES = "dma=2x,cost.semaphore_ns=0,clock=1.4,cost.dma.first_byte_ns=-5,hbm=inf"


@QUIET
@given(TEXTS | st.integers(0, 10**6).map(lambda seed: damaged(CHANGES, seed)))
def test_changes_of_a_machine(text):
    with suppress(OpentrnError):
        changed(load_chip("trn2"), parse_changes(text))


@QUIET
@given(st.sampled_from(sorted(load_chip("trn2").quantities())), JSON)
def test_values_of_a_machine(path, value):
    with suppress(OpentrnError):
        changed(load_chip("trn2"), {path: value})


@QUIET
@given(TEXTS)
def test_axes_of_a_sweep_dtypes_and_names_of_checks(text):
    for read in (parse_axis, dtype, lambda name: Choice((name,)), load_chip):
        with suppress(OpentrnError):
            read(text)


# ------------------------------------------------------------------ files
@cache
def report() -> str:
    return json.dumps({"form": FORM, **profile_report(load_multiply_add(), "small").to_dict()})


def paths(value, here=()):
    yield here
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*here, key))


@QUIET
@given(st.data())
def test_saved_profiles_with_other_contents(data):
    made = json.loads(report())
    *outer, last = data.draw(st.sampled_from([p for p in paths(made) if p]))
    inner = made
    for key in outer:
        inner = inner[key]
    if data.draw(st.booleans()):
        inner[last] = data.draw(JSON)
    else:
        del inner[last]
    with suppress(OpentrnError):
        side_by_side(compare(made, json.loads(report())))


@QUIET
@given(st.integers(0, 10**6))
def test_damaged_profiles(tmp_path_factory, seed):
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_text(damaged(report(), seed), encoding="utf-8")
    with suppress(OpentrnError):
        side_by_side(compare(load(path), load(path)))


@QUIET
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_damaged_columns(tmp_path_factory, seed, flips):
    folder = tmp_path_factory.getbasetemp()
    if not (whole := folder / "whole.npz").exists():
        write_columns(whole, load_multiply_add())
    raw, chance = bytearray(whole.read_bytes()), random.Random(seed)
    for _ in range(flips):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    path = folder / "damaged.npz"
    path.write_bytes(bytes(raw[: chance.randint(0, len(raw))]) if seed % 3 == 0 else bytes(raw))
    with suppress(OpentrnError):
        read_columns(path)


@QUIET
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_damaged_arrays(tmp_path_factory, seed, flips):
    path, chance = tmp_path_factory.getbasetemp() / "damaged.npy", random.Random(seed)
    np.save(path, np.ones((2, 3), np.float32))
    raw = bytearray(path.read_bytes())
    for _ in range(flips):
        raw[chance.randrange(len(raw))] = chance.randrange(256)
    path.write_bytes(bytes(raw[: chance.randint(0, len(raw))]) if seed % 3 == 0 else bytes(raw))

    def kernel(x):
        nisa.dma_copy(dst=x, src=nl.shared_constant(str(path))[0:1, 0:1])
        return x

    with suppress(OpentrnError):
        opentrn.run(kernel)(np.zeros((1, 1), np.float32))


KERNEL = """import nki.language as nl
def kernel(x, n=4):
    for i in range(n):  # opentrn: ignore[memory.clobber] because
        y = nl.load(x[i:i + 1, :])  # opentrn: ignore[
    return f"{y}" if n else [z for z in x]
"""


@QUIET
@given(st.integers(0, 10**6))
def test_sources_that_are_checked_without_running(tmp_path_factory, seed):
    path = tmp_path_factory.getbasetemp() / "damaged.py"
    path.write_text(damaged(KERNEL, seed), encoding="utf-8")
    with suppress(OpentrnError):
        look("source", read_source(path))


def test_files_that_are_none(tmp_path):
    for read in (load, read_columns, read_source):
        for path in (tmp_path / "missing", tmp_path):
            with pytest.raises(OpentrnError):
                read(path)


# ------------------------------------------------------------------ nothing is executed
def calls(path: Path) -> list[tuple[int, str, ast.Call]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(n.lineno, ast.unparse(n.func), n) for n in ast.walk(tree) if isinstance(n, ast.Call)]


EXECUTES = {"program/recorder.py", "nki/beta1/state.py", "migrate/facts.py"}
"""The first two compile texts of our own (functions from signatures, a line to jump from); the third runs the user's file."""


def test_no_data_is_unpickled_or_executed():
    for path in SOURCES.rglob("*.py"):
        name = str(path.relative_to(SOURCES))
        assert not re.search(r"^\s*(import|from) (pickle|marshal|shelve|dill|cloudpickle)", path.read_text(), re.M), (
            name
        )
        for line, function, call in calls(path):
            if function in ("eval", "exec") and name not in EXECUTES:
                raise AssertionError(f"{name}:{line} calls {function}")
            if function.endswith(("np.load", "read_array", "torch.load", "yaml.load")) or function == "numpy.load":
                kept = {k.arg: ast.unparse(k.value) for k in call.keywords}
                assert kept.get("allow_pickle") == "False", f"{name}:{line} {function} without allow_pickle=False"
