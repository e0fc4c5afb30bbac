"""Python that NKI's language does not have, found by syntax alone: one function per rule, over kernel code.

Each function yields ``(rule, node, message, hint)``. What is documented as missing and what merely is documented nowhere
(`undocumented`) are different rules: the second is a warning, for the compiler alone decides.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator

from opentrn.checks.kernels import KernelCode, calls, nodes

__all__ = ["RULES", "Found", "changed"]

Found = tuple[str, ast.AST, str, str]

INTEGER = range(-(2**31), 2**32)
"""What a 32-bit integer value holds, signed or unsigned."""


def identity(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """`is` and `is not`."""
    for node in nodes(function):
        if not isinstance(node, ast.Compare):
            continue
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, (ast.Is, ast.IsNot)):
                none = any(isinstance(side, ast.Constant) and side.value is None for side in (node.left, right))
                word, instead = ("is", "==") if isinstance(operator, ast.Is) else ("is not", "!=")
                label = "identity_none" if none else "identity"
                yield label, node, f"`{word}` compares identities, which NKI does not have", f"write {instead}"


def values(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Values of kinds that NKI does not have."""
    for node in nodes(function):
        kind = _kind(node)
        if kind:
            yield (
                "value",
                node,
                f"{kind} is no NKI value",
                "use numbers of 32 bits, strings, tuples, lists or dictionaries",
            )


def _kind(node: ast.AST) -> str:
    if isinstance(node, (ast.Set, ast.SetComp)):
        return "a set"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return {"set": "a set", "frozenset": "a set", "complex": "a complex number"}.get(node.func.id, "")
    if isinstance(node, ast.Constant) and isinstance(node.value, (bytes, complex)):
        return "a complex number" if isinstance(node.value, complex) else "a bytes literal"
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value not in INTEGER:
        return f"the integer {node.value}, which needs more than 32 bits,"
    return ""


