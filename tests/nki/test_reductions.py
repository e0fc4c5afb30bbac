"""Reductions, softmax and rms_norm against numpy and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from tests.nki.kit import computed

from opentrn.errors import LaunchError, ViewError
from opentrn.nki import language as nl

RNG = np.random.default_rng(12)
FLAT = RNG.uniform(0.5, 2, (8, 37)).astype(np.float32)
CUBE = RNG.uniform(-2, 2, (8, 3, 5)).astype(np.float32)

NUMPY: dict[str, Callable[..., Any]] = {"sum": np.sum, "max": np.max, "min": np.min, "mean": np.mean, "prod": np.prod}


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize(("x", "axis"), [(FLAT, 1), (FLAT, -1), (FLAT, [1]), (CUBE, 2), (CUBE, (1, 2)), (CUBE, [2, 1])])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name: str, x: np.ndarray, axis: Any, keepdims: bool) -> None:
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else axis
    want = NUMPY[name](x.astype(np.float64), axis=axes, keepdims=keepdims)
    got = computed(lambda t: getattr(nl, name)(t, axis, keepdims=keepdims), x)
    # a tile has at least two dimensions (nki-language-guide.rst, "Tensor Indexing")
    assert got.shape == (want.shape if want.ndim > 1 else (*want.shape, 1))
    np.testing.assert_allclose(got, want.reshape(got.shape), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("x", "axis"), [(FLAT, 1), (CUBE, 2), (CUBE, (1, 2)), (FLAT[:, :1].copy(), 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_variance_always_keeps_its_dimensions(x: np.ndarray, axis: Any, keepdims: bool) -> None:
    got = computed(lambda t: nl.var(t, axis, keepdims=keepdims), x)
    want = x.astype(np.float64).var(axis, keepdims=True)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_all() -> None:
    given = np.float32([[1, 2, -3], [1, 0, 2], [0, 0, 0]])
    np.testing.assert_array_equal(computed(lambda t: nl.all(t, 1), given), [[1], [0], [0]])
    flags = computed(lambda t: nl.all(t, axis=1, dtype=nl.uint8), given)
    assert flags.dtype == np.uint8


def test_sums_are_rounded_once() -> None:
    given = RNG.uniform(0, 1, (4, 1000)).astype(ml_dtypes.bfloat16)
    want = given.astype(np.float64).sum(1, keepdims=True)
    got = computed(lambda t: nl.sum(t, 1), given).astype(np.float64)
    assert np.abs(got / want - 1).max() <= 2.0**-8
    exact = computed(lambda t: nl.sum(t, 1, dtype=nl.float32), given)
    np.testing.assert_allclose(exact, want, rtol=1e-5)


def test_views_reduce_as_they_are_seen() -> None:
    got = computed(lambda t: nl.sum(t.permute((0, 2, 1))[:, 1:4], 2), CUBE)
    np.testing.assert_allclose(got, CUBE.transpose(0, 2, 1)[:, 1:4].sum(2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [0, (0, 1), 2, -2, (), 1.5, None])
def test_other_axes_are_refused(axis: Any) -> None:
    with pytest.raises(ViewError, match="reduction axis"):
        computed(lambda t: nl.sum(t, axis), FLAT)


def test_axes_with_a_gap_are_refused() -> None:
    with pytest.raises(ViewError, match="last free dimension"):
        computed(lambda t: nl.max(t, 1), CUBE)
    with pytest.raises(LaunchError, match="a tile"):
        computed(lambda: nl.sum(3.0, 1))


@pytest.mark.parametrize(("x", "axis"), [(FLAT, 1), (CUBE, 2), (CUBE, -1), (1e4 * CUBE, 2)])
def test_softmax(x: np.ndarray, axis: int) -> None:
    want = torch.softmax(torch.from_numpy(x.astype(np.float64)), axis).numpy()
    np.testing.assert_allclose(computed(lambda t: nl.softmax(t, axis), x), want, rtol=5e-6, atol=1e-12)


def test_softmax_over_two_dimensions() -> None:
    want = torch.softmax(torch.from_numpy(CUBE.astype(np.float64)).reshape(8, 15), 1).reshape(8, 3, 5).numpy()
    np.testing.assert_allclose(computed(lambda t: nl.softmax(t, (1, 2)), CUBE), want, rtol=5e-6)


@pytest.mark.parametrize("target", ["trn1", "trn2", "trn3"])
def test_rms_norm(target: str) -> None:
    weight = RNG.uniform(0.5, 1.5, FLAT.shape).astype(np.float32)
    x = torch.from_numpy(FLAT.astype(np.float64))
    want = (x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-3)).numpy() * weight
    got = computed(lambda t, w: nl.rms_norm(t, w, axis=1, n=37, epsilon=1e-3), FLAT, weight, target=target)
    np.testing.assert_allclose(got, want, rtol=2e-6)


def test_rms_norm_counts_as_told_and_by_group() -> None:
    want = CUBE / np.sqrt((CUBE.astype(np.float64) ** 2).sum(2, keepdims=True) / 10 + 1e-6)
    ones = np.ones_like(CUBE)
    np.testing.assert_allclose(computed(lambda t, w: nl.rms_norm(t, w, 2, 10), CUBE, ones), want, rtol=2e-6)


def test_rms_norm_in_a_narrow_type() -> None:
    ones = np.ones_like(FLAT)
    coarse = computed(lambda t, w: nl.rms_norm(t, w, 1, 37, compute_dtype=nl.bfloat16), FLAT, ones)
    fine = computed(lambda t, w: nl.rms_norm(t, w, 1, 37), FLAT, ones)
    gap = np.abs(coarse / fine - 1).max()
    assert 1e-4 < gap < 2e-2
