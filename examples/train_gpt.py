"""A small transformer learns in PyTorch, all of it through kernels on the simulated chip, beside the same on the CPU.

python examples/train_gpt.py [--steps 200] [--out FOLDER] [--json] [--kernels]
"""

import sys
from types import SimpleNamespace

import torch
import torch.nn.functional as F
import training
import training_runs

from opentrn.kernels import torch as kernels


def turned(x, cosine, sine):
    """`kernels.rotary` in PyTorch."""
    first, second = x.chunk(2, -1)
    cosine, sine = cosine[:, None], sine[:, None]
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


def adamw(p, g, m, v, step, rate, decay):
    """`kernels.adamw` as PyTorch does it."""
    parameter = torch.nn.Parameter(p.detach().clone())
    parameter.grad = g
    optimiser = torch.optim.AdamW([parameter], lr=rate, weight_decay=decay)
    optimiser.state[parameter] = {"step": torch.tensor(step - 1.0), "exp_avg": m, "exp_avg_sq": v}
    optimiser.step()
    return parameter.detach(), m, v


THROUGH = SimpleNamespace(**{name: getattr(kernels, name) for name in kernels.__all__}, half=torch.Tensor.bfloat16)
PLAIN = SimpleNamespace(
    half=lambda x: x,
    embedding=lambda table, index: table[index],
    rms_norm=lambda x, weight: F.rms_norm(x, weight.shape, weight, 1e-6),
    linear=lambda x, weight: x @ weight,
    rotary=turned,
    attention=lambda q, k, v: F.scaled_dot_product_attention(
        q[None], k[None], v[None], is_causal=True, enable_gqa=True
    )[0],
    swiglu=lambda x, gate, up, down: (F.silu(x @ gate) * (x @ up)) @ down,
    cross_entropy=lambda logits, labels: F.cross_entropy(logits, labels.long(), reduction="none"),
    adamw=adamw,
)


def learner(through_kernels):
    """A training step, with the parameters and moments that it changes."""
    ops = THROUGH if through_kernels else PLAIN
    flat = torch.tensor(training.initial())
    first, second = torch.zeros_like(flat), torch.zeros_like(flat)
    turns = tuple(map(torch.tensor, training.angles()))

    def step(tokens, labels, number, rate):
        nonlocal flat, first, second
        flat.requires_grad_()
        loss = training.losses(ops, flat, torch.tensor(tokens), torch.tensor(labels), turns).mean()
        loss.backward()
        flat, first, second = ops.adamw(
            flat.detach(), flat.grad, first, second, number, rate, decay=training.CONFIG.decay
        )
        return loss.item()

    return step


if __name__ == "__main__":
    sys.exit(training_runs.main("PyTorch", learner))
