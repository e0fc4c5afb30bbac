"""Recording: each call of an instruction appends one record; values are computed later, by the executor.

A record is ``(step, operands, place)``: the checked signature, the views in the order of `step.names`, and the user's
(code object, line). The public functions are generated from each instruction's signature, because their call overhead
is what a kernel with many small instructions consists of.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

from opentrn.errors import LaunchError, OpentrnError
from opentrn.isa.spec import Instruction, Use
from opentrn.program.site import OWN, SURFACE, user_frame, user_site
from opentrn.program.step import Step, prepare
from opentrn.program.view import View

__all__ = ["ACTIVE", "OLDER", "NkiInstruction", "Record", "Recorder", "active", "public_function"]

Record = tuple[Step, tuple[View, ...], tuple[CodeType, int]]

FLUSH_RECORDS = 512
"""Records after which values are computed even if nobody asked: dead tiles are freed, and the records themselves die
young, before Python's garbage collector walks them (4,096 cost 1.5 us an instruction where torch is imported)."""


class NkiInstruction:
    """Handle of one recorded instruction; `depends_on` orders it after others (nisa.NkiInstruction, SDK 2.32)."""

    __slots__ = ("index", "recorder")

    def __init__(self, recorder: Recorder, index: int) -> None:
        self.recorder = recorder
        self.index = index

    def depends_on(self, *producers: NkiInstruction) -> NkiInstruction:
        """Make this instruction wait for every producer; gives itself back, so calls chain."""
        for producer in producers:
            if not isinstance(producer, NkiInstruction) or producer.recorder is not self.recorder:
                raise LaunchError(
                    "depends_on",
                    site=user_site(),
                    got=repr(producer),
                    expected="instructions of the same core of the same kernel",
                )
            if producer.index >= self.index:
                raise LaunchError(
                    "depends_on",
                    site=user_site(),
                    got="a later instruction",
                    expected="an earlier one",
                    hint="the consumer calls depends_on(producer)",
                )
            self.recorder.edges.append((producer.index, self.index))
        return self


class Recorder:
    """What one core has recorded and not yet executed, and the checked signatures it shares with all launches."""

    __slots__ = ("base", "chip", "edges", "flush", "pending", "plan", "state", "steps")

    def __init__(
        self,
        chip: Any,
        steps: dict[Any, Step],
        plan: Callable[[Instruction, Use, tuple[str, ...]], Any] | None,
        state: Any = None,
    ) -> None:
        self.chip, self.steps, self.plan, self.state = chip, steps, plan, state
        self.pending: list[Record] = []
        self.base = 0
        self.edges: list[tuple[int, int]] = []
        self.flush: Callable[[], None] = self.pending.clear


class _Active:
    """The recorder of the core that is running now. Cores take turns, so one slot is enough."""

    __slots__ = ("recorder",)

    def __init__(self) -> None:
        self.recorder: Recorder | None = None


ACTIVE = _Active()


def active(what: str) -> Recorder:
    """The recorder of the core that is running now. Raises LaunchError, naming `what`, when no kernel runs."""
    if ACTIVE.recorder is None:
        raise LaunchError(
            f"{what} was called outside a kernel",
            site=user_site(),
            hint="decorate the function with @nki.jit and call it, or use nki.simulate(function)(...)",
        )
    return ACTIVE.recorder


class _Older:
    """Where keywords go that a signature does not have; the surface puts its tables of old spellings here."""

    def __init__(self) -> None:
        self.call: Callable[..., Any] = _unknown


def _unknown(function: Callable[..., Any], name: str, given: dict[str, Any], old: dict[str, Any]) -> Any:
    raise LaunchError(f"nisa.{name} has no parameter {next(iter(old))!r}", site=user_site(2), expected=", ".join(given))


OLDER = _Older()


def _slow(instruction: Instruction, key_of: Callable[..., Any], arguments: dict[str, Any]) -> Step:
    """The first use of a signature (or a bad one): check it, keep its step."""
    recorder = active(f"nisa.{instruction.name}")
    key = _key(key_of, arguments)
    step = recorder.steps.get(key) if key is not None else None
    if step is None:
        try:
            step = prepare(instruction, arguments, recorder.chip, user_site(2), recorder.plan)
        except OpentrnError as error:
            raise error from None  # the reader need not know that it was looked up before it was checked
        if key is not None:
            recorder.steps[key] = step
    return step


