"""The ways in which a correct kernel is made wrong: each looks at one node of the syntax tree and offers replacements."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from opentrn.isa.all import REGISTRY

__all__ = ["OPERATORS", "Mutant", "mutants"]

MOVES = {"dma_copy", "dma_transpose", "dma_compute", "load", "store"}
FILLS = {"memset", "iota"}
MEETINGS = {"core_barrier", "sendrecv"}
PAIRS = [("data1", "data2"), ("stationary", "moving"), ("data0", "data1"), ("on_true_tile", "on_false_value")]
OTHER_OP = {
    "add": "subtract",
    "subtract": "add",
    "multiply": "add",
    "maximum": "minimum",
    "minimum": "maximum",
    "exp": "square",
    "greater_equal": "greater",
    "greater": "greater_equal",
    "less": "less_equal",
    "less_equal": "less",
}
OTHER_DTYPE = {"float32": "bfloat16", "bfloat16": "float8_e4m3", "int32": "int16", "uint32": "uint16"}


@dataclass(frozen=True)
class Mutant:
    """One change: the operator's name, where it is, what was there and what is there instead, and the changed source.

    `name` identifies it as long as the function keeps that statement.
    """

    operator: str
    line: int
    name: str
    source: str


Offer = Iterator[ast.AST]
OPERATORS: dict[str, Callable[[ast.AST], Offer]] = {}


def _operator(function: Callable[[ast.AST], Offer]) -> Callable[[ast.AST], Offer]:
    OPERATORS[function.__name__.strip("_")] = function
    return function


def called(node: ast.AST | None) -> str:
    """The last name of what a call calls; '' for anything else."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _dropped(node: ast.AST, names: Callable[[str], bool]) -> Offer:
    if isinstance(node, ast.Expr) and names(called(node.value)):
        yield ast.Pass()


@_operator
def drop_dma(node: ast.AST) -> Offer:
    return _dropped(node, lambda name: name in MOVES)


@_operator
def drop_initialisation(node: ast.AST) -> Offer:
    yield from _dropped(node, lambda name: name in FILLS)
    if called(node) in ("zeros", "full", "ones"):  # the tensor without its values
        made = copy.deepcopy(node)
        assert isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute)
        filled = made.func.attr == "full"
        made.func.attr, made.args = "ndarray", made.args[:1] if filled else made.args
        made.keywords = [k for k in made.keywords if k.arg != "fill_value"]
        yield made


@_operator
def drop_barrier(node: ast.AST) -> Offer:
    return _dropped(node, lambda name: name in MEETINGS)


@_operator
def drop_instruction(node: ast.AST) -> Offer:
    return _dropped(node, lambda name: name in REGISTRY and name not in MOVES | FILLS | MEETINGS)


@_operator
def shift_slice(node: ast.AST) -> Offer:
    """A slice one further, and one shorter."""
    if isinstance(node, ast.Slice) and node.lower is not None and node.upper is not None:
        yield ast.Slice(_plus(node.lower, 1), _plus(node.upper, 1), node.step)
    if isinstance(node, ast.Slice) and node.upper is not None:
        yield ast.Slice(node.lower, _plus(node.upper, -1), node.step)


