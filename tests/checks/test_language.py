"""The checks language, versions and compiler: each rule with code that breaks it and code that comes close."""

import ast
import csv
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from tests.checks.language_pairs import HEAD, PAIRS, RUN, file_of
from tests.checks.looking import look

import opentrn
from opentrn import nki
from opentrn.checks.all import CHECKS
from opentrn.checks.api_versions import VERSIONS, needs, note_of, parse, span, versions_of
from opentrn.checks.constructs import _NAMES
from opentrn.checks.evidence import Source
from opentrn.checks.kernels import code_of
from opentrn.checks.page import codes
from opentrn.errors import LaunchError, NkiValidationError
from opentrn.isa.all import REGISTRY
from opentrn.nki import collectives
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl
from opentrn.nki.compat import _tables

ROOT = Path(__file__).parents[2]
NAMES = ("language", "versions", "compiler")


def source_of(text, versions=""):
    return Source("kernel.py", text, ast.parse(text), versions)


def found_in(text, versions=""):
    return look("source", source_of(text, versions))


def labels(text, versions=""):
    return [finding.label for finding in found_in(text, versions)]


@pytest.mark.parametrize("label", PAIRS)
def test_a_rule_finds_what_breaks_it_and_nothing_that_comes_close(label):
    breaks, close = PAIRS[label]
    assert label in labels(file_of(breaks))
    assert label not in labels(file_of(close))


@pytest.mark.parametrize("check", NAMES)
def test_every_declared_rule_has_its_pair(check):
    rules = set(CHECKS[check].rules) - RUN.get(check, set())
    assert rules == {label.partition(".")[2] for label in PAIRS if label.startswith(f"{check}.")}


@pytest.mark.parametrize("check", NAMES)
def test_every_rule_names_its_page_and_every_finding_a_cure(check):
    pages = {rule: each.page for rule, each in CHECKS[check].rules.items() if not each.page and rule != "unsupported"}
    assert pages == {}
    for label, (breaks, _) in PAIRS.items():
        (finding,) = [f for f in found_in(file_of(breaks)) if f.label == label][:1]
        assert finding.hint and finding.line and finding.message[-1] != "."


# ------------------------------------------------------------------ single rules
CONSTRUCTS = {
    ast.Try: "try:\n    y = 1\nexcept ValueError:\n    y = 2",
    ast.Raise: "raise ValueError('no')",
    ast.Lambda: "y = lambda a: a",
    ast.ListComp: "y = [i for i in (1, 2)]",
    ast.DictComp: "y = {str(i): i for i in (1, 2)}",
    ast.GeneratorExp: "y = sum(i for i in (1, 2))",
    ast.Yield: "yield 1",
    ast.YieldFrom: "yield from (1, 2)",
    ast.Await: "async def f():\n    await g()",
    ast.AsyncFunctionDef: "async def f():\n    pass",
    ast.NamedExpr: "y = (z := 1)",
    ast.Match: "match flag:\n    case 1:\n        pass",
    ast.Delete: "y = 1\ndel y",
    ast.Starred: "y = [*(1, 2)]",
    ast.Import: "import math",
    ast.ImportFrom: "from math import gcd",
    ast.ClassDef: "class Local(nl.NKIObject):\n    pass",
}


def test_every_undocumented_construct_is_tried():
    assert CONSTRUCTS.keys() == _NAMES.keys()


@pytest.mark.parametrize("construct", CONSTRUCTS, ids=lambda each: each.__name__)
def test_an_undocumented_construct_is_a_warning(construct):
    found = [f for f in found_in(file_of(CONSTRUCTS[construct])) if f.label == "language.undocumented"]
    assert any(f.message.startswith(_NAMES[construct]) for f in found)
    assert {f.severity for f in found} == {"warning"}


@pytest.mark.parametrize("text", ["def f(*many):\n    pass", "def f(**named):\n    pass", "with open('a'):\n    pass"])
def test_other_undocumented_constructs(text):
    assert "language.undocumented" in labels(file_of(text))


@pytest.mark.parametrize("text", ["y = set()", "y = b'a'", "y = 2j", "y = 4294967296"])
def test_values_that_nki_does_not_have(text):
    assert "language.value" in labels(file_of(text))


