"""Activations of a small language-model layer, made from real text: the reference manual that ships with CPython.

Byte embeddings are learned from the text itself (the singular vectors of its byte co-occurrence, PPMI-weighted, as
word embeddings classically are); then RMS normalisation, one projection each for Q, K and V, and rotary positions.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

__all__ = ["activations", "text_bytes"]


def text_bytes(count: int) -> np.ndarray:
    """The first `count` bytes of CPython's `pydoc_data.topics` (English prose about Python), as uint8."""
    # read as a file: importing the module would not give its text
    raw = (files("pydoc_data") / "topics.py").read_bytes().replace(b"\\n", b"\n")
    return np.frombuffer(raw[2048 : 2048 + count], np.uint8)


def _embedding(tokens: np.ndarray, width: int, window: int = 4) -> np.ndarray:
    """(256, width) embeddings from how often bytes occur near each other."""
    counts = np.zeros((256, 256))
    for step in range(1, window + 1):
        np.add.at(counts, (tokens[:-step], tokens[step:]), 1.0)
        np.add.at(counts, (tokens[step:], tokens[:-step]), 1.0)
    total = counts.sum()
    expected = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        ppmi = np.nan_to_num(np.maximum(np.log(counts / expected), 0), posinf=0, neginf=0)
    left, scale, _ = np.linalg.svd(ppmi)
    return left[:, :width] * np.sqrt(scale[:width])


def _rotate(x: np.ndarray) -> np.ndarray:
    """Rotary position embedding over the last dimension of (heads, sequence, d)."""
    _, length, d = x.shape
    angle = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, d, 2) / d)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = np.empty_like(x)
    turned[..., 0::2] = even * np.cos(angle) - odd * np.sin(angle)
    turned[..., 1::2] = even * np.sin(angle) + odd * np.cos(angle)
    return turned


def activations(heads: int, length: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Q, K, V of shape (heads, length, d), float32, for the first `length` bytes of the text."""
    tokens = text_bytes(1 << 17)
    hidden = _embedding(tokens, width=128)[tokens[:length]]
    hidden /= np.sqrt((hidden**2).mean(-1, keepdims=True) + 1e-6)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((3, heads, 128, d)) / np.sqrt(128)
    q, k, v = (np.einsum("sc,hcd->hsd", hidden, w) for w in weights)
    return tuple(x.astype(np.float32) for x in (_rotate(q), _rotate(k), v))  # type: ignore[return-value]
