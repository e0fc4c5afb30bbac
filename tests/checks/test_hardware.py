"""The hardware check: values that the chip may treat otherwise are found, measured, and left alone where nothing comes of it."""

import re
from pathlib import Path

import numpy as np
import pytest

import opentrn
from opentrn import nki
from opentrn.checks.effects import compare, tolerance
from opentrn.checks.found.hardware import hardware
from opentrn.cli import check
from opentrn.cli.kernels import module_of
from opentrn.isa.latitudes import LATITUDES
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl
from opentrn.nki.inputs import parse_inputs
from opentrn.numerics import latitude
from opentrn.numerics.dtypes import dtype
from opentrn.program import native

SOURCE = Path(opentrn.__file__).parent
BUGS = Path(__file__).parents[1] / "bugs"
numeric, clean_numeric = (module_of(BUGS / f"{name}.py", False) for name in ("numeric", "clean_numeric"))


def found(kernel, *args, **options):
    findings = opentrn.check(kernel, target="trn2", only=["hardware"], **options)(*args)
    return [(f.rule, f.line - kernel.func.__code__.co_firstlineno) for f in findings]


def checked(module, name, **options):
    args, kwargs, how = parse_inputs(module.CHECK_INPUTS[name])
    return opentrn.check(getattr(module, name), target=how.get("target", "trn2"), **options)(*args, **kwargs)


def result(tile):
    out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


# ---------------------------------------------------------------- what an ordinary run notices
@pytest.mark.parametrize("name", numeric.CHECK_INPUTS)
def test_each_seeded_bug_is_the_one_finding(name):
    serious = checked(numeric, name, only=["hardware"])
    assert [f.label for f in serious] == [numeric.EXPECTS[name]]
    assert serious[0].file == numeric.__file__ and serious[0].hint


@pytest.mark.parametrize("name", clean_numeric.CHECK_INPUTS)
def test_the_corrected_form_has_none(name):
    assert checked(clean_numeric, name) == []
    open_ends = {f.rule for f in checked(clean_numeric, name, rerun=True)}
    assert open_ends == ({"nan_extremes"} if name == "fp8_of_special_values" else set())


def test_the_message_gives_the_numbers_and_their_effect():
    (one,) = checked(numeric, "row_offsets")
    assert one.severity == "error" and one.provenance == "documented" and "SDK 2.32" in one.page
    assert re.search(r"integers that reach 39,\d{3},\d{3} pass through float32", one.message)
    assert re.search(r"with exact integers, 96 of 128 elements of the result change, most at \[\d+, 0\]", one.message)
    (one,) = checked(numeric, "sine_of_large_angles")
    assert "inputs of nl.sin are outside [-3.14159, 3.14159]" in one.message and one.severity == "warning"


@nki.jit
def one_of_two_lines(x, small):
    wave = nl.load(x)
    calm = nl.load(small)
    nisa.activation(dst=wave, op=nl.sin, data=wave)
    nisa.activation(dst=calm, op=nl.sin, data=calm)
    return result(wave), result(calm)


def test_only_the_line_that_matters_is_named():
    shapes = (opentrn.ShapeDtype((128, 16), "float32", "-9:9"), opentrn.ShapeDtype((128, 16), "float32", "-3:3"))
    assert found(one_of_two_lines, *shapes) == [("function_range", 4)]
    assert found(one_of_two_lines, *shapes[::-1]) == [("function_range", 5)]
    assert found(one_of_two_lines, shapes[0], shapes[0]) == [("function_range", 4), ("function_range", 5)]


@nki.jit
def in_place(x):
    tile = nl.load(x)
    nisa.activation(dst=tile, op=nl.sin, data=tile)
    nisa.dma_copy(dst=x, src=tile)


def test_what_is_stored_into_an_argument_is_a_result_too():
    given = np.full((128, 4), 9.0, np.float32)
    assert found(in_place, given) == [("function_range", 3)]
    assert (given == 9.0).all()


