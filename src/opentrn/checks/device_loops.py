"""Loops that run on the device: their steps, indices, bodies, and the Python state that they cannot carry.

Such a loop is ``for i in nl.dynamic_range(...)``, ``while register:``, or `nl.fori_loop` and `nl.while_loop` with a body
function. Its body is compiled once, however often it runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from opentrn.checks.constructs import Found, changed
from opentrn.checks.device_values import DYNAMIC, LOOPS, values_of
from opentrn.checks.kernels import KernelCode, calls, nodes

__all__ = ["RULES", "Loop", "loops_of"]

_REGION = "no_reorder"


@dataclass(frozen=True)
class Loop:
    """One loop on the device: the node that makes it, its name in texts, and what its body consists of."""

    node: ast.AST
    name: str
    body: tuple[ast.AST, ...]


def loops_of(code: KernelCode, function: ast.AST) -> Iterator[Loop]:
    """Every loop on the device in a function."""
    held = values_of(code, function)
    bodies = {body.name: body for _, body in held.bodies}
    for node in nodes(function):
        if isinstance(node, ast.For) and isinstance(node.iter, ast.Call) and code.path(node.iter.func) == DYNAMIC:
            yield Loop(node, ast.unparse(node.iter.func), tuple(node.body))
        if isinstance(node, ast.While) and isinstance(node.test, ast.Name) and node.test.id in held.registers:
            yield Loop(node, f"while {node.test.id}", tuple(node.body))
        if isinstance(node, ast.Call) and code.path(node.func) in LOOPS:
            named = (a.id for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Name))
            yield Loop(node, ast.unparse(node.func), tuple(bodies[name] for name in named if name in bodies))


def loop_variables(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Writes to the index of a device loop."""
    held = values_of(code, function)
    for call in calls(function):
        if code.path(call.func) in ("nki.isa.register_move", "nki.isa.register_load"):
            given = [k.value for k in call.keywords if k.arg == "dst"] or call.args[:1]
            for target in given:
                if isinstance(target, ast.Name) and target.id in held.indices:
                    message = f"{target.id} is the index of a device loop, and is written"
                    yield "loop_variable", call, message, "keep the state in another register or in SBUF"


def loops(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Steps and bodies that loops on the device cannot have."""
    held = values_of(code, function)
    for call in calls(function):
        path, position = code.path(call.func), {DYNAMIC: 2, LOOPS[0]: 3}.get(code.path(call.func), -1)
        steps = [k.value for k in call.keywords if k.arg == "step"] or (
            call.args[position:][:1] if position > 0 else []
        )
        for step in steps if path in (DYNAMIC, LOOPS[0]) else ():
            if (isinstance(step, ast.Name) and step.id in held.registers | held.indices) or _not_positive(step):
                message = f"the step of {path.rpartition('.')[2]} is {ast.unparse(step)}"
                yield "loop_step", call, message, "give a positive integer that is known when the kernel is compiled"
    for loop, body in held.bodies:
        returned = [r for r in nodes(body) if isinstance(r, ast.Return) and r.value is not None]
        if loop == LOOPS[0] and returned:
            yield (
                "loop_body",
                returned[0],
                f"the body {body.name} of fori_loop returns a value",
                "carry state in SBUF or HBM",
            )
        if loop == LOOPS[1] and not returned:
            message = f"the body {body.name} of while_loop returns no register, so the loop has no next condition"
            yield "loop_body", body, message, "return the register that holds the next condition"


def _not_positive(step: ast.AST) -> bool:
    try:
        value = ast.literal_eval(step)
    except ValueError:
        return False
    return not isinstance(value, int) or value <= 0


def regions(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Loops on the device inside nl.no_reorder()."""
    for block in nodes(function):
        contexts = [item.context_expr for item in block.items] if isinstance(block, ast.With) else []
        if any(code.path(c.func if isinstance(c, ast.Call) else c).endswith(_REGION) for c in contexts):
            for call in calls(block):
                if code.path(call.func) in (DYNAMIC, *LOOPS):
                    message = f"{ast.unparse(call.func)} inside nl.no_reorder()"
                    yield "no_reorder", call, message, "put the no_reorder block into the loop's body"


def state(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Python state that a loop's body changes: it changes once, when the body is compiled."""
    hint = "carry it in SBUF or HBM: the body is compiled once, however often it runs"
    for loop in loops_of(code, function):
        inside = [node for part in loop.body for node in nodes(part)]
        for node, name in _state(code, function, inside):
            yield "loop_state", node, f"the body of {loop.name} changes {name}, which is Python's", hint


def _state(code: KernelCode, function: ast.AST, inside: list[ast.AST]) -> Iterator[tuple[ast.AST, str]]:
    """(node, name): what nodes of a body rebind, add up or change in place, of names that are bound outside of it."""
    held, within = values_of(code, function), {id(node) for node in inside}
    stored = [n for n in nodes(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    outside = {n.id for n in stored if id(n) not in within} - held.tensors - held.registers - held.indices
    python = {name for name, value in _displays(function) if id(value) not in within}
    for node in inside:
        if isinstance(node, ast.Nonlocal):
            yield node, ", ".join(node.names)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id in outside:
            yield node, node.target.id
        else:
            yield from ((node, name) for name in changed(node) if name in python)


def _displays(function: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Names that are bound to a list or dictionary, and the display."""
    for node in nodes(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.List, ast.Dict)):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


RULES = (loop_variables, loops, state, regions)
