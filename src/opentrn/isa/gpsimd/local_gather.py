"""local_gather: gather within groups of 16 partitions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import cycles_ns, tiers_of
from opentrn.isa.rules import same_dtype, same_partitions
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, into, of

GROUP = 16


@instruction(
    operands={"dst": into(SBUF), "src_buffer": of(SBUF), "index": of(SBUF, dtypes=frozenset({"uint16"}))},
    attributes={"num_elem_per_idx": a.integer, "num_valid_indices": a.optional(a.integer)},
    engines=(enums.engine.gpsimd,),
    page="nki.isa.local_gather (SDK 2.32)",
)
def local_gather(dst, src_buffer, index, num_elem_per_idx=1, num_valid_indices=None, name=None):
    """Gather ``num_elem_per_idx`` contiguous elements from every partition of ``src_buffer`` at each index.

    Each group of 16 partitions (one GpSimd core) reads its own 16 partitions of ``index``, partition first, and uses
    the first ``num_valid_indices`` of them (default: all) as offsets in elements, for all of its partitions. ``dst`` has
    ``src_buffer``'s dtype, takes the elements one after another and keeps their bits.

    Raises `KernelError` when an element outside ``src_buffer`` is asked for.
    """


def valid(use: Use) -> int:
    """Indices used by each group."""
    return use.index.elements * GROUP if use.num_valid_indices is None else use.num_valid_indices


@local_gather.rule("c1", "documented", "src_buffer and index have the same partitions, a multiple of 16")
def _(use: Use) -> None:
    same_partitions(use.src_buffer, use.index)
    if use.index.partitions % GROUP:
        raise Broken(f"{use.index.partitions} partitions", "a multiple of 16")


@local_gather.rule("c2", "documented", "num_elem_per_idx is 1, 2, 4, 8, 16 or 32")
def _(use: Use) -> None:
    if use.num_elem_per_idx not in use.chip.limits.local_gather_elements_per_index:
        raise Broken(str(use.num_elem_per_idx), str(use.chip.limits.local_gather_elements_per_index))


@local_gather.rule("c3", "documented", "each group uses 1 to 4096 indices, no more than it has")
def _(use: Use) -> None:
    most = min(use.chip.limits.local_gather_indices_per_core_max, use.index.elements * GROUP)
    if not 1 <= valid(use) <= most:
        raise Broken(f"{valid(use)} indices", f"1 to {most}")


@local_gather.rule("c4", "documented", "dst has src_buffer's dtype and partitions")
def _(use: Use) -> None:
    same_dtype(use.src_buffer, use.dst)
    same_partitions(use.src_buffer, use.dst)


@local_gather.rule("c5", "documented", "dst has num_valid_indices * num_elem_per_idx elements per partition")
def _(use: Use) -> None:
    wanted = valid(use) * use.num_elem_per_idx
    if use.dst.elements != wanted:
        # release notes of NKI 0.6.0, "Known Issues": num_elem_per_idx is ignored unless this holds
        raise Broken(f"{use.dst.elements} elements per partition in dst {use.dst.shape}", f"{wanted}")


def columns(use: Use, offsets: np.ndarray) -> np.ndarray:
    """The column of every element that one group gathers; KernelError for one outside src_buffer."""
    found = (offsets[:, None].astype(np.int64) + np.arange(use.num_elem_per_idx)).reshape(-1)
    if found.max() >= use.src_buffer.elements:
        raise KernelError(
            "local_gather: an index is out of bounds",
            kind="bounds",
            got=f"index {int(offsets.max())} with {use.num_elem_per_idx} elements each",
            expected=f"0 <= index <= {use.src_buffer.elements - use.num_elem_per_idx}",
            hint="indices count elements, not groups of num_elem_per_idx",
        )
    return found


@local_gather.meaning
def _(use: Use) -> None:
    index = use.index.raw()
    groups = [index[first : first + GROUP] for first in range(0, len(index), GROUP)]
    picked = [columns(use, group.T.reshape(-1)[: valid(use)]) for group in groups]
    where = np.repeat(picked, GROUP, axis=0)
    values, written = use.src_buffer.moved()
    flat = [np.take_along_axis(a.reshape(len(index), -1), where, 1) for a in (values, written) if a is not None]
    use.dst.place(flat[0], flat[1] if written is not None else None)


@local_gather.cost
def _(use: Use) -> Cost:
    # v2.26.1 prints 150 + num_valid * e / C with C = ((28 + t e) / (t e)) / min(4 / dtype_bytes, e). That C grows with the
    # overhead, so it is cycles per element: dividing by it would make larger e slower, which the page denies.
    table = use.chip.cost.gpsimd
    each = table.local_gather_t * use.num_elem_per_idx
    packing = min(4 / use.src_buffer.dt.itemsize, use.num_elem_per_idx)
    cycles_per_element = (table.local_gather_overhead + each) / each / packing
    cycles = table.local_gather_fixed_cycles + valid(use) * use.num_elem_per_idx * cycles_per_element
    names = ("fixed_cycles", "overhead", "t")
    tiers = tiers_of(use, *(f"gpsimd.local_gather_{name}" for name in names), "gpsimd.drain_ns")
    return Cost(
        "gpsimd", cycles_ns(use, "gpsimd", cycles), table.drain_ns, tiers, elements=valid(use) * use.num_elem_per_idx
    )


local_gather.differ(
    "An index out of bounds raises; the page calls it undefined.",
    "A dst that does not have num_valid_indices * num_elem_per_idx elements per partition is refused; NKI 0.6.0 takes "
    "it and ignores num_elem_per_idx, which its release notes list as a known issue.",
)


@local_gather.shown
def _(m: SimpleNamespace) -> Any:
    def gather(x: Any, index: Any) -> Any:
        tile, where = m.nl.load(x), m.nl.load(index)
        result = m.nl.ndarray((16, 16), dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.local_gather(dst=result, src_buffer=tile, index=where)
        out = m.nl.ndarray(result.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return gather, (
        m.np.arange(512, dtype=m.np.float32).reshape(16, 32),
        m.np.arange(16, dtype=m.np.uint16).reshape(16, 1),
    )
