"""Attention with grouped queries against torch."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.compare import clean, distance, normal, real

from opentrn.kernels import attention

torch = pytest.importorskip("torch")


def reference(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool = True) -> np.ndarray:
    each = len(q) // len(k)
    q, k, v = real(q), real(k).repeat(each, 0), real(v).repeat(each, 0)
    return real(torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, (q, k, v)), is_causal=causal))


@pytest.mark.parametrize(("heads", "groups", "length", "width"), [(1, 1, 1, 5), (4, 2, 257, 64), (2, 1, 1160, 128)])
def test_values(heads: int, groups: int, length: int, width: int) -> None:
    q, k, v = (
        normal((heads, length, width)),
        normal((groups, length, width), seed=1),
        normal((groups, length, width), seed=2),
    )
    assert distance(attention(q, k, v), reference(q, k, v)) < 1e-2


@pytest.mark.parametrize(("heads", "groups", "sizes"), [(1, 1, (1, 5)), (4, 2, (257, 130)), (2, 1, (1160, 300))])
def test_every_query_sees_every_key(heads: int, groups: int, sizes: tuple[int, int]) -> None:
    q, k, v = (
        normal((heads, sizes[0], 64)),
        normal((groups, sizes[1], 64), seed=1),
        normal((groups, sizes[1], 64), seed=2),
    )
    assert distance(attention(q, k, v, causal=False), reference(q, k, v, False)) < 1e-2


def test_causal_wants_as_many_keys_as_queries() -> None:
    with pytest.raises(AssertionError, match="as many keys as queries"):
        attention(normal((2, 5, 8)), normal((1, 6, 8)), normal((1, 6, 8)))


def test_scores_far_above_what_exp_can_hold() -> None:
    direction = normal((1, 1, 64), "float32") / 8
    q, k = (direction * np.linspace(40, 44, 130)[None, :, None].astype(np.float32) for _ in range(2))
    kind = normal((1,)).dtype
    q, k, v = q.astype(kind), k.astype(kind), normal((1, 130, 64))
    assert (real(q[0]) @ real(k[0]).T).max() / 8 > 150
    assert distance(attention(q, k, v), reference(q, k, v)) < 2e-2


def test_heads_that_do_not_share_evenly_are_refused() -> None:
    with pytest.raises(AssertionError, match="groups"):
        attention(normal((3, 5, 8)), normal((2, 5, 8)), normal((2, 5, 8)))


def test_no_errors_found() -> None:
    clean(attention, normal((2, 257, 64)), normal((1, 257, 64)), normal((1, 257, 64)))
