"""The edit: each statement of a kernel is kept as it is written, replaced by today's, or listed as not mechanical.

Statements are replaced as a whole and lines that do not change stay as they are, comments included.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass, field
from typing import Any

from opentrn.migrate import calls
from opentrn.migrate.calls import Lowered, call_of, dtype_text, lower_instruction, lower_operator
from opentrn.migrate.facts import Fact
from opentrn.migrate.grids import Affine, Expr, NotMechanical, Reader, bounds_of, number, plus, slices, times
from opentrn.nki.beta1.language import elementwise, memory, reduce

__all__ = ["Note", "Rewritten", "rewrite"]

_LOOPS = ("affine_range", "sequential_range", "static_range")
_BINARY = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power", ast.BitAnd: "bitwise_and",
    ast.BitOr: "bitwise_or", ast.BitXor: "bitwise_xor", ast.LShift: "left_shift", ast.RShift: "right_shift",
}  # fmt: skip
_CREATORS = ("ndarray", "zeros", "ones", "full")


@dataclass(frozen=True)
class Note:
    """A place that was left as it is: where, why, and how a person would write it."""

    line: int
    why: str
    how: str


@dataclass
class Rewritten:
    """The new source, and what is not mechanical."""

    source: str
    notes: list[Note] = field(default_factory=list)


@dataclass
class _Names:
    """How the file calls the modules."""

    nki: str = "nki"
    nl: str = "nl"
    nisa: str = "nisa"


class _Kernel:
    """Rewrites the body of one function."""

    def __init__(self, node: ast.FunctionDef, facts: dict[Any, Fact], names: _Names, notes: list[Note]) -> None:
        self.facts, self.names, self.notes = facts, names, notes
        self.reader = Reader(names.nl)
        self.blocks: dict[str, int] = {}
        self.masked: dict[str, str] = {}
        self.products = _products(node, names)
        self.before: list[ast.stmt] = []
        self.count = 0
        self._last: Expr = number(0)
        self._mentions = {
            n.id: self.fact(n) for n in ast.walk(node) if isinstance(n, ast.Name) and self.fact(n).kind == "tile"
        }
        self.taken = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}

    # ------------------------------------------------------------- facts
    def fact(self, node: Expr) -> Fact:
        """What an expression of the old source was; "value" where nobody looked."""
        origin = getattr(node, "origin", node)
        key = tuple(getattr(origin, n, None) for n in ("lineno", "col_offset", "end_lineno", "end_col_offset"))
        known = self.facts.get(key) or getattr(node, "fact", None)
        return known or Fact("value")

    def _of(self, new: Expr, old: Expr) -> Expr:
        new.origin = getattr(old, "origin", old)  # type: ignore[attr-defined]
        return new

    # ------------------------------------------------------------- statements
    def body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """The statements in today's form."""
        made: list[ast.stmt] = []
        for each in statements:
            self.before = []
            try:
                new = self.statement(each)
            except NotMechanical as why:
                self.notes.append(Note(each.lineno, why.why, why.how))
                self.before, new = [], [each]
            made += [*self.before, *new]
        return made

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return self.assign(node)
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            plain = ast.copy_location(ast.Assign([node.target], node.value), node)
            return self.assign(plain)
        if isinstance(node, ast.AugAssign):
            return self.update(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return self.called(node)
        if isinstance(node, (ast.For, ast.If, ast.With, ast.While)):
            return self.compound(node)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return _imported(node)
        if isinstance(node, (ast.Return, ast.Assert, ast.Expr, ast.Pass, ast.FunctionDef)):
            return [node]
        return [node]

    def compound(self, node: Any) -> list[ast.stmt]:
        made = copy.copy(node)
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Call):
            name = self._nl(node.iter)
            if name in _LOOPS:
                made.iter = ast.copy_location(call_of("range", node.iter.args), node.iter)
        outer = self.before
        made.body = self.body(node.body)
        if getattr(node, "orelse", None):
            made.orelse = self.body(node.orelse)
        self.before = outer
        return [made]

    def assign(self, node: ast.Assign) -> list[ast.stmt]:
        target, value = node.targets[0], node.value
        if self.reader.assigned(node):
            return []
        if isinstance(target, ast.Name):
            return self.named(node, target, value)
        if isinstance(target, ast.Subscript) and self.fact(target.value).kind == "tile":
            return self.stored(target, value)
        return [node]

    def named(self, node: ast.Assign, target: ast.Name, value: Expr) -> list[ast.stmt]:
        """``name = value``: a tile of its own."""
        self.masked.pop(target.id, None)
        if isinstance(value, ast.Call) and self._nl(value) in _CREATORS:
            return [ast.copy_location(ast.Assign([target], self.created(target.id, value)), node)]
        if not self.makes_tile(value):
            return [ast.copy_location(ast.Assign([target], self.expression(value)), node)]
        mask = _keyword(value, "mask")
        conditions = self._conditions(mask)
        if mask is not None:
            self.masked[target.id] = ast.unparse(mask)
        made = self.fresh(target, value)
        return [ast.If(_all(conditions), made, [])] if conditions else made

    def fresh(self, target: ast.Name, value: Expr) -> list[ast.stmt]:
        """Statements that leave the value of a call in a new tile of that name."""
        kept = self.kept(value)
        if kept is not None:
            return [ast.Assign([target], kept)]
        lowered = self.lowered(value)
        buffer = ast.parse(f"{self.names.nl}.{lowered.memory}", mode="eval").body
        new = call_of(f"{self.names.nl}.ndarray", [lowered.shape], dtype=lowered.dtype, buffer=buffer)
        into = ast.Name(target.id, ast.Load())
        return [ast.Assign([target], new), self.instruction(lowered, into)]

    def stored(self, target: ast.Subscript, value: Expr) -> list[ast.stmt]:
        """``tile[...] = value``."""
        mask = _keyword(value, "mask")
        conditions = self._conditions(mask)
        place = self.subscript(target, mask)
        if not self.makes_tile(value):
            if self.fact(value).kind == "tile":
                return [ast.Expr(call_of(f"{self.names.nisa}.tensor_copy", dst=place, src=self.expression(value)))]
            return [ast.Assign([_stored(place)], self.expression(value))]
        if isinstance(value, ast.Call) and self._nl(value) == "load":
            source = self.operand(value.args[0] if value.args else _named(value, "src"), mask)
            made: list[ast.stmt] = [ast.Expr(call_of(f"{self.names.nisa}.dma_copy", dst=place, src=source))]
        else:
            lowered = self.lowered(value)
            if lowered.name == "loop_reduce":
                lowered = Lowered(
                    "tensor_tensor", {"data1": place, **lowered.keywords}, lowered.shape, lowered.dtype, "sbuf"
                )
            if lowered.memory == "psum" and self.fact(target.value).buffer != "psum":
                self.temporary(lowered)
                made = [ast.Expr(call_of(f"{self.names.nisa}.tensor_copy", dst=place, src=self._last))]
            else:
                made = [self.instruction(lowered, place)]
        return [ast.If(_all(conditions), made, [])] if conditions else made

    def update(self, node: ast.AugAssign) -> list[ast.stmt]:
        """``tile += value``."""
        target = node.target
        base = target.value if isinstance(target, ast.Subscript) else target
        known = self.fact(base) if isinstance(target, ast.Subscript) else self._held(target)
        if known.kind != "tile" or not isinstance(base, ast.Name):
            return [node]
        place: Expr = (
            self.subscript(target, None) if isinstance(target, ast.Subscript) else ast.Name(base.id, ast.Load())
        )
        value = node.value
        product = isinstance(value, ast.Call) and (self._nisa(value) == "nc_matmul" or self._nl(value) == "matmul")
        if product and known.buffer == "psum" and isinstance(node.op, ast.Add):
            return [self.instruction(self._product(value), place)]  # type: ignore[arg-type]
        name = _BINARY.get(type(node.op))
        if name is None:
            raise NotMechanical(ast.unparse(node), "an instruction with dst=")
        operand = self.operand(value, None)
        shape = known.shape if isinstance(target, ast.Name) else self.fact(value).shape
        whole = Fact("tile", shape or known.shape, known.dtype, known.buffer)
        lowered = lower_operator(name, [place, operand], [whole, self.fact(value)], whole, self.names.nl)
        return [self.instruction(lowered, place)]

    def called(self, node: ast.Expr) -> list[ast.stmt]:
        """A call whose value nobody takes: nl.store and instructions with dst=."""
        call: Any = node.value
        if self._nl(call) == "store":
            given = calls.bound(memory.store, call)
            mask = given.get("mask")
            conditions = self._conditions(mask)
            place = self.operand(given["dst"], mask)
            value = self.operand(given["value"], mask)
            if self.fact(given["value"]).buffer == "psum":
                value = self.copied(value, self.fact(given["value"]))
            made: list[ast.stmt] = [ast.Expr(call_of(f"{self.names.nl}.store", [place, value]))]
            return [ast.If(_all(conditions), made, [])] if conditions else made
        name = self._nisa(call)
        if name is not None:
            return self.mixed(name, call)
        if self._nl(call) == "device_print":
            return [ast.Expr(call_of(f"{self.names.nl}.device_print", [self.expression(a) for a in call.args]))]
        return [node]

    def mixed(self, name: str, call: ast.Call) -> list[ast.stmt]:
        """An instruction that is called for its effect."""
        if not any(k.arg == "dst" for k in call.keywords):
            raise NotMechanical(f"nisa.{name} without a destination", "give it dst=")
        mask = _keyword(call, "mask")
        conditions = self._conditions(mask)
        given = {k.arg: k.value for k in call.keywords if k.arg and k.arg not in ("mask", "dtype")}
        keywords = {n: self.operand(v, mask) for n, v in given.items()}
        keywords |= {n: calls.operator(v, self.names.nl) for n, v in keywords.items() if n in calls._OPERATORS}
        made: list[ast.stmt] = [
            ast.Expr(call_of(f"{self.names.nisa}.{name}", [self.operand(a, mask) for a in call.args], **keywords))
        ]
        return [ast.If(_all(conditions), made, [])] if conditions else made

    # ------------------------------------------------------------- values
    def makes_tile(self, value: Expr) -> bool:
        """True for calls and operators that record an instruction."""
        if isinstance(value, ast.Call):
            return self.fact(value).kind == "tile" and (self._nl(value) is not None or self._nisa(value) is not None)
        known = self.fact(value).kind == "tile"
        return known and isinstance(value, (ast.BinOp, ast.UnaryOp, ast.Compare))

    def kept(self, value: Expr) -> Expr | None:
        """The call as it is, where today's nl has it and it makes a tile of its own."""
        if not isinstance(value, ast.Call) or self._nl(value) is None:
            name, args = self._operation(value)
            if name is None or not calls.same_function(name, args, [self.fact(a) for a in args], self.fact(value)):
                return None
            return call_of(f"{self.names.nl}.{name}", [self.operand(a, None) for a in args])
        name, mask = self._nl(value), _keyword(value, "mask")
        assert name is not None
        facts = [self.fact(a) for a in value.args]
        reduces = name in calls._REDUCTIONS and self._reduces_last(value)
        if (
            name not in calls.KEPT
            and not reduces
            and not calls.same_function(name, value.args, facts, self.fact(value))
        ):
            return None
        if _keyword(value, "dtype") is not None and name in calls.KEPT - {"load"}:
            return None
        made = [self.operand(a, mask) for a in value.args]
        named = {
            k.arg: dtype_text(k.value, self.names.nl) if k.arg == "dtype" else self.operand(k.value, mask)
            for k in value.keywords if k.arg and k.arg != "mask"
        }  # fmt: skip
        return call_of(f"{self.names.nl}.{name}", made, **named)

    def _reduces_last(self, value: ast.Call) -> bool:
        given = calls.bound(reduce.sum, value)
        known = self.fact(given["x"])
        try:
            axes = sorted(int(n) % len(known.shape) for n in calls._literal(given["axis"]))
        except NotMechanical:
            return False
        return axes == list(range(len(known.shape) - len(axes), len(known.shape)))

    def _operation(self, value: Expr) -> tuple[str | None, list[Expr]]:
        """(name in nl, operands) of an operator expression."""
        if isinstance(value, ast.BinOp):
            return _BINARY.get(type(value.op)), [value.left, value.right]
        if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub):
            return "negative", [value.operand]
        return None, []

    def lowered(self, value: Expr) -> Lowered:
        """The instruction that a call or an operator records, its operands rewritten."""
        made = self._lowered(value)
        asked = _keyword(value, "dtype")
        if asked is not None and made.name != "memset":
            made.dtype = dtype_text(self.expression(asked), self.names.nl)
        return made

    def _lowered(self, value: Expr) -> Lowered:
        result = self.fact(value)
        name, args = self._operation(value)
        if name is not None:
            facts = [self.fact(a) for a in args]
            return lower_operator(name, [self.operand(a, None) for a in args], facts, result, self.names.nl)
        if not isinstance(value, ast.Call):
            raise NotMechanical(ast.unparse(value), "an instruction with dst=")
        mask = _keyword(value, "mask")
        if self._nisa(value) is not None:
            return self._instruction_of(value, mask)
        return self._language(value, mask)

    def _instruction_of(self, value: ast.Call, mask: Expr | None) -> Lowered:
        name = self._nisa(value)
        assert name is not None
        new = copy.copy(value)
        new.args = [self.operand(a, mask) for a in value.args]
        new.keywords = [ast.keyword(k.arg, self.operand(k.value, mask)) for k in value.keywords if k.arg != "mask"]
        return lower_instruction(name, new, self.fact, self.fact(value), self.names.nl)

    def _language(self, value: ast.Call, mask: Expr | None) -> Lowered:
        name = self._nl(value)
        assert name is not None
        result = self.fact(value)
        if name == "loop_reduce":
            given = calls.bound(reduce.loop_reduce, value)
            x = self.operand(given["x"], mask)
            keywords = {"data2": x, "op": calls.operator(given["op"], self.names.nl)}
            return Lowered("loop_reduce", keywords, number(0), number(0), "sbuf")
        if name in calls._REDUCTIONS:
            given = calls.bound(reduce.sum, value)
            known = self.fact(given["x"])
            given["x"] = self.operand(given["x"], mask)
            return calls.lower_reduction(name, given, known, result, self.names.nl)
        if name == "matmul":
            return self._product(value)
        if name not in elementwise.BINARY | elementwise.UNARY:
            raise NotMechanical(f"nl.{name}", f"see the page of nl.{name} of today, and nisa.* with dst=")
        facts = [self.fact(a) for a in value.args]
        return lower_operator(name, [self.operand(a, mask) for a in value.args], facts, result, self.names.nl)

    def _product(self, value: ast.Call) -> Lowered:
        """nisa.nc_matmul, or nl.matmul of operands that are in place."""
        if self._nl(value) == "matmul":
            turned = _keyword(value, "transpose_x")
            if not (isinstance(turned, ast.Constant) and turned.value is True):
                raise NotMechanical(
                    "nl.matmul that transposes its first operand", "nisa.nc_transpose it, then nisa.nc_matmul"
                )
            value = ast.copy_location(call_of(f"{self.names.nisa}.nc_matmul", value.args[:2]), value)
        return self._instruction_of(value, None)

    def instruction(self, lowered: Lowered, dst: Expr) -> ast.stmt:
        """The call with its destination."""
        return ast.Expr(call_of(f"{self.names.nisa}.{lowered.name}", None, dst=dst, **lowered.keywords))

    def temporary(self, lowered: Lowered) -> Expr:
        """A new tile for a value in the middle of an expression."""
        buffer = ast.parse(f"{self.names.nl}.{lowered.memory}", mode="eval").body
        new = call_of(f"{self.names.nl}.ndarray", [lowered.shape], dtype=lowered.dtype, buffer=buffer)
        self._last = self._hold(new)
        self.before.append(self.instruction(lowered, self._last))
        return self._last

    def _hold(self, value: Expr) -> ast.Name:
        self.count += 1
        while f"tile_{self.count}" in self.taken:
            self.count += 1
        name = f"tile_{self.count}"
        self.before.append(ast.Assign([ast.Name(name, ast.Store())], value))
        return ast.Name(name, ast.Load())

    def copied(self, value: Expr, known: Fact) -> Expr:
        """A copy in SBUF."""
        return self._hold(call_of(f"{self.names.nl}.copy", [value]))

    # ------------------------------------------------------------- operands
    def operand(self, node: Expr, mask: Expr | None) -> Expr:
        """An operand in today's form: slices for grids, a name for a value in the middle."""
        if isinstance(node, ast.Subscript) and self.fact(node.value).kind == "tile":
            return self._of(self.subscript(node, mask), node)
        if self.makes_tile(node):
            kept = self.kept(node)
            made = self._hold(kept) if kept is not None else self.temporary(self.lowered(node))
            return self._of(made, node)
        if isinstance(node, ast.Name) and mask is not None and self.fact(node).kind == "tile":
            return self._of(self._cut(node, mask), node)
        return self._of(self.expression(node), node)

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

    def _conditions(self, mask: Expr | None) -> list[Expr]:
        return [] if mask is None else bounds_of(mask, self.reader)[1]

    def _held(self, node: Expr) -> Fact:
        """The fact about a name that is stored to: that of any other mention of it."""
        assert isinstance(node, ast.Name)
        return self._mentions.get(node.id, Fact("value"))

    def _nl(self, call: Any) -> str | None:
        return _called(call, self.names.nl)

    def _nisa(self, call: Any) -> str | None:
        return _called(call, self.names.nisa) or _called(call, f"{self.names.nki}.isa")


