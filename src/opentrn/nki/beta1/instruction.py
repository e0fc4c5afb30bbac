"""From a value-returning call to records: destinations, masks, operands that share the result's grid.

`issue` makes the result of a call; `assign` and `update` are what ``tile[...] = value`` and ``tile += value`` do. `Call`
is the common form: operands over the result's grid, columns with one value per partition, and the rest as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from opentrn.errors import LaunchError, UnsupportedError, ViewError
from opentrn.isa.enums import MemoryRegion
from opentrn.isa.spec import ON_CHIP, PSUM, SBUF
from opentrn.nki.beta1 import state
from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.beta1.home import Home, Order, leave_garbage
from opentrn.nki.beta1.index import Index
from opentrn.nki.beta1.region import Box, boxes, full
from opentrn.nki.beta1.tensor import Tensor, is_tensor, tensor_of
from opentrn.nki.functions import nisa
from opentrn.nki.language import memory
from opentrn.program.site import user_site

__all__ = [
    "Call",
    "as_predicate",
    "assign",
    "composed",
    "copy_into",
    "in_sbuf",
    "issue",
    "leave_out",
    "named",
    "recorded",
    "region_of",
    "stored",
    "tile_operand",
    "written",
]

_REGION = {ON_CHIP: MemoryRegion.sbuf, SBUF: MemoryRegion.sbuf, PSUM: MemoryRegion.psum}


def tile_operand(value: Any, what: str) -> Tensor:
    """A tensor of this dialect. Raises LaunchError for anything else."""
    if not is_tensor(value):
        raise LaunchError(what, site=user_site(2), got=f"{value!r} ({type(value).__name__})"[:200], expected="a tile")
    return tensor_of(value)


def issue(
    shape: tuple[int, ...],
    dtype: str,
    record: Callable[[Tensor, bool], None],
    *,
    memories: frozenset[MemoryRegion] = ON_CHIP,
    asked: Any = None,
    dst: Any = None,
    adds: Callable[[Tensor], None] | None = None,
    reduces: bool = False,
    found: list[Box] | None = None,
) -> Tensor:
    """The result of a call: a tensor whose instruction waits for its destination, or `dst`, written now.

    `memories` are those that the result can go to, the first choice SBUF; `asked` is the ``dtype=`` of the call, `found`
    what a mask lets it write.
    """
    if dst is not None:
        state.settle()
        target = tile_operand(dst, "dst=")
        target.home.reduced = None
        record(target, False)
        return target
    wanted = None if asked is None else name_of(asked)
    order = Order(record, state.here(1), memories, wanted, reduces=reduces, adds=adds, found=found)
    home = Home(shape, wanted or dtype, _REGION[memories], order=order)
    order.alone = lambda: record(Tensor(home), True)
    state.wait(home)
    return Tensor(home)


def recorded(record: Callable[[], Any]) -> Any:
    """Record something that has no result, after everything before it."""
    state.settle()
    return record()


def stored(view: Any) -> Any:
    """A view that is written by a DMA; a kernel that wrote into its arguments cannot be run a second time."""
    if view.storage.source is not None:
        state.now().wrote_arguments = True
    return view


# ----------------------------------------------------------------- operands and masks
def fitted(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`x` over a grid of `shape`: dimensions of size 1 come and go, others broadcast. Itself where neither helps."""
    if x.shape == shape or not x.on_chip:
        return x if x.shape == shape else _without_ones(x, shape)
    same = prod(x.shape[1:]) == prod(shape[1:]) and x.shape[0] == shape[0]
    if same:
        return _without_ones(x, shape)
    if x.shape == (shape[0], 1):  # one value per partition, as a bias is, beside any free dimensions
        x = x.reshape((shape[0], *(1 for _ in shape[1:])))
    if len(x.shape) == len(shape) and all(n in (1, m) for n, m in zip(x.shape, shape, strict=True)):
        return x.broadcast_to(shape)
    return x


