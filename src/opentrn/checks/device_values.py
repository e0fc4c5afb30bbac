"""Names that hold values of the device (tensors, registers, indices of device loops), and where Python looks at them.

Within one kernel function a name counts as such a value when all its bindings make it one; all others are left alone.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field

from opentrn.checks.constructs import Found
from opentrn.checks.kernels import KernelCode, calls, nodes

__all__ = ["DYNAMIC", "LOOPS", "RULES", "Values", "values_of"]

_TENSORS = frozenset(
    f"nki.language.{name}"
    for name in [
        "ndarray",
        "zeros",
        "ones",
        "full",
        "zeros_like",
        "empty_like",
        "rand",
        "load",
        "load_transpose2d",
        "exp",
        "add",
        "subtract",
        "multiply",
    ]
)
_VIEWS = frozenset(
    ["reshape", "slice", "select", "permute", "broadcast", "view", "ap", "rearrange", "expand_dim", "squeeze_dim"]
)
_REGISTER = "nki.isa.register_alloc"
DYNAMIC = "nki.language.dynamic_range"
LOOPS = ("nki.language.fori_loop", "nki.language.while_loop")
_VIEW = "view of "


@dataclass
class Values:
    """Names of one kernel function by what they hold; `bodies` are the body functions of its structured loops.

    `parameters` are parameters of a kernel that are used as tensors: their elements are values of the device.
    """

    tensors: set[str] = field(default_factory=set)
    registers: set[str] = field(default_factory=set)
    indices: set[str] = field(default_factory=set)
    bodies: list[tuple[str, ast.FunctionDef]] = field(default_factory=list)
    parameters: set[str] = field(default_factory=set)


@functools.lru_cache(maxsize=256)
def values_of(code: KernelCode, function: ast.AST) -> Values:
    """What the names of a kernel function hold."""
    bodies = list(_bodies(code, function))
    kinds: dict[str, set[str]] = {}
    for name, kind in _bindings(code, function, {id(body): loop for loop, body in bodies}):
        kinds.setdefault(name, set()).add(kind)
    held = {name: _resolved(name, kinds) for name in kinds}
    by = {kind: {name for name, each in held.items() if each == {kind}} for kind in ("tensor", "register", "index")}
    parameters = set(_tensor_parameters(code, function)) if function in code.entries else set()
    rebound = {name for name, each in kinds.items() if len(each) > 1}
    return Values(by["tensor"], by["register"], by["index"], bodies, parameters - rebound)


def _resolved(name: str, kinds: dict[str, set[str]], seen: tuple[str, ...] = ()) -> set[str]:
    """What the bindings of a name make it, views followed to what they show."""
    found: set[str] = set()
    for kind in kinds.get(name, {"other"}):
        base = kind.removeprefix(_VIEW)
        if base == kind:
            found.add(kind)
        elif base != name and base not in seen:
            found |= _resolved(base, kinds, (*seen, name))
    return found


def _tensor_parameters(code: KernelCode, function: ast.AST) -> Iterator[str]:
    """Parameters whose shape is read, or that go into an instruction or a load."""
    names = {each.arg for each in nodes(function) if isinstance(each, ast.arg)}
    for node in nodes(function):
        if isinstance(node, ast.Attribute) and node.attr == "shape" and isinstance(node.value, ast.Name):
            yield from names & {node.value.id}
        if isinstance(node, ast.Call) and code.path(node.func).startswith(("nki.isa.", "nki.language.load")):
            given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in ("src", "data"))]
            yield from names & {each.id for each in given if isinstance(each, ast.Name)}


def _bodies(code: KernelCode, function: ast.AST) -> Iterator[tuple[str, ast.FunctionDef]]:
    named = {node.name: node for node in nodes(code.source.tree) if isinstance(node, ast.FunctionDef)}
    named |= {node.name: node for node in nodes(function) if isinstance(node, ast.FunctionDef)}
    for call in calls(function):
        path = code.path(call.func)
        if path in LOOPS:
            position = 2 if path == LOOPS[0] else 1
            given = [k.value for k in call.keywords if k.arg == "body_fun"] or call.args[position : position + 1]
            for body in given:
                if isinstance(body, ast.Name) and body.id in named:
                    yield path, named[body.id]


def _bindings(code: KernelCode, function: ast.AST, bodies: dict[int, str]) -> Iterator[tuple[str, str]]:
    """(name, what one binding makes it): tensor, register, index, view of a name, or other."""
    for node in nodes(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from ((n, _kind(code, node.value)) for n in _plain(target))
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr, ast.AugAssign)):
            value = None if isinstance(node, ast.AugAssign) else node.value
            yield from ((n, _kind(code, value)) for n in _plain(node.target))
        elif isinstance(node, ast.For):
            dynamic = isinstance(node.iter, ast.Call) and code.path(node.iter.func) == DYNAMIC
            yield from ((n, "index" if dynamic else "other") for n in _plain(node.target))
        elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
            loop = bodies.get(id(node), "")
            kind = {LOOPS[0]: "index", LOOPS[1]: "register"}.get(loop, "other")
            yield from ((each.arg, kind) for each in nodes(node.args) if isinstance(each, ast.arg))
        elif isinstance(node, (ast.comprehension, ast.withitem)):
            target = node.target if isinstance(node, ast.comprehension) else node.optional_vars
            yield from ((n, "other") for n in (_plain(target) if target else ()))


def _plain(target: ast.AST) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List, ast.Starred)):
        yield from (n.id for n in nodes(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))


def _kind(code: KernelCode, value: ast.AST | None) -> str:
    if isinstance(value, ast.Call):
        path = code.path(value.func)
        if path in _TENSORS:
            return "tensor"
        if path == _REGISTER:
            return "register"
        if isinstance(value.func, ast.Attribute) and value.func.attr in _VIEWS:
            return _kind(code, value.func.value)
    if isinstance(value, ast.Name):
        return _VIEW + value.id
    return _kind(code, value.value) if isinstance(value, ast.Subscript) else "other"


# ------------------------------------------------------------------ where Python looks at them
def control_flow(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Conditions and counts of Python that need a value of the device."""
    held = values_of(code, function)
    for node in nodes(function):
        for test, where in _tests(node):
            bare = isinstance(node, ast.While) and isinstance(test, ast.Name)
            for name, what in _looked_at(test, held):
                if not (bare and what == "a register"):  # while over a register is a loop on the device
                    message = f"{where} depends on the value of {name}, {what} of the device, which no compiler knows"
                    yield (
                        "device_value",
                        node,
                        message,
                        "use nl.fori_loop or nl.while_loop, or a predicated instruction",
                    )