@nki.jit
def on_two_cores(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    nisa.activation(dst=tile, op=nl.sin, data=tile)
    half = slice(64 * nl.program_id(0), 64 * nl.program_id(0) + 64)
    nisa.dma_copy(dst=out[half], src=tile[half])
    return out


def test_two_cores():
    shape = opentrn.ShapeDtype((128, 16), "float32", "-9:9")
    findings = opentrn.check(on_two_cores[2], target="trn2", only=["hardware"])(shape)
    assert [f.rule for f in findings] == ["function_range"]


# ---------------------------------------------------------------- what only a second run shows
@nki.jit
def small_numbers(x):
    tile = nl.load(x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=1e-30)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=1e30)
    return result(tile)


@nki.jit
def cancelling_sum(x):
    tile = nl.load(x)
    total = nl.ndarray((128, 1), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_reduce(dst=total, op=nl.add, data=tile, axis=1)
    return result(total)


@nki.jit
def cancelling_product(x, y):
    total = nl.ndarray((128, 64), dtype=nl.float32, buffer=nl.psum)
    nisa.nc_matmul(dst=total, stationary=nl.load(x), moving=nl.load(y))
    tile = nl.ndarray((128, 64), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_copy(dst=tile, src=total)
    return result(tile)


@nki.jit
def largest(x):
    tile = nl.load(x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.maximum, operand0=0.0)
    return result(tile)


@nki.jit
def counter_in_bfloat16(x):
    tile = nl.ndarray((128, 16), dtype=nl.bfloat16, buffer=nl.sbuf)
    nisa.memset(dst=tile, value=256.0)
    for _ in range(64):
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=0.5)
    nisa.tensor_tensor(dst=tile, data1=tile, data2=nl.load(x), op=nl.add)
    return result(tile)


@nki.jit
def half_loaded(x):
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile[:, :8], src=x[:, :8])
    nisa.activation(dst=tile, op=nl.exp, data=tile)
    return result(tile)


def normal(*shape, values=""):
    return opentrn.ShapeDtype(shape, "float32", values)


def cancelling(*shape):
    made = np.random.default_rng(0).standard_normal(shape).astype(np.float32) * 1e4
    made[:, 1::2] = -made[:, ::2] + 1e-3
    return made


RERUNS = {
    "denormals": (small_numbers, (normal(128, 8, values="1e-9:2e-9"),), (normal(128, 8),), 3),
    "sum_order": (cancelling_sum, (cancelling(128, 64),), (normal(128, 64),), 4),
    "nan_extremes": (largest, (normal(128, 64, values="special"),), (normal(128, 64),), 3),
    "rounding": (counter_in_bfloat16, (opentrn.ShapeDtype((128, 16), "bfloat16", "zeros"),), None, 5),
    "sentinel": (half_loaded, (normal(128, 16),), None, 4),
}


@pytest.mark.parametrize("name", RERUNS)
def test_a_choice_that_only_a_second_run_shows(name):
    kernel, bad, good, line = RERUNS[name]
    assert (name, line) in found(kernel, *bad, rerun=True)
    assert found(kernel, *bad) == []
    if good is not None:
        assert found(kernel, *good, rerun=True) == []


def test_the_order_of_products():
    x = cancelling(128, 128).T.copy()
    y = np.ones((128, 64), np.float32)
    assert ("sum_order", 3) in found(cancelling_product, x, y, rerun=True)
    assert found(cancelling_product, normal(128, 128), normal(128, 64), rerun=True) == []


@nki.jit
def scales_alone(x):
    tile = nl.load(x)
    data = nl.ndarray((32, 4), dtype=nl.float8_e4m3fn_x4, buffer=nl.sbuf)
    scale = nl.ndarray((4, 4), dtype=nl.uint8, buffer=nl.sbuf)
    nisa.quantize_mx(dst=data, src=tile, dst_scale=scale)
    return result(scale)


def test_scales_that_an_older_release_has_otherwise():
    asked = opentrn.check(scales_alone, target="trn3", only=["hardware"], rerun=True)
    (one,) = asked(opentrn.ShapeDtype((32, 16), "bfloat16"))
    assert (one.rule, one.severity) == ("mx_scale", "advice") and "NKI 0.4" in one.message


