"""What the two training examples share: a small transformer over bytes, and its text.

The model is written once, over `ops`: a set of functions (linear, attention, ...) that the kernels of `opentrn.kernels`
or plain functions of PyTorch or JAX provide.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Config:
    """A decoder-only transformer over bytes: RMSNorm, rotary positions, grouped queries, SwiGLU."""

    layers: int = 2
    width: int = 128
    heads: int = 4
    groups: int = 2
    hidden: int = 320
    context: int = 128
    batch: int = 4
    words: int = 256
    rate: float = 1e-3
    warmup: int = 20
    decay: float = 0.01

    @property
    def size(self) -> int:
        """Elements of a head."""
        return self.width // self.heads


CONFIG = Config()


# ---------------------------------------------------------------- the model
def shapes(c: Config = CONFIG) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every parameter."""
    found = {"words": (c.words, c.width)}
    for n in range(c.layers):
        found |= {
            f"{n}.before_attention": (c.width,),
            f"{n}.qkv": (c.width, (c.heads + 2 * c.groups) * c.size),
            f"{n}.out": (c.heads * c.size, c.width),
            f"{n}.before_mlp": (c.width,),
            f"{n}.gate": (c.width, c.hidden),
            f"{n}.up": (c.width, c.hidden),
            f"{n}.down": (c.hidden, c.width),
        }
    return found | {"last": (c.width,), "head": (c.width, c.words)}


def initial(c: Config = CONFIG) -> np.ndarray:
    """All parameters as one float32 vector: one AdamW kernel steps them all."""
    random = np.random.default_rng(0)
    parts = [
        np.ones(shape) if len(shape) == 1 else random.standard_normal(shape) / math.sqrt(shape[0])
        for shape in shapes(c).values()
    ]
    return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def parameters(flat: Any, c: Config = CONFIG) -> dict[str, Any]:
    """The vector's parts under their names."""
    found, start = {}, 0
    for name, shape in shapes(c).items():
        found[name] = flat[start : start + math.prod(shape)].reshape(shape)
        start += math.prod(shape)
    return found


def angles(c: Config = CONFIG) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of the rotary embedding, (batch * context, size / 2) float32."""
    turns = np.arange(c.context)[:, None] * 10000.0 ** (-np.arange(c.size // 2) / (c.size // 2))
    turns = np.tile(turns, (c.batch, 1))
    return np.cos(turns).astype(np.float32), np.sin(turns).astype(np.float32)


def losses(ops: Any, flat: Any, tokens: Any, labels: Any, turns: tuple[Any, Any], c: Config = CONFIG) -> Any:
    """The loss of each token, (batch * context,); `turns` as `angles` gives them, as arrays of the framework."""
    w = parameters(flat, c)
    x = ops.half(ops.embedding(w["words"], tokens))
    for n in range(c.layers):
        normed = ops.rms_norm(x, w[f"{n}.before_attention"])
        x = x + ops.linear(attended(ops, ops.linear(normed, w[f"{n}.qkv"]), turns, c), w[f"{n}.out"])
        normed = ops.rms_norm(x, w[f"{n}.before_mlp"])
        x = x + ops.swiglu(normed, w[f"{n}.gate"], w[f"{n}.up"], w[f"{n}.down"])
    return ops.cross_entropy(ops.linear(ops.rms_norm(x, w["last"]), w["head"]), labels)


def attended(ops: Any, qkv: Any, turns: tuple[Any, Any], c: Config) -> Any:
    """Causal attention on (batch * context, heads * size) queries and groups of keys and values."""

    def by_head(x: Any, heads: int) -> Any:
        return x.reshape(c.batch, c.context, heads, c.size).swapaxes(1, 2).reshape(-1, c.context, c.size)

    qkv = qkv.reshape(c.batch * c.context, -1, c.size)
    turned = ops.rotary(qkv[:, : c.heads + c.groups], *turns)
    q, k = by_head(turned[:, : c.heads], c.heads), by_head(turned[:, c.heads :], c.groups)
    out = ops.attention(q, k, by_head(qkv[:, c.heads + c.groups :], c.groups))
    return out.reshape(c.batch, c.heads, c.context, c.size).swapaxes(1, 2).reshape(c.batch * c.context, -1)


# ---------------------------------------------------------------- its text
def batches(steps: int, c: Config = CONFIG) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Tokens and the byte after each, (batch * context,) int32: random pieces of the Apache License 2.0."""
    text = np.frombuffer((ROOT / "LICENSE").read_bytes(), np.uint8).astype(np.int32)
    random = np.random.default_rng(1)
    for _ in range(steps):
        starts = random.integers(0, len(text) - c.context - 1, c.batch)
        pieces = np.stack([text[start : start + c.context + 1] for start in starts])
        yield pieces[:, :-1].ravel(), pieces[:, 1:].ravel()
