"""The cores of one logical NeuronCore, or of several ranks, run one at a time in a fixed order so that every run is the same run.

Each core is a thread; exactly one of them holds the baton. A core gives it up where the hardware synchronises
(core_barrier, sendrecv), after each store to memory that the cores share, and when it ends. So the cores advance side by
side, as they do on the chip, and results never depend on the machine's scheduler.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from opentrn.errors import KernelError, Site

__all__ = ["Lockstep"]


class _Abandoned(BaseException):
    """Unwinds a core whose partner failed; BaseException so that kernels do not catch it."""


class Lockstep:
    """Runs `count` cores as coroutines. `on_resume(core)` is called whenever a core gets the baton.

    Each `cores` of them (all without) are one logical NeuronCore: a rank of a launch of several.
    """

    def __init__(self, count: int, on_resume: Callable[[int], None], cores: int | None = None) -> None:
        self.count, self.cores, self._on_resume = count, cores or count, on_resume
        self._baton = [threading.Semaphore(0) for _ in range(count)]
        self._done = threading.Semaphore(0)
        self._ended = [False] * count
        self._waiting: list[Any] = [None] * count
        self._mail: dict[tuple[Any, int], list[Any]] = {}
        self._failure: BaseException | None = None
        self.results: list[Any] = [None] * count

    def run(self, body: Callable[[int], Any]) -> list[Any]:
        """Run ``body(core)`` on every core; gives back their results, or raises the first failure."""
        if self.count == 1:
            self._on_resume(0)
            return [body(0)]
        threads = [threading.Thread(target=self._main, args=(n, body), daemon=True) for n in range(self.count)]
        for thread in threads:
            thread.start()
        self._baton[0].release()
        self._done.acquire()
        for thread in threads:
            thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            try:
                raise failure
            finally:  # its traceback holds this frame: a name for it here would keep the tensors of the launch
                del failure
        return self.results

    def _main(self, core: int, body: Callable[[int], Any]) -> None:
        self._baton[core].acquire()
        try:
            if self._failure is None:
                self._on_resume(core)
                self.results[core] = body(core)
        except _Abandoned:
            pass
        except BaseException as error:
            self._failure = self._failure or error
        self._ended[core] = True
        if all(self._ended):
            self._done.release()
        else:
            self._pass_on(core)

    def _pass_on(self, core: int) -> None:
        """Give the baton to the next core that can go on; all blocked is a deadlock."""
        order = [(core + n) % self.count for n in range(1, self.count + 1)]
        alive = [c for c in order if not self._ended[c]]
        able = [c for c in alive if self._failure is not None or self._able(c)]
        if not able:
            waits = "; ".join(f"{self._label(c)} waits at {self._waiting[c][0]}" for c in alive)
            ended = ", ".join(self._label(c) for c in range(self.count) if self._ended[c])
            who, what = ("core", "barriers and sendrecvs") if self.count == self.cores else ("rank", "collectives")
            self._failure = KernelError(
                f"the {who}s can never meet: {waits}" + (f"; {ended} has ended" if ended else ""),
                kind="meeting",
                site=self._waiting[alive[0]][3],
                hint="let all come to the same meetings; one that only one needs belongs on all",
                expected=f"every {who} executes the same {what}, in the same order",
            )
            able = alive
        self._baton[able[0]].release()

    def _label(self, core: int) -> str:
        rank, index = divmod(core, self.cores)
        return f"core {index}" if self.count == self.cores else f"rank {rank} core {index}"

    def _able(self, core: int) -> bool:
        wait = self._waiting[core]
        return wait is None or all((wait[1], partner) in self._mail for partner in wait[2])

    def turn(self, core: int) -> None:
        """Let the other core go on, if it can, before this one does."""
        if self.count > 1:
            self._yield(core)

    def _yield(self, core: int) -> None:
        self._pass_on(core)
        self._baton[core].acquire()
        self._waiting[core] = None
        if self._failure is not None:
            raise _Abandoned
        self._on_resume(core)

    def exchange(
        self, core: int, what: str, tag: Any, partners: tuple[int, ...], payload: Any, site: Site | None = None
    ) -> dict[int, Any]:
        """Leave `payload` under `tag` and wait until every partner has done so too; gives back their payloads.

        `what` names the place in messages, `site` is where it is. `tag` must be new for each meeting of the same cores.
        """
        self._mail[(tag, core)] = [payload, len(partners)]
        self._waiting[core] = (what, tag, partners, site)
        if self._able(core):
            self._waiting[core] = None
        else:
            self._yield(core)
        return {partner: self._read((tag, partner)) for partner in partners}

    def _read(self, key: tuple[Any, int]) -> Any:
        """A message; the last of its readers takes it away."""
        message = self._mail[key]
        message[1] -= 1
        if not message[1]:
            del self._mail[key]
        return message[0]
