"""What checks look at: the `Evidence` of one run of a kernel, or the `Source` of a file."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from linecache import getline
from pathlib import Path
from typing import Any

import numpy as np

from opentrn.checks.finding import Finding
from opentrn.errors import FileError, KernelError, MachineError, OpentrnError, Site
from opentrn.isa.latitudes import Line, Sight
from opentrn.program.schedule import Schedule
from opentrn.program.site import site_of
from opentrn.program.trace import Trace
from opentrn.timing.simulate import simulate
from opentrn.timing.timeline import Timeline

__all__ = ["Evidence", "Notice", "Source", "read_source"]

_DEF = re.compile(r"\s*(async\s+)?def\s")
_DECORATORS = 20  # lines that decorators may take


@dataclass(frozen=True)
class Source:
    """A Python file and its syntax tree. `nki` are the versions of NKI it is meant for, such as ``>= 0.3`` ("": today's).

    With `first` only the function whose `def` or decorators have that line is looked at, with what it calls in the file. `known` is
    what checks found in it: the same for every launch of a kernel.
    """

    path: str
    text: str
    tree: ast.Module
    nki: str = ""
    first: int = 0
    known: dict[str, tuple[Finding, ...]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def lines(self) -> list[str]:
        """The file's lines, the first at index 0."""
        return self.text.splitlines()

    @property
    def files(self) -> list[str]:
        """The file alone."""
        return [self.path]

    def covers(self, file: str, first: int, last: int) -> bool:
        """Source checks see these lines: a statement of the tree has one of them, and not one function alone is looked at."""
        return (
            file == self.path
            and not self.first
            and any(node.lineno <= last and first <= (node.end_lineno or node.lineno) for node in self.tree.body)
        )

    def without(self, names: Collection[str]) -> Source:
        """The file without the functions of these names, for a look at one kernel among others."""
        kept = [node for node in self.tree.body if getattr(node, "name", None) not in names]
        return replace(self, tree=ast.Module(kept, self.tree.type_ignores), known={})


def read_source(path: str | Path, nki: str = "", first: int = 0) -> Source:
    """The file at `path`, meant for these versions of NKI. Raises FileError where there is none, or where it is no Python."""
    try:
        return _parsed(str(path), Path(path).read_text(encoding="utf-8"), nki, first)
    except OSError as error:
        raise FileError(f"cannot read {path}", got=error.strerror) from None
    except (SyntaxError, ValueError) as error:
        raise FileError(f"{path} is no Python file", got=str(error)) from None


@lru_cache(64)
def _parsed(path: str, text: str, nki: str, first: int) -> Source:
    return Source(path, text, ast.parse(text, filename=path), nki, first)


@dataclass(frozen=True)
class Notice:
    """A Python warning that the run showed, at the user's line."""

    category: type[Warning]
    text: str
    site: Site


@dataclass
class Evidence:
    """One run of a kernel with memory faults collected, and what was recorded of it.

    `faults` are the memory faults that were met, in program order; `failures` is what ended the kernel early; `notices`
    are the warnings that were shown on the way, `sights` the values for which a choice of ours matters (`isa.latitudes`).
    `traces` are the programs of the cores, as far as they came; `arguments` tells those of the kernel as text. `outputs` are
    the arrays that it gave back or stored into; `otherwise` gives those of one more run with a choice taken the other way
    at some lines, or None where that run fails. `rerun` asks for every such run, not only for those that the run itself
    calls for. `reschedule` gives the outputs of one more run in another order, and `explore` asks for so many of those.
    """

    kernel: str
    function: Callable[..., Any]
    chip: Any
    lnc: int
    traces: Sequence[Trace]
    faults: Sequence[OpentrnError] = ()
    failures: Sequence[Exception] = ()
    notices: Sequence[Notice] = ()
    arguments: str = ""
    sights: Sequence[Sight] = ()
    outputs: Sequence[np.ndarray] = ()
    otherwise: Callable[[str, frozenset[Line]], Sequence[np.ndarray] | None] | None = None
    rerun: bool = False
    explore: int = 0
    reschedule: Callable[[Schedule], Sequence[np.ndarray] | None] | None = None

    @property
    def timeline(self) -> Timeline | None:
        """When everything happens; None where the program can not end or has no public costs on this chip."""
        return self._timed if isinstance(self._timed, Timeline) else None

    @property
    def stuck(self) -> KernelError | None:
        """Why the engines wait for each other forever, although every core came to its end; None where they do not."""
        return self._timed if isinstance(self._timed, KernelError) else None

    @cached_property
    def _timed(self) -> Timeline | KernelError | None:
        if self.failures or not any(len(trace) for trace in self.traces):
            return None
        try:
            return simulate(self.traces, self.chip)
        except KernelError as error:
            return error
        except MachineError:
            return None

    @cached_property
    def visited(self) -> dict[str, set[int]]:
        """The lines that recorded instructions, by file; the kernel's own file is always there, with its first line."""
        found = {self.site.file: {self.site.line}}
        for trace in self.traces:
            for code, line in trace.places:
                found.setdefault(code.co_filename, set()).add(line)
        return found

    @property
    def files(self) -> list[str]:
        """The files that recorded instructions, the kernel's own first."""
        return list(self.visited)

    def covers(self, file: str, first: int, last: int) -> bool:
        """Every run check had the opportunity to find something at these lines: the kernel ended, and came by there."""
        return not self.failures and any(first <= line <= last for line in self.visited.get(file, ()))

    @property
    def site(self) -> Site:
        """The line of the kernel's `def` (of its first decorator, where the source is not at hand)."""
        code = inspect.unwrap(self.function).__code__
        first = code.co_firstlineno
        rest = range(first, first + _DECORATORS)
        line = next((n for n in rest if _DEF.match(getline(code.co_filename, n))), first)
        return Site(code.co_filename, line, code.co_name)

    def site_of(self, core: int, row: int) -> Site | None:
        """Where in the user's source instruction `row` of `core` was recorded."""
        trace = self.traces[core]
        return site_of(trace.places[trace.place[row]])