class _Plain(ast.NodeTransformer):
    """Index expressions and tiles inside other expressions."""

    def __init__(self, kernel: _Kernel) -> None:
        self.kernel = kernel

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if self.kernel.fact(node.value).kind == "tile":
            return self.kernel.subscript(node, None)
        return self.generic_visit(node)


def _called(call: Any, module: str) -> str | None:
    """The name of a module's function that a call calls."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    return call.func.attr if ast.unparse(call.func.value) == module else None


def _keyword(call: Any, name: str) -> Expr | None:
    found = next((k.value for k in getattr(call, "keywords", []) if k.arg == name), None)
    return None if isinstance(found, ast.Constant) and found.value is None else found


def _named(call: ast.Call, name: str) -> Expr:
    found = _keyword(call, name)
    if found is None:
        raise NotMechanical(ast.unparse(call), f"give it {name}")
    return found


def _all(conditions: list[Expr]) -> Expr:
    return conditions[0] if len(conditions) == 1 else ast.BoolOp(ast.And(), conditions)


def _stored(place: Expr) -> Any:
    place.ctx = ast.Store()  # type: ignore[attr-defined]
    return place


def _products(node: ast.FunctionDef, names: _Names) -> set[str]:
    """Names that only ever take sums of matrix products as a whole: today's first product overwrites, no zeros needed."""
    products, others = set(), set()
    for each in ast.walk(node):
        if isinstance(each, ast.AugAssign):
            target = each.target.value if isinstance(each.target, ast.Subscript) else each.target
            whole = isinstance(each.target, ast.Name) or _only_integers(each.target)
            matmul = _called(each.value, names.nisa) == "nc_matmul" or _called(each.value, names.nl) == "matmul"
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