def dictionary_keys(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Dictionary displays with keys that are no strings."""
    for node in nodes(function):
        for key in node.keys if isinstance(node, ast.Dict) else ():
            if isinstance(key, (ast.Constant, ast.Tuple)) and not isinstance(getattr(key, "value", None), str):
                message = f"dictionary key {ast.unparse(key)} is not a string"
                yield "dictionary_keys", key, message, "use string keys, or a list indexed by the number"


def signature(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Parameters that a kernel cannot have."""
    if function not in code.entries or not isinstance(function, ast.FunctionDef):
        return
    arguments = function.args
    if arguments.kwonlyargs:
        first = arguments.kwonlyargs[0]
        message = f"parameters of kernel {function.name} after * ({first.arg}, ...) are keyword-only"
        yield "keyword_only", first, message, "remove the * and move parameters with defaults to the end"
    for default in (*arguments.defaults, *arguments.kw_defaults):
        if isinstance(default, ast.List):
            message = f"kernel {function.name} has a list as default argument: {ast.unparse(default)}"
            yield "list_argument", default, message, "use a tuple: arguments are hashed to find the compiled kernel"


def global_state(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Changes of the module's state."""
    bound = _bound(function)
    for node in nodes(function):
        if isinstance(node, ast.Global):
            names = ", ".join(node.names)
            yield "global_state", node, f"`global {names}`: a kernel changes the module's state", _PURE
        for name in changed(node):
            if name in code.globals and name not in bound:
                yield "global_state", node, f"the kernel changes {name}, which belongs to the module", _PURE


_PURE = "pass it as an argument and return what changes: compiled kernels are cached by their arguments"

_CHANGES = frozenset(
    [
        "append",
        "extend",
        "insert",
        "pop",
        "remove",
        "clear",
        "update",
        "add",
        "setdefault",
        "reverse",
        "sort",
        "popitem",
        "discard",
    ]
)


def changed(node: ast.AST) -> Iterator[str]:
    """Names whose object a statement or call changes in place."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
        yield from _names(node.func.value)
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.Delete)):
        targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
        for target in targets:
            if isinstance(target, (ast.Subscript, ast.Attribute)):
                yield from _names(target.value)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id


@functools.lru_cache(maxsize=1024)
def _bound(function: ast.AST) -> frozenset[str]:
    """Names that a function (or one nested in it) binds itself: parameters and assignments."""
    names = frozenset(node.arg for node in nodes(function) if isinstance(node, ast.arg))
    return names | {n.id for n in nodes(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def stale_state(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Reads of module state that other functions of the file change."""
    changing = _module_state(code)
    bound = _bound(function)
    seen: set[str] = set()
    for node in nodes(function):
        name = node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else ""
        if name in changing and name not in bound and name not in seen:
            seen.add(name)
            message = (
                f"the kernel reads {name}, which other functions of this file change: a compiled kernel is not redone"
            )
            yield "stale_state", node, message, f"pass {name} as an argument"


@functools.lru_cache(maxsize=16)
def _module_state(code: KernelCode) -> frozenset[str]:
    """Module names that functions outside kernel code rebind or change in place."""
    inside = {id(node) for function in code.functions for node in nodes(function)}
    found: set[str] = set()
    for outer in nodes(code.source.tree):
        if isinstance(outer, ast.FunctionDef) and id(outer) not in inside:
            bound = _bound(outer)
            for node in nodes(outer):
                found |= set(node.names) if isinstance(node, ast.Global) else set()
                found |= {name for name in changed(node) if name not in bound}
    return frozenset(found & set(code.globals))


_HOST = ("random.", "numpy.random.", "time.", "datetime.", "os.environ", "os.getenv", "secrets.", "uuid.")


def impure(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """What differs from call to call: clocks, random numbers, the environment, files."""
    for call in calls(function):
        path = code.path(call.func) or (call.func.id if isinstance(call.func, ast.Name) else "")
        if path.startswith(_HOST) or path in ("open", "input"):
            message = (
                f"{ast.unparse(call.func)}() runs once, when the kernel is compiled, and its result is cached with it"
            )
            yield "impure", call, message, "call it outside and pass the result as an argument"


_LIBRARIES = ("torch", "jax", "scipy", "tensorflow", "pandas")


def libraries(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Calls of other libraries on what would have to be tensors."""
    for call in calls(function):
        path = code.path(call.func)
        if path.partition(".")[0] in _LIBRARIES:
            message = (
                f"{ast.unparse(call.func)}() is a function of another library, which cannot compute on NKI tensors"
            )
            yield "library", call, message, "use nki.language or nki.isa, or call it outside of the kernel"


_NAMES: dict[type[ast.AST], str] = {
    ast.Try: "try",
    ast.Raise: "raise",
    ast.Lambda: "lambda",
    ast.ListComp: "a list comprehension",
    ast.DictComp: "a dictionary comprehension",
    ast.GeneratorExp: "a generator expression",
    ast.Yield: "yield",
    ast.YieldFrom: "yield from",
    ast.Await: "await",
    ast.AsyncFunctionDef: "async def",
    ast.NamedExpr: "an assignment expression (:=)",
    ast.Match: "match",
    ast.Delete: "del",
    ast.Starred: "* before a value",
    ast.Import: "an import inside a kernel",
    ast.ImportFrom: "an import inside a kernel",
    ast.ClassDef: "a class inside a kernel",
}


def undocumented(code: KernelCode, function: ast.AST) -> Iterator[Found]:
    """Constructs that the language guide does not list and no kernel of AWS's library uses."""
    hint = "write it with if, for, while, functions, assert, lists and tuples, which the language guide lists"
    for node in nodes(function):
        name = _NAMES.get(type(node)) or _context(code, node) or _variadic(node)
        if name:
            yield "undocumented", node, f"{name}: the NKI language guide does not have it", hint


def _context(code: KernelCode, node: ast.AST) -> str:
    """`with` for anything but nl.no_reorder()."""
    items = node.items if isinstance(node, ast.With) else ()
    for each in (item.context_expr for item in items):
        called = each.func if isinstance(each, ast.Call) else each
        if not code.path(called).endswith("no_reorder"):
            return f"with {ast.unparse(each)}"
    return ""


def _variadic(node: ast.AST) -> str:
    variadic = isinstance(node, ast.FunctionDef) and (node.args.vararg or node.args.kwarg)
    return "*arguments or **arguments in a signature" if variadic else ""


RULES: tuple[Callable[[KernelCode, ast.AST], Iterator[Found]], ...] = (
    identity,
    values,
    dictionary_keys,
    signature,
    global_state,
    stale_state,
    impure,
    libraries,
    undocumented,
)
