"""Values in today's form: which call makes a tile, which instruction it is, and the names of values in the middle."""

from __future__ import annotations

import ast
import copy

from opentrn.migrate import calls
from opentrn.migrate.calls import Lowered, call_of, dtype_text, lower_instruction, lower_operator
from opentrn.migrate.facts import Fact
from opentrn.migrate.grids import Expr, NotMechanical, number
from opentrn.migrate.names import BINARY, keyword
from opentrn.migrate.views import Views
from opentrn.nki.beta1.language import elementwise, reduce

__all__ = ["Values"]


class Values(Views):
    """Expressions of one function."""

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
        name, mask = self._nl(value), keyword(value, "mask")
        assert name is not None
        facts = [self.fact(a) for a in value.args]
        reduces = name in calls._REDUCTIONS and self._reduces_last(value)
        if (
            name not in calls.KEPT
            and not reduces
            and not calls.same_function(name, value.args, facts, self.fact(value))
        ):
            return None
        if keyword(value, "dtype") is not None and name in calls.KEPT - {"load"}:
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
            return BINARY.get(type(value.op)), [value.left, value.right]
        if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub):
            return "negative", [value.operand]
        return None, []

    def lowered(self, value: Expr) -> Lowered:
        """The instruction that a call or an operator records, its operands rewritten."""
        made = self._lowered(value)
        asked = keyword(value, "dtype")
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
        mask = keyword(value, "mask")
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
            turned = keyword(value, "transpose_x")
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