_MODULES = {"neuronxcc.nki": "nki", "neuronxcc.nki.language": "nki.language", "neuronxcc.nki.isa": "nki.isa",
            "neuronxcc.nki.typing": "nki.typing"}  # fmt: skip
_DROPPED = {"par_dim", "trace", "simulate_kernel", "baremetal"}


def _imported(node: Any) -> list[ast.stmt]:
    """Imports of neuronxcc as imports of nki."""
    if isinstance(node, ast.Import):
        made = copy.copy(node)
        made.names = [ast.alias(_MODULES.get(a.name, a.name), a.asname if _MODULES.get(a.name) != a.asname else None)
                      for a in node.names if a.name != "neuronxcc.nki.compiler"]  # fmt: skip
        return [made] if made.names else []
    if node.module == "neuronxcc" and [a.name for a in node.names] == ["nki"]:
        return [ast.copy_location(ast.Import([ast.alias("nki", None)]), node)]
    if node.module in _MODULES:
        kept = [a for a in node.names if a.name not in _DROPPED]
        return [ast.copy_location(ast.ImportFrom(_MODULES[node.module], kept, 0), node)] if kept else []
    return [node]


def _aliases(tree: ast.Module) -> _Names:
    """What the file calls nki, nki.language and nki.isa."""
    names = _Names()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                attribute = {"neuronxcc.nki": "nki", "neuronxcc.nki.language": "nl", "neuronxcc.nki.isa": "nisa"}.get(
                    a.name
                )
                if attribute and a.asname:
                    setattr(names, attribute, a.asname)
    return names


