"""Value-returning calls as today's: a destination of their own, or the one they are assigned to.

What a call works on (tiles, columns, numbers, their shapes and memories) comes from the facts of a run; the text of
shapes and dtypes comes from the operands, so that the result holds for other sizes too.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

from opentrn.migrate.facts import Fact
from opentrn.migrate.grids import Expr, NotMechanical, number
from opentrn.nki.beta1 import isa as old_isa
from opentrn.nki.beta1.dtypes import NAMES, name_of
from opentrn.nki.beta1.language import elementwise
from opentrn.nki.beta1.operators import operator_name
from opentrn.nki.language import compute
from opentrn.numerics.activations import ACTIVATIONS

__all__ = ["KEPT", "Lowered", "call_of", "lower_instruction", "lower_operator", "same_function"]

_REDUCTIONS = {"sum": "add", "max": "maximum", "min": "minimum", "prod": "multiply"}
KEPT = {"load", "matmul", "transpose", "softmax", "mean", "gather_flattened"}
"""nl.* functions that today's language has too, with the same instructions, as long as they make a tile of their own."""


class Lowered:
    """An instruction with its destination still open: its name, keywords, and the destination's shape, dtype and memory."""

    def __init__(self, name: str, keywords: dict[str, Expr], shape: Expr, dtype: Expr, memory: str) -> None:
        self.name, self.keywords, self.shape, self.dtype, self.memory = name, keywords, shape, dtype, memory


def call_of(function: str, args: list[Expr] | None = None, **keywords: Expr) -> ast.Call:
    """``function(args, keyword=...)``."""
    named = [ast.keyword(n, v) for n, v in keywords.items()]
    return ast.Call(ast.parse(function, mode="eval").body, args or [], named)


def _attribute(node: Expr, name: str) -> Expr:
    return ast.Attribute(node, name, ast.Load())


def _dtype(result: Fact, operand: Expr, known: Fact, nl: str) -> Expr:
    if result.dtype == known.dtype:
        return _attribute(operand, "dtype")
    return ast.parse(f"{nl}.{result.dtype}", mode="eval").body


def _shape(result: Fact, operand: Expr, known: Fact) -> Expr:
    """The text of a shape: the operand's, or one column, or numbers."""
    if result.shape == known.shape:
        return _attribute(operand, "shape")
    if result.column and result.shape[:1] == known.shape[:1]:
        rows = ast.Subscript(_attribute(operand, "shape"), number(0), ast.Load())
        return ast.Tuple([rows, *(number(1) for _ in result.shape[1:])], ast.Load())
    return ast.Tuple([number(n) for n in result.shape], ast.Load())