@pytest.mark.parametrize(
    "text", ["y = 4294967295", "y = -2147483648", "y = 'a'", "y = 1.5", "y = (1, [2], {'a': None})"]
)
def test_values_that_nki_has(text):
    assert "language.value" not in labels(file_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "r = nisa.register_alloc(0)\nif r:\n    pass",
        "r = nisa.register_alloc(0)\nfor i in range(r):\n    pass",
        "for i in nl.dynamic_range(4):\n    y = 1 if i == 0 else 2",
        "t = nl.zeros((128, 1), nl.float32)\nwhile t > 0:\n    pass",
        "t = nl.load(x)\nu = t.reshape((128, 1))\nassert u[0, 0] == 1",
        "t = nl.load(x)\nif flag and not t:\n    pass",
        "y = x.shape\nif x[0, 0] > 1:\n    pass",
    ],
)
def test_python_cannot_branch_on_values_of_the_device(text):
    assert "language.device_value" in labels(file_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "r = nisa.register_alloc(0)\nwhile r:\n    nisa.register_load(r, x)",
        "t = nl.load(x)\nt = 3\nif t > 2:\n    pass",
        "if flag > 2 and x.shape[0] == 128:\n    pass",
        "tiles = [nl.load(x)]\nif len(tiles) > 0 and tiles:\n    pass",
        "t = nl.load(x)\ny = 1 if t.dtype == nl.float32 else 2",
    ],
)
def test_what_is_known_when_compiling_may_be_branched_on(text):
    assert "language.device_value" not in labels(file_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "n = 0\nfor i in nl.dynamic_range(4):\n    n += 1",
        "n = 0\nr = nisa.register_alloc(3)\nwhile r:\n    n += 1",
        "seen = []\ndef body(i):\n    seen.append(i)\nnl.fori_loop(0, 4, body)",
        "seen = {}\ndef body(r):\n    seen['a'] = 1\n    return r\nnl.while_loop(flag, body)",
    ],
)
def test_loops_on_the_device_carry_no_python_state(text):
    assert "language.loop_state" in labels(file_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "n = 0\nfor i in range(4):\n    n += 1",
        "for i in nl.dynamic_range(4):\n    n = 0\n    n += 1",
        "t = nl.zeros((128, 1), nl.float32)\nfor i in nl.dynamic_range(4):\n    t[...] = nl.load(x)",
        "def body(i):\n    parts = []\n    parts.append(nl.load(x))\nnl.fori_loop(0, 4, body)",
    ],
)
def test_state_of_one_iteration_or_of_the_device_is_fine(text):
    assert "language.loop_state" not in labels(file_of(text))


def test_only_kernel_code_is_judged():
    text = (
        HEAD
        + "def host():\n    return {1, 2}\ndef called(x):\n    return {3}\n@nki.jit\ndef kernel(x):\n    called(x)\n"
    )
    (found,) = [f for f in found_in(text) if f.label == "language.value"]
    assert (found.line, found.function) == (7, "called")


def test_functions_that_call_instructions_are_kernel_code_without_a_decorator():
    text = "from nki import isa\ndef part(x):\n    isa.tensor_copy(x, x)\n    y = {1}\n"
    assert labels(text) == ["language.value"]


def test_a_file_for_neuronxcc_gets_one_finding():
    text = "import neuronxcc.nki as nki\nimport neuronxcc.nki.language as nl\n@nki.jit\ndef k(x):\n    y = [*{1}]\n"
    assert labels(text) == ["versions.namespace"]


# ------------------------------------------------------------------ versions
def test_ranges_of_versions():
    assert parse(">= 0.3, < 0.5") == {"0.3", "0.4"} and parse("0.2.0") == {"0.2"} and parse("") == {VERSIONS[-1]}
    assert span(parse(">= 0.3")) == ">= 0.3" and span({"0.1", "0.3"}) == "0.1 and 0.3" and span(()) == "no version"
    for wrong in ("0.9", "new", ">= 0.5, < 0.5"):
        with pytest.raises(LaunchError):
            parse(wrong)


def test_what_a_kernel_says_counts_before_what_its_file_says():
    call = "    nl.fori_loop(0, 4, x)\n"
    text = f"{HEAD}# needs NKI >= 0.6\n\n\n# needs NKI >= 0.3\n@nki.jit\ndef old(x):\n{call}\n\n@nki.jit\ndef new(x):\n{call}"
    assert [(f.label, f.function or f.line) for f in found_in(text)] == [("versions.newer", 10)]


def test_the_versions_that_a_kernel_needs():
    text = (
        HEAD
        + "def part(x):\n    nl.load(x)\n@nki.jit\ndef k(x):\n    part(x)\n    nisa.tensor_copy_dynamic_src(x, x)\n"
    )
    code = code_of(source_of(text))
    versions, why = needs(code, code.entries[0])
    assert span(versions) == "0.3" and sorted(map(str, why)) == ["nisa.tensor_copy_dynamic_src", "nl.load"]