def _decorators(node: ast.FunctionDef, names: _Names) -> list[Expr]:
    """One nki.jit, whatever the older dialect had."""
    marks = [ast.unparse(d.func if isinstance(d, ast.Call) else d).split(".")[-1] for d in node.decorator_list]
    old = {"jit", "trace", "baremetal", "benchmark", "profile"}
    kept = [
        d for d, m in zip(node.decorator_list, marks, strict=True) if m not in old and "compiler" not in ast.unparse(d)
    ]
    return [*kept, ast.parse(f"{names.nki}.jit", mode="eval").body] if old & set(marks) else kept


def rewrite(source: str, facts: dict[Any, Fact]) -> Rewritten:
    """The source in today's dialect, and the places that a person has to look at."""
    tree = ast.parse(source)
    names, notes = _aliases(tree), []
    edits: list[tuple[ast.stmt, list[ast.stmt]]] = []
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            new = _imported(node)
            if new != [node]:
                edits.append((node, new))
        elif isinstance(node, ast.FunctionDef):
            edits += _function(node, facts, names, notes)
        elif any(
            isinstance(n, ast.Attribute) and n.attr in ("simulate_kernel", "benchmark", "baremetal")
            for n in ast.walk(node)
        ):
            notes.append(Note(node.lineno, "a launch of the older dialect", "call the kernel: kernel(a, b)"))
    lines = source.splitlines()
    for old, new in sorted(edits, key=lambda e: -_first(e[0])):
        text = _text(new, old.col_offset, lines[_first(old) - 1 : old.end_lineno])
        lines[_first(old) - 1 : old.end_lineno] = text
    _add_isa(lines, names)
    return Rewritten("\n".join(lines) + "\n", sorted(notes, key=lambda n: n.line))