@_operator
def shift_index(node: ast.AST) -> Offer:
    """The neighbour of one element or row."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        places = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for number, place in enumerate(places):
            if isinstance(place, (ast.Name, ast.BinOp)):
                made = copy.deepcopy(node)
                if isinstance(made.slice, ast.Tuple):
                    made.slice.elts[number] = _plus(place, 1)
                else:
                    made.slice = _plus(place, 1)
                yield made


@_operator
def swap_engines(node: ast.AST) -> Offer:
    """The same instruction on another engine, whether or not it runs there."""
    name = called(node)
    if name in REGISTRY and "engine" in REGISTRY[name].signature.parameters:
        for engine in ("vector", "scalar", "gpsimd"):
            yield _with(node, "engine", ast.parse(f"nisa.engine.{engine}", mode="eval").body)


@_operator
def shrink_buffer(node: ast.AST) -> Offer:
    """A tensor with a last dimension one shorter, or with half the rows."""
    if called(node) in ("ndarray", "zeros", "full", "ones", "sbuf", "psum") and isinstance(node, ast.Call):
        shape = node.args[0] if node.args else None
        if isinstance(shape, ast.Tuple) and len(shape.elts) > 1:
            for place, smaller in ((-1, _plus(shape.elts[-1], -1)), (0, _halved(shape.elts[0]))):
                made = copy.deepcopy(node)
                made.args[0].elts[place] = smaller  # type: ignore[attr-defined]
                yield made


@_operator
def swap_operands(node: ast.AST) -> Offer:
    if called(node) in REGISTRY and isinstance(node, ast.Call):
        given = {k.arg: n for n, k in enumerate(node.keywords)}
        for one, other in PAIRS:
            if one in given and other in given:
                made = copy.deepcopy(node)
                a, b = made.keywords[given[one]], made.keywords[given[other]]
                a.value, b.value = b.value, a.value
                yield made


@_operator
def change_dtype(node: ast.AST) -> Offer:
    """A tensor of another dtype."""
    if called(node) in ("ndarray", "zeros", "full", "ones", "sbuf", "psum") and isinstance(node, ast.Call):
        for number, keyword in enumerate(node.keywords):
            value = keyword.value
            if keyword.arg == "dtype" and isinstance(value, ast.Attribute) and value.attr in OTHER_DTYPE:
                made = copy.deepcopy(node)
                made.keywords[number].value.attr = OTHER_DTYPE[value.attr]  # type: ignore[attr-defined]
                yield made


@_operator
def change_memory(node: ast.AST) -> Offer:
    """PSUM instead of SBUF and back."""
    if isinstance(node, ast.keyword) and node.arg == "buffer" and isinstance(node.value, ast.Attribute):
        other = {"sbuf": "psum", "psum": "sbuf"}.get(node.value.attr)
        if other:
            yield ast.keyword("buffer", ast.Attribute(node.value.value, other, ast.Load()))


@_operator
def flip_accumulate(node: ast.AST) -> Offer:
    """`accumulate` left out, and turned round; `reduce_cmd` that does not reset."""
    if called(node) in REGISTRY and isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg == "accumulate":
                yield _without(node, "accumulate")
                yield _with(node, "accumulate", ast.UnaryOp(ast.Not(), keyword.value))
            if keyword.arg == "reduce_cmd":
                yield _with(node, "reduce_cmd", ast.parse("nisa.reduce_cmd.reduce", mode="eval").body)


@_operator
def change_operator(node: ast.AST) -> Offer:
    """Another operator or function: nl.add for nl.subtract."""
    if isinstance(node, ast.keyword) and isinstance(node.value, ast.Attribute) and node.value.attr in OTHER_OP:
        yield ast.keyword(node.arg, ast.Attribute(node.value.value, OTHER_OP[node.value.attr], ast.Load()))


@_operator
def change_number(node: ast.AST) -> Offer:
    """An immediate that is one larger."""
    if isinstance(node, ast.keyword) and node.arg in (
        "scale",
        "operand0",
        "operand1",
        "offset",
        "value",
        "bias",
        "imm0",
    ):
        value = node.value
        if isinstance(value, ast.UnaryOp):
            value = value.operand
        if isinstance(value, ast.Constant) and isinstance(value.value, (int, float)):
            yield ast.keyword(node.arg, _plus(node.value, 1))


@_operator
def shorten_loop(node: ast.AST) -> Offer:
    """One turn less, at the end and at the beginning."""
    if isinstance(node, ast.For) and called(node.iter) in ("range", "affine_range", "sequential_range", "static_range"):
        assert isinstance(node.iter, ast.Call)
        for cut in ("[:-1]", "[1:]"):
            made = copy.copy(node)
            made.iter = ast.parse(f"list({ast.unparse(node.iter)}){cut}", mode="eval").body
            yield made


@_operator
def same_core(node: ast.AST) -> Offer:
    """Both cores do the work of core 0."""
    if called(node) == "program_id":
        yield ast.Constant(0)


def _plus(node: ast.expr, number: int) -> ast.expr:
    return ast.BinOp(node, ast.Add() if number > 0 else ast.Sub(), ast.Constant(abs(number)))


def _halved(node: ast.expr) -> ast.expr:
    return ast.BinOp(node, ast.FloorDiv(), ast.Constant(2))


def _with(node: ast.AST, name: str, value: ast.expr) -> ast.Call:
    made = _without(node, name)
    made.keywords.append(ast.keyword(name, value))
    return made


def _without(node: ast.AST, name: str) -> ast.Call:
    made = copy.deepcopy(node)
    assert isinstance(made, ast.Call)
    made.keywords = [k for k in made.keywords if k.arg != name]
    return made


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def mutants(source: str, lines: set[int]) -> Iterator[Mutant]:
    """Every mutant of a file at `lines` (those that the kernel runs), in the order of the file."""
    seen: Counter[str] = Counter()
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if getattr(node, "lineno", 0) not in lines:
                continue
            for operator, offer in OPERATORS.items():
                for new in offer(node):
                    before, after = (" ".join(ast.unparse(_head(n)).split()) for n in (node, new))
                    name = f"{function.name}: {before} -> {after}"
                    seen[name] += 1
                    name += f" #{seen[name]}" if seen[name] > 1 else ""
                    yield Mutant(operator, node.lineno, name, _replaced(source, node, new))  # type: ignore[attr-defined]


def _replaced(source: str, node: ast.AST, new: ast.AST) -> str:
    """The source with `node` replaced."""
    tree = ast.parse(source)
    twin = next(
        n
        for n in ast.walk(tree)
        if type(n) is type(node)
        and (getattr(n, "lineno", 0), getattr(n, "col_offset", 0), getattr(n, "end_col_offset", 0))
        == (node.lineno, node.col_offset, node.end_col_offset)  # type: ignore[attr-defined]
        and ast.dump(n) == ast.dump(node)
    )
    changed = ast.fix_missing_locations(_Replace(twin, ast.copy_location(copy.deepcopy(new), node)).visit(tree))
    return ast.unparse(changed)


def _head(node: ast.AST) -> ast.AST:
    """What is shown of a node: of a loop its iterable."""
    return node.iter if isinstance(node, ast.For) else node
