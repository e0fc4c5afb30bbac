"""What checks look at: the `Evidence` of one run of a kernel, or the `Source` of a file."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from opentrn.errors import FileError, KernelError, MachineError, OpentrnError, Site
from opentrn.program.site import site_of
from opentrn.program.trace import Trace
from opentrn.timing.simulate import simulate
from opentrn.timing.timeline import Timeline

__all__ = ["Evidence", "Notice", "Source", "read_source"]


@dataclass(frozen=True)
class Source:
    """A Python file and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @cached_property
    def lines(self) -> list[str]:
        """The file's lines, the first at index 0."""
        return self.text.splitlines()


def read_source(path: str | Path) -> Source:
    """The file at `path`. Raises FileError where there is none, or where it is no Python."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        return Source(str(path), text, ast.parse(text, filename=str(path)))
    except OSError as error:
        raise FileError(f"cannot read {path}", got=error.strerror) from None
    except (SyntaxError, ValueError) as error:
        raise FileError(f"{path} is no Python file", got=str(error)) from None


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
    are the warnings that were shown on the way.
    `traces` are the programs of the cores, as far as they came. `results` is what the kernel gave back; `again` runs it
    once more on the same arguments with other launch options (`nki.launch.launch`) and gives the launch's report.
    """

    kernel: str
    function: Callable[..., Any]
    chip: Any
    lnc: int
    traces: Sequence[Trace]
    faults: Sequence[OpentrnError] = ()
    failures: Sequence[Exception] = ()
    notices: Sequence[Notice] = ()
    results: Any = None
    again: Callable[..., Any] | None = None

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

    @property
    def site(self) -> Site:
        """The kernel's first line."""
        code = self.function.__code__
        return Site(code.co_filename, code.co_firstlineno, code.co_name)

    def site_of(self, core: int, row: int) -> Site | None:
        """Where in the user's source instruction `row` of `core` was recorded."""
        trace = self.traces[core]
        return site_of(trace.places[trace.place[row]])
