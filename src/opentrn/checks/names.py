"""Names of checks and of their rules, as suppressions and options spell them."""

from __future__ import annotations

from difflib import get_close_matches

from opentrn.checks.check import CHECKS
from opentrn.isa.all import REGISTRY

__all__ = ["near"]


def near(name: str) -> str | None:
    """What to write instead of `name`; None where it is a check (``memory``) or a label (``rules.nc_matmul.c3``).

    Of the labels of instructions the instruction is known, not its rules: those that follow from operands have no list.
    """
    check, _, label = name.partition(".")
    if check in CHECKS and (not label or label in CHECKS[check].rules):
        return None
    if check == "rules" and label.partition(".")[0] in REGISTRY:
        return None
    names = [*CHECKS, *(f"{c}.{rule}" for c, each in CHECKS.items() for rule in each.rules)]
    names += [f"rules.{instruction}" for instruction in REGISTRY]
    found = get_close_matches(name, names, n=3)
    return f"did you mean {' or '.join(found)}?" if found else f"the checks are {', '.join(CHECKS)}"