def _add_isa(lines: list[str], names: _Names) -> None:
    """An import of nki.isa where instructions came in."""
    text = "\n".join(lines)
    if f"{names.nisa}." in text and "nki.isa" not in text:
        at = next(n for n, line in enumerate(lines) if line.startswith(("import nki", "from nki")))
        lines.insert(at + 1, f"import nki.isa as {names.nisa}")


def _first(node: Any) -> int:
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def _function(
    node: ast.FunctionDef, facts: Any, names: _Names, notes: list[Note]
) -> list[tuple[ast.stmt, list[ast.stmt]]]:
    """Edits of one function: its decorators and the statements that change."""
    kernel = _Kernel(node, facts, names, notes)
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and _called(each, names.nl) in ("program_id", "num_programs", "spmd_dim"):
            notes.append(
                Note(
                    each.lineno,
                    "a launch grid",
                    "a loop over the programs inside the kernel, or kernel[2] for two cores",
                )
            )
    edits = _edited(kernel, node.body)
    decorators = _decorators(node, names)
    if [ast.unparse(d) for d in decorators] != [ast.unparse(d) for d in node.decorator_list]:
        edits += _redecorated(node, decorators)
    return edits


def _redecorated(node: ast.FunctionDef, decorators: list[Expr]) -> list[tuple[ast.stmt, list[ast.stmt]]]:
    made = []
    for old, new in zip(node.decorator_list, [*decorators, *[None] * len(node.decorator_list)], strict=False):
        place: Any = ast.Expr(old)
        place.lineno, place.end_lineno, place.col_offset = old.lineno, old.end_lineno, node.col_offset
        made.append((place, [] if new is None else [_Decorator(new)]))
    return made