def test_names_that_a_file_tries_for_are_its_own_business():
    text = (
        HEAD + "try:\n    f = nl.zzzz\nexcept AttributeError:\n    f = None\nif hasattr(nl, 'yyyy'):\n    g = nl.yyyy\n"
    )
    assert labels(text) == []


def test_the_table_has_the_whole_surface_of_today():
    rows = csv.DictReader((ROOT / "tests/nki/surface.csv").open())
    names = [
        f"{row['module']}.{row['symbol']}"
        for row in rows
        if row["kind"] in ("function", "constant", "enum", "re-export")
    ]
    assert len(names) > 200 and [name for name in names if VERSIONS[-1] not in (versions_of(name) or ())] == []


def test_every_old_spelling_that_opentrn_translates_is_known_to_be_old():
    short = {"nisa.": "nki.isa.", "nl.": "nki.language."}
    for (function, keyword), old in _tables().items():
        name = next((long + function.removeprefix(s) for s, long in short.items() if function.startswith(s)), function)
        known = note_of(name, keyword) or versions_of(name, keyword)
        assert known and VERSIONS[-1] not in (versions_of(name, keyword) or ()), (name, keyword, old.until)


def test_a_misspelt_keyword_names_its_neighbour():
    (found,) = found_in(file_of("nisa.activation(dst=x, op=nl.exp, data=x, scael=2.0)"))
    assert (found.label, found.hint) == ("versions.unknown", "did you mean scale?")


# ------------------------------------------------------------------ runs
X = np.ones((128, 64), np.float32)


def checked(kernel, *arguments, **options):
    return [(f.label, f.severity) for f in opentrn.check(kernel, **options)(*arguments) if f.severity != "advice"]


def copy_of(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=x)
    return out


def test_a_kernel_without_faults_has_no_findings():
    assert checked(copy_of, X) == []


def kernel_of_a_set(x):
    chosen = {128}
    return copy_of(x) if x.shape[0] in chosen else x


def test_a_checked_kernel_is_judged_by_its_source_and_no_other_of_its_file():
    (found,) = opentrn.check(kernel_of_a_set)(X)
    assert (found.label, found.file) == ("language.value", __file__)
    assert found.line == kernel_of_a_set.__code__.co_firstlineno + 1 and found.count == 1


def test_a_decorated_kernel_is_judged_by_its_source_too():
    found = {f.label for f in opentrn.check(nki.jit(kernel_of_a_set))(X)}
    assert found == {f.label for f in opentrn.check(decorated_kernel_of_a_set)(X)} == {"language.value"}


@nki.jit
def decorated_kernel_of_a_set(x):
    chosen = {128}
    return copy_of(x) if x.shape[0] in chosen else x


def test_an_older_spelling_of_an_operand_is_found_in_every_launch_at_its_own_line():
    @nki.jit
    def kernel(x):
        number = nl.ndarray((1, 1), dtype=nl.int32, buffer=nl.sbuf)
        nisa.memset(dst=number, value=3.0)
        nisa.memset(dst=number, value=3.0)
        nisa.dma_copy(dst=x[0:1, 0:1], src=number)
        return x

    for _ in range(2):
        found = [f for f in opentrn.check(kernel)(X) if f.label == "versions.older"]
        first = kernel.func.__code__.co_firstlineno
        assert [(f.file, f.line, f.count, f.hint) for f in found] == [
            (__file__, first + line, 1, "write 3") for line in (3, 4)
        ]


def test_what_a_kernel_raises_is_a_finding_at_the_users_innermost_line():
    def helper(x):
        return {}["missing"]

    def kernel(x):
        return helper(x)

    (found,) = [f for f in opentrn.check(kernel)(X) if f.severity == "error"]
    assert (found.label, found.function) == ("language.raised", "helper")
    assert found.line == helper.__code__.co_firstlineno + 1 and found.message == "KeyError: 'missing'"


def kernel_error(x):
    nisa.register_move(nisa.register_alloc(), nisa.register_alloc())
    return copy_of(x)


def dtype_error(x):
    nl.ndarray(x.shape, dtype="float33", buffer=nl.sbuf)
    return copy_of(x)


def call_error(x):
    nisa.dma_copy(dst=x, src=x, nothing=1)
    return copy_of(x)


