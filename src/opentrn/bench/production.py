"""Kernels of models at production sizes beside PyTorch with the same rounding steps. Started as a process by `opentrn bench`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from opentrn.bench.models import LARGEST, experts, rms_norm_quantised
from opentrn.bench.timing import median_seconds
from opentrn.kernels import attention, swiglu
from opentrn.nki import settings

__all__ = ["SIZES", "WORKS", "main"]

Pair = tuple[Callable[[], Any], Callable[[], Any]]
"""Our kernel, and the direct computation. Both round products' operands and what lies between them to bfloat16."""

BLOCK = 512
"""Queries that the direct attention takes at a time, so that it too leaves out most of what is masked."""


def _attention(heads: int, groups: int, length: int, width: int) -> Pair:
    """heads, groups of keys and values, tokens, width of a head."""
    q, k, v = (_normal((n, length, width), seed) for seed, n in enumerate((heads, groups, groups)))
    return lambda: attention(q, k, v), lambda: _direct_attention(_tensor(q), _tensor(k), _tensor(v))


def _direct_attention(q: Any, k: Any, v: Any) -> Any:
    import torch

    q, k, v = q.float(), k.float(), v.float()
    out = torch.empty(q.shape, dtype=torch.bfloat16)
    for head in range(q.shape[0]):
        group = head // (q.shape[0] // k.shape[0])
        for start in range(0, q.shape[1], BLOCK):
            stop = min(start + BLOCK, q.shape[1])
            scores = q[head, start:stop] @ k[group, :stop].T / q.shape[2] ** 0.5
            scores.masked_fill_(torch.ones(scores.shape, dtype=torch.bool).triu_(start + 1), -torch.inf)
            weights = _rounded(torch.exp(scores - scores.amax(1, keepdim=True)))
            out[head, start:stop] = (weights @ v[group, :stop]) / weights.sum(1, keepdim=True)
    return out


def _mlp(tokens: int, hidden: int, features: int) -> Pair:
    """tokens, hidden size, intermediate size."""
    x, weights = _normal((tokens, hidden)), _weights((hidden, features))
    return lambda: swiglu(x, *weights), lambda: _direct_mlp(_tensor(x), *map(_tensor, weights))


def _direct_mlp(x: Any, gate: Any, up: Any, down: Any) -> Any:
    import torch

    x = x.float()
    gated = _rounded(torch.nn.functional.silu(x @ gate.float()))
    return (_rounded(gated * (x @ up.float())) @ down.float()).bfloat16()


def _experts(tokens: int, hidden: int, features: int, count: int, each: int) -> Pair:
    """tokens, hidden size, intermediate size of an expert, experts, tokens of an expert."""
    random = np.random.default_rng(0)
    x, weights = _normal((tokens, hidden)), _weights((count, hidden, features))
    chosen = np.stack([random.permutation(tokens)[:each] for _ in range(count)]).astype(np.int32)
    affinity = random.random((count, each), np.float32)
    given = [_tensor(each) for each in (x, chosen, affinity, *weights)]
    return lambda: experts(x, chosen, affinity, *weights), lambda: _direct_experts(*given)


def _direct_experts(x: Any, chosen: Any, affinity: Any, gate: Any, up: Any, down: Any) -> Any:
    import torch

    out = torch.zeros(x.shape)
    for expert, index in enumerate(chosen.long()):
        result = _direct_mlp(x[index], gate[expert], up[expert], down[expert])
        out.index_add_(0, index, result.float() * affinity[expert, :, None])
    return out


def _quantised(tokens: int, hidden: int) -> Pair:
    """tokens, hidden size."""
    x, weight = _normal((tokens, hidden)), _normal((hidden,), 1).astype(np.float32)
    return lambda: rms_norm_quantised(x, weight), lambda: _direct_quantised(_tensor(x), _tensor(weight))


def _direct_quantised(x: Any, weight: Any, eps: float = 1e-6) -> tuple[Any, Any]:
    import torch

    x = x.float()
    normed = x * torch.rsqrt(x.square().mean(1, keepdim=True) + eps) * weight
    scale = normed.abs().amax(1, keepdim=True) / LARGEST
    return (normed / scale).to(torch.float8_e4m3fn), scale  # up to 240 the same numbers as float8_e4m3


def _rounded(values: Any) -> Any:
    return values.bfloat16().float()


def _normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32).astype(ml_dtypes.bfloat16)


def _weights(shape: tuple[int, ...]) -> list[np.ndarray]:
    """gate and up of this shape, and down, of the usual size."""
    turned = (*shape[:-2], shape[-1], shape[-2])
    made = [np.random.default_rng(n).standard_normal(s, np.float32) for n, s in enumerate((shape, shape, turned))]
    return [(each / each.shape[-2] ** 0.5).astype(ml_dtypes.bfloat16) for each in made]


def _tensor(array: np.ndarray) -> Any:
    import torch

    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


WORKS: dict[str, Callable[..., Pair]] = {
    "attention": _attention, "swiglu, few tokens": _mlp, "experts": _experts, "rms_norm to fp8": _quantised,
}  # fmt: skip

SIZES: dict[str, tuple[int, ...]] = {
    "attention": (4, 1, 8192, 128), "swiglu, few tokens": (64, 8192, 8192), "experts": (4096, 2048, 1024, 8, 1024),
    "rms_norm to fp8": (4096, 8192),
}  # fmt: skip


def main() -> None:
    """Print CPU seconds of each work, ours and direct, as JSON; {} without PyTorch."""
    settings.read()
    found: dict[str, Any] = {}
    try:
        import torch

        torch.set_num_threads(1)
    except ImportError:
        json.dump(found, sys.stdout)
        return
    for name, make in WORKS.items():
        ours, direct = make(*SIZES[name])
        found[name] = {"ours": median_seconds(ours), "direct": median_seconds(direct), "sizes": SIZES[name]}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
