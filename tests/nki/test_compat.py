"""Older spellings run with today's meaning and warn once per line, naming today's spelling."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
from tests.nki.kit import inside, tile

import opentrn
from opentrn import nki
from opentrn.errors import LaunchError
from opentrn.nki import collectives, compat
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl
from opentrn.nki.compat import v0_2, v0_3, v0_4, v0_5

RNG = np.random.default_rng(14)
X = RNG.standard_normal((8, 16)).astype(np.float32)
Y = RNG.standard_normal((8, 16)).astype(np.float32)


def old(body: Any, match: str, **options: Any) -> Any:
    """Run `body` in a kernel; it must warn, at this file."""
    with pytest.warns(DeprecationWarning, match=match) as caught:
        got = inside(body, **options)
    assert [w.filename for w in caught if w.category is DeprecationWarning] == [__file__]
    return got


def new_tile() -> Any:
    return nl.ndarray(X.shape, nl.float32)


def test_dtype_is_left_to_dst() -> None:
    def body() -> np.ndarray:
        out = new_tile()
        nisa.tensor_copy(dst=out, src=tile(X), dtype=nl.bfloat16)
        return out.numpy()

    np.testing.assert_array_equal(old(body, r"nisa\.tensor_copy\(dtype=\.\.\.\).*dtype of dst"), X)


def test_scalar_tensor_tensor_with_dtype() -> None:
    def body() -> np.ndarray:
        out = new_tile()
        nisa.scalar_tensor_tensor(
            dst=out, data=tile(X), op0=nl.add, operand0=1.0, op1=nl.multiply, operand1=tile(Y), dtype="float32"
        )
        return out.numpy()

    np.testing.assert_allclose(old(body, "scalar_tensor_tensor"), (X + 1) * Y, rtol=1e-6)


def test_mask_is_accepted_when_none_and_refused_otherwise() -> None:
    old(lambda: nisa.memset(new_tile(), 0.0, mask=None), "mask")
    with pytest.raises(LaunchError, match="mask= is not part of NKI"), pytest.warns(DeprecationWarning, match="mask"):
        inside(lambda: nisa.memset(new_tile(), 0.0, mask=3))


def test_register_move_imm() -> None:
    def body() -> int:
        register = nisa.register_alloc()
        nisa.register_move(register, imm=7)
        return register.read()

    assert old(body, "write src=") == 7


def test_nc_matmul_of_0_1() -> None:
    def body() -> np.ndarray:
        out = nl.ndarray((16, 16), nl.float32, nl.psum)
        nisa.nc_matmul(out, tile(X), tile(Y), is_moving_zero=False, psumAccumulateFlag=3)
        return out.numpy()

    with pytest.warns(DeprecationWarning, match="nc_matmul") as caught:
        got = inside(body)
    assert {str(w.message).split("(")[1].split("=")[0] for w in caught} == {"is_moving_zero", "psumAccumulateFlag"}
    np.testing.assert_allclose(got, X.T @ Y, rtol=1e-5, atol=1e-5)


def test_affine_select_with_offset_third() -> None:
    def select(*args: Any, **more: Any) -> np.ndarray:
        out = new_tile()
        nisa.affine_select(out, [[-1, 16]], *args, **more)
        return out.numpy()

    want = np.where(3 + 2 * np.arange(8)[:, None] - np.arange(16) > 0, X, np.float32(-5))
    today = inside(lambda: select(2, tile(X), -5.0, nl.greater, 3))
    np.testing.assert_array_equal(today, want)
    np.testing.assert_array_equal(old(lambda: select(3, 2, tile(X), -5.0, nl.greater), "write offset="), want)
    by_name: dict[str, Any] = {"on_false_value": -5.0, "cmp_op": nl.greater}
    np.testing.assert_array_equal(old(lambda: select(3, 2, tile(X), **by_name), "write offset="), want)
    np.testing.assert_array_equal(old(lambda: select(3, 2, on_true_tile=tile(X), **by_name), "write offset="), want)


def test_dma_compute_with_scales_third() -> None:
    def add(*args: Any) -> np.ndarray:
        out = new_tile()
        nisa.dma_compute(out, [tile(X), tile(Y)], *args)
        return out.numpy()

    np.testing.assert_array_equal(inside(lambda: add(nl.add)), X + Y)
    np.testing.assert_array_equal(old(lambda: add([1.0, 1.0], nl.add), "scales follows reduce_op"), X + Y)
    np.testing.assert_array_equal(old(lambda: add([1.0, 1.0], nl.add, "sum"), "scales follows reduce_op"), X + Y)


@pytest.mark.parametrize("op", [nl.add, None])
def test_dma_copy_that_accumulates(op: Any) -> None:
    def body() -> np.ndarray:
        out = tile(Y)
        nisa.dma_copy(dst=out, src=tile(X), dst_rmw_op=op)
        return out.numpy()

    np.testing.assert_array_equal(old(body, "dma_compute"), X + Y if op else X)


def test_dma_copy_unique_indices_is_dropped() -> None:
    def body() -> np.ndarray:
        out = new_tile()
        nisa.dma_copy(dst=out, src=tile(X), unique_indices=True)
        return out.numpy()

    np.testing.assert_array_equal(old(body, r"belongs to nisa\.dma_compute"), X)


def test_sendrecv_by_gpsimd() -> None:
    def kernel(x: Any) -> Any:
        mine, theirs = nl.full((8, 16), float(nl.program_id()), nl.float32), new_tile()
        nisa.sendrecv(mine, theirs, 1 - nl.program_id(), 1 - nl.program_id(), 0, use_gpsimd_dma=True)
        out = nl.ndarray((2, 8, 16), nl.float32, nl.shared_hbm)
        nl.store(out[nl.program_id()], theirs)
        return out

    with pytest.warns(DeprecationWarning, match=r"dma_engine\.gpsimd_dma"):
        got = nki.jit(kernel)[2](X)
    np.testing.assert_array_equal(got[:, 0, 0], [1, 0])


def test_dynamic_copies_are_tensor_copy() -> None:
    def body() -> np.ndarray:
        out = nl.ndarray((8, 4), nl.float32)
        nisa.tensor_copy_dynamic_src(dst=out, src=tile(X)[:, nl.ds(nisa.register_alloc(5), 4)])
        return out.numpy()

    np.testing.assert_array_equal(old(body, r"removed in NKI 0\.4\.0"), X[:, 5:9])


@pytest.mark.parametrize("name", ["affine_range", "sequential_range", "static_range"])
def test_options_of_unrolled_loops_are_ignored(name: str) -> None:
    assert list(old(lambda: getattr(nl, name)(1, 6, 2, precise_schedule=True), "leave it out")) == [1, 3, 5]


def test_shared_constant_dtype() -> None:
    np.testing.assert_array_equal(
        old(lambda: nl.shared_constant(X, dtype=nl.float32).numpy(), "array of that dtype"), X
    )


def test_collectives_num_channels() -> None:
    name = "collective_permute_implicit_current_processing_rank_id"
    with (
        pytest.raises(opentrn.errors.LaunchError, match="outside a kernel"),
        pytest.warns(DeprecationWarning, match="channel_ids"),
    ):
        getattr(collectives, name)(0, None, num_channels=1)


def test_jit_options() -> None:
    with pytest.warns(DeprecationWarning, match=r"mode=\.\.\.") as caught:
        made = nki.jit(mode="trace", debug_kernel=True, show_compiler_tb=False, experimental_flags="")(lambda x: x)
    assert caught[0].filename == __file__
    assert made.lnc == 1
    with pytest.warns(DeprecationWarning, match="NEURON_PLATFORM_TARGET_OVERRIDE"):
        made = nki.jit(lambda x: x, platform_target="trn1")
    assert made.target == "trn1"


def test_constants_of_older_versions_are_the_same_objects() -> None:
    from opentrn.nki.isa import constants

    for name in ("oob_mode", "dge_mode", "engine", "matmul_perf_mode", "reduce_cmd", "nc_version", "dma_engine"):
        assert getattr(constants, name) is getattr(nisa, name)
    assert (nisa.vector_engine, nisa.tensor_engine) == (nisa.engine.vector, nisa.engine.tensor)
    assert nl.bool == nl.bool_ == "bool"
    assert nl.range is range


def test_sizes_of_older_versions() -> None:
    for name, size in (("psum_fmax", 512), ("pmax", 128)):
        assert old(lambda name=name: getattr(nl, name), r"nl\.tile_size\.") == size
    assert not hasattr(nl, "no_such_name")


def test_par_dim_is_the_number_itself() -> None:
    assert old(lambda: nl.par_dim(128), "leave it out") == 128


@pytest.mark.parametrize("name", sorted(v0_2.GONE))
def test_names_that_are_gone_say_what_to_write(name: str) -> None:
    assert not hasattr(nl, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}' since NKI 0.2: "):
        getattr(nl, name)


@pytest.mark.parametrize(("written", "today"), [(3, "none"), ("hwdge", "hwdge")])
def test_members_of_enumerations_as_numbers_and_strings(written: Any, today: str) -> None:
    def body() -> np.ndarray:
        out = new_tile()
        nisa.dma_copy(dst=out, src=tile(X), dge_mode=written)
        return out.numpy()

    with pytest.warns(DeprecationWarning, match=f"dge_mode.{today}"):
        np.testing.assert_array_equal(inside(body, "trn2"), X)


def test_a_line_warns_once_by_default() -> None:
    def body() -> None:
        for _ in range(5):
            nisa.memset(new_tile(), 0.0, mask=None)
        nisa.memset(new_tile(), 0.0, mask=None)

    globals().pop("__warningregistry__", None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("default")
        inside(body)
    assert len([w for w in caught if "mask" in str(w.message)]) == 2


def test_keywords_that_no_version_had() -> None:
    with pytest.raises(LaunchError) as caught:
        inside(lambda: nisa.tensor_tensor(dst=new_tile(), data1=tile(X), data2=tile(X), op=nl.add, data3=1))
    text = str(caught.value)
    assert "no parameter 'data3'" in text
    assert "did you mean data" in text
    assert __file__ in text
    with pytest.raises(LaunchError, match="no parameter 'stop_at'"):
        nl.affine_range(3, stop_at=4)


def test_todays_signatures_show_nothing_old() -> None:
    assert list(inspect.signature(nisa.register_move).parameters) == ["dst", "src"]
    assert list(inspect.signature(nl.shared_constant).parameters) == ["constant"]
    assert "_older" not in inspect.signature(nisa.affine_select).parameters


def test_todays_spelling_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside(lambda: nisa.memset(new_tile(), 0.0, engine=nisa.engine.vector))
        inside(lambda: nl.full((4, 4), 1.0, nl.float32, nl.psum))


def test_tables_name_real_functions() -> None:
    """Each entry speaks of a function that exists, and of a keyword that it does not have today."""
    homes = {"nisa": nisa, "nl": nl, "nki": nki}
    for table in (v0_2, v0_3, v0_4, v0_5):
        for entry in table.TABLE:
            home, _, rest = entry.function.partition(".")
            if rest == "*":
                continue
            found: Any = homes[home]
            for part in rest.split("."):
                found = getattr(found, part)
            parameters = inspect.signature(found).parameters
            assert entry.keyword not in parameters
            assert entry.new is None or entry.new in parameters
    assert set(v0_2.POSITIONAL) <= set(compat.v0_2.POSITIONAL) & set(vars(nisa))


@nki.jit
def doubled(given: Any) -> Any:
    part = sbuf.view(dtype=given.dtype, shape=given.shape)  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
    nisa.dma_copy(dst=part, src=given)
    twice = sbuf.view("float32", given.shape)  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
    nisa.tensor_tensor(dst=twice, data1=part, data2=part, op=nl.add)
    out = hbm.view(given.dtype, given.shape)  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable]
    nisa.dma_copy(dst=out, src=twice)
    return out


@pytest.mark.parametrize("cores", [1, 2])
def test_sbuf_and_hbm_were_part_of_the_language(cores: int) -> None:  # quickstart-implement-run-kernel.rst, SDK 2.28
    with pytest.warns(DeprecationWarning, match=r"before 0\.3\.0: write nl\.ndarray") as caught:
        result = doubled[cores](X)
    assert {w.filename for w in caught} == {__file__}
    np.testing.assert_array_equal(result, 2 * X)
    with pytest.raises(NameError):
        doubled.func(X)  # outside of a launch there is no such name