def validation_error(x):
    raise NkiValidationError("too wide")


@pytest.mark.parametrize("kernel", [kernel_error, dtype_error, call_error, validation_error])
def test_errors_of_the_run_have_their_rules(kernel):
    label = f"language.{kernel.__name__.removesuffix('_error')}"
    assert (label, "error") in checked(kernel, X)


def test_what_opentrn_does_not_model_is_a_warning():
    def kernel(x):
        raise opentrn.errors.UnsupportedError("not modelled")

    assert ("language.unsupported", "warning") in checked(kernel, X)


def test_functions_without_an_instruction_are_found_in_runs():
    def kernel(x):
        return copy_of(nl.mod(nl.load(x), nl.load(x)))

    assert ("compiler.simulation_only", "error") in checked(kernel, X)


def test_older_spellings_are_found_in_runs():
    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_copy(dst=tile, src=tile, dtype=nl.float32)
        return copy_of(tile)

    assert ("versions.older", "warning") in checked(kernel, X)


def test_float8_e4m3fn_is_not_native_before_trn3():
    given = np.ones((128, 64), ml_dtypes.float8_e4m3fn)
    assert ("compiler.float8_target", "warning") in checked(copy_of, given, target="trn2")
    assert checked(copy_of, given, target="trn3") == []


# ------------------------------------------------------------------ AWS's error codes
def product(x):
    tile, sums = nl.load(x), nl.ndarray((64, 64), dtype=nl.float32, buffer=nl.psum)
    nisa.nc_matmul(dst=sums, stationary=tile, moving=tile)
    return copy_of(x)


def quantised(x):
    tile, scales = nl.load(x), nl.ndarray((128, x.shape[1] // 4), dtype=nl.uint8, buffer=nl.sbuf)
    small = nl.ndarray((128, x.shape[1] // 4), dtype=nl.float8_e4m3fn_x4, buffer=nl.sbuf)
    nisa.quantize_mx(dst=small, src=tile, dst_scale=scales)
    return copy_of(x)


def largest(x):
    tile, values = nl.load(x), nl.ndarray((128, 8), dtype=x.dtype, buffer=nl.sbuf)
    nisa.topk(values, nl.ndarray((128, 8), dtype=nl.uint32, buffer=nl.sbuf), tile, 8)
    return copy_of(x)


def reduced(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    collectives.all_reduce(srcs=[x], dsts=[out], replica_group=collectives.ReplicaGroup([[0]]), op=nl.add)
    return out


def complex_tile(x):
    nl.ndarray(x.shape, dtype="complex64", buffer=nl.sbuf)
    return copy_of(x)


def taken(x):
    rows = nl.full((32, 1), 200, dtype=nl.int32, buffer=nl.sbuf)
    tile = nl.ndarray((32, 64), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x.ap([[64, 32], [1, 64]], vector_offset=rows, indirect_dim=0))
    return copy_of(x)


@pytest.mark.parametrize(
    ("code", "kernel", "shape", "dtype"),
    [
        ("EVRF004", complex_tile, (128, 64), "float32"),
        ("EVRF013", largest, (128, 64), "int32"),
        ("EVRF035", product, (128, 64), "int32"),
        ("EVRF041", quantised, (128, 64), "float32"),
        ("EVRF056", taken, (128, 64), "float32"),
        ("EVRF058", quantised, (128, 62), "bfloat16"),
        ("EVRF061", reduced, (128, 64), "int32"),
    ],
)
def test_an_error_code_is_found_by_its_rule(code, kernel, shape, dtype):
    (label,) = [each.caught for each in codes() if each.code == code]
    target = "trn3" if kernel is quantised else "trn2"
    assert label in [found for found, _ in checked(kernel, opentrn.ShapeDtype(shape, dtype), target=target)]


def test_more_cores_than_the_chip_has_are_refused():
    with pytest.raises(LaunchError, match="LNC 1"):
        opentrn.check(nki.jit(copy_of)[2], target="trn1")(X)


def test_floating_point_collectives_are_no_finding():
    assert checked(reduced, X) == []


def test_every_error_code_has_a_rule_that_exists_or_a_reason():
    for each in codes():
        assert bool(each.caught) != bool(each.why) or each.caught == "launch", each
        name, _, label = each.caught.partition(".")
        known = name in CHECKS and (label in CHECKS[name].rules or label.partition(".")[0] in REGISTRY)
        assert not each.caught or each.caught == "launch" or known, each
    assert len({each.code for each in codes()}) == len(codes())