# ---------------------------------------------------------------- the declarations
def test_every_choice_is_made_somewhere_and_no_other_is_asked_for():
    asked = set()
    for path in SOURCE.rglob("*.py"):
        asked |= set(re.findall(r'\btaken\("(\w+)"\)', path.read_text()))
    assert asked == set(LATITUDES) == set(hardware.rules) - {"notice", "resumed_sum"}


def fails_with_denormals_flushed():
    with latitude.taking("denormals", np.random.default_rng(0)):
        assert latitude.taken("denormals") and not latitude.ordinary()
        raise KeyError


def test_what_is_taken_ends_with_the_block():
    with pytest.raises(KeyError):
        fails_with_denormals_flushed()
    assert latitude.ordinary()


def test_watching_changes_no_value():
    x = np.random.default_rng(0).uniform(-9, 9, (128, 16)).astype(np.float32)
    plain = one_of_two_lines.report((x, x), {})
    watched = one_of_two_lines.report((x, x), {}, watch=True)
    for one, other in zip(plain.results, watched.results, strict=True):
        assert one.tobytes() == other.tobytes()
    assert plain.sights == [] and [s.count for s in watched.sights] == [1, 1]


@pytest.mark.skipif(not native.available(), reason="wants the compiled core")
def test_a_batch_without_such_instructions_stays_in_the_compiled_core(monkeypatch):
    from opentrn.execute.core import Core

    monkeypatch.setattr(Core, "_execute", lambda *_: pytest.fail("an instruction left the compiled core"))
    cancelling_sum.report((np.ones((128, 64), np.float32),), {}, watch=True)


# ---------------------------------------------------------------- effects
def test_differences_within_the_precision_of_the_result_are_none():
    one = np.linspace(1, 2, 64, dtype=np.float32)
    assert compare([one], [one * np.float32(1 + 1e-6)]) is None
    assert compare([one], [one * np.float32(1 + 1e-4)]).count == 64
    assert tolerance(np.dtype(np.int32)) == 0.0
    whole = np.arange(4, dtype=np.int32)
    assert str(compare([whole], [whole + np.int32([0, 0, 1, 0])])).endswith("most at [2]: 2 becomes 3")


def test_nan_against_a_number_is_the_largest_difference():
    one, other = np.ones(4, np.float32), np.float32([1, np.nan, 1, 2])
    effect = compare([one], [other])
    assert effect.where == (1,) and effect.count == 2
    assert compare([other], [other.copy()]) is None
    assert compare([np.float32([np.inf])], [np.float32([np.inf])]) is None


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_the_effect_is_that_of_all_elements_widened(kind):
    """Signed zeros, infinities and NaN among the elements, against the formula without shortcuts."""
    rng = np.random.default_rng(3)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0])
    for _ in range(50):
        one = rng.standard_normal((6, 5)).astype(dtype(kind).carrier)
        other = one.copy()
        for array in (one, other):
            array.flat[rng.integers(0, 30, 8)] = special[rng.integers(0, 6, 8)]
        left, right = one.astype(np.float64), other.astype(np.float64)
        with np.errstate(all="ignore"):
            size = np.sqrt(np.mean(left[np.isfinite(left)] ** 2))
            apart = np.abs(left - right) / np.maximum(np.abs(left), size)
        apart[(left == right) | (np.isnan(left) & np.isnan(right))] = 0
        apart[np.isnan(apart)] = np.inf
        effect = compare([one], [other])
        assert (effect.count if effect else 0) == (apart > tolerance(one.dtype)).sum()
        assert effect is None or effect.relative == pytest.approx(apart.max())


def test_the_command_runs_again_when_asked(tmp_path, capsys):
    path = tmp_path / "kernels.py"
    path.write_text(
        "import nki, nki.isa as nisa, nki.language as nl\n\n\n"
        "@nki.jit\ndef largest(x):\n    tile = nl.load(x)\n"
        "    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.maximum, operand0=0.0)\n"
        "    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)\n"
        "    nisa.dma_copy(dst=out, src=tile)\n    return out\n"
    )
    asked = [f"{path}::largest", "--inputs", "x=float32[128,64]{special}", "--fail-on", "warning", "--only", "hardware"]
    assert check.main(asked) == 0
    assert check.main([*asked, "--rerun"]) == 1
    assert "nan_extremes" in capsys.readouterr().out
