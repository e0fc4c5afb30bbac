"""A small transformer learns in JAX, all of it through kernels on the simulated chip, beside the same on the CPU.

python examples/train_gpt_jax.py [--steps 200] [--out FOLDER] [--json] [--kernels]
"""

import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import training
import training_runs

from opentrn.kernels import jax as kernels


def turned(x, cosine, sine):
    """`kernels.rotary` in JAX."""
    first, second = jnp.split(x, 2, -1)
    cosine, sine = cosine[:, None], sine[:, None]
    return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)


def attention(q, k, v):
    """`kernels.attention` in JAX, whose own takes (length, heads, size)."""
    q, k, v = (x.swapaxes(0, 1) for x in (q, k, v))
    return jax.nn.dot_product_attention(q, k, v, is_causal=True).swapaxes(0, 1)


def adamw(p, g, m, v, step, rate, decay, beta1=0.9, beta2=0.999, eps=1e-8):
    """`kernels.adamw` in JAX."""
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    change = m / (1 - beta1**step) / (jnp.sqrt(v / (1 - beta2**step)) + eps)
    return p - rate * (change + decay * p), m, v


THROUGH = SimpleNamespace(
    **{name: getattr(kernels, name) for name in kernels.__all__}, half=lambda x: x.astype(jnp.bfloat16)
)
PLAIN = SimpleNamespace(
    half=lambda x: x,
    embedding=lambda table, index: table[index],
    rms_norm=lambda x, weight: x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * weight,
    linear=lambda x, weight: x @ weight,
    rotary=turned,
    attention=attention,
    swiglu=lambda x, gate, up, down: (jax.nn.silu(x @ gate) * (x @ up)) @ down,
    cross_entropy=lambda logits, labels: jax.nn.logsumexp(logits, -1) - logits[jnp.arange(len(labels)), labels],
    adamw=adamw,
)


def learner(through_kernels):
    """A training step, with the parameters and moments that it changes."""
    ops = THROUGH if through_kernels else PLAIN
    turns = tuple(map(jnp.asarray, training.angles()))
    flat = jnp.asarray(training.initial())
    state = (flat, jnp.zeros_like(flat), jnp.zeros_like(flat))

    @jax.jit
    def update(state, tokens, labels, number, rate):
        flat, first, second = state
        loss, slope = jax.value_and_grad(lambda p: training.losses(ops, p, tokens, labels, turns).mean())(flat)
        return loss, ops.adamw(flat, slope, first, second, number, rate, decay=training.CONFIG.decay)

    def step(tokens, labels, number, rate):
        nonlocal state
        loss, state = update(state, tokens, labels, float(number), rate)
        return float(loss)

    return step


if __name__ == "__main__":
    sys.exit(training_runs.main("JAX", learner))
