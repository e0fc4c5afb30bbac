"""A machine that does not exist: a chip with some of its numbers changed, for the question "what if".

``changed(load_chip("trn2"), {"dma": "2x", "cost.semaphore_ns": 0})`` is a chip whose changed quantities have the tier
"changed" and name the value they had. Aliases (`ALIASES`) change together what belongs together.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from opentrn.errors import MachineError
from opentrn.machine.chip import Chip, Group, Quantity, Value

__all__ = ["ALIASES", "Alias", "asked_of", "changed", "changes_of", "parse_changes"]


@dataclass(frozen=True)
class Alias:
    """A short name for quantities that change together: a value sets the first one, the others keep their ratio to it.

    `words` are values with a name of their own.
    """

    text: str
    paths: tuple[str, ...]
    words: Mapping[str, float] = field(default_factory=dict)


def _dma(*names: str) -> tuple[str, ...]:
    return tuple(f"cost.dma.{name}" for name in names)


ALIASES = {
    "dma": Alias(
        "bandwidth of the DMA engines",
        _dma(
            "cap_bytes_per_ns_core",
            "bytes_per_ns_per_engine",
            "sustained_bytes_per_ns_per_engine",
            "peak_bytes_per_ns_per_engine",
        ),
    ),
    "dma_latency": Alias(
        "time to the first byte and after the last",
        _dma(
            "first_byte_ns",
            "store_first_byte_ns",
            "swdge_lead_ns",
            "swdge_first_byte_ns",
            "swdge_store_first_byte_ns",
            "static_first_descriptor_ns",
            "static_store_first_descriptor_ns",
            "load_latency_ns",
            "load_stagger_ns",
            "store_stagger_ns",
            "complete_ns",
            "store_complete_ns",
        ),
    ),
    "dma_descriptor": Alias("time of a DMA engine for each descriptor", _dma("descriptor_ns")),
    "dma_issue": Alias(
        "time of an engine to trigger a DMA", ("cost.dma.issue_ns", "cost.gpsimd.swdge_command_ns", "cost.dma.static_trigger_ns")
    ),
    "dma_engines": Alias("number of DMA engines", ("engines.dma.engines",)),
    "hbm": Alias("bandwidth of HBM", ("cost.hbm.bytes_per_ns_stack", "cost.hbm.bytes_per_ns_chip")),
    "throttle": Alias(
        "clock of TensorE while it has little to do, as a fraction: off, or a number",
        ("cost.tensor.startup_rate",),
        {"off": 1.0},
    ),
    "sbuf": Alias(
        "size of SBUF",
        ("memory.sbuf_bytes", "memory.sbuf_bytes_per_partition", "memory.sbuf_usable_bytes_per_partition"),
    ),
    "psum": Alias(
        "size of PSUM, in more or fewer banks",
        ("memory.psum_bytes", "memory.psum_bytes_per_partition", "memory.psum_banks"),
    ),
    "tensor_clock": Alias("clock of TensorE", ("engines.tensor.clock_hz",)),
    "vector_clock": Alias("clock of VectorE", ("engines.vector.clock_hz",)),
    "scalar_clock": Alias("clock of ScalarE", ("engines.scalar.clock_hz",)),
    "gpsimd_clock": Alias("clock of GpSimd", ("engines.gpsimd.clock_hz",)),
    "semaphore": Alias(
        "time from a semaphore to the engine that waits",
        ("cost.semaphore_ns", "cost.further_wait_ns.tensor", "cost.further_wait_ns.vector", "cost.further_wait_ns.other"),
    ),
    "table_load": Alias("loading an activation table", ("cost.scalar.act_table_load_ns",)),
    "kernel_fixed": Alias("prologue and epilogue of a kernel", ("cost.kernel_prologue_ns", "cost.kernel_epilogue_ns")),
}  # fmt: skip
"""Every alias by name. One whose first quantity a chip does not have raises MachineError there."""

_UNITS = {
    "B": (1, "byte"), "KiB": (2**10, "byte"), "MiB": (2**20, "byte"), "GiB": (2**30, "byte"),
    "ns": (1, "ns"), "us": (1e3, "ns"), "ms": (1e6, "ns"),
    "Hz": (1, "Hz"), "MHz": (1e6, "Hz"), "GHz": (1e9, "Hz"),
    "B/ns": (1, "byte/ns"), "GB/s": (1, "byte/ns"), "TB/s": (1e3, "byte/ns"),
}  # fmt: skip
"""Suffix -> (factor, the unit of the quantity that it goes with)."""

_NUMBER = re.compile(r"\s*([-+]?[\d_.]+(?:e[-+]?\d+)?)\s*([A-Za-z/]*)\s*", re.IGNORECASE)
_SWITCHES = {"on": True, "true": True, "off": False, "false": False}
_FIXED = ("name", "nc_version", "spellings")


@dataclass(frozen=True, eq=False)
class _ChangedChip(Chip):
    """A chip with changes; `entries` holds the changed quantities by dotted path, `asked` what led to them."""

    entries: Mapping[str, Quantity] = field(default_factory=dict, repr=False)
    asked: tuple[str, ...] = ()

    def quantity(self, path: str) -> Quantity:
        return self.entries.get(path) or super().quantity(path)

    def quantities(self) -> dict[str, Quantity]:
        return super().quantities() | dict(self.entries)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return _made, (super().__reduce__()[0](self.name), dict(self.entries), self.asked)


def asked_of(chip: Chip) -> tuple[str, ...]:
    """What was asked for, as ``name=value``, in the order of asking; empty for a chip that exists."""
    return chip.asked if isinstance(chip, _ChangedChip) else ()


def changes_of(chip: Chip) -> dict[str, Value]:
    """The changed values of `chip` by dotted path; empty for a chip that exists."""
    return {path: q.value for path, q in chip.entries.items()} if isinstance(chip, _ChangedChip) else {}


def parse_changes(text: str) -> dict[str, str]:
    """``dma=2x,throttle=off`` as a dictionary. Raises MachineError where a part has no name, no value or comes twice."""
    found: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value) or name in found:
            twice = f"{name} comes twice" if name in found else repr(part)
            raise MachineError(
                "a what-if cannot be read", got=twice, expected="NAME=VALUE,NAME=VALUE, such as dma=2x,sbuf=32MiB"
            )
        found[name] = value
    if not found:
        raise MachineError("a what-if without a change", got=repr(text), expected="NAME=VALUE", hint=_names())
    return found


def changed(chip: Chip, changes: Mapping[str, Value | str]) -> Chip:
    """`chip` with `changes`: alias or dotted path -> a number in the quantity's unit, text with a unit, or "2x".

    Raises MachineError for a name that is neither (with near names), a quantity that this chip has no number for, a
    value that cannot be (negative, not finite, of another unit, part of a whole thing) and one that comes twice.
    """
    entries = dict(chip.entries) if isinstance(chip, _ChangedChip) else {}
    seen: set[str] = set()
    for name, value in changes.items():
        for path, quantity in _change(chip, name, value):
            if path in seen:
                raise MachineError(f"{path} is changed twice", got=", ".join(changes), expected="each number once")
            seen.add(path)
            entries[path] = quantity
    return _made(chip, entries, (*asked_of(chip), *(f"{name}={value}" for name, value in changes.items())))


def _made(chip: Chip, entries: dict[str, Quantity], asked: tuple[str, ...]) -> Chip:
    root = _rebuilt(chip._root, entries)
    groups = {each.name: root[each.name] for each in fields(Chip) if each.name != "_root"}
    return _ChangedChip(**groups, _root=root, entries=MappingProxyType(entries), asked=asked)


def _change(chip: Chip, name: str, value: Value | str) -> Iterator[tuple[str, Quantity]]:
    alias = ALIASES.get(name)
    if alias is None:
        old = _known(chip, name)
        yield name, _replaced(name, old, _read(name, old, value))
        return
    first, *others = alias.paths
    old = chip.quantity(first)
    new = alias.words[value] if isinstance(value, str) and value in alias.words else _read(name, old, value)
    yield first, _replaced(first, old, new)
    assert isinstance(old.value, int | float) and isinstance(new, int | float)
    for path in others:
        if path in chip.quantities():
            yield path, _scaled(path, chip.quantity(path), new / old.value)


def _known(chip: Chip, path: str) -> Quantity:
    """The quantity at `path`; for anything else the error names aliases too."""
    if path not in chip.quantities() and "." not in path:
        near = difflib.get_close_matches(path, [*ALIASES, *chip.quantities()], n=4, cutoff=0.5)
        near += [known for known in chip.quantities() if known.rpartition(".")[2] == path]
        hint = f"near names: {', '.join(dict.fromkeys(near))}" if near else _names()
        raise MachineError(
            f"a what-if cannot change {path!r}", got=path, expected="an alias or a dotted name", hint=hint
        )
    return chip.quantity(path)


def _names() -> str:
    return f"aliases: {', '.join(ALIASES)}; docs/machine.md lists every dotted name"


def _read(name: str, old: Quantity, value: Value | str) -> Value:
    """`value` as a number in the unit of `old`."""
    if isinstance(old.value, bool):
        switch = _SWITCHES.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(switch, bool):
            raise _impossible(name, old, value, "on or off")
        return switch
    if name in _FIXED or not isinstance(old.value, int | float):
        raise _impossible(name, old, value, "a name of a number: this one cannot be changed")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _impossible(name, old, value, "a number")
    return _checked(name, old, value, _amount(name, old, value) if isinstance(value, str) else value)


def _amount(name: str, old: Quantity, text: str) -> float:
    match = _NUMBER.fullmatch(text)
    try:
        number, suffix = float(match.group(1)) if match else math.nan, match.group(2) if match else "?"
    except ValueError:
        number, suffix = math.nan, "?"
    assert isinstance(old.value, int | float)
    if suffix in ("x", "X"):
        scaled = number * old.value
        return math.floor(scaled) if old.unit == "byte" and math.isfinite(scaled) else scaled
    factor, unit = _UNITS.get(suffix, (math.nan, "")) if suffix else (1, old.unit)
    if unit != old.unit:
        known = [s for s, (_, u) in _UNITS.items() if u == old.unit]
        raise _impossible(
            name, old, text, f"a number{', a factor such as 2x' + ''.join(f', or {s}' for s in known[-2:])}"
        )
    return number * factor


def _checked(name: str, old: Quantity, given: Value | str, number: float) -> float:
    """`number`, whole where the quantity counts whole things."""
    if not math.isfinite(number) or number < 0 or (number == 0 and old.unit not in ("ns", "cycle")):
        raise _impossible(name, old, given, "a number above 0")
    if old.unit == "fraction" and number > 1:
        raise _impossible(name, old, given, "a fraction of at most 1")
    if not _divisible(old):
        if number != int(number):
            raise _impossible(name, old, given, f"a whole number: {old.unit}")
        return int(number)
    return number


def _divisible(old: Quantity) -> bool:
    return "/" in old.unit or old.unit in ("ns", "cycle", "Hz", "fraction", "ratio", "TFLOPS")


def _scaled(path: str, old: Quantity, ratio: float) -> Quantity:
    assert isinstance(old.value, int | float)
    new = old.value * ratio
    return _replaced(path, old, new if _divisible(old) else math.floor(new))


def _replaced(path: str, old: Quantity, new: Value) -> Quantity:
    return Quantity(new, old.unit, "changed", f"{path} was {old.value} {old.unit} ({old.tier})")


def _impossible(name: str, old: Quantity, value: object, expected: str) -> MachineError:
    return MachineError(
        f"{name} cannot become {value!r}", got=f"{value!r} (now {old.value} {old.unit})"[:200], expected=expected
    )


def _rebuilt(group: Group, entries: Mapping[str, Quantity]) -> Group:
    """A copy of the tree with the changed quantities in their places."""

    def entry(name: str, old: Quantity | Group) -> Quantity | Group:
        if isinstance(old, Group):
            return _rebuilt(old, entries)
        return entries.get(f"{group._path}.{name}" if group._path else name, old)

    made = {name: entry(name, old) for name, old in group._entries.items()}
    return Group(group._chip, group._path, MappingProxyType(made))
