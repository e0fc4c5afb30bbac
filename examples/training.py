"""What the two training examples share: a small transformer, its text, and how two runs of it are compared.

The model is written once, over `ops`: a set of functions (linear, attention, ...) that the kernels of `opentrn.kernels`
or plain functions of PyTorch or JAX provide. `python examples/training.py FOLDER docs` writes docs/training.md from the
reports that both examples left in FOLDER.
"""

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import opentrn
from opentrn.errors import OpentrnError
from opentrn.profile.files import whole, write_whole

ROOT = Path(__file__).resolve().parents[1]
BAND = 0.02
"""How far the two losses of a step may lie apart, in nats: one rounding to bfloat16 (2**-8) of the first loss, 5.9."""

Step = Callable[[np.ndarray, np.ndarray, int, float], float]
"""Labels of a batch from its tokens, at step n with a rate: trains, and gives the loss before it."""


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


# ---------------------------------------------------------------- two runs of it
@dataclass(frozen=True)
class Result:
    """The losses of both runs, seconds per step on this machine, and what the kernels take on the chip.

    A row of `kernels`: name, launches per step, predicted microseconds per step.
    """

    framework: str
    config: dict[str, Any]
    kernels_loss: list[float]
    plain_loss: list[float]
    kernels_seconds: float
    plain_seconds: float
    target: str
    predicted_us: float
    kernels: list[tuple[str, float, float]]
    band: float = BAND

    @property
    def distances(self) -> list[float]:
        """How far the losses of each step lie apart."""
        return [abs(a - b) for a, b in zip(self.kernels_loss, self.plain_loss, strict=True)]

    @property
    def within(self) -> bool:
        """Whether all of them lie in the band (NaN does not)."""
        return all(distance <= self.band for distance in self.distances)

    def __str__(self) -> str:
        first, last = self.kernels_loss[0], self.kernels_loss[-1]
        worst = int(np.argmax(self.distances))  # NaN counts as the largest
        lines = [
            f"{len(self.distances)} steps in {self.framework}: loss {first:.3f} -> {last:.3f} through kernels, "
            f"{self.plain_loss[-1]:.3f} without",
            f"largest distance of the curves {self.distances[worst]:.4f} at step {worst + 1}: "
            f"{'within' if self.within else 'OUTSIDE'} the band of {self.band:g}",
            f"one step takes {self.kernels_seconds:.2f} s simulated here, {self.plain_seconds:.3f} s without kernels, "
            f"{self.predicted_us:,.0f} us on {self.target} (predicted, one kernel after the other)",
            "",
            "kernel                  launches  us per step  share",
        ]
        for name, count, us in self.kernels:
            lines.append(f"{name:<24}{count:>8.0f}{us:>13,.1f}{us / self.predicted_us:>7.0%}")
        return "\n".join(lines)


def main(framework: str, learner: Callable[[bool], Step]) -> int:
    """Train twice, through kernels and without, and compare. Returns 1 where the curves part, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=f"Train a small transformer in {framework} on the simulated chip.")
    parser.add_argument("--steps", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--out", type=Path, help="folder for curves.png, report.html and report.json")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args()
    if given.steps < 1:
        parser.error("--steps must be 1 or more")
    try:
        result, session = compared(framework, learner, given.steps)
        if given.out:
            written(given.out, result, session)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    except OpentrnError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(asdict(result)) if given.json else result)
    return 0 if result.within else 1


def compared(framework: str, learner: Callable[[bool], Step], steps: int) -> tuple[Result, Any]:
    """Both runs, and the session of the one through kernels."""
    plain, plain_seconds = run(learner(False), f"{framework} without kernels", steps)
    with opentrn.session(target="trn2") as session:
        through, seconds = run(learner(True), f"{framework} through kernels", steps)
    spent: dict[str, tuple[float, float]] = {}
    for launch in session.launches:
        count, us = spent.get(launch.kernel.__name__, (0.0, 0.0))
        count, us = count + launch.count / steps, us + launch.count * launch.report.latency_us / steps
        spent[launch.kernel.__name__] = (count, us)
    rows = sorted(((name, *sums) for name, sums in spent.items()), key=lambda row: -row[2])
    predicted = session.latency_us / steps
    return Result(framework, asdict(CONFIG), through, plain, seconds, plain_seconds, "trn2", predicted, rows), session


def run(step: Step, label: str, steps: int) -> tuple[list[float], float]:
    """The loss at every step, and the mean seconds of a step (without the first, which prepares)."""
    found, starts = [], []
    with between_steps() as checked:
        for n, (tokens, labels) in enumerate(shown(batches(steps), label, steps), 1):
            starts.append(time.perf_counter())
            found.append(float(step(tokens, labels, n, CONFIG.rate * min(1.0, n / CONFIG.warmup))))
            checked()
    last = time.perf_counter()
    return found, (last - starts[min(1, steps - 1)]) / max(1, steps - 1)


class between_steps:
    """Ctrl-C waits for the end of a step: inside one it would arrive as an error of XLA."""

    def __enter__(self) -> Callable[[], None]:
        self.asked = False
        self.before = signal.signal(signal.SIGINT, lambda *_: setattr(self, "asked", True))
        return self.check

    def __exit__(self, *_: Any) -> None:
        signal.signal(signal.SIGINT, self.before)

    def check(self) -> None:
        if self.asked:
            raise KeyboardInterrupt


def shown(steps: Iterator[Any], label: str, count: int) -> Iterator[Any]:
    """The same steps, with a progress bar on stderr where rich is installed."""
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return steps
    return iter(track(steps, label, count, console=Console(stderr=True)))


# ---------------------------------------------------------------- what is left behind
def written(folder: Path, result: Result, session: Any) -> None:
    """The curves, the session's page and the result, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    draw(folder / "curves.png", [result])
    session.write_html(folder / "report.html")
    write_whole(folder / "report.json", json.dumps(asdict(result)) + "\n")


