"""Every error that opentrn raises, as one tree under `OpentrnError`.

A message answers, in this order: where (the user's file and line), what (instruction and rule), got, expected, hint.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "AddressError",
    "CapacityError",
    "CompileError",
    "DTypeError",
    "FileError",
    "GradientError",
    "HardwareWarning",
    "InstallError",
    "KernelError",
    "LaunchError",
    "MachineError",
    "MemoryFault",
    "NkiValidationError",
    "OpentrnError",
    "RuleError",
    "SimulationOnly",
    "Site",
    "TensorError",
    "TracingError",
    "UnsupportedError",
    "ViewError",
]


@dataclass(frozen=True)
class Site:
    """A place in the user's source: the innermost frame that is not opentrn's own."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" in {self.function}" if self.function else "")


class OpentrnError(Exception):
    """Root of every error of opentrn. `site` is where in the user's code it happened, when that is known.

    `kind` tells errors of one class apart where programs need to (`opentrn.checks`).
    """

    def __init__(
        self,
        what: str,
        *,
        site: Site | None = None,
        got: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
        kind: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what, self.site, self.got, self.expected, self.hint, self.kind = what, site, got, expected, hint, kind

    def __str__(self) -> str:
        rows = (("at", self.site), ("got", self.got), ("expected", self.expected), ("hint", self.hint))
        return "\n".join([self.what, *(f"  {name + ':':<9} {value}" for name, value in rows if value is not None)])


class UnsupportedError(OpentrnError, NotImplementedError):
    """The chip may do this; opentrn does not model it, and says so rather than return a guess."""


class DTypeError(OpentrnError, TypeError):
    """A spelling that is no NKI data type."""


class MachineError(OpentrnError, LookupError):
    """A chip, or a number of a chip, that no public source gives."""


class FileError(OpentrnError, OSError):
    """A file that cannot be read or written, or that is not what its name says."""


class InstallError(OpentrnError, ImportError):
    """`import nki` cannot be pointed at opentrn (another nki is there), or a package that an extra brings is missing."""


class LaunchError(OpentrnError, TypeError):
    """A kernel was called in a way the launcher cannot accept (arguments, LNC, results)."""


class TensorError(LaunchError, RuntimeError):
    """A framework's array that no kernel can take: on another device, sparse, complex."""


class TracingError(UnsupportedError):
    """A kernel whose control flow needs values, where a framework knows shapes alone."""


class CompileError(OpentrnError, IndexError):
    """A kernel call that PyTorch's compiler cannot take into a whole graph; an IndexError, which it lets through as it is."""


class GradientError(OpentrnError, RuntimeError, ValueError):
    """A derivative of a kernel that has none (PyTorch raises RuntimeError for this, JAX ValueError)."""


class ViewError(OpentrnError, IndexError, ValueError):
    """An index, slice, reshape or access pattern that the tensor does not have."""


class AddressError(OpentrnError, ValueError):
    """A manual address that the memory does not have or that breaks its alignment."""


class CapacityError(OpentrnError, MemoryError):
    """The live tensors do not fit in SBUF or PSUM."""


class NkiValidationError(OpentrnError, ValueError):
    """Raised when a hardware constraint is violated (public name: `nki.isa.NkiValidationError`)."""


class RuleError(NkiValidationError, AssertionError):
    """An instruction breaks one of its labelled rules.

    `instruction`, `rule` and `provenance` name it; AWS's front end raises AssertionError for these, hence the base.
    """

    def __init__(self, what: str, *, instruction: str, rule: str, provenance: str, **where: object) -> None:
        super().__init__(what, **where)  # type: ignore[arg-type]
        self.instruction, self.rule, self.provenance = instruction, rule, provenance


class MemoryFault(OpentrnError, RuntimeError):
    """A read of bytes that hold nothing meaningful; `kind`: uninitialised, unwritten (of a result), clobber."""


class KernelError(OpentrnError, RuntimeError):
    """The kernel did something no program may (`kind`: bounds of a run-time index, meeting of cores that never meet)."""


class HardwareWarning(UserWarning):
    """Something runs here that AWS documents as not working on the device."""


class SimulationOnly(HardwareWarning):
    """A function that AWS documents for its simulator and for which there is no instruction."""