def operator(node: Expr, nl: str) -> Expr:
    """``np.add``, ``np.max``, ``nl.max`` and their like as ``nl.add``, ``nl.maximum``."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        try:
            return ast.parse(f"{nl}.{operator_name(node.attr)}", mode="eval").body
        except Exception:
            return node
    return node


def lower_operator(
    name: str, args: list[Expr], facts: list[Fact], result: Fact, nl: str
) -> Lowered:  # fmt: skip
    """nl.add, nl.exp, nl.sum and their like as one instruction."""
    op = ast.parse(f"{nl}.{name}", mode="eval").body
    tiles = [n for n, f in enumerate(facts) if f.kind == "tile"]
    if not tiles:
        raise NotMechanical(f"nl.{name} of no tile", "write the instruction by hand")
    main = tiles[0] if len(tiles) < 2 or not facts[tiles[0]].column else tiles[1]
    shape, dtype = _shape(result, args[main], facts[main]), _dtype(result, args[main], facts[main], nl)
    if name in elementwise.UNARY:
        return _unary(name, args[0], op, shape, dtype, nl)
    if name not in elementwise.BINARY:
        raise NotMechanical(f"nl.{name}", "today's nl has it with another signature, or not at all")
    first, second = facts
    if name == "divide":
        return _divided(args, facts, shape, dtype, nl)
    if first.kind == second.kind == "tile" and first.shape == second.shape:
        return Lowered("tensor_tensor", {"data1": args[0], "data2": args[1], "op": op}, shape, dtype, "sbuf")
    if second.kind != "tile" or second.column:
        return Lowered("tensor_scalar", {"data": args[0], "op0": op, "operand0": args[1]}, shape, dtype, "sbuf")
    if first.kind != "tile" or first.column:
        keywords = {"data": args[1], "op0": op, "operand0": args[0], "reverse0": ast.Constant(True)}
        return Lowered("tensor_scalar", keywords, shape, dtype, "sbuf")
    raise NotMechanical(f"nl.{name} of shapes {first.shape} and {second.shape}", "nl.broadcast_to one of them first")


def _divided(args: list[Expr], facts: list[Fact], shape: Expr, dtype: Expr, nl: str) -> Lowered:
    if facts[1].kind != "value":
        raise NotMechanical("a division by a tile", "nisa.reciprocal into a tile, then nl.multiply")
    inverse = ast.BinOp(ast.Constant(1.0), ast.Div(), args[1])
    multiply = ast.parse(f"{nl}.multiply", mode="eval").body
    return Lowered("tensor_scalar", {"data": args[0], "op0": multiply, "operand0": inverse}, shape, dtype, "sbuf")


def _unary(name: str, x: Expr, op: Expr, shape: Expr, dtype: Expr, nl: str) -> Lowered:
    if name == "copy":
        return Lowered("tensor_copy", {"src": x}, shape, dtype, "sbuf")
    if name == "reciprocal":
        return Lowered("reciprocal", {"data": x}, shape, dtype, "sbuf")
    if name == "negative":
        keywords = {"data": x, "op0": ast.parse(f"{nl}.multiply", mode="eval").body, "operand0": ast.Constant(-1.0)}
        return Lowered("tensor_scalar", keywords, shape, dtype, "sbuf")
    if name in ACTIVATIONS and name not in ("sin", "arctan"):
        return Lowered("activation", {"op": op, "data": x}, shape, dtype, "sbuf")
    raise NotMechanical(f"nl.{name} into a tile that exists", f"nl.{name} makes a tile; nisa.tensor_copy it")


def same_function(name: str, args: list[Expr], facts: list[Fact], result: Fact) -> bool:
    """True where today's nl function of that name records the same one instruction into a tile of its own."""
    first = next((f for f in facts if f.kind == "tile"), None)
    if first is None or first.dtype != result.dtype:
        return False
    if name in elementwise.UNARY:
        return (
            name == "copy"
            or (name in ACTIVATIONS and name not in compute._COMPOSED)
            or name in ("reciprocal", "negative")
        )
    shapes = {f.shape for f in facts if f.kind == "tile" and not f.column}
    return name in elementwise.BINARY and name not in ("divide", "mod", "fmod") and len(shapes) <= 1


def lower_reduction(name: str, keywords: dict[str, Expr], known: Fact, result: Fact, nl: str) -> Lowered:
    """nl.sum and its like over the last dimensions."""
    x, axis = keywords["x"], keywords["axis"]
    given = [int(n) % len(known.shape) for n in _literal(axis)]
    if sorted(given) != list(range(len(known.shape) - len(given), len(known.shape))):
        raise NotMechanical(
            f"nl.{name} over axis {ast.unparse(axis)}", "permute the view so that the reduced dimensions are last"
        )
    op = ast.parse(f"{nl}.{_REDUCTIONS[name]}", mode="eval").body
    more = {"keepdims": keywords["keepdims"]} if "keepdims" in keywords else {}
    return Lowered(
        "tensor_reduce",
        {"op": op, "data": x, "axis": axis, **more},
        _shape(result, x, known),
        _dtype(result, x, known, nl),
        "sbuf",
    )