def _without_ones(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    own = [n for n, size in enumerate(x.shape) if size != 1]
    theirs = [n for n, size in enumerate(shape) if size != 1]
    if [x.shape[n] for n in own] != [shape[n] for n in theirs]:
        return x
    at = dict(zip(own, theirs, strict=True))
    parts = [Index(shape, tuple(int(at.get(n) == g) for g in range(len(shape)))) for n in range(x.ndim)]
    return x._composed(shape, parts, x.lead)


def region_of(x: Tensor, box: Box | None, product: str = "") -> Any:
    """The view of `x` in `box`, a box of a grid that `x` broadcasts to; `product` as in `Home.tile`."""
    if box is None:
        return x.view_in(product=product)
    if len(box) != x.ndim:
        raise UnsupportedError(
            "mask= on operands of different ranks",
            site=user_site(2),
            got=f"{x.shape} for a grid of {len(box)} dimensions",
        )
    return x.view_in(tuple(e if size != 1 else (0, 1) for e, size in zip(box, x.shape, strict=True)), product=product)


def as_predicate(name: str, view: Any) -> Any:
    """A bool tile that serves as a predicate, as the bytes that it is stored as."""
    return view.view("uint8") if name == "predicate" and view.dtype == "bool" else view


def _column(x: Any, box: Box | None) -> Any:
    """One value per partition, for the partitions of `box`; numbers and None as they are."""
    if not isinstance(x, Tensor):
        return x
    return x.view_in(None if box is None else (box[0], *((0, n) for n in x.shape[1:])))


def written(
    dst: Tensor, found: list[Box], shape: tuple[int, ...], fresh: bool, one: Callable[[Tensor, Box | None], None]
) -> None:
    """Run ``one(dst, box)`` where a mask lets it; elements that it leaves out hold garbage, or what they held.

    A mask that is no single box costs a full computation beside it and a predicated copy, unless `dst` is fresh.
    """
    whole = full(shape)
    if found == [whole]:
        one(dst, None)
        return
    if not found:
        leave_out(dst, fresh)
        return
    target = fitted(dst, shape)
    if len(found) == 1:
        leave_out(dst, fresh)
        one(target, found[0])
        return
    if fresh:
        one(target, None)
        return
    _chosen(target, found, one)


def leave_out(dst: Tensor, fresh: bool) -> None:
    """What a mask leaves unwritten in a tile is garbage, not an error."""
    if not dst.on_chip:
        return
    if dst.buffer is MemoryRegion.psum:
        dst.home.holes.add(dst.block())
        return
    try:
        view = dst.view_in()
    except ViewError:  # an edge tile that reaches beyond its tensor: nothing of it is read without a mask
        return
    leave_garbage(view, fresh=fresh)


def _chosen(target: Tensor, found: list[Box], one: Callable[[Tensor, Box | None], None]) -> None:
    """Compute all of a tile beside it, then copy the elements of `found`: a predicate made of one memset per box."""
    beside = Tensor(Home(target.shape, target.home.dtype, MemoryRegion.sbuf))
    one(beside, None)
    predicate = Tensor(Home(target.shape, "uint8", MemoryRegion.sbuf))
    nisa.memset(dst=predicate.view_in(), value=0)
    for box in found:
        for part in _by_partition(box):
            nisa.memset(dst=predicate.view_in(part), value=1)
    nisa.tensor_copy_predicated(dst=target.view_in(), src=beside.view_in(), predicate=predicate.view_in())


def _by_partition(box: Box) -> list[Box]:
    """A box in parts that start where an instruction can: partition 0, 32, 64 or 96."""
    (low, high), parts = box[0], []
    while low < high:
        if low % 32:
            raise UnsupportedError(
                "a mask whose regions start between quadrants of partitions", site=user_site(3), got=f"partition {low}",
                expected="a multiple of 32", hint="nisa.affine_select chooses by an affine predicate",
            )  # fmt: skip
        room = 128 - low if low == 0 else 64 if low == 64 else 32
        parts.append(((low, min(high, low + room)), *box[1:]))
        low = parts[-1][0][1]
    return parts


def composed(
    shape: tuple[int, ...],
    dtype: str,
    make: Callable[[Box | None], Any],
    *,
    mask: Any = None,
    asked: Any = None,
    dst: Any = None,
) -> Tensor:
    """The result of several instructions: ``make(box)`` records them and gives the tile that they leave."""
    found = boxes(mask, shape)

    def record(target: Tensor, fresh: bool) -> None:
        if fresh and found == [full(shape)]:
            target.home.tiles[()] = _shaped(make(None), target.shape)
            return
        written(target, found, shape, fresh, lambda dst, box: memory.assign(region_of(dst, box), make(box)))

    return issue(shape, dtype, record, asked=asked, dst=dst, found=found)


def _shaped(tile: Any, shape: tuple[int, ...]) -> Any:
    return tile if tile.shape == shape else tile.reshape(shape)


@dataclass
class Call:
    """An instruction over a grid of `shape`. Tiles share the grid, columns have one value per partition.

    `only_sbuf` names operands that the engine cannot read from PSUM: the dialect's compiler copies them first.
    """

    function: Callable[..., Any]
    shape: tuple[int, ...]
    tiles: Mapping[str, Any]
    columns: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    only_sbuf: tuple[str, ...] = ()

    def result(
        self, dtype: str, mask: Any = None, *, asked: Any = None, dst: Any = None, memories: frozenset[Any] = ON_CHIP
    ) -> Tensor:
        """What the call gives back, as `issue` does."""
        found = boxes(mask, self.shape)
        tiles = {name: self._ready(name, x) for name, x in self.tiles.items()}
        columns = {name: _per_partition(x, self.shape[0]) for name, x in self.columns.items()}

        def one(dst: Tensor, box: Box | None) -> None:
            self.function(
                dst=region_of(dst, box),
                **{name: as_predicate(name, region_of(x, box)) for name, x in tiles.items()},
                **{name: _column(x, box) for name, x in columns.items()},
                **self.attributes,
            )

        def record(dst: Tensor, fresh: bool) -> None:
            written(dst, found, self.shape, fresh, one)

        return issue(self.shape, dtype, record, memories=memories, asked=asked, dst=dst, found=found)

    def _ready(self, name: str, x: Any) -> Tensor:
        made = fitted(tile_operand(x, name), self.shape)
        return in_sbuf(made) if name in self.only_sbuf else made


def _per_partition(x: Any, partitions: int) -> Any:
    if not is_tensor(x):
        return x
    column = tensor_of(x)
    return column.broadcast_to((partitions, *column.shape[1:])) if column.shape[0] == 1 < partitions else column


def in_sbuf(x: Tensor) -> Tensor:
    """`x`, or where it is in PSUM a copy in SBUF. HBM stays: no operand may be there (err_unsupported_memory, SDK 2.26)."""
    if x.buffer is not MemoryRegion.psum:
        return x
    state.settle()
    made = Tensor(Home(x.shape, x.home.dtype, MemoryRegion.sbuf))
    nisa.tensor_copy(dst=made.view_in(), src=x.view_in())
    return made


# ----------------------------------------------------------------- assignments
def named(frame: Any, value: Tensor) -> bool:
    """True when the kernel holds `value` under a name: then it is a tile of its own, and assigning it copies."""
    return any(held is value for held in frame.f_locals.values())


def _takes(order: Order, value: Tensor, target: Tensor) -> bool:
    """True when the instruction can write into `target` itself, and would give what its own tile would hold."""
    sized = prod(value.shape[1:]) == prod(target.shape[1:]) and value.shape[0] == target.shape[0]
    kind = target.home.dtype
    return target.buffer in order.memories and sized and order.dtype in (None, kind, "float32")


def assign(target: Tensor, value: Any, frame: Any) -> None:
    """``target[...] = value``: a waiting instruction writes there; another tensor is copied, a number filled in."""
    if not is_tensor(value):
        state.settle()
        target.home.reduced = None
        _filled(target, _number(value))
        return
    given = tensor_of(value)
    if given.same_place(target):
        return
    order = given.home.order
    waits = order is not None and given.whole and state.pending(given.home) and not named(frame, value)
    if order is not None and waits and _takes(order, given, target):
        state.dropped(given.home)
        if not order.reduces:
            target.home.reduced = None
        state.at(order.place, lambda: order.record(target, False))
        return
    state.settle()
    target.home.reduced = None
    if order is not None and waits and order.found not in (None, [full(given.shape)]):
        # the call asked for another dtype, so a copy follows: where its mask is false the destination keeps its values
        written(target, order.found, given.shape, False, lambda dst, box: _copy_box(dst, given, box))
        return
    copy_into(target, given)


def _copy_box(target: Tensor, value: Tensor, box: Box | None) -> None:
    there, here = region_of(target, box), region_of(value, box)
    (nisa.tensor_copy if there.on_chip and _reachable(there, here) else nisa.dma_copy)(dst=there, src=here)


def _filled(target: Tensor, value: Any) -> None:
    view = target.view_in()
    if not view.on_chip or _reachable(view):
        memory.assign(view, value)
        return
    beside = Tensor(Home(target.shape, target.home.dtype, MemoryRegion.sbuf))
    memory.assign(beside.view_in(), value)
    nisa.dma_copy(dst=view, src=beside.view_in())


def _reachable(*views: Any) -> bool:
    """True where an engine can start: as far from partition 0 as the partitions are many (`isa.rules`); a DMA can anywhere."""
    return all(v.start_partition % (128 if v.partitions > 64 else 64 if v.partitions > 32 else 32) == 0 for v in views)


def _number(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    return value


def copy_into(target: Tensor, value: Tensor) -> None:
    """Copy a tensor into a place, repeating dimensions of size 1."""
    source = fitted(value, target.shape)
    if source.size != target.size:
        raise ViewError("assignment", site=user_site(2), got=f"shape {value.shape}", expected=f"{target.shape}")
    there, here = target.view_in(), source.view_in()
    if there.on_chip and here.on_chip and _reachable(there, here):
        nisa.tensor_copy(dst=there, src=here)
        return
    nisa.dma_copy(dst=there, src=in_sbuf(source).view_in() if here.on_chip else here)
