"""Which finding an error is: the one table from the error tree to the labels of checks."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from opentrn.checks.check import Check
from opentrn.checks.evidence import Evidence
from opentrn.checks.finding import Finding, text_of
from opentrn.errors import (
    AddressError,
    CapacityError,
    DTypeError,
    KernelError,
    LaunchError,
    MachineError,
    MemoryFault,
    NkiValidationError,
    OpentrnError,
    RuleError,
    Site,
    UnsupportedError,
    ViewError,
)
from opentrn.program.site import is_own, site_of

__all__ = ["met"]

LABELS: dict[tuple[type[BaseException], str | None], tuple[str, str]] = {
    (MemoryFault, "uninitialised"): ("memory", "uninitialised"),
    (MemoryFault, "unwritten"): ("memory", "unwritten"),
    (MemoryFault, "clobber"): ("memory", "clobber"),
    (CapacityError, None): ("memory", "capacity"),
    (AddressError, None): ("memory", "address"),
    (ViewError, None): ("memory", "bounds"),
    (KernelError, "bounds"): ("memory", "bounds"),
    (KernelError, "meeting"): ("deadlock", "meeting"),
    (KernelError, "sendrecv"): ("deadlock", "sendrecv"),
    (KernelError, "endless"): ("deadlock", "endless"),
    (KernelError, None): ("language", "kernel"),
    (DTypeError, None): ("language", "dtype"),
    (LaunchError, None): ("language", "call"),
    (UnsupportedError, None): ("language", "unsupported"),
    (MachineError, None): ("language", "unsupported"),
    (NkiValidationError, None): ("language", "validation"),
    (Exception, None): ("language", "raised"),
}
"""(class, kind) -> (check, rule). Of an error's classes the first that is listed counts; rules of instructions name theirs."""


def _label_of(error: BaseException) -> tuple[str, str]:
    """(check, rule) of an error."""
    if isinstance(error, RuleError):
        return "rules", f"{error.instruction}.{error.rule}"
    kind = getattr(error, "kind", None)
    for one in type(error).__mro__:
        for known in ((one, kind), (one, None)):
            if known in LABELS:
                return LABELS[known]
    raise error


def met(evidence: Evidence, check: Check) -> Iterator[Finding]:
    """What the run met that is `check`'s to report."""
    for error in (*evidence.faults, *evidence.failures):
        name, label = _label_of(error)
        if name == check.name and isinstance(error, OpentrnError):
            yield check.finding(
                label, text_of(error), error.site or _raised_at(error) or evidence.site, hint=error.hint
            )
        elif name == check.name:
            yield check.finding(label, _raised(error), _raised_at(error) or evidence.site, hint=_CURES.get(type(error)))


_CURES = {
    AssertionError: "the kernel's own assertion: call it with arguments that it accepts",
    RecursionError: "calls are inlined when the kernel is compiled: end the recursion by a compile-time condition",
    ModuleNotFoundError: "import it outside of the kernel, or install it",
}


def _raised(error: BaseException) -> str:
    """The exception as Python shows it, on one line."""
    return " ".join(traceback.format_exception_only(error)[-1].split())


def _raised_at(error: BaseException) -> Site | None:
    """The innermost line of the user's that an exception passed on its way; None where there is none."""
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    users = [(f.f_code, line) for f, line in frames if not is_own(f.f_code.co_filename)]
    return site_of(users[-1]) if users else None