def _key(key_of: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    try:
        key = key_of(**arguments)
        hash(key)
    except (AttributeError, TypeError):
        return None  # operands of a wrong kind: prepare() says which
    return key


def _place() -> tuple[CodeType, int]:
    frame = user_frame(2) or sys._getframe(2)
    return frame.f_code, frame.f_lineno


_TEMPLATE = """
def _key_of({bare}):
    return {key}

def {name}({signature}, **_older):
    if _older:
        return OLDER.call({name}, {name!r}, {{{given}}}, _older)
    recorder = ACTIVE.recorder
    try:
        step = recorder.steps[{key}]
    except (KeyError, AttributeError, TypeError):
        step = _slow(_instruction, _key_of, {{{arguments}}})
    frame = _getframe(1)
    code = frame.f_code
    pending = recorder.pending
    pending.append((step, {operands}, _place() if code.co_filename.startswith(SURFACE) else (code, frame.f_lineno)))
    index = recorder.base + len(pending) - 1
    if len(pending) >= FLUSH_RECORDS:
        recorder.flush()
    return NkiInstruction(recorder, index)
"""


def _hashable(value: Any) -> Any:
    return (
        tuple(_hashable(v) for v in value)
        if isinstance(value, (list, tuple))
        else (value.__class__, value or str(value))
    )


def _read(value: Any) -> Any:
    """A register counts by the value it has now: the step is made for that value."""
    return _hashable(value.read() if getattr(value, "is_register", False) else value)


def _key_source(instruction: Instruction, name: str, tensor: str) -> str:
    operand = instruction.operands.get(name)
    if operand is None:
        attribute = instruction.attributes.get(name)
        if attribute is not None and "register" in attribute.text:
            return f"_read({name})"
        listed = attribute is not None and (
            "list" in attribute.text or "pattern" in attribute.text or "tuple" in attribute.text
        )
        return (
            f"_hashable({name})"
            if listed or attribute is None or "number" in attribute.text or "integer" in attribute.text
            else name
        )
    if operand.many:
        return f"tuple([v.key for v in {name}])"
    if operand.or_number or operand.optional:
        # 1, 1.0 and True, or 0.0 and -0.0, are equal as keys, and different to rules and meanings
        return f"({name}.key if isinstance({name}, {tensor}) else {name} or str({name})), {name}.__class__"
    return f"{name}.key"


def _operand_source(instruction: Instruction) -> str:
    """Source of the tuple of views of a record; a literal where every operand is always a tensor."""
    given = f"({', '.join(instruction.operands)},)"
    fixed = all(not (o.many or o.or_number or o.optional) for o in instruction.operands.values())
    return given if fixed else f"step.pick({given})"


def public_function(instruction: Instruction) -> Callable[..., NkiInstruction]:
    """The function `nki.isa.<name>` for an instruction, with its public signature and documentation."""
    parameters = instruction.signature.parameters
    defaults = {f"_default_{n}": p.default for n, p in parameters.items() if p.default is not p.empty}
    signature = ", ".join(n + (f"=_default_{n}" if f"_default_{n}" in defaults else "") for n in parameters)
    used = [n for n in parameters if n != "name"]
    key = "(_instruction.name, " + "".join(_key_source(instruction, n, "View") + ", " for n in used) + ")"
    source = _TEMPLATE.format(
        name=instruction.name,
        bare=", ".join(used),
        signature=signature,
        key=key,
        arguments=", ".join(f"{n!r}: {n}" for n in used),
        given=", ".join(f"{n!r}: {n}" for n in parameters),
        operands=_operand_source(instruction),
    )
    scope: dict[str, Any] = {
        **defaults,
        "ACTIVE": ACTIVE,
        "FLUSH_RECORDS": FLUSH_RECORDS,
        "NkiInstruction": NkiInstruction,
        "OLDER": OLDER,
        "SURFACE": SURFACE,
        "View": View,
        "_getframe": sys._getframe,
        "_hashable": _hashable,
        "_read": _read,
        "_instruction": instruction,
        "_place": _place,
        "_slow": _slow,
    }
    exec(compile(source, f"{OWN}nki/isa.py:{instruction.name}", "exec"), scope)
    made = scope[instruction.name]
    made.__doc__, made.__module__, made.__signature__ = instruction.doc, "nki.isa", instruction.signature
    return made