def _tests(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)):
        yield (
            node.test,
            "a conditional expression" if isinstance(node, ast.IfExp) else f"`{type(node).__name__.lower()}`",
        )
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("bool", "int", "float", "range")
    ):
        yield from ((argument, f"{node.func.id}()") for argument in node.args)


def _looked_at(test: ast.AST, held: Values) -> Iterator[tuple[str, str]]:
    """The device values in a condition: operands of comparisons, of and/or/not and of arithmetic."""
    if isinstance(test, ast.Compare):
        sides = [test.left, *test.comparators]
        plain = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
        none = any(isinstance(side, ast.Constant) and side.value is None for side in sides)
        parts = sides if not none and all(isinstance(op, plain) for op in test.ops) else []
    elif isinstance(test, ast.BoolOp):
        parts = test.values
    else:
        parts = [getattr(test, side) for side in ("operand", "left", "right") if hasattr(test, side)]
    for part in parts:
        yield from _looked_at(part, held)
    base = test.value if isinstance(test, ast.Subscript) else test
    name = base.id if isinstance(base, ast.Name) else ""
    if name in held.tensors or (name in held.parameters and base is not test):
        yield ast.unparse(test), "a tensor"
    elif name in held.registers and base is test:
        yield name, "a register"
    elif name in held.indices and base is test:
        yield name, "the index of a loop"


def arithmetic(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Python arithmetic on registers and loop indices."""
    held = values_of(code, function)
    for node in nodes(function):
        sides = (node.left, node.right) if isinstance(node, ast.BinOp) else ()
        sides = (node.target,) if isinstance(node, ast.AugAssign) else sides
        for name in sorted({s.id for s in sides if isinstance(s, ast.Name)} & (held.registers | held.indices)):
            message = f"Python arithmetic on {name}, which is a register of the device: {ast.unparse(node)}"
            hint = "compute it with instructions on a tile and nisa.register_load it, or use .ap(scalar_offset=...)"
            yield "register_arithmetic", node, message, hint


RULES = (control_flow, arithmetic)