def _literal(axis: Expr) -> list[int]:
    try:
        value = ast.literal_eval(axis)
    except ValueError:
        raise NotMechanical(f"axis={ast.unparse(axis)}", "write the axis as a literal") from None
    return list(value) if isinstance(value, (list, tuple)) else [value]


def bound(function: Callable[..., Any], call: ast.Call) -> dict[str, Expr]:
    """The arguments of a call by the names of the function's parameters."""
    names = [n for n, p in inspect.signature(function).parameters.items() if p.kind is not p.VAR_KEYWORD]
    if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
        raise NotMechanical("a call with * or **", "write the arguments out")
    return dict(zip(names, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}


_OPERATORS = ("op", "op0", "op1", "reduce_op", "comp_op0", "comp_op1")
_DATA = ("data", "src", "data1", "data0", "on_true_tile", "on_true", "src_buffer")


def lower_instruction(name: str, call: ast.Call, fact: Callable[[Expr], Fact], result: Fact, nl: str) -> Lowered:
    """A value-returning nisa.* call; its operands keep their text."""
    keywords = bound(getattr(old_isa, name), call)
    keywords = {
        n: operator(v, nl) if n in _OPERATORS else v for n, v in keywords.items() if n not in ("dtype", "mask", "name")
    }
    if name in ("nc_matmul", "nc_transpose"):
        return _transposing(name, keywords, result, fact, nl)
    if name == "memset":
        dtype = dtype_text(bound(old_isa.memset, call)["dtype"], nl)
        return Lowered("memset", {"value": keywords["value"]}, keywords["shape"], dtype, "sbuf")
    if name in (
        "tensor_copy_dynamic_src",
        "tensor_copy_dynamic_dst",
        "local_gather",
        "iota",
        "affine_select",
        "dma_transpose",
    ):
        raise NotMechanical(
            f"nisa.{name}", f"nisa.{name} of today: an explicit pattern or a run-time index through .ap()"
        )
    main = next((keywords[n] for n in _DATA if n in keywords), None)
    if main is None:
        raise NotMechanical(f"nisa.{name}", "write the call with dst=")
    known = fact(main)
    keywords = {n: v for n, v in keywords.items() if not (isinstance(v, ast.Constant) and v.value is None)}
    return Lowered(name, keywords, _shape(result, main, known), _dtype(result, main, known, nl), result.buffer)


def _transposing(name: str, keywords: dict[str, Expr], result: Fact, fact: Callable[[Expr], Fact], nl: str) -> Lowered:
    """The Tensor Engine: its result has the free sizes of its operands, in PSUM."""

    def size(x: Expr, dim: int) -> Expr:
        return ast.Subscript(_attribute(x, "shape"), number(dim), ast.Load())

    if name == "nc_transpose":
        x = keywords["data"]
        if len(fact(x).shape) != 2:
            raise NotMechanical("nisa.nc_transpose of a tile with several free dimensions", "allocate dst by hand")
        return Lowered(
            name, keywords, ast.Tuple([size(x, 1), size(x, 0)], ast.Load()), _attribute(x, "dtype"), result.buffer
        )
    left, right = keywords["stationary"], keywords["moving"]
    if any(len(fact(x).shape) != 2 for x in (left, right)):
        raise NotMechanical("nisa.nc_matmul of tiles with several free dimensions", "allocate dst by hand")
    shape = ast.Tuple([size(left, 1), size(right, 1)], ast.Load())
    return Lowered(name, keywords, shape, ast.parse(f"{nl}.float32", mode="eval").body, "psum")


def dtype_text(node: Expr, nl: str) -> Expr:
    """``np.float32`` as ``nl.float32``; anything else as it is."""
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr in NAMES
        and node.value.id != nl
    ):
        return ast.parse(f"{nl}.{name_of(NAMES[node.attr])}", mode="eval").body
    return node
