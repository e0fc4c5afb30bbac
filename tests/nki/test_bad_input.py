"""Bad input to the surface: a clear error of the right type that says where, got and expected; inputs stay as they were."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from tests.nki.kit import inside, tile

import opentrn
from opentrn import nki
from opentrn.errors import (
    DTypeError,
    KernelError,
    LaunchError,
    MachineError,
    MemoryFault,
    OpentrnError,
    RuleError,
    UnsupportedError,
    ViewError,
)
from opentrn.nki import collectives
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl

X = np.arange(32, dtype=np.float32).reshape(4, 8)


def copy_kernel(x: Any) -> Any:
    out = nl.ndarray(x.shape, x.dtype, nl.shared_hbm)
    nl.store(out, nl.load(x))
    return out


def refused(
    kind: type[OpentrnError], kernel: Callable[..., Any], *given: Any, match: str, lnc: Any = 1
) -> OpentrnError:
    """Launching fails with `kind` and text; arrays keep every bit."""
    before = [g.copy() for g in given if isinstance(g, np.ndarray)]
    with pytest.raises(kind, match=match) as caught:
        nki.jit(kernel)[lnc](*given)
    for kept, array in zip(before, (g for g in given if isinstance(g, np.ndarray)), strict=True):
        assert kept.tobytes() == array.tobytes()
    return caught.value


# ------------------------------------------------------------- results
def test_a_kernel_that_returns_nothing() -> None:
    error = refused(LaunchError, lambda x: None, X, match="returned nothing and stored into none of its arguments")
    assert error.hint is not None


def test_a_kernel_that_returns_nothing_but_writes_an_argument() -> None:
    def kernel(x: Any) -> None:
        nl.store(x, nl.multiply(nl.load(x), 2.0))

    given = X.copy()
    assert nki.simulate(kernel)(given) is None
    np.testing.assert_array_equal(given, 2 * X)


@pytest.mark.parametrize("buffer", [nl.sbuf, nl.psum])
def test_a_kernel_that_returns_an_on_chip_tensor(buffer: Any) -> None:
    refused(
        LaunchError, lambda x: nl.zeros((4, 4), nl.float32, buffer), X, match=f"returned a tensor in {buffer.value}"
    )
    refused(LaunchError, lambda x: (copy_kernel(x), tile(X, buffer)), X, match=buffer.value)


@pytest.mark.parametrize("result", [3, "text", X, object()])
def test_a_kernel_that_returns_something_else(result: Any) -> None:
    refused(LaunchError, lambda x: result, X, match="returned no tensor")


# ------------------------------------------------------------- arguments
@pytest.mark.parametrize("given", [np.zeros((0, 4), np.float32), np.zeros((4, 0), np.float32), np.array(3, np.float32)])
def test_empty_and_zero_dimensional_arrays(given: np.ndarray) -> None:
    refused(LaunchError, copy_kernel, given, match="argument array")


@pytest.mark.parametrize("dtype", [object, "U3", "S3", "complex64", "float64", "int64", "datetime64[s]"])
def test_arrays_of_other_dtypes(dtype: Any) -> None:
    with pytest.raises((LaunchError, DTypeError)) as caught:
        nki.simulate(copy_kernel)(np.zeros((4, 4), dtype))
    assert "dtype" in str(caught.value) or "data type" in str(caught.value)


def test_torch_tensors_that_cannot_be_seen() -> None:
    for given in (
        torch.zeros(4, 4).to_sparse(),
        torch.zeros(4, 4, dtype=torch.complex64),
    ):
        with pytest.raises(LaunchError, match="torch argument"):
            nki.simulate(copy_kernel)(given)


def test_wrong_arguments_of_the_kernel() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        nki.simulate(copy_kernel)()


@pytest.mark.parametrize("thing", [5, "kernel", None, X])
def test_not_a_kernel(thing: Any) -> None:
    with pytest.raises(LaunchError, match=r"nki\.jit"):
        nki.simulate(thing) if thing is not None else nki.simulate(NotImplemented)


# ------------------------------------------------------------- launch
@pytest.mark.parametrize("lnc", [3, 0, -1])
def test_an_lnc_that_the_chip_does_not_have(lnc: int) -> None:
    refused(LaunchError, copy_kernel, X, match="LNC", lnc=lnc)


@pytest.mark.parametrize("lnc", [1.5, "2", (1, 2), None, True])
def test_an_lnc_that_is_no_number(lnc: Any) -> None:
    refused(LaunchError, copy_kernel, X, match=r"copy_kernel\[", lnc=lnc)


def test_an_lnc_that_differs_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_LOGICAL_NC_CONFIG", "2")
    refused(LaunchError, copy_kernel, X, match="NEURON_LOGICAL_NC_CONFIG=2")
    np.testing.assert_array_equal(nki.jit(copy_kernel)[2](X), X)


def test_two_cores_on_a_chip_that_has_one_per_lnc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn1")
    refused(LaunchError, copy_kernel, X, match="LNC 2 on trn1", lnc=2)


def test_a_chip_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn9")
    refused(MachineError, copy_kernel, X, match="trn9")


# ------------------------------------------------------------- tensors and indices
@pytest.mark.parametrize("shape", [(-1, 4), (0, 4), (4, 0), (), (4.0, 4), ("4", 4), (4, None)])
def test_shapes_that_are_none(shape: Any) -> None:
    with pytest.raises(ViewError, match="tensor shape") as caught:
        inside(lambda: nl.ndarray(shape, nl.float32))
    assert caught.value.site is not None
    assert caught.value.site.file == __file__


@pytest.mark.parametrize("dtype", ["float64", "int64", "nothing", object, np.complex64, None, 3])
def test_dtypes_that_are_none(dtype: Any) -> None:
    with pytest.raises(DTypeError, match="no NKI data type"):
        inside(lambda: nl.ndarray((4, 4), dtype))


@pytest.mark.parametrize(
    "key",
    [float("nan"), 1.0, "1", (0, 9), (4, 0), (slice(0, 5), 0), (slice(3, 2), 0), (0, 0, 0), (slice(None, None, -1), 0)],
)
def test_indices_that_are_none(key: Any) -> None:
    error = None
    for buffer in (nl.sbuf, nl.private_hbm):
        with pytest.raises(ViewError) as caught:
            inside(lambda buffer=buffer: tile(X, buffer)[key])
        error = caught.value
        assert (error.site and error.site.file) == __file__
        assert error.got
        assert error.expected


def test_empty_tiles_do_not_exist_and_empty_views_of_hbm_are_good_for_nothing() -> None:
    with pytest.raises(ViewError, match="is empty, or outside dimension 0"):
        inside(lambda: tile(X, nl.sbuf)[2:2, 0])
    assert inside(lambda: tile(X, nl.private_hbm)[2:2].shape) == (0, *X.shape[1:])
    with pytest.raises(OpentrnError):
        inside(lambda: nl.load(tile(X, nl.private_hbm)[2:2]))
    with pytest.raises(RuleError, match=r"src\.size|dst\.size"):
        inside(lambda: nisa.dma_copy(dst=tile(X, nl.private_hbm)[2:2], src=tile(X, nl.private_hbm)[2:2]))


def test_a_run_time_index_must_be_an_integer() -> None:
    with pytest.raises(ViewError, match="integer"):
        inside(lambda: tile(X, nl.private_hbm).select(0, tile(np.float32([[float("nan")]]))))
    with pytest.raises(KernelError, match="out of bounds"):
        inside(lambda: nl.load(tile(X, nl.private_hbm).select(0, tile(np.int32([[4]])))).numpy())
    with pytest.raises(KernelError, match="out of bounds"):
        inside(lambda: nl.load(tile(X, nl.private_hbm).select(0, tile(np.int32([[-1]])))).numpy())


def test_too_many_partitions() -> None:
    with pytest.raises(ViewError, match="129 partitions"):
        inside(lambda: nl.ndarray((129, 4), nl.float32))


def test_a_read_of_what_was_never_written() -> None:
    with pytest.raises(MemoryFault, match="never written"):
        inside(lambda: nl.exp(nl.ndarray((4, 4), nl.float32)).numpy())


def test_instructions_outside_a_kernel() -> None:
    escaped = inside(lambda: tile(X))
    for call in (lambda: nisa.memset(escaped, 0.0), lambda: nl.exp(escaped), lambda: nl.load(escaped)):
        with pytest.raises(LaunchError, match="outside a kernel"):
            call()


# ------------------------------------------------------------- failures leave inputs alone
def test_a_failure_before_the_first_store_leaves_inputs_alone() -> None:
    def kernel(x: Any, y: Any) -> Any:
        total = nl.add(nl.load(x), nl.load(y))
        nisa.nc_matmul(dst=total, stationary=total, moving=total)  # into SBUF: refused
        nl.store(x, total)

    for dtype in (np.float32, ml_dtypes.bfloat16):
        refused(RuleError, kernel, X.astype(dtype), X.astype(dtype), match="nc_matmul")
    for given in (torch.arange(32.0).reshape(4, 8), torch.arange(32.0).reshape(4, 8).to(torch.bfloat16)):
        kept = given.clone()
        with pytest.raises(RuleError):
            nki.simulate(kernel)(given, given.clone())
        assert torch.equal(kept, given)


def test_an_exception_of_the_kernel_passes_through() -> None:
    def kernel(x: Any) -> Any:
        raise AssertionError("[NCC_INKI016] Kernel validation exception: too wide")

    for lnc in (1, 2):
        with pytest.raises(AssertionError, match=r"\[NCC_INKI016\] Kernel validation exception: too wide"):
            nki.jit(kernel)[lnc](X)
    np.testing.assert_array_equal(nki.simulate(copy_kernel)(X), X)  # nothing of the failed run is left


def test_read_only_inputs_can_be_read_but_not_written() -> None:
    frozen = X.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(nki.simulate(copy_kernel)(frozen), X)
    with pytest.raises(LaunchError, match="read-only"):
        nki.simulate(lambda x: nl.store(x, nl.multiply(nl.load(x), 2.0)))(frozen)
    np.testing.assert_array_equal(frozen, X)


# ------------------------------------------------------------- what is not modelled
@pytest.mark.parametrize("name", sorted(set(collectives.__all__) - {"NKIObject", "NkiTensor", "ReplicaGroup"}))
def test_collectives_refuse_arguments_of_a_wrong_kind(name: str) -> None:
    function = getattr(collectives, name)
    given = [None] * (len(inspect.signature(function).parameters) if name != "rank_id" else 0)
    with pytest.raises((LaunchError, TypeError)) as caught:
        function(*given)
    assert str(caught.value)


def test_replica_groups() -> None:
    group = collectives.ReplicaGroup([[0, 1], [2, 3]])
    assert group == collectives.ReplicaGroup([[0, 1], [2, 3]])
    assert group != collectives.ReplicaGroup([[0, 2], [1, 3]])
    assert isinstance(group, nl.NKIObject)

    def kernel(x: Any, ranks: Any) -> Any:
        assert ranks is group
        return copy_kernel(x)

    np.testing.assert_array_equal(nki.simulate(kernel)(X, group), X)


def test_every_error_is_one_of_ours() -> None:
    for kind in (
        LaunchError,
        ViewError,
        RuleError,
        KernelError,
        DTypeError,
        MemoryFault,
        UnsupportedError,
        MachineError,
    ):
        assert issubclass(kind, opentrn.errors.OpentrnError)
