"""Training a model twice, through kernels and without: the command of the two training examples."""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import training
from training_result import TARGET, Result, Row, by_kernel, draw

import opentrn
from opentrn.bridges.session import Session
from opentrn.cli.progress import watched
from opentrn.errors import OpentrnError
from opentrn.profile.files import write_whole

Step = Callable[[np.ndarray, np.ndarray, int, float], float]
"""Trains on the tokens and labels of a batch, at a step (from 1) with a rate; gives the loss before it."""
Learner = Callable[[bool], Step]
"""A model with its first parameters, through kernels or without."""


def main(framework: str, learner: Learner) -> int:
    """Train twice, through kernels and without, and compare. Returns 1 where the curves part, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=f"Train a small transformer in {framework} on the simulated chip.")
    parser.add_argument("--steps", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--out", type=Path, help="folder for curves.png, report.html and report.json")
    parser.add_argument("--kernels", action="store_true", help="only tell what one step takes on the chip, by kernel")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args()
    if given.steps < 1:
        parser.error("--steps must be 1 or more")
    if given.kernels:
        print(by_kernel(through(framework, learner, 1)[2]))
        return 0
    try:
        if given.out:
            given.out.mkdir(parents=True, exist_ok=True)
        result, session = compared(framework, learner, given.steps)
        if given.out:
            written(given.out, result, session)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    except (OSError, OpentrnError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(asdict(result)) if given.json else result)
    return 0 if result.within else 1


def compared(framework: str, learner: Learner, steps: int) -> tuple[Result, Session]:
    """Both runs, and the session of the one through kernels."""
    plain, plain_seconds = run(learner(False), f"{framework} without kernels", steps)
    (losses, seconds), session, kernels = through(framework, learner, steps)
    return Result(framework, asdict(training.CONFIG), losses, plain, seconds, plain_seconds, kernels), session


def through(framework: str, learner: Learner, steps: int) -> tuple[tuple[list[float], float], Session, list[Row]]:
    """The run through kernels, its session, and a row for each kernel: name, launches and microseconds per step."""
    with opentrn.session(target=TARGET) as session:
        found = run(learner(True), f"{framework} through kernels", steps)
    spent = {launch.kernel.__name__: (0.0, 0.0) for launch in session.launches}
    for launch in session.launches:
        count, us = spent[launch.kernel.__name__]
        us += launch.count * launch.report.latency_us / steps
        spent[launch.kernel.__name__] = (count + launch.count / steps, us)
    rows = [(name, count, us) for name, (count, us) in spent.items()]
    return found, session, sorted(rows, key=lambda row: -row[2])


def run(step: Step, label: str, steps: int) -> tuple[list[float], float]:
    """The loss at every step, and the mean seconds of a step (without the first, which prepares)."""
    c, found, starts = training.CONFIG, [], []
    with between_steps() as checked:
        for n, (tokens, labels) in enumerate(watched(training.batches(steps), steps, label), 1):
            starts.append(time.perf_counter())
            found.append(float(step(tokens, labels, n, c.rate * min(1.0, n / c.warmup))))
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


def written(folder: Path, result: Result, session: Session) -> None:
    """The curves, the session's page and the result, each whole or not at all."""
    draw(folder / "curves.png", [result])
    session.write_html(folder / "report.html")
    write_whole(folder / "report.json", json.dumps(asdict(result)) + "\n")
