"""The form in which every instruction is described.

A file under `isa/<engine>/` declares one `Instruction`: the public signature with its documentation, the operands
(role, memories, dtypes), labelled rules, the meaning in numpy, the cost, the native twin and an example. The public
function, the verifier, the executor's dispatch, the docs page and the test skeleton all come from that object.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, Protocol

from opentrn.isa.enums import MemoryRegion, engine

__all__ = [
    "ANY",
    "HBM",
    "ON_CHIP",
    "PSUM",
    "REGISTRY",
    "SBUF",
    "Attribute",
    "Broken",
    "Cost",
    "Instruction",
    "Native",
    "Operand",
    "Provenance",
    "Rule",
    "Tile",
    "Trait",
    "Transfer",
    "Use",
    "instruction",
    "into",
    "of",
    "scalar_or",
]  # fmt: skip

Provenance = Literal["documented", "measured", "inferred"]

Trait = Literal["sums", "float32_integers", "per_core"]
"""What an instruction is like beyond its operands, for those who compare results: it adds elements up in an order that is
not public; it computes on 32-bit integers in float32; its result differs between cores that see the same inputs."""

SBUF = frozenset({MemoryRegion.sbuf})
PSUM = frozenset({MemoryRegion.psum})
ON_CHIP = SBUF | PSUM
HBM = frozenset({MemoryRegion.private_hbm, MemoryRegion.shared_hbm})
ANY = ON_CHIP | HBM


class Tile(Protocol):
    """An operand as rules, costs and meanings see it: the facts of a view, and (in a meaning) its values.

    The canonical form of an on-chip operand is (partitions, elements): free dimensions flattened row-major.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    dtype: str
    buffer: MemoryRegion
    dynamic: Any

    @property
    def dt(self) -> Any: ...
    @property
    def partitions(self) -> int: ...
    @property
    def elements(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def start_partition(self) -> int: ...
    @property
    def start_byte(self) -> int: ...


@dataclass(frozen=True)
class Operand:
    """One tensor operand: its role, where it may live, which dtypes it may have.

    `optional` operands may be None; `or_number` operands may be a compile-time number instead of a tensor.
    `many` operands are lists of tensors.
    """

    role: Literal["in", "out", "inout"]
    memory: frozenset[MemoryRegion] = ON_CHIP
    dtypes: frozenset[str] | None = None
    optional: bool = False
    or_number: bool = False
    many: bool = False
    indirect: bool = False
    """May use tensor indirection (`.indirect`, NeuronCore-v4)."""
    dynamic: bool = True
    """May use a run-time address (scalar or vector offset)."""
    start: int | None = None
    """Step of legal start partitions where it is not the common one (MX scales: every 4)."""


def of(memory: frozenset[MemoryRegion] = ON_CHIP, **facts: Any) -> Operand:
    """A tensor that is read."""
    return Operand("in", memory, **facts)


def into(memory: frozenset[MemoryRegion] = ON_CHIP, **facts: Any) -> Operand:
    """A tensor that is written in full; pass ``role="inout"`` when old values can survive."""
    return Operand(facts.pop("role", "out"), memory, **facts)


def scalar_or(memory: frozenset[MemoryRegion] = ON_CHIP, **facts: Any) -> Operand:
    """A compile-time number, or a (P, 1) tensor that is read."""
    return Operand("in", memory, or_number=True, **facts)


@dataclass(frozen=True)
class Attribute:
    """One compile-time attribute: `parse` turns what the caller wrote into the canonical value (or raises Broken)."""

    parse: Callable[[Any], Any]
    text: str


class Broken(Exception):
    """A rule that does not hold: what was there, what should be, and one hint."""

    def __init__(self, got: object, expected: object, hint: str | None = None) -> None:
        super().__init__(got, expected)
        self.got, self.expected, self.hint = str(got), str(expected), hint


@dataclass(frozen=True)
class Rule:
    """A labelled condition on one use of an instruction. `check` raises `Broken` when it does not hold."""

    label: str
    provenance: Provenance
    text: str
    check: Callable[[Use], None]


@dataclass(frozen=True)
class Transfer:
    """What the DMA engines do for one instruction.

    `nbytes` in `descriptors` pieces, spread over `engines` DMA engines; each piece takes `descriptor_ns` and its bytes at
    `bytes_per_ns` on one engine. `first_byte_ns` runs from the trigger to the first byte, `complete_ns` from the last
    byte to the engine that waits for it. `generated` tells who writes the descriptors: "none" (built ahead), "hwdge" or
    "swdge" (GpSimd, `generate_ns` of its time).
    """

    nbytes: int
    descriptors: int
    engines: int
    descriptor_ns: float
    bytes_per_ns: float
    first_byte_ns: float
    complete_ns: float
    stagger_ns: float = 0.0
    """How much later the last byte is because the engines begin one after another; the queue does not notice."""
    generated: Literal["none", "hwdge", "swdge"] = "none"
    generate_ns: float = 0.0

    @property
    def work_ns(self) -> float:
        """ns that the pieces take on their engines when nothing interferes."""
        return (
            self.descriptors / self.engines * (self.descriptor_ns + self.nbytes / self.descriptors / self.bytes_per_ns)
        )


@dataclass(frozen=True)
class Cost:
    """What an instruction costs: it holds `engine` for `busy_ns`; its result can be used `latency_ns` after that.

    `tiers` name where the numbers come from (see `machine`). The other fields describe what depends on its neighbours:
    `preload_ns`, work that hides behind the instruction before it (LoadStationary); `table`, the activation table that
    has to be in place; `shared_ns`, what `busy_ns` becomes while GpSimd holds the port it shares with VectorE;
    `address_ns`, reading a run-time address first; `transfer`, the bytes a DMA moves after `busy_ns` of triggering;
    `meets`, the name under which the other core has to arrive; `flops`, multiply-adds of TensorE counted as two.
    """

    engine: str
    busy_ns: float
    latency_ns: float = 0.0
    tiers: tuple[str, ...] = ()
    preload_ns: float = 0.0
    table: str | None = None
    shared_ns: float | None = None
    address_ns: float = 0.0
    transfer: Transfer | None = None
    meets: str | None = None
    flops: float = 0.0
    elements: int = 0
    """Elements per partition that are streamed."""


@dataclass(frozen=True)
class Native:
    """How to run one use on the native core: its opcode, operands in the opcode's order, and parameters.

    `roles` are "in" and "inout" for operands that must hold values before, "out" for those that need not; by default
    as declared, with "inout" taken as "out" (old values may survive, but need not be there).
    """

    opcode: str
    operands: tuple[str, ...]
    ints: tuple[int, ...] = ()
    floats: tuple[float, ...] = ()
    roles: tuple[str, ...] | None = None


@dataclass
class Use:
    """One use of an instruction: its operands and attributes by name (also as attributes: ``use.dst``, ``use.op``).

    `engine` is resolved (never unknown); `chip` is the target; `core` (in a meaning) is the state of the core:
    accumulators, random generators, partner cores.
    """

    instruction: Instruction
    values: dict[str, Any]
    chip: Any
    engine: engine = engine.unknown
    core: Any = None

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(f"{self.instruction.name} has no operand or attribute {name!r}") from None

    def tensors(self) -> list[tuple[str, Any]]:
        """(name, tensor) for every operand that is a tensor in this use, lists flattened as ``srcs[0]``..."""
        found: list[tuple[str, Any]] = []
        for name, operand in self.instruction.operands.items():
            value = self.values[name]
            if operand.many:
                found += [(f"{name}[{n}]", v) for n, v in enumerate(value)]
            elif hasattr(value, "storage") or hasattr(value, "view"):
                found.append((name, value))
        return found


NOTED: list[str] = []
"""What attributes and rules say about a use that is legal (`note`), until `program.step.prepare` takes it for the step."""


def note(text: str) -> None:
    """Say something about the use that is being checked, such as that it has an older spelling."""
    NOTED.append(text)


@dataclass
class Instruction:
    """One instruction of the chip. See `instruction` for how a file declares it."""

    name: str
    signature: inspect.Signature
    doc: str
    page: str
    operands: Mapping[str, Operand]
    attributes: Mapping[str, Attribute]
    engines: tuple[engine, ...]
    since: int
    rules: list[Rule] = field(default_factory=list)
    run: Callable[[Use], None] | None = None
    price: Callable[[Use], Cost] | None = None
    lower: Callable[[Use], Native | None] | None = None
    choose: Callable[[Use], engine] | None = None
    example: Callable[[SimpleNamespace], Any] | None = None
    traits: tuple[Trait, ...] = ()
    differs: tuple[str, ...] = ()
    """Choices of ours that no public source settles; they make the page "what may differ on hardware"."""

    def operand(self, name: str) -> Operand:
        """The declaration of an operand as `Use.tensors` names it (``srcs[0]`` is one of ``srcs``)."""
        return self.operands[name.partition("[")[0]]

    def rule(self, label: str, provenance: Provenance, text: str) -> Callable[[Callable[[Use], None]], None]:
        """Add a rule: the decorated function raises `Broken` when it does not hold."""

        def add(check: Callable[[Use], None]) -> None:
            if any(r.label == label for r in self.rules):
                raise ValueError(f"{self.name} has two rules {label}")
            self.rules.append(Rule(label, provenance, text, check))

        return add

    def meaning(self, run: Callable[[Use], None]) -> None:
        """The decorated function computes one use on the operands' values. It is the specification."""
        self.run = run

    def cost(self, price: Callable[[Use], Cost]) -> None:
        """The decorated function gives the cost of one use."""
        self.price = price

    def native(self, lower: Callable[[Use], Native | None]) -> None:
        """The decorated function names the native twin of one use; None where the meaning has to run."""
        self.lower = lower

    def chooses(self, choose: Callable[[Use], engine]) -> None:
        """The decorated function is what the compiler would choose when `engine` is unknown."""
        self.choose = choose

    def shown(self, example: Callable[[SimpleNamespace], Any]) -> None:
        """The decorated function is a runnable example; it gets ``nki, nl, nisa, np`` as attributes."""
        self.example = example

    def differ(self, *texts: str) -> None:
        """Record choices that no public source settles."""
        self.differs += texts


REGISTRY: dict[str, Instruction] = {}
"""Every instruction by its public name, filled by importing `opentrn.isa.all`."""


def instruction(
    *,
    operands: Mapping[str, Operand],
    attributes: Mapping[str, Attribute] | None = None,
    engines: tuple[engine, ...],
    page: str,
    since: int = 2,
    traits: tuple[Trait, ...] = (),
    registry: dict[str, Instruction] | None = None,
) -> Callable[[Callable[..., None]], Instruction]:
    """Declare an instruction. The decorated function gives the public signature and, as docstring, what it does.

    `page` is the public page it is taken from; `since` the first NeuronCore generation that has it; `traits` are what
    it is like (`Trait`); `registry` where it is kept (`REGISTRY` without).
    """
    kept = REGISTRY if registry is None else registry

    def declare(declaration: Callable[..., None]) -> Instruction:
        name = declaration.__name__
        made = Instruction(
            name=name,
            signature=inspect.signature(declaration),
            doc=inspect.getdoc(declaration) or "",
            page=page,
            operands={n: operands[n] for n in inspect.signature(declaration).parameters if n in operands},
            attributes=dict(attributes or {}),
            engines=engines,
            since=since,
            traits=traits,
        )
        declared = set(made.signature.parameters) - {"name", "engine"}
        if declared != set(made.operands) | set(made.attributes):
            odd = declared ^ (set(made.operands) | set(made.attributes))
            raise TypeError(f"{name}: signature and operand/attribute tables disagree about {sorted(odd)}")
        if name in kept:
            raise TypeError(f"two descriptions of {name}")
        kept[name] = made
        return made

    return declare
