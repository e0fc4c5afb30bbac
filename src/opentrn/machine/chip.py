"""What a chip is: named numbers, read from `trn1.toml`, `trn2.toml`, `trn3.toml`, each with unit, tier and source.

The TOML files are the only place where a number of a chip is written; this module gives them names Python can read.
`load_chip("trn2").limits.pmax` is 128, and `load_chip("trn2").quantity("limits.pmax")` also says who says so.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, TypeAlias

from opentrn.errors import MachineError

__all__ = ["CHIP_NAMES", "TIERS", "Chip", "Group", "Quantity", "Value", "load_chip"]

CHIP_NAMES = ("trn1", "trn2", "trn3")
TIERS = ("documented", "code", "measured", "figure", "derived", "fitted", "inferred")

Value: TypeAlias = "bool | int | float | str | tuple[Value, ...]"


@dataclass(frozen=True)
class Quantity:
    """One number of a chip: its value, its unit, how well it is known (`TIERS`) and the public page it comes from."""

    value: Value
    unit: str
    tier: str
    source: str


@dataclass(frozen=True, eq=False, repr=False)
class Group:
    """Named values and named groups of a chip. `group.name` and `group["name"]` give the plain value.

    A name that no chip has, or that this chip has no public number for, raises MachineError; `name in group` asks.
    """

    _chip: str
    _path: str
    _entries: Mapping[str, Quantity | Group]

    def __post_init__(self) -> None:
        # Plain attributes are found without __getattr__, which then sees only names that are not there.
        self.__dict__.update({name: _plain(entry) for name, entry in self._entries.items()})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Python's own protocols (copy, inspect, pytest) probe for these
            raise AttributeError(name)
        raise _missing(self._chip, _join(self._path, name))

    def __getitem__(self, name: str) -> Any:
        """The same as attribute access, for a name computed at run time (`chip.engines[engine].clock_hz`)."""
        if name not in self._entries:
            raise _missing(self._chip, _join(self._path, name))
        return _plain(self._entries[name])

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<{_join(self._chip, self._path)}: {', '.join(self)}>"


@dataclass(frozen=True, eq=False)
class Chip:
    """A chip and its NeuronCore, by group. Values are plain; `quantity` gives unit, tier and source.

    A group that only some chips have (`calibration`) is reached by the same spelling and raises MachineError elsewhere.
    """

    name: str
    nc_version: int
    memory: Group = field(repr=False)
    limits: Group = field(repr=False)
    features: Group = field(repr=False)
    engines: Group = field(repr=False)
    cost: Group = field(repr=False)
    package: Group = field(repr=False)
    instance: Group = field(repr=False)
    collectives: Group = field(repr=False)
    _root: Group = field(repr=False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._root[name]

    def quantity(self, path: str) -> Quantity:
        """The quantity at a dotted path such as "limits.gemm_moving_fmax".

        Raises MachineError if no chip has that name, if this chip has no public number for it, or if it is a group.
        """
        found = _flat(self.name).get(path)
        if isinstance(found, Quantity):
            return found
        if isinstance(found, Group):
            names = ", ".join(found)
            raise MachineError(
                f"{path!r} of {self.name} is a group, not a value", expected=f"{path}.NAME", hint=f"its names: {names}"
            )
        raise _missing(self.name, path)

    def quantities(self) -> dict[str, Quantity]:
        """Every quantity of this chip by dotted path, in the order of its TOML file."""
        return {path: entry for path, entry in _flat(self.name).items() if isinstance(entry, Quantity)}

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return load_chip, (self.name,)


def load_chip(name: str | int) -> Chip:
    """The chip called `name`: trn1 | inf2 | gen2 | 2, trn2 | gen3 | 3, trn3 | gen4 | 4. The same object each time.

    Names: `nki.isa.nc_version` of the public NKI API (SDK 2.32). Raises MachineError for any other name.
    """
    if isinstance(name, str | int) and name in CHIP_NAMES:  # the common case reads one TOML instead of three
        return _build(name)
    known = _spellings()
    if isinstance(name, str | int) and name in known:
        return _build(known[name])
    spellings = [str(spelling) for spelling in known]
    raise MachineError(f"no chip is called {name!r}", expected=", ".join(spellings), hint=_near(str(name), spellings))


@cache
def _spellings() -> dict[str | int, str]:
    roots = {chip: _root(chip) for chip in CHIP_NAMES}
    by_name: dict[str | int, str] = {spelling: chip for chip, root in roots.items() for spelling in root.spellings}
    return by_name | {root.nc_version: chip for chip, root in roots.items()}


@cache
def _build(chip: str) -> Chip:
    root = _root(chip)
    return Chip(**{each.name: root[each.name] for each in fields(Chip) if each.name != "_root"}, _root=root)


@cache
def _root(chip: str) -> Group:
    text = resources.files("opentrn.machine").joinpath(f"{chip}.toml").read_text(encoding="utf-8")
    return _group(chip, "", tomllib.loads(text))


def _group(chip: str, path: str, table: Mapping[str, Any]) -> Group:
    def entry(name: str, item: Mapping[str, Any]) -> Quantity | Group:
        if "value" in item:
            return Quantity(**{**item, "value": _tuples(item["value"])})
        return _group(chip, _join(path, name), item)

    return Group(chip, path, MappingProxyType({name: entry(name, item) for name, item in table.items()}))


def _tuples(value: Any) -> Value:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _plain(entry: Quantity | Group) -> Value | Group:
    return entry.value if isinstance(entry, Quantity) else entry


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


@cache
def _flat(chip: str) -> dict[str, Quantity | Group]:
    """Every dotted path of a chip, groups included."""

    def walk(group: Group) -> Iterator[tuple[str, Quantity | Group]]:
        for name, entry in group._entries.items():
            yield _join(group._path, name), entry
            if isinstance(entry, Group):
                yield from walk(entry)

    return dict(walk(_root(chip)))


def _missing(chip: str, path: str) -> MachineError:
    holders = [other for other in CHIP_NAMES if path in _flat(other)]
    if holders:
        hint = f"there is one for {', '.join(holders)}, but another chip's value is never used in its place"
        return MachineError(f"{chip} has no public number for {path!r}", hint=hint)
    paths = list(dict.fromkeys(known for other in (chip, *CHIP_NAMES) for known in _flat(other)))
    return MachineError(f"no number of a chip is called {path!r}", hint=_near(path, paths))


def _near(name: str, known: list[str]) -> str:
    leaf = name.rpartition(".")[2]
    same_leaf = [path for path in known if path.rpartition(".")[2] == leaf]
    near = list(dict.fromkeys(same_leaf + difflib.get_close_matches(name, known, n=4, cutoff=0.5)))[:5]
    return f"near names: {', '.join(near)}" if near else "no near name; docs/machine.md lists them all"