class _Decorator(ast.stmt):
    """A decorator as a line of its own."""

    def __init__(self, expr: Expr) -> None:
        super().__init__()
        self.expr = expr


def _edited(kernel: _Kernel, statements: list[ast.stmt]) -> list[tuple[ast.stmt, list[ast.stmt]]]:
    """(old, new) of the statements that change, the innermost ones, so that what is around them stays as it is."""
    edits: list[tuple[ast.stmt, list[ast.stmt]]] = []
    for each in statements:
        if isinstance(each, (ast.For, ast.If, ast.While, ast.With)):
            edits += _header(kernel, each)
            edits += _edited(kernel, each.body) + _edited(kernel, getattr(each, "orelse", []))
            continue
        new = kernel.body([each])
        if [ast.unparse(ast.fix_missing_locations(n)) for n in new] != [ast.unparse(each)]:
            edits.append((each, new))
    return edits


def _header(kernel: _Kernel, node: Any) -> list[tuple[ast.stmt, list[ast.stmt]]]:
    """The first line of a loop over nl.affine_range."""
    if not isinstance(node, ast.For) or not isinstance(node.iter, ast.Call) or kernel._nl(node.iter) not in _LOOPS:
        return []
    place: Any = ast.Expr(node.iter)
    place.lineno, place.end_lineno, place.col_offset = node.lineno, node.iter.end_lineno, node.col_offset
    return [(place, [_Loop(node)])]


class _Loop(ast.stmt):
    """The line that opens a loop."""

    def __init__(self, node: ast.For) -> None:
        super().__init__()
        self.node = node


def _text(new: list[ast.stmt], indent: int, old: list[str]) -> list[str]:
    """The lines of new statements; a comment at the end of the only old line stays."""
    made: list[str] = []
    for each in new:
        if isinstance(each, _Decorator):
            made.append("@" + ast.unparse(each.expr))
        elif isinstance(each, _Loop):
            call = ast.unparse(call_of("range", each.node.iter.args))  # type: ignore[attr-defined]
            made.append(f"for {ast.unparse(each.node.target)} in {call}:")
        else:
            made += ast.unparse(ast.fix_missing_locations(each)).splitlines()
    comment = old[-1].partition("  #")[2] if len(old) == 1 else ""
    if comment and made:
        made[-1] += f"  #{comment}"
    return [" " * indent + line for line in made]
