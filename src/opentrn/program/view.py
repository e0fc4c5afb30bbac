"""`View`: a strided window onto a storage, the value that every NKI tensor expression yields.

Semantics: `NkiTensor` in the public reference (nki/api/nki/language/__init__.py, SDK 2.32) and the language guide's
"Tensor Values" and "Tensor Indexing". Strides and offsets count elements of the view's own dtype. On-chip views keep
the partition dimension at position 0 and at least two dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Self

from opentrn.errors import UnsupportedError, ViewError
from opentrn.isa.enums import MemoryRegion
from opentrn.numerics.dtypes import DTYPES, DType
from opentrn.numerics.dtypes import dtype as dtype_of
from opentrn.program import native
from opentrn.program.layout import Layout
from opentrn.program.site import user_site
from opentrn.program.storage import Storage
from opentrn.program.strides import contiguous, ends, is_dense, reshape_strides

__all__ = ["DynamicSlice", "Indirection", "View"]


@dataclass(frozen=True, eq=False)
class Indirection:
    """A run-time part of an address.

    kind "scalar": every element is moved by ``index * step``; "vector": row p by ``index[p] * step``;
    "tensor": tensor indirection of NeuronCore-v4, `index` holds free-dimension offsets.
    "outside": the pattern leaves its tensor of `limit` elements, so whoever uses the view is refused (`index`: which
    elements it spans); kernels make such views ahead of the condition that keeps them from using them.
    `step` counts elements of the view; `limit` is the number of legal index values.
    """

    kind: str
    index: Any
    step: int
    limit: int
    source: View | None = None


@dataclass(frozen=True)
class DynamicSlice:
    """`nl.ds(start, size)` with a run-time start."""

    start: Any
    size: int


if TYPE_CHECKING:
    _Layout = Layout
else:
    _Layout = getattr(native.core(), "View", Layout)


def _fail(what: str, *, got: str, expected: str, hint: str | None = None) -> ViewError:
    return ViewError(what, site=user_site(2), got=got, expected=expected, hint=hint)


class View(_Layout):
    """A tensor view. Created by `nl.ndarray` and by the methods below; never copies data."""

    __slots__ = ()

    def __init__(
        self,
        storage: Storage,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int,
        dtype: str,
        dynamic: Indirection | None = None,
    ) -> None:
        self._fill(storage, shape, strides, offset, dtype, dynamic)

    @classmethod
    def _make(
        cls,
        storage: Storage,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int,
        dtype: str,
        dynamic: Indirection | None = None,
    ) -> Self:
        """An instance by parts, whatever constructor a subclass shows its users."""
        made = cls.__new__(cls)
        made._fill(storage, shape, strides, offset, dtype, dynamic)
        return made

    @classmethod
    def whole(cls, storage: Storage) -> Self:
        """The view of everything in `storage`."""
        made = cls.__new__(cls)
        made._fill_whole(storage)
        return made

    # ---------------------------------------------------------------- facts
    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def name(self) -> str:
        """The name given at allocation, or ''."""
        return self.storage.allocation.name

    @property
    def dt(self) -> DType:
        """The data type as an object."""
        return DTYPES[self.dtype]

    @property
    def on_chip(self) -> bool:
        """True in SBUF and PSUM."""
        return self.buffer.on_chip

    @property
    def partitions(self) -> int:
        """Partitions touched (on-chip), or 1."""
        return self.shape[0] if self.buffer.on_chip else 1

    @property
    def elements(self) -> int:
        """Elements per partition (on-chip), or all elements."""
        return prod(self.shape[1:]) if self.buffer.on_chip else prod(self.shape)

    @property
    def pitch(self) -> int:
        """Elements of this dtype between one partition of the storage and the next."""
        return self.storage.allocation.partition_bytes // self.dt.itemsize

    @property
    def start_partition(self) -> int:
        """First physical partition touched, as far as the address is known (tensors start at 0 by default)."""
        base = self.storage.allocation.address
        return (base[0] if base else 0) + (self.offset // self.pitch if self.buffer.on_chip and self.pitch else 0)

    @property
    def start_byte(self) -> int:
        """Byte offset within the partition at which the view begins, relative to its tensor."""
        return (self.offset % self.pitch if self.pitch else 0) * self.dt.itemsize

    def is_contiguous(self) -> bool:
        """True when the view is dense and row-major; the partition dimension is left out on chip."""
        if self.buffer.on_chip:
            return is_dense(self.shape[1:], self.strides[1:])
        return is_dense(self.shape, self.strides)

    def get_pattern(self) -> list[list[int]]:
        """The access pattern ``[[stride, count], ...]``, a starting point for `ap`."""
        return [[stride, count] for stride, count in zip(self.strides, self.shape, strict=True)]

    def is_indirect(self) -> bool:
        """True when part of the address is known only at run time."""
        return self.dynamic is not None

    def prototype(self) -> View:
        """The same view without its data: what rules and costs need."""
        move = self.dynamic and Indirection(self.dynamic.kind, None, self.dynamic.step, self.dynamic.limit)
        bare = Storage(self.storage.allocation, None, self.storage.wide)
        return View(bare, self.shape, self.strides, self.offset, self.dtype, move)

    def _facts(self) -> tuple[Any, ...]:
        """What `key` numbers."""
        place, storage = (0, 0), self.storage
        if self.buffer.on_chip:
            base = storage.allocation.address or (0, 0)
            byte = self.start_byte
            place = (self.start_partition, base[1] + byte if self.buffer is MemoryRegion.psum else byte % 64)
        return (
            self.shape,
            self.strides,
            self.dtype,
            self.buffer,
            place,
            storage.allocation.manual,
            self._moves(),
            storage.wide,
        )

    def _moves(self) -> tuple[Any, ...] | None:
        """What a run-time index adds to the facts."""
        move = self.dynamic
        return move and (move.kind, move.step, move.limit, self.storage.allocation.shape, self._index_facts())

    def _index_facts(self) -> tuple[Any, ...] | None:
        """What rules look at in the tensor of the run-time index: its form, its start, whether it was placed by hand."""
        index = self.dynamic.index if self.dynamic is not None else None
        if not isinstance(index, View):
            return None
        return index.shape, index.dtype, index.buffer, index.start_partition, index.storage.allocation.manual

    # ---------------------------------------------------------------- indexing
    def _subscript(self, key: Any) -> Self:
        """``self[key]``; the native core does the common cases of it."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if len(keys) == len(self.shape) == 2 and self.dynamic is None:
            first, second = keys
            if type(first) is slice and type(second) is slice:
                return self._window(first, second)
        return self._index(self._expand(keys))

    def _window(self, rows: slice, columns: slice) -> Self:
        """The common case of two plain slices."""
        r, step_r, n_r = self._bounds(0, rows)
        c, step_c, n_c = self._bounds(1, columns)
        s0, s1 = self.strides
        return self._derive((n_r, n_c), (s0 * step_r, s1 * step_c), self.offset + r * s0 + c * s1)

    def _bounds(self, dim: int, key: slice) -> tuple[int, int, int]:
        """(start, step, count) of a slice; refuses what numpy would silently clip."""
        size = self.shape[dim]
        start, stop, step = key.start, key.stop, key.step
        start = 0 if start is None else self._integer(start, dim)
        stop = size if stop is None else self._integer(stop, dim)
        step = 1 if step is None else self._integer(step, dim)
        if start < 0:
            start += size
        if stop < 0:
            stop += size
        if step < 1:
            raise _fail(f"slice step on dimension {dim}", got=f"step {step}", expected="a positive step")
        # a core that gets no share of the work makes an empty view of HBM; no instruction takes it
        if not 0 <= start <= stop <= size or (start == stop and self.buffer.on_chip):
            raise self._no_slice(dim, start, stop)
        return start, step, (stop - start + step - 1) // step

    def _integer(self, value: Any, dim: int) -> int:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise _fail(
                f"index on dimension {dim}",
                got=f"{value!r} ({type(value).__name__})",
                expected="an integer",
                hint="a run-time index goes through nl.ds(register, size), select() or .ap(scalar_offset=...)",
            )
        return value.__index__()

    def _expand(self, keys: list[Any]) -> list[Any]:
        if any(k is None for k in keys):
            raise _fail("index with None", got="None (newaxis)", expected="expand_dim(dim)")
        dots = [n for n, k in enumerate(keys) if k is Ellipsis]
        if len(dots) > 1:
            raise _fail("index with more than one ellipsis", got=str(len(dots)), expected="at most one")
        missing = self.ndim - (len(keys) - len(dots))
        if missing < 0:
            raise _fail(
                "too many indices", got=f"{len(keys)} indices", expected=f"at most {self.ndim} for {self.shape}"
            )
        where = dots[0] if dots else len(keys)
        return keys[:where] + [slice(None)] * missing + keys[where + len(dots) :]

    def _index(self, keys: list[Any]) -> Self:
        view, dropped = self, []
        for dim, key in enumerate(keys):
            if isinstance(key, slice):
                view = view if key == slice(None) else view._narrow(dim, *self._bounds(dim, key))
            elif isinstance(key, DynamicSlice):
                view = view._dynamic(dim, key.start, key.size)
            elif isinstance(key, View) or not hasattr(key, "__index__"):
                view = view._dynamic(dim, key, 1)
                dropped.append(dim)
            else:
                view = view._narrow(dim, self._position(dim, key), 1, 1)
                dropped.append(dim)
        return view._drop(dropped)

    def _no_slice(self, dim: int, start: int, stop: int) -> ViewError:
        past = stop > self.shape[dim] or start > self.shape[dim]
        return _fail(
            f"slice [{start}:{stop}] is {'past the end of' if past else 'empty, or outside'} dimension {dim}",
            got=f"shape {self.shape}",
            expected=f"0 <= start < stop <= {self.shape[dim]}",
            hint="nothing is clipped: make the last tile smaller, such as nl.ds(start, min(step, n - start))",
        )

    def _position(self, dim: int, key: Any) -> int:
        size, value = self.shape[dim], self._integer(key, dim)
        if not -size <= value < size:
            raise _fail(
                f"index {value} is outside dimension {dim}",
                got=f"{value} on shape {self.shape}",
                expected=f"0 <= index < {size}",
            )
        return value % size

    def _narrow(self, dim: int, start: int, step: int, count: int) -> Self:
        if self.dynamic is not None and self.dynamic.kind == "vector" and dim == 0:
            raise _fail(
                "slice of an indirect dimension",
                got="dimension 0 of a vector-indexed view",
                expected="a dimension that takes no part in the indirection",
            )
        shape, strides = list(self.shape), list(self.strides)
        offset = self.offset + start * strides[dim]
        shape[dim], strides[dim] = count, strides[dim] * step
        return self._derive(shape, strides, offset)

    def _drop(self, dims: list[int]) -> Self:
        """Remove integer-indexed dims, keeping at least 2-D on chip (partition first) and 1-D in HBM."""
        if not dims:
            return self
        keep = [d for d in range(self.ndim) if d not in dims]
        if self.buffer.on_chip:
            if 0 not in keep:
                keep.insert(0, 0)
            if len(keep) < 2 and self.ndim >= 2:
                keep.append(self.ndim - 1)
        elif not keep:
            keep = [self.ndim - 1]
        return self._derive([self.shape[d] for d in keep], [self.strides[d] for d in keep], self.offset)

    def _dynamic(self, dim: int, index: Any, size: int) -> Self:
        """A window of `size` whose start on `dim` is the run-time `index`."""
        if self.dynamic is not None:
            raise _fail(
                "second run-time index on one view",
                got="an indirect view",
                expected="one run-time index",
                hint="is_indirect() tells; combine the indices before addressing",
            )
        if self.buffer.on_chip and dim == 0:
            raise _fail("run-time index on the partition dimension", got="dimension 0", expected="a free dimension")
        self._check_index(index)
        shape = list(self.shape)
        limit, shape[dim] = shape[dim] - size + 1, size
        move = Indirection("scalar", index, self.strides[dim], limit, self)
        return self._make(self.storage, tuple(shape), self.strides, self.offset, self.dtype, move)

    @staticmethod
    def _check_index(index: Any) -> None:
        if isinstance(index, View):
            if (index.buffer is not MemoryRegion.sbuf and not index.buffer.is_hbm) or index.size != 1:
                raise _fail(
                    "scalar run-time index",
                    got=f"shape {index.shape} in {index.buffer.value}",
                    expected="a (1, 1) tensor in SBUF, or a register",
                )
            if not index.dt.is_integer:
                raise _fail("scalar run-time index", got=index.dtype, expected="an integer dtype")
        elif not getattr(index, "is_register", False):
            raise _fail(
                "index",
                got=f"{index!r} ({type(index).__name__})",
                expected="int, slice, nl.ds, a (1, 1) SBUF tensor or a register",
                hint="a slice takes several elements" if isinstance(index, Sequence) else None,
            )

    # ---------------------------------------------------------------- views
    def _dim(self, dim: int, *, extra: int = 0, partition_ok: bool = False) -> int:
        n = self.ndim + extra
        if not isinstance(dim, int) or not -n <= dim < n:
            raise _fail("no such dimension", got=f"{dim!r}", expected=f"0 <= dim < {n}")
        dim %= n
        pinned = self.buffer.on_chip or (self.dynamic is not None and self.dynamic.kind == "vector")
        if dim == 0 and pinned and not partition_ok:
            raise _fail(
                "the partition dimension cannot take part in this view",
                got="dim 0",
                expected="dim >= 1",
                hint="moving data across partitions needs an instruction (nc_transpose, dma_copy, ...)",
            )
        return dim

    def slice(self, dim: int, start: int, end: int, step: int = 1) -> Self:
        """Elements `start` to `end` (exclusive) of one dimension."""
        dim = self._dim(dim, partition_ok=True)
        return self._narrow(dim, *self._bounds(dim, slice(start, end, step)))

    def select(self, dim: int, index: Any) -> Self:
        """One element of `dim`, which is removed; a tensor or register index is resolved at run time."""
        dim = self._dim(dim, partition_ok=True)
        if hasattr(index, "__index__") and not isinstance(index, View):
            return self._narrow(dim, self._position(dim, index), 1, 1)._drop([dim])
        return self._dynamic(dim, index, 1)._drop([dim])

    def vector_select(self, dim: int, vector_offset: View) -> Self:
        """Row p of the result is row ``vector_offset[p]`` of this HBM tensor."""
        if dim != 0 or self.buffer.on_chip:
            raise _fail(
                "vector_select",
                got=f"dim {dim} of a tensor in {self.buffer.value}",
                expected="dim 0 of a tensor in HBM",
            )
        rest = list(zip(self.strides[1:], self.shape[1:], strict=True))
        pattern = [[self.strides[0], vector_offset.shape[0]], *([s, n] for s, n in rest)]
        return self.ap(pattern, vector_offset=vector_offset)

    def permute(self, dims: Sequence[int]) -> Self:
        """Dimensions in another order; dimension 0 stays first on chip."""
        dims = tuple(dims)
        if sorted(dims) != list(range(self.ndim)):
            raise _fail("permute", got=str(dims), expected=f"a permutation of {tuple(range(self.ndim))}")
        if dims[0] != 0:
            self._dim(0)  # refuses where dimension 0 is pinned
        return self._derive([self.shape[d] for d in dims], [self.strides[d] for d in dims], self.offset)

    def broadcast(self, dim: int, size: int) -> Self:
        """Repeat a size-1 dimension `size` times (stride 0)."""
        dim = self._dim(dim)
        if self.shape[dim] != 1 or size < 1:
            raise _fail(
                "broadcast",
                got=f"dimension {dim} of size {self.shape[dim]} to {size}",
                expected="a dimension of size 1 and a positive size",
            )
        shape, strides = list(self.shape), list(self.strides)
        shape[dim], strides[dim] = size, 0
        return self._derive(shape, strides, self.offset)

    def expand_dim(self, dim: int) -> Self:
        """Insert a dimension of size 1."""
        dim = self._dim(dim, extra=1)
        shape, strides = list(self.shape), list(self.strides)
        shape.insert(dim, 1)
        strides.insert(dim, 1)
        return self._derive(shape, strides, self.offset)

    def squeeze_dim(self, dim: int) -> Self:
        """Remove a dimension of size 1."""
        dim = self._dim(dim)
        if self.shape[dim] != 1:
            raise _fail("squeeze_dim", got=f"dimension {dim} of size {self.shape[dim]}", expected="size 1")
        return self._derive(
            self.shape[:dim] + self.shape[dim + 1 :], self.strides[:dim] + self.strides[dim + 1 :], self.offset
        )

    def reshape_dim(self, dim: int, shape: Sequence[int]) -> Self:
        """Split one dimension; one entry of `shape` may be -1."""
        sizes = self._infer(self.shape[self._dim(dim, partition_ok=True)], shape)
        dim = self._dim(dim, partition_ok=sizes == (self.shape[dim],))
        steps = [s * self.strides[dim] for s in contiguous(sizes)]
        return self._derive(
            (*self.shape[:dim], *sizes, *self.shape[dim + 1 :]),
            (*self.strides[:dim], *steps, *self.strides[dim + 1 :]),
            self.offset,
        )

    def flatten_dims(self, start_dim: int, end_dim: int) -> Self:
        """Merge dimensions `start_dim` to `end_dim` (inclusive), which must be dense among themselves."""
        start_dim, end_dim = self._dim(start_dim), self._dim(end_dim)
        merged = prod(self.shape[start_dim : end_dim + 1])
        return self.reshape((*self.shape[:start_dim], merged, *self.shape[end_dim + 1 :]))

    @staticmethod
    def _infer(total: int, shape: Sequence[int]) -> tuple[int, ...]:
        sizes = list(shape)
        if sizes.count(-1) == 1:
            rest = prod(n for n in sizes if n != -1)
            if rest and total % rest == 0:
                sizes[sizes.index(-1)] = total // rest
        if any(not isinstance(n, int) or n < 1 for n in sizes) or prod(sizes) != total:
            raise _fail("shape", got=str(tuple(shape)), expected=f"positive integers with product {total}")
        return tuple(sizes)

    def reshape(self, shape: Sequence[int]) -> Self:
        """The same elements in another shape, when no copy is needed; the partition dimension stays on chip."""
        sizes = self._infer(self.size, tuple(shape) if not isinstance(shape, int) else (shape,))
        pinned = self.buffer.on_chip or (self.dynamic is not None and self.dynamic.kind == "vector")
        if pinned:
            if sizes[0] != self.shape[0]:
                raise _fail(
                    "reshape across partitions",
                    got=f"{self.shape} to {sizes}",
                    expected=f"a shape whose first dimension is {self.shape[0]}",
                )
            free = reshape_strides(self.shape[1:], self.strides[1:], sizes[1:])
            strides = None if free is None else (self.strides[0], *free)
        else:
            strides = reshape_strides(self.shape, self.strides, sizes)
        if strides is None:
            raise _fail(
                "reshape of a view that is not dense",
                got=f"{self.shape} with strides {self.strides} to {sizes}",
                expected="dimensions that are dense among themselves",
                hint="copy it first (nisa.tensor_copy)",
            )
        return self._derive(sizes, strides, self.offset)

    def rearrange(
        self, src_pattern: Sequence[Any], dst_pattern: Sequence[Any], fixed_sizes: dict[str, int] | None = None
    ) -> Self:
        """einops-style split, reorder and merge with tuple patterns, e.g. ``('b', ('h', 'w'))``."""
        groups = [g if isinstance(g, tuple) else (g,) for g in src_pattern]
        targets = [g if isinstance(g, tuple) else (g,) for g in dst_pattern]
        names = [n for g in groups for n in g]
        if len(groups) != self.ndim or sorted(names) != sorted(n for g in targets for n in g):
            raise _fail(
                "rearrange",
                got=f"{tuple(src_pattern)} -> {tuple(dst_pattern)} on shape {self.shape}",
                expected="one group per dimension and the same names on both sides",
            )
        view, dim = self, 0
        for group, size in zip(groups, self.shape, strict=True):
            sizes = self._infer(size, [(fixed_sizes or {}).get(n, -1 if len(group) > 1 else size) for n in group])
            view = view.reshape_dim(dim, sizes) if len(group) > 1 else view
            dim += len(group)
        view = view.permute([names.index(n) for g in targets for n in g])
        return view.reshape([prod(view.shape[i] for i in _span(targets, n)) for n in range(len(targets))])

    def view(self, dtype: str) -> Self:
        """The same bits as another dtype; the last dimension's size is scaled by the ratio of the item sizes."""
        old, new = self.dt, dtype_of(dtype)
        if self.dynamic is not None:
            raise _fail("view(dtype) after a run-time index", got="an indirect view", expected="view(dtype) first")
        self._refuse_wide(new)
        if old.itemsize == new.itemsize:
            return self._make(self.storage, self.shape, self.strides, self.offset, new.name)
        last, step = self.shape[-1], self.strides[-1]
        a, b = old.itemsize, new.itemsize
        others = [s for n, s in zip(self.shape[:-1], self.strides[:-1], strict=True) if n != 1]
        if (last != 1 and step != 1) or last * a % b or self.offset * a % b or any(s * a % b for s in others):
            raise _fail(
                f"view({new.name})",
                got=f"{old.name} {self.shape}, strides {self.strides}",
                expected="a dense last dimension and sizes divisible by the ratio of the item sizes",
            )
        strides = (*(s * a // b for s in self.strides[:-1]), 1)
        return self._make(self.storage, (*self.shape[:-1], last * a // b), strides, self.offset * a // b, new.name)

    reinterpret_cast = view

    def _refuse_wide(self, new: DType) -> None:
        if self.storage.wide and new.name != self.dtype and self.dt.is_float:
            raise UnsupportedError(
                "reinterpreting bits while NKI_PRECISE_FP=0 keeps low-precision floats as float32",
                site=user_site(2),
                hint="run with NKI_PRECISE_FP=1",
            )

    def ap(
        self,
        pattern: Sequence[Sequence[int]],
        offset: int | None = None,
        scalar_offset: Any = None,
        vector_offset: View | None = None,
        indirect_dim: int = 0,
        dtype: str | None = None,
    ) -> Self:
        """An explicit access pattern over the storage, in elements of `dtype`.

        `offset` is added to the view's own offset (API reference of SDK 2.32; older guides say it replaces it: the
        two agree on whole tensors). The step of a run-time index comes from this view's shape, not from `pattern`. In HBM
        a scalar index may go as far as the tensor does, elsewhere, and a vector's entries, to the end of its dimension.

        On chip the step over partitions is the storage's elements per partition (nki-language-guide.rst), or this view's
        ("the number of elements in the free dimension of the tensor", nki-aps.rst); both mean the next partition.
        """
        new = dtype_of(dtype) if dtype is not None else self.dt
        self._refuse_wide(new)
        pairs = [(int(step), int(count)) for step, count in pattern]
        if not pairs or any(count < 1 for _, count in pairs):
            raise _fail("access pattern", got=str(pattern), expected="[[step, count], ...] with positive counts")
        base = self.offset * self.dt.itemsize
        if base % new.itemsize:
            raise _fail(
                "access pattern dtype", got=f"{new.name} at byte {base}", expected=f"a multiple of {new.itemsize}"
            )
        start = base // new.itemsize + (offset or 0)
        if scalar_offset is not None and vector_offset is not None:
            raise _fail("access pattern", got="scalar_offset and vector_offset", expected="at most one of them")
        steps, shape = [s for s, _ in pairs], tuple(n for _, n in pairs)
        index, kind = (scalar_offset, "scalar") if vector_offset is None else (vector_offset, "vector")
        dynamic = None
        if index is not None:
            dynamic = self._pattern_index(kind, index, indirect_dim, new, ends(start, shape, steps)[0])
        if kind == "vector":
            steps[0] = 0  # replaced by the index; the documented step there is ignored
        elif self.buffer.on_chip and steps[0] * new.itemsize == prod(self.shape[1:]) * self.dt.itemsize:
            steps[0] = self.storage.allocation.partition_bytes // new.itemsize
        view = self._make(self.storage, shape, tuple(steps), start, new.name, dynamic)
        return view._checked_extent()

    def _pattern_index(self, kind: str, index: Any, dim: int, new: DType, lowest: int) -> Indirection:
        if self.dynamic is not None:
            raise _fail("second run-time index on one view", got="an indirect view", expected="one run-time index")
        dim = self._dim(dim, partition_ok=True)
        if kind == "vector":
            if dim != 0:
                raise _fail("vector_offset", got=f"indirect_dim={dim}", expected="indirect_dim=0")
            if not isinstance(index, View) or not index.dt.is_integer:
                raise _fail(
                    "vector_offset", got=repr(getattr(index, "dtype", index)), expected="an integer SBUF tensor"
                )
        else:
            self._check_index(index)
        step = prod(self.shape[dim + 1 :]) * self.dt.itemsize
        if step % new.itemsize:
            raise _fail("access pattern dtype", got=f"row of {step} bytes as {new.name}", expected="a whole number")
        step, limit = step // new.itemsize, self.shape[dim]
        if kind == "scalar" and self.buffer.is_hbm:
            # The start address is dynamic, and what is checked is the address (dma_copy, SDK 2.32). nki-library relies
            # on it where dimensions share a step: it goes along one of size 1. From here on no element is inside.
            limit = (self.storage.allocation.nbytes // new.itemsize - 1 - lowest) // step + 1
        return Indirection(kind, index, step, limit, self)

    def _checked_extent(self) -> Self:
        """Itself, marked where its static address leaves the storage; on chip the partition step must be the pitch."""
        allocation = self.storage.allocation
        total = allocation.nbytes // self.dt.itemsize
        low, high = ends(self.offset, self.shape, self.strides)
        vector = self.dynamic is not None and self.dynamic.kind == "vector"
        if self.buffer.on_chip and not vector and self.shape[0] > 1 and self.strides[0] != self.pitch:
            raise ViewError(
                "partition step of an access pattern",
                site=user_site(2),
                got=str(self.strides[0]),
                expected=f"{self.pitch}, the elements of one partition (partitions are contiguous)",
            )
        if 0 <= low <= high < total:
            return self
        outside = Indirection("outside", (low, high), 0, total, self)
        return self._make(self.storage, self.shape, self.strides, self.offset, self.dtype, outside)

    def indirect(self, index: View, num_elem: int | None = None) -> Self:
        """Tensor indirection (NeuronCore-v4): columns given by run-time free-dimension offsets.

        Result shape ``(P, num_elem)``; offset i of a group comes from ``index[i % G, i // G]``.
        """
        if self.dynamic is not None or not self.buffer.on_chip:
            raise _fail("indirect", got="an indirect or off-chip view", expected="a plain SBUF or PSUM view")
        if index.shape[0] != self.shape[0] or not index.dt.is_integer:
            raise _fail(
                "indirect index", got=f"{index.shape} {index.dtype}", expected=f"integers of shape ({self.shape[0]}, K)"
            )
        count = index.size if num_elem is None else num_elem
        move = Indirection("tensor", index, 1, self.elements, self)
        return self._make(self.storage, (self.shape[0], count), (self.strides[0], 0), self.offset, self.dtype, move)


def _span(groups: Sequence[tuple[str, ...]], n: int) -> range:
    """Positions of group n's names in the flattened list."""
    start = sum(len(g) for g in groups[:n])
    return range(start, start + len(groups[n]))
