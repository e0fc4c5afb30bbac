"""Statements in today's form, or the reason why no rule rewrites them."""

from __future__ import annotations

import ast
import copy
from typing import Any

from opentrn.migrate import calls
from opentrn.migrate.calls import Lowered, call_of, lower_operator
from opentrn.migrate.facts import Fact
from opentrn.migrate.grids import Expr, NotMechanical
from opentrn.migrate.names import BINARY, Note, all_of, argument, as_target, imported, keyword
from opentrn.migrate.values import Values
from opentrn.migrate.views import CREATORS
from opentrn.nki.beta1.language import memory

__all__ = ["LOOPS", "Kernel"]

LOOPS = ("affine_range", "sequential_range", "static_range")


class Kernel(Values):
    """Rewrites the statements of one function."""

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
            return imported(node)
        if isinstance(node, (ast.Return, ast.Assert, ast.Expr, ast.Pass, ast.FunctionDef)):
            return [node]
        return [node]

    def compound(self, node: Any) -> list[ast.stmt]:
        made = copy.copy(node)
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Call):
            name = self._nl(node.iter)
            if name in LOOPS:
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
        if isinstance(value, ast.Call) and self._nl(value) in CREATORS:
            return [ast.copy_location(ast.Assign([target], self.created(target.id, value)), node)]
        if not self.makes_tile(value):
            return [ast.copy_location(ast.Assign([target], self.expression(value)), node)]
        mask = keyword(value, "mask")
        conditions = self._conditions(mask)
        if mask is not None:
            self.masked[target.id] = ast.unparse(mask)
        made = self.fresh(target, value)
        return [ast.If(all_of(conditions), made, [])] if conditions else made

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
        mask = keyword(value, "mask")
        conditions = self._conditions(mask)
        place = self.subscript(target, mask)
        if not self.makes_tile(value):
            if self.fact(value).kind == "tile":
                return [ast.Expr(call_of(f"{self.names.nisa}.tensor_copy", dst=place, src=self.expression(value)))]
            return [ast.Assign([as_target(place)], self.expression(value))]
        if isinstance(value, ast.Call) and self._nl(value) == "load":
            source = self.operand(value.args[0] if value.args else argument(value, "src"), mask)
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
        return [ast.If(all_of(conditions), made, [])] if conditions else made

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
        name = BINARY.get(type(node.op))
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
            return [ast.If(all_of(conditions), made, [])] if conditions else made
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
        mask = keyword(call, "mask")
        conditions = self._conditions(mask)
        given = {k.arg: k.value for k in call.keywords if k.arg and k.arg not in ("mask", "dtype")}
        keywords = {n: self.operand(v, mask) for n, v in given.items()}
        keywords |= {n: calls.operator(v, self.names.nl) for n, v in keywords.items() if n in calls._OPERATORS}
        made: list[ast.stmt] = [
            ast.Expr(call_of(f"{self.names.nisa}.{name}", [self.operand(a, mask) for a in call.args], **keywords))
        ]
        return [ast.If(all_of(conditions), made, [])] if conditions else made
