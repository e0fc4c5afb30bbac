"""Cross entropy against torch, over odd sizes."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.compare import clean, distance, normal

from opentrn.kernels import cross_entropy, cross_entropy_backward

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("shape", [(1, 5), (130, 257), (5, 9001)])
def test_loss_and_gradient(shape: tuple[int, int]) -> None:
    tokens, words = shape
    logits, dloss = 4 * normal(shape), normal((tokens,), "float32")
    labels = np.random.default_rng(1).integers(0, words, tokens).astype(np.int32)
    labels[0], labels[-1] = 0, words - 1
    wanted = torch.tensor(logits.astype(np.float32), requires_grad=True)
    losses = torch.nn.functional.cross_entropy(wanted, torch.tensor(labels).long(), reduction="none")
    losses.backward(torch.tensor(dloss))
    loss, norm = cross_entropy(logits, labels)
    assert distance(loss, losses) < 1e-2
    assert distance(norm, torch.logsumexp(wanted, -1)) < 1e-3
    assert distance(cross_entropy_backward(dloss, logits, labels, norm), wanted.grad) < 1e-2


def test_large_logits_stay_finite() -> None:
    logits = normal((3, 5000)) * 0 + np.float32(3e4).astype(normal((1,)).dtype)
    loss, _ = cross_entropy(logits, np.zeros(3, np.int32))
    assert np.allclose(loss, np.log(5000), rtol=1e-2)


def test_no_errors_found() -> None:
    logits, labels = normal((130, 700)), np.zeros(130, np.int32)
    clean(cross_entropy, logits, labels)
    clean(cross_entropy_backward, normal((130,), "float32"), logits, labels, normal((130,), "float32"))
