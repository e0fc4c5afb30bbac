"""`Step`: one distinct use of an instruction, checked and prepared once and then recorded many times.

Kernels have thousands of instructions and tens of distinct signatures (instruction, operand shapes, strides, dtypes,
memories, attributes). Rules, engine choice, cost and the native plan are functions of the signature alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from operator import itemgetter
from typing import Any

from opentrn.errors import RuleError, Site
from opentrn.isa.attributes import member
from opentrn.isa.enums import engine
from opentrn.isa.rules import common, cure
from opentrn.isa.spec import NOTED, Broken, Cost, Instruction, Use
from opentrn.program.view import View

__all__ = ["Step", "prepare"]


@dataclass(slots=True, eq=False)
class Step:
    """A checked signature. `names` are the operands that are tensors, in the order in which records hold them.

    `pick` takes the tensors out of a call's operands; `indexed` tells that one of them has a run-time address; `native`
    is the native core's plan, or None where the numpy meaning runs. `notes` are older spellings that the use has.
    """

    instruction: Instruction
    engine: engine
    values: dict[str, Any]
    names: tuple[str, ...]
    roles: tuple[str, ...]
    chip: Any
    pick: Callable[[tuple[Any, ...]], tuple[View, ...]]
    indexed: bool
    native: Any = None
    notes: tuple[str, ...] = ()
    _cost: Cost | None = None

    def use(self, operands: tuple[Any, ...], core: Any = None) -> Use:
        """This use with concrete operands in place of the prototypes."""
        values = dict(self.values)
        for name, operand in zip(self.names, operands, strict=True):
            if name[-1] == "]":
                head, _, position = name[:-1].partition("[")
                values[head] = [*values[head]]
                values[head][int(position)] = operand
            else:
                values[name] = operand
        return Use(self.instruction, values, self.chip, self.engine, core)

    @property
    def cost(self) -> Cost:
        """What one execution costs; computed on first request."""
        if self._cost is None:
            assert self.instruction.price is not None
            self._cost = self.instruction.price(Use(self.instruction, self.values, self.chip, self.engine))
        return self._cost


_FACTS = {"start": "start partition", "partitions": "number of partitions", "dynamic": "address", "extent": "pattern"}
"""How messages call what is wrong with an operand, where its label's word is not enough."""


def prepare(
    instruction: Instruction,
    arguments: dict[str, Any],
    chip: Any,
    site: Site | None,
    plan: Callable[[Instruction, Use, tuple[str, ...]], Any] | None,
) -> Step:
    """Check one use against every rule and build its `Step`.

    `plan` makes the native plan (None without native core). Raises RuleError naming the first broken rule.
    """
    NOTED.clear()
    asked = arguments.get("engine", engine.unknown)
    values = {name: arguments[name] for name in instruction.signature.parameters if name not in ("name", "engine")}

    def broken(label: str, why: Broken, text: str, provenance: str = "documented") -> RuleError:
        what = f"nisa.{instruction.name}, rule {label} ({provenance}): {text}"
        return RuleError(
            what,
            instruction=instruction.name,
            rule=label,
            provenance=provenance,
            site=site,
            got=why.got,
            expected=why.expected,
            hint=why.hint,
        )

    for name, operand in instruction.operands.items():
        try:
            values[name] = _operand(values[name], operand)
        except Broken as why:
            raise broken(f"{name}.kind", why, f"{name} must be {_wanted(operand)}") from None
    for name, attribute in instruction.attributes.items():
        try:
            values[name] = attribute.parse(values[name])
        except Broken as why:
            raise broken(f"{name}.value", why, f"{name} must be {attribute.text}") from None
    use = Use(instruction, values, chip)
    for label, got, expected in common(use):
        name, _, fact = label.partition(".")
        what = f"the {_FACTS.get(fact, fact)} of {name} is not allowed" if fact else "not on this chip"
        raise broken(label, Broken(got, expected, cure(fact, got, expected)), what)
    use.engine = _engine(use, asked, broken)
    for rule in instruction.rules:
        try:
            rule.check(use)
        except Broken as why:
            raise broken(rule.label, why, rule.text, rule.provenance) from None
    named = use.tensors()
    names = tuple(n for n, _ in named)
    roles = tuple(_role(instruction.operand(n), values) for n in names)
    native = plan(instruction, use, names) if plan is not None else None
    indexed = any(tensor.dynamic is not None for _, tensor in named)
    pick = _picker([values[n] for n in instruction.operands])
    return Step(instruction, use.engine, _prototypes(use), names, roles, chip, pick, indexed, native, tuple(NOTED))


def _role(operand: Any, values: dict[str, Any]) -> str:
    # accumulate=False is the documented way to overwrite (nisa.nc_matmul): then old values are not read
    overwrites = operand.role == "inout" and values.get("accumulate") is False
    return "out" if overwrites else operand.role


def _picker(values: list[Any]) -> Callable[[tuple[Any, ...]], tuple[View, ...]]:
    """What takes the tensors out of operands that are tensors, numbers, None or lists in the places of `values`."""
    if any(isinstance(v, list) for v in values):
        return lambda given: tuple(
            [t for v in given for t in (v if isinstance(v, (list, tuple)) else (v,)) if isinstance(t, View)]
        )
    places = [n for n, v in enumerate(values) if isinstance(v, View)]
    if len(places) == 1:
        return lambda given: (given[places[0]],)
    return itemgetter(*places)


def _prototypes(use: Use) -> dict[str, Any]:
    """The values with every tensor stripped of its data, so that a Step never keeps a block alive."""
    return {
        n: [v.prototype() for v in x] if isinstance(x, list) else x.prototype() if isinstance(x, View) else x
        for n, x in use.values.items()
    }


def _wanted(operand: Any) -> str:
    one = "a list of tensors" if operand.many else "a tensor"
    return one + (" or a number" if operand.or_number else "") + (" or None" if operand.optional else "")


def _operand(value: Any, operand: Any) -> Any:
    if operand.many:
        if not isinstance(value, (list, tuple)) or not value or not all(isinstance(v, View) for v in value):
            raise Broken(repr(value), _wanted(operand))
        return list(value)
    if isinstance(value, View) or (value is None and operand.optional):
        return value
    if operand.or_number and isinstance(value, Real):
        return value if isinstance(value, (bool, int, float)) else _plain(value)
    raise Broken(f"{value!r} ({type(value).__name__})"[:200], _wanted(operand))


def _plain(value: Any) -> int | float:
    """A numpy scalar as the Python number it stands for."""
    return int(value) if isinstance(value, Integral) else float(value)


def _engine(use: Use, asked: Any, broken: Callable[..., RuleError]) -> engine:
    instruction = use.instruction
    try:
        asked = member(asked, engine)
        if asked is not engine.unknown and asked not in instruction.engines:
            raise Broken(asked.name, " or ".join(e.name for e in instruction.engines))
    except Broken as why:
        raise broken("engine", why, "the instruction does not run on that engine") from None
    if asked is not engine.unknown:
        return asked
    return instruction.choose(use) if instruction.choose else instruction.engines[0]
