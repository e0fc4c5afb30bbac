"""Embedding rows and their gradient against numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernels.compare import clean, distance, normal, real

from opentrn.kernels import embedding, embedding_backward


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 300), st.sampled_from([1, 5, 130, 700]), st.sampled_from([1, 7, 300]), st.integers(0, 9))
def test_rows_and_their_sums(words: int, width: int, tokens: int, seed: int) -> None:
    table, dy = normal((words, width)), normal((tokens, width), seed=1)
    index = np.random.default_rng(seed).integers(0, words, tokens).astype(np.int32)
    assert np.array_equal(real(embedding(table, index)), real(table)[index])
    wanted = np.zeros((words, width), np.float32)
    np.add.at(wanted, index, real(dy))
    assert distance(embedding_backward(dy, index, words), wanted) < 1e-5


def test_no_errors_found() -> None:
    index = np.array([3, 1, 3, 0, 3], np.int32)
    clean(embedding, normal((5, 130)), index)
    clean(embedding_backward, normal((5, 130)), index, 5)
