"""What a kernel call costs beside its simulation, from PyTorch and from JAX. Started as a process by `opentrn bench`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from opentrn.bench.kernels import small_add
from opentrn.nki import settings
from opentrn.nki.kernel import jit

__all__ = ["main"]

ROUNDS = 150
CALLS = 10
SHAPE = (128, 64)

_add = jit(small_add)


def _beyond(ways: dict[str, Callable[[], Any]], simulation: Callable[[], Any]) -> dict[str, float]:
    """CPU seconds of each way beyond those of the simulation.

    The least of many rounds, taken in turns: a few microseconds cannot be told by a median on a machine that is shared.
    """
    every = {"simulation": simulation, **ways}
    least = dict.fromkeys(every, float("inf"))
    for _ in range(ROUNDS):
        for name, action in every.items():
            least[name] = min(least[name], _seconds(action))
    return {name: seconds - least["simulation"] * (name in ways) for name, seconds in least.items()}


def _seconds(action: Callable[[], Any]) -> float:
    start = time.process_time()
    for _ in range(CALLS):
        action()
    return (time.process_time() - start) / CALLS


def _inputs() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.standard_normal(SHAPE, np.float32), random.standard_normal(SHAPE, np.float32)


def _torch() -> dict[str, float]:
    try:
        import torch
    except ImportError:
        return {}
    from opentrn.bridges.torch import nki_op

    torch.set_num_threads(1)

    def add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return _add(a, b)

    add.__annotations__.update(dict.fromkeys(("a", "b", "return"), torch.Tensor))  # texts here: torch is local
    operator = nki_op("opentrn_bench::add", add)
    x, y = _inputs()
    a, b = torch.from_numpy(x), torch.from_numpy(y)
    compiled = torch.compile(lambda a, b: _add(a, b), fullgraph=True, backend="aot_eager")
    return _beyond(
        {"eager": lambda: _add(a, b), "nki_op": lambda: operator(a, b), "compiled": lambda: compiled(a, b)},
        lambda: _add.report((x, y), {}),
    )


def _jax() -> dict[str, float]:
    try:
        import jax
    except ImportError:
        return {}
    from opentrn.bridges import jax as bridge

    x, y = _inputs()
    a, b = jax.numpy.asarray(x), jax.numpy.asarray(y)
    jitted = jax.jit(lambda a, b: _add(a, b))
    jitted(a, b)
    interface, bridge._interface = bridge._interface, lambda: False  # type: ignore[assignment]
    by_callback = jax.jit(lambda a, b: _add(a, b))
    by_callback(a, b)
    bridge._interface = interface
    return _beyond(
        {
            "jit": lambda: jitted(a, b).block_until_ready(),
            "pure_callback": lambda: by_callback(a, b).block_until_ready(),
        },
        lambda: _add.report((x, y), {}),
    )


def main() -> None:
    """Print everything this process measured, in seconds a call."""
    settings.read()
    json.dump({"torch": _torch(), "jax": _jax()}, sys.stdout)


if __name__ == "__main__":
    main()
