"""language: is it NKI? The kernel's Python against the documented language, and what raised while it ran."""

from __future__ import annotations

from collections.abc import Iterator

from opentrn.checks.check import Check
from opentrn.checks.classes import classes
from opentrn.checks.constructs import RULES as CONSTRUCTS
from opentrn.checks.device_loops import RULES as DEVICE_LOOPS
from opentrn.checks.device_values import RULES as DEVICE_VALUES
from opentrn.checks.evidence import Evidence, Source
from opentrn.checks.failures import met
from opentrn.checks.finding import Finding
from opentrn.checks.kernels import code_of, site_at

GUIDE = "nki/get-started/nki-language-guide.rst"
MIGRATION = "nki/migration/index.rst"
LOOPS = "nki/deep-dives/nki-dynamic-loops.rst"
SIMULATOR = "nki/guides/nki_simulator.rst"

language = Check("language", "Python that the NKI language does not have, and kernels that raise")

# while running
language.rule("kernel", "error", "documented", "the kernel does what no program may: an unset register, say", GUIDE)
language.rule("dtype", "error", "documented", "a spelling that is no NKI data type", "nki/api/nki.language.rst")
language.rule("call", "error", "documented", "a function or kernel is called as it cannot be", "nki/api/index.rst")
language.rule("unsupported", "warning", "inferred", "opentrn does not model this: nobody knows here whether it works")
language.rule("validation", "error", "documented", "a limit of the hardware is broken", SIMULATOR)
language.rule("raised", "error", "inferred", "the kernel raises an exception while it is recorded", GUIDE)

# Python
language.rule("identity", "error", "documented", "`is` and `is not` are not supported", MIGRATION)
language.rule(
    "identity_none",
    "warning",
    "documented (SDK 2.29), though AWS's own library of the same release compares with None by `is`",
    "`is None` is not supported by the letter of the documentation",
    MIGRATION,
)
language.rule("keyword_only", "error", "documented", "a kernel's signature has no keyword-only parameters", MIGRATION)
language.rule("list_argument", "error", "documented", "kernels take tuples, not lists, as arguments", MIGRATION)
language.rule("value", "error", "documented", "values are None, bool, 32-bit numbers, strings and tensors", GUIDE)
language.rule("dictionary_keys", "error", "documented", "keys of dictionaries are strings", GUIDE)
language.rule("base_class", "error", "documented", "classes of a kernel inherit from NKIObject", GUIDE)
language.rule("more_bases", "error", "documented", "classes of a kernel inherit from NKIObject and nothing else", GUIDE)
language.rule("global_state", "error", "documented", "kernels are pure functions of their arguments", GUIDE)
language.rule("stale_state", "warning", "documented", "a compiled kernel does not see later changes of globals", GUIDE)
language.rule("impure", "warning", "documented", "what differs from call to call is fixed when compiling", GUIDE)
language.rule("library", "warning", "documented", "not all Python libraries can be used in a kernel", GUIDE)
language.rule(
    "undocumented",
    "warning",
    "inferred: neither in the language guide nor in any kernel of nki-library 2.29",
    "a Python construct that the language guide does not list",
    SIMULATOR,
)

# values of the device
language.rule(
    "device_value", "error", "documented", "Python's control flow cannot depend on values of the device", LOOPS
)
language.rule("register_arithmetic", "error", "documented", "registers take no part in Python arithmetic", MIGRATION)
language.rule("loop_variable", "error", "documented", "the index of a device loop is read-only", MIGRATION)
language.rule("loop_step", "error", "documented", "the step of a device loop is a positive compile-time integer", LOOPS)
language.rule("loop_body", "error", "documented", "what the body function of a device loop returns", MIGRATION)
language.rule("loop_state", "error", "documented", "state of device loops lives in SBUF or HBM", MIGRATION)
language.rule("no_reorder", "error", "documented", "no device loop inside nl.no_reorder()", LOOPS)


@language.run
def _(evidence: Evidence) -> Iterator[Finding]:
    yield from met(evidence, language)


@language.source
def _(source: Source) -> Iterator[Finding]:
    code = code_of(source)
    for function in code.functions if not code.legacy else ():
        for look in (*CONSTRUCTS, *DEVICE_VALUES, *DEVICE_LOOPS, classes):
            for label, node, message, hint in look(code, function):
                yield language.finding(label, message, site_at(source, node, function), hint=hint)
