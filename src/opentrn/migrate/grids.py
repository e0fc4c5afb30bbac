"""Index expressions of the older dialect as source text: grids, and the slices that say the same.

`Affine` is the syntax tree's twin of `nki.beta1.index.Index`: a start and, for each dimension of a grid, a step and a size,
all of them expressions.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Affine", "NotMechanical", "bounds_of", "number", "plus", "slices", "times"]

Expr = ast.expr


class NotMechanical(Exception):
    """A construct that no rule rewrites: why, and how a person would."""

    def __init__(self, why: str, how: str) -> None:
        super().__init__(why)
        self.why, self.how = why, how


@dataclass
class Affine:
    """``start + sum(step * position)``; `terms` by dimension of the grid: (step, size)."""

    start: Expr
    terms: dict[int, tuple[Expr, Expr]] = field(default_factory=dict)


def number(value: int) -> Expr:
    """A literal."""
    return ast.Constant(value)


def _known(node: Expr) -> int | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


def plus(a: Expr, b: Expr, sign: int = 1) -> Expr:
    """``a + b`` (or ``a - b``), simplified."""
    x, y = _known(a), _known(b)
    if x is not None and y is not None:
        return number(x + sign * y)
    if y == 0:
        return a
    if x == 0 and sign == 1:
        return b
    if y is not None and sign * y < 0:
        return ast.BinOp(a, ast.Sub(), number(abs(y)))
    if sign == -1 and ast.unparse(a) == ast.unparse(b):
        return number(0)
    return ast.BinOp(a, ast.Add() if sign == 1 else ast.Sub(), b)


def times(a: Expr, b: Expr) -> Expr:
    """``a * b``, simplified."""
    x, y = _known(a), _known(b)
    if x is not None and y is not None:
        return number(x * y)
    if x == 0 or y == 0:
        return number(0)
    return b if x == 1 else a if y == 1 else ast.BinOp(a, ast.Mult(), b)


class Reader:
    """Reads expressions; `names` are the index expressions that names hold, `nl` how the file calls nki.language."""

    def __init__(self, nl: str) -> None:
        self.nl = nl
        self.names: dict[str, Affine | list[Affine]] = {}

    def read(self, node: Expr) -> Affine | None:
        """The affine expression that `node` is; None where no grid is in it."""
        made = self._read(node)
        return made if made is not None and made.terms else None

    def _read(self, node: Expr) -> Affine | None:
        if isinstance(node, ast.Name):
            held = self.names.get(node.id)
            return held if isinstance(held, Affine) else None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            held = self.names.get(node.value.id)
            return held["pxyzw".index(node.attr)] if isinstance(held, list) and node.attr in "pxyzw" else None
        if isinstance(node, ast.Subscript):
            return self._arange(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            inner = self._read(node.operand)
            return inner and _scaled(inner, number(-1))
        if isinstance(node, ast.BinOp):
            return self._combined(node)
        return None

    def _combined(self, node: ast.BinOp) -> Affine | None:
        left, right = self._read(node.left), self._read(node.right)
        if left is None and right is None:
            return None
        if isinstance(node.op, ast.Mult):
            if left is not None and right is not None:
                raise NotMechanical("a product of index expressions", "write the slices by hand")
            return _scaled(left, node.right) if left is not None else _scaled(right, node.left)  # type: ignore[arg-type]
        if not isinstance(node.op, (ast.Add, ast.Sub)):
            raise NotMechanical(f"{ast.unparse(node)} is no sum or product", "write the slices by hand")
        sign = 1 if isinstance(node.op, ast.Add) else -1
        a, b = left or Affine(node.left), right or Affine(node.right)
        b = b if sign == 1 else Affine(b.start, _scaled(b, number(-1)).terms)
        terms = dict(a.terms)
        for dim, (step, size) in b.terms.items():
            terms[dim] = (plus(terms[dim][0], step), size) if dim in terms else (step, size)
        return Affine(plus(a.start, b.start, sign), terms)

    def _arange(self, node: ast.Subscript) -> Affine | None:
        """``nl.arange(n)[:, None]``."""
        if not self._is(node.value, "arange"):
            return None
        assert isinstance(node.value, ast.Call)
        keys = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        dims = [n for n, k in enumerate(keys) if isinstance(k, ast.Slice)]
        if len(dims) != 1:
            raise NotMechanical("nl.arange without a place in a grid", "index with slices")
        args = node.value.args
        first, last = (number(0), args[0]) if len(args) == 1 else (args[0], args[1])
        return Affine(first, {dims[0]: (number(1), plus(last, first, -1))})

    def _is(self, node: Expr, name: str) -> bool:
        return isinstance(node, ast.Call) and ast.unparse(node.func) == f"{self.nl}.{name}"

    def assigned(self, node: ast.Assign) -> bool:
        """Note what an assignment makes of index expressions; True when it makes nothing else."""
        target = node.targets[0]
        value = node.value
        if isinstance(value, ast.Subscript) and ast.unparse(value.value) == f"{self.nl}.mgrid":
            grids = self._mgrid(value)
            if isinstance(target, ast.Tuple):
                self.names |= {t.id: g for t, g in zip(target.elts, grids, strict=True) if isinstance(t, ast.Name)}
            elif isinstance(target, ast.Name):
                self.names[target.id] = grids
            return True
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            read = [self.read(v) for v in value.elts]
            if all(read) and all(isinstance(t, ast.Name) for t in target.elts):
                self.names |= {t.id: each for t, each in zip(target.elts, read, strict=True) if each is not None}  # type: ignore[attr-defined]
                return True
        if not isinstance(target, ast.Name):
            return False
        made = self.read(value)
        if made is not None:
            self.names[target.id] = made
            return True
        self.names.pop(target.id, None)
        return False

    @staticmethod
    def _mgrid(node: ast.Subscript) -> list[Affine]:
        keys = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        made = []
        for dim, key in enumerate(keys):
            if not isinstance(key, ast.Slice) or key.upper is None or key.step is not None:
                raise NotMechanical("nl.mgrid with a step", "index with slices")
            first = key.lower or number(0)
            made.append(Affine(first, {dim: (number(1), plus(key.upper, first, -1))}))
        return made


def _scaled(each: Affine, by: Expr) -> Affine:
    return Affine(times(each.start, by), {dim: (times(step, by), size) for dim, (step, size) in each.terms.items()})


def bounds_of(mask: Expr, reader: Reader) -> tuple[dict[int, Expr], list[Expr]]:
    """({dimension: size that the mask leaves}, conditions without a grid) of a mask."""
    if isinstance(mask, ast.BinOp) and isinstance(mask.op, ast.BitAnd):
        (a, x), (b, y) = bounds_of(mask.left, reader), bounds_of(mask.right, reader)
        if set(a) & set(b):
            raise NotMechanical("two conditions on one dimension", "write the slice's end by hand")
        return a | b, x + y
    if not isinstance(mask, ast.Compare) or len(mask.ops) != 1:
        raise NotMechanical(f"mask={ast.unparse(mask)}", "slice the operands to the valid part")
    left, right, op = mask.left, mask.comparators[0], mask.ops[0]
    if isinstance(op, (ast.Gt, ast.GtE)):
        left, right, op = right, left, ast.Lt() if isinstance(op, ast.Gt) else ast.LtE()
    a, b = reader.read(left), reader.read(right)
    if a is None and b is None:
        return {}, [mask]
    if a is None or b is not None or len(a.terms) != 1 or not isinstance(op, (ast.Lt, ast.LtE)):
        raise NotMechanical(
            f"mask={ast.unparse(mask)} is no upper end of one dimension", "slice the operands to the valid part"
        )
    dim, (step, size) = next(iter(a.terms.items()))
    if _known(step) != 1:
        raise NotMechanical(
            f"mask={ast.unparse(mask)} over every other element", "slice the operands to the valid part"
        )
    room = plus(plus(right, number(1)) if isinstance(op, ast.LtE) else right, a.start, -1)
    return {dim: ast.Call(ast.Name("min", ast.Load()), [size, room], [])}, []


def slices(keys: list[Affine | Expr], ends: Mapping[int, Expr]) -> list[Expr] | None:
    """The subscripts that say the same; None where it takes an access pattern (`ap`): dimensions that meet or change places."""
    order = [dim for key in keys if isinstance(key, Affine) for dim in key.terms]
    plain = all(len(key.terms) == 1 for key in keys if isinstance(key, Affine))
    if not plain or order != sorted(order) or len(set(order)) != len(order):
        return None
    made: list[Expr] = []
    for key in keys:
        if not isinstance(key, Affine):
            made.append(key)
            continue
        dim, (step, size) = next(iter(key.terms.items()))
        count = ends.get(dim, size)
        if _known(step) == 1:
            made.append(ast.Slice(key.start, plus(key.start, count)))
        else:
            last = plus(times(plus(count, number(-1)), step), number(1))
            made.append(ast.Slice(key.start, plus(key.start, last), step))
    return made