def draw(path: Path, results: list[Result]) -> None:
    """Losses of all runs above, their distances below."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: install matplotlib (pip install 'opentrn[viz]')", file=sys.stderr)
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(results), figsize=(4.5 * len(results), 4.5), sharex=True, squeeze=False,
                                   sharey="row", height_ratios=(3, 1), layout="constrained")  # fmt: skip
    for result, above, below in zip(results, *axes, strict=True):
        above.plot(result.plain_loss, color="0.5", lw=3, label=f"{result.framework}, float32 on CPU")
        above.plot(result.kernels_loss, color="C1", lw=1, label="kernels, bfloat16 on simulated trn2")
        above.legend(frameon=False)
        below.plot(result.distances, color="C0", lw=1)
        below.axhline(result.band, color="C3", lw=1, ls="--")
        below.set_xlabel("step")
    axes[0][0].set_ylabel("loss (nats per byte)")
    axes[1][0].set_ylabel("distance")
    with whole(path) as part:
        figure.savefig(part, format="png", dpi=90)
    pyplot.close(figure)


PAGE = """<!-- generated by `make train`; do not edit -->

# A model learns on the simulated chip

A decoder-only transformer over bytes ({shape}; {count:,} parameters) learns the text of the Apache License, {steps} steps of
{batch} pieces of {context} bytes. Every product, norm, rotary turn, attention, MLP, loss and AdamW step runs through
`opentrn.kernels`, forward and backward, in bfloat16 with float32 sums; additions of the residual stream and changes of shape
are the framework's. Beside it the same model, from the same parameters and with the same batches, in float32 on the CPU,
with the framework's own functions and gradients. `make train` runs both and fails where two losses of a step lie more than
{band:g} nats apart.

![losses and their distances](img/training.png)

| | largest distance | last loss, kernels | last loss, CPU | predicted on trn2, per step | simulated here, per step |
|---|---|---|---|---|---|
{rows}

The model is [examples/training.py](../examples/training.py), its steps are [examples/train_gpt.py](../examples/train_gpt.py)
and [examples/train_gpt_jax.py](../examples/train_gpt_jax.py). The functions with gradients are those of
`opentrn.kernels.torch` and `opentrn.kernels.jax`.

## Predicted time of a step by kernel

One kernel after the other on one NeuronCore, with no overlap between kernels. The sizes are small: nearly all of the time
is latency. [kernels.md](kernels.md) has the same kernels at production sizes. {same}

| kernel | launches per step | us per step | share |
|---|---|---|---|
{kernels}
"""


def page(folder: Path, docs: Path) -> None:
    """docs/training.md and its picture, from the reports in `folder`/torch and `folder`/jax."""
    results = [Result(**json.loads((folder / name / "report.json").read_text())) for name in ("torch", "jax")]
    c, first = Config(**results[0].config), results[0]
    table = {r.framework: {tuple(row) for row in r.kernels} for r in results}
    same = (
        "Both frameworks launch the same." if len(set(map(frozenset, table.values()))) == 1 else "PyTorch's launches."
    )
    rows = [
        f"| {r.framework} | {max(r.distances):.3f} | {r.kernels_loss[-1]:.3f} | {r.plain_loss[-1]:.3f} "
        f"| {r.predicted_us:,.0f} us | {r.kernels_seconds:.2f} s |"
        for r in results
    ]
    kernels = [f"| `{n}` | {count:g} | {us:,.1f} | {us / first.predicted_us:.0%} |" for n, count, us in first.kernels]
    draw(docs / "img" / "training.png", results)
    write_whole(docs / "training.md", PAGE.format(
        shape=f"{c.layers} layers, width {c.width}, {c.heads} heads in {c.groups} groups, MLP {c.hidden}",
        count=initial(c).size, steps=len(first.distances), batch=c.batch, context=c.context, band=first.band,
        rows="\n".join(rows), same=same, kernels="\n".join(kernels),
    ))  # fmt: skip


if __name__ == "__main__":
    page(Path(sys.argv[1]), Path(sys.argv[2]))
