"""Tensors and their parts in today's form: slices for grids, lists of tiles for block dimensions."""

from __future__ import annotations

import ast
import copy
from typing import Any

from opentrn.migrate import calls
from opentrn.migrate.calls import call_of, dtype_text
from opentrn.migrate.facts import Fact
from opentrn.migrate.grids import Affine, Expr, NotMechanical, Reader, bounds_of, number, plus, slices, times
from opentrn.migrate.names import Names, Note, called
from opentrn.nki.beta1.language import memory

__all__ = ["CREATORS", "Views"]

CREATORS = ("ndarray", "zeros", "ones", "full")


class Views:
    """What is known of one function: the facts of its run, its index expressions, its tensors with blocks."""

    def __init__(self, node: ast.FunctionDef, facts: dict[Any, Fact], names: Names, notes: list[Note]) -> None:
        self.facts, self.names, self.notes = facts, names, notes
        self.reader = Reader(names.nl)
        self.blocks: dict[str, int] = {}
        self.masked: dict[str, str] = {}
        self.products = products_of(node, names)
        self.before: list[ast.stmt] = []
        self.count = 0
        self._last: Expr = number(0)
        self._mentions = {
            n.id: self.fact(n) for n in ast.walk(node) if isinstance(n, ast.Name) and self.fact(n).kind == "tile"
        }
        self.taken = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}

    def fact(self, node: Expr) -> Fact:
        """What an expression of the old source was; "value" where nobody looked."""
        origin = getattr(node, "origin", node)
        key = tuple(getattr(origin, n, None) for n in ("lineno", "col_offset", "end_lineno", "end_col_offset"))
        known = self.facts.get(key) or getattr(node, "fact", None)
        return known or Fact("value")

    def _of(self, new: Expr, old: Expr) -> Expr:
        new.origin = getattr(old, "origin", old)  # type: ignore[attr-defined]
        return new

    def _held(self, node: Expr) -> Fact:
        """The fact about a name that is stored to: that of any other mention of it."""
        assert isinstance(node, ast.Name)
        return self._mentions.get(node.id, Fact("value"))

    def _nl(self, call: Any) -> str | None:
        return called(call, self.names.nl)

    def _nisa(self, call: Any) -> str | None:
        return called(call, self.names.nisa) or called(call, f"{self.names.nki}.isa")

    def _conditions(self, mask: Expr | None) -> list[Expr]:
        return [] if mask is None else bounds_of(mask, self.reader)[1]

    def expression(self, node: Expr) -> Expr:
        """Anything else: dtypes in NKI's spelling."""
        return _Plain(self).visit(copy.deepcopy(node))

    def subscript(self, node: ast.Subscript, mask: Expr | None) -> Expr:
        """``tile[i_p, i_f]`` as slices, or as an access pattern where they are not enough."""
        keys = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        read = [self.reader.read(k) or k for k in keys]
        ends = bounds_of(mask, self.reader)[0] if mask is not None else {}
        base: Expr = node.value
        if isinstance(base, ast.Name) and base.id in self.blocks:
            for _ in range(min(self.blocks[base.id], len(read))):
                base = ast.Subscript(base, read.pop(0), ast.Load())  # type: ignore[arg-type]
            if not read:
                return base
        made = slices(read, ends)
        if made is None:
            return self._pattern(base, list(read), ends)
        if mask is not None and not any(isinstance(k, Affine) for k in read):
            made = [
                ast.Slice(k.lower or number(0), ends[d]) if d in ends and isinstance(k, ast.Slice) else k
                for d, k in enumerate(made)
            ]
        index: Expr = made[0] if len(made) == 1 else ast.Tuple(made, ast.Load())
        return ast.Subscript(base, index, ast.Load())

    def _pattern(self, base: Expr, keys: list[Any], ends: dict[int, Expr]) -> Expr:
        """``tile.ap([[step, count], ...], offset=...)`` over a whole tensor."""
        if ends or any(
            not isinstance(k, Affine) and not isinstance(k, (ast.Constant, ast.Name, ast.BinOp)) for k in keys
        ):
            raise NotMechanical(
                ast.unparse(base) + "[...] with grids that meet", "an access pattern: tile.ap([[step, count], ...])"
            )
        steps: list[Expr] = []
        for dim in range(len(keys)):
            step: Expr = number(1)
            for later in range(dim + 1, len(keys)):
                step = times(step, ast.Subscript(ast.Attribute(base, "shape", ast.Load()), number(later), ast.Load()))
            steps.append(step)
        offset: Expr = number(0)
        terms: dict[int, tuple[Expr, Expr]] = {}
        for key, step in zip(keys, steps, strict=True):
            offset = plus(offset, times(key.start if isinstance(key, Affine) else key, step))
            for dim, (factor, size) in (key.terms if isinstance(key, Affine) else {}).items():
                own = times(factor, step)
                terms[dim] = (plus(terms[dim][0], own), size) if dim in terms else (own, size)
        pairs: list[Expr] = [ast.List([step, size], ast.Load()) for _, (step, size) in sorted(terms.items())]
        return call_of(f"({ast.unparse(base)}).ap" if not isinstance(base, ast.Name) else f"{base.id}.ap",
                       [ast.List(pairs, ast.Load())], offset=offset)  # fmt: skip

    def _cut(self, node: ast.Name, mask: Expr) -> Expr:
        """A whole tile under a mask: the part that the mask leaves, unless it was made under the same mask."""
        if self.masked.get(node.id) == ast.unparse(mask):
            return node
        ends, _ = bounds_of(mask, self.reader)
        known = self.fact(node)
        if not ends or known.column:
            return node
        keys: list[Expr] = [
            ast.Slice(number(0), ends[d]) if d in ends else ast.Slice() for d in range(len(known.shape))
        ]
        return ast.Subscript(node, ast.Tuple(keys, ast.Load()), ast.Load())

    def created(self, name: str, value: ast.Call) -> Expr:
        """nl.ndarray and its like: block dimensions become lists of tiles."""
        kind = self._nl(value)
        given = calls.bound(getattr(memory, kind or ""), value)
        dims = self._dims(given["shape"])
        known = self.fact(value)
        if any(isinstance(n, ast.Attribute) and n.attr in ("alloc", "mod_alloc") for n in ast.walk(value)):
            raise NotMechanical("direct allocation", "nl.ndarray(..., address=(partition, byte)) for each block")
        count = known.blocks
        rest = dims[count:]
        shape: Expr = given["shape"] if dims == self._raw(given["shape"]) else ast.Tuple(rest, ast.Load())
        if count:
            shape = ast.Tuple(rest, ast.Load())
            self.blocks[name] = count
        if name in self.products and kind == "zeros":
            kind = "ndarray"
        keywords = {"dtype": dtype_text(given["dtype"], self.names.nl)}
        keywords |= (
            {"buffer": given["buffer"]}
            if "buffer" in given
            else {"buffer": ast.parse(f"{self.names.nl}.sbuf", mode="eval").body}
        )
        more = [given["fill_value"]] if kind == "full" else []
        made: Expr = call_of(f"{self.names.nl}.{kind}", [shape, *more], **keywords)
        for size in reversed(dims[:count]):
            loop = ast.comprehension(ast.Name("_", ast.Store()), call_of("range", [size]), [], 0)
            made = ast.ListComp(made, [loop])
        return made

    def _raw(self, shape: Expr) -> list[Expr]:
        return list(shape.elts) if isinstance(shape, (ast.Tuple, ast.List)) else [shape]

    def _dims(self, shape: Expr) -> list[Expr]:
        """The sizes without nl.par_dim."""
        made = []
        for each in self._raw(shape):
            marked = isinstance(each, ast.Call) and ast.unparse(each.func).split(".")[-1] == "par_dim"
            made.append(each.args[0] if marked else each)  # type: ignore[union-attr]
        return made if any(a is not b for a, b in zip(made, self._raw(shape), strict=True)) else self._raw(shape)


class _Plain(ast.NodeTransformer):
    """Index expressions and tiles inside other expressions."""

    def __init__(self, kernel: Views) -> None:
        self.kernel = kernel

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if self.kernel.fact(node.value).kind == "tile":
            return self.kernel.subscript(node, None)
        return self.generic_visit(node)


def products_of(node: ast.FunctionDef, names: Names) -> set[str]:
    """Names that only ever take sums of matrix products as a whole: today's first product overwrites, no zeros needed."""
    products, others = set(), set()
    for each in ast.walk(node):
        if isinstance(each, ast.AugAssign):
            target = each.target.value if isinstance(each.target, ast.Subscript) else each.target
            whole = isinstance(each.target, ast.Name) or _only_integers(each.target)
            matmul = called(each.value, names.nisa) == "nc_matmul" or called(each.value, names.nl) == "matmul"
            if isinstance(target, ast.Name):
                (products if matmul and whole else others).add(target.id)
    return products - others


def _only_integers(target: Any) -> bool:
    key = target.slice
    keys = key.elts if isinstance(key, ast.Tuple) else [key]
    return all(
        isinstance(k, (ast.Name, ast.Constant)) or (isinstance(k, ast.Slice) and k.lower is k.upper is None)
        for k in keys
    )
