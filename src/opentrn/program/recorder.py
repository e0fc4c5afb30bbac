"""Recording: each call of an instruction appends one record; values are computed later, by the executor.

A record is ``(step, operands, place)``: the checked signature, the views in the order of `step.names`, and the user's
(code object, line). The public functions are generated from each instruction's signature, because their call overhead
is what a kernel with many small instructions consists of. Each has two forms of the same meaning: the native core's for
signatures that it has seen, and a generated one for everything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from opentrn.errors import LaunchError, OpentrnError
from opentrn.isa.spec import Instruction, Use
from opentrn.program import native
from opentrn.program.notices import notice
from opentrn.program.site import OWN, is_own, user_site
from opentrn.program.step import Step, prepare
from opentrn.program.trace import Loop
from opentrn.program.view import View

__all__ = ["ACTIVE", "OLDER", "NkiInstruction", "Place", "Record", "Recorder", "Steps", "active", "public_function"]

Place = tuple[CodeType, int]
"""A line of the user's code."""

Record = tuple[Step, tuple[View, ...], Place]

FLUSH_RECORDS = 256
"""Records after which values are computed even if nobody asked: dead tiles are freed, and the records themselves die
young, before Python's garbage collector walks them (4,096 cost 1.5 us an instruction where torch is imported)."""


class _Handle:
    """Which record an `NkiInstruction` is: `index` counts from 0 over the core's whole program. Twin of `_native.Handle`."""

    __slots__ = ("index", "recorder")

    def __init__(self, recorder: Recorder, index: int) -> None:
        self.recorder = recorder
        self.index = index


class _Pending:
    """Records that wait, and how many there were before them. `table` is for the native twin, `_native.Pending`."""

    __slots__ = ("base", "pending", "table")

    def __init__(self, table: Any) -> None:
        self.table = table
        self.pending: list[Record] = []
        self.base = 0

    @staticmethod
    def place(frame: FrameType) -> Place:
        """Where `frame` is in the user's code: the innermost frame from there outwards that is not opentrn's."""
        user: FrameType | None = frame
        while user is not None and is_own(user.f_code.co_filename):
            user = user.f_back
        user = user or frame
        return user.f_code, user.f_lineno


if not TYPE_CHECKING:
    _Handle = getattr(native.core(), "Handle", _Handle)
    _Pending = getattr(native.core(), "Pending", _Pending)


class NkiInstruction(_Handle):
    """Handle of one recorded instruction; `depends_on` orders it after others (nisa.NkiInstruction, SDK 2.32)."""

    __slots__ = ()

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


class Steps(dict[Any, Step]):
    """Checked signatures by call; `table` holds them for the native core, where that is in use."""

    def __init__(self) -> None:
        super().__init__()
        self.table = native.core().Steps() if native.available() else None


class Recorder(_Pending):
    """What one core has recorded and not yet executed, and the checked signatures it shares with all launches."""

    __slots__ = ("chip", "edges", "fixed", "flush", "loops", "names", "plan", "state", "steps")

    def __init__(
        self,
        chip: Any,
        steps: Steps,
        plan: Callable[[Instruction, Use, tuple[str, ...]], Any] | None,
        state: Any = None,
    ) -> None:
        super().__init__(steps.table)
        self.chip, self.steps, self.plan, self.state = chip, steps, plan, state
        self.edges: list[tuple[int, int]] = []
        self.fixed: list[tuple[int, int]] = []  # see `Trace.fixed`
        self.loops: list[Loop] = []  # see `Trace.loops`
        self.names: dict[str, list[int]] | None = None  # the records of each name=, while somebody asks for them
        self.flush: Callable[[], None] = self.pending.clear

    @property
    def count(self) -> int:
        """Records so far, those that were executed included."""
        return self.base + len(self.pending)


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
        for text in step.notes:
            notice(text, DeprecationWarning)
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


_TEMPLATE = """
def _key_of({bare}):
    return {key}

def _resolve({bare}):
    return _slow(_instruction, _key_of, {{{arguments}}})

def _record(frame, {bare}):
    recorder = ACTIVE.recorder
    try:
        step = recorder.steps[{key}]
    except (KeyError, AttributeError, TypeError):
        step = _resolve({bare})
    pending = recorder.pending
    pending.append((step, {operands}, recorder.place(frame)))
    index = recorder.base + len(pending) - 1
    if len(pending) >= FLUSH_RECORDS:
        recorder.flush()
    return NkiInstruction(recorder, index)

_quick = _quick_record(_record, _resolve, {places})

def {name}({signature}, **_older):
    if _older:
        return OLDER.call({name}, {name!r}, {{{given}}}, _older)
    return {returned}
"""


def _named(handle: NkiInstruction, name: Any) -> NkiInstruction:
    """The handle, its record known by its name where the kernel has a schedule."""
    if handle.recorder.names is not None:
        handle.recorder.names.setdefault(name, []).append(handle.index)
    return handle


def _quick_record(record: Callable[..., Any], resolve: Callable[..., Step], operands: list[int]) -> Callable[..., Any]:
    """The native form of `record`, or itself where there is no native core. `operands`: which arguments are those."""
    core = native.core()
    return core.Call(record, resolve, ACTIVE, NkiInstruction, operands, FLUSH_RECORDS).record if core else record


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
    record = f"_quick(_getframe(1), {', '.join(used)})"
    source = _TEMPLATE.format(
        name=instruction.name,
        returned=f"{record} if name is None else _named({record}, name)" if "name" in parameters else record,
        bare=", ".join(used),
        signature=signature,
        key=key,
        arguments=", ".join(f"{n!r}: {n}" for n in used),
        given=", ".join(f"{n!r}: {n}" for n in parameters),
        operands=_operand_source(instruction),
        places=[used.index(n) for n in instruction.operands],
    )
    scope: dict[str, Any] = {
        **defaults,
        "ACTIVE": ACTIVE,
        "FLUSH_RECORDS": FLUSH_RECORDS,
        "NkiInstruction": NkiInstruction,
        "OLDER": OLDER,
        "View": View,
        "_getframe": sys._getframe,
        "_hashable": _hashable,
        "_read": _read,
        "_instruction": instruction,
        "_named": _named,
        "_quick_record": _quick_record,
        "_slow": _slow,
    }
    exec(compile(source, f"{OWN}nki/isa.py:{instruction.name}", "exec"), scope)
    made = scope[instruction.name]
    made.__doc__, made.__module__, made.__signature__ = instruction.doc, "nki.isa", instruction.signature
    return made
