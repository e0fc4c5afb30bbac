"""compiler: what AWS's compilers refuse in kernels that are NKI: restrictions of its guides, release notes and error pages."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from opentrn.checks.api_versions import later, meant_for
from opentrn.checks.check import Check
from opentrn.checks.device_loops import loops_of
from opentrn.checks.evidence import Evidence, Source
from opentrn.checks.finding import Finding
from opentrn.checks.kernels import KernelCode, calls, code_of, nodes, site_at
from opentrn.errors import SimulationOnly

MIGRATION = "nki/migration/index.rst"
NOTES = "release-notes/components/nki.rst"

compiler = Check("compiler", "what AWS's compilers refuse, by their guides, release notes and error pages")
compiler.rule("string_buffer", "error", "documented", "buffers are objects (nl.sbuf), not strings", MIGRATION)
compiler.rule(
    "integer_enum", "error", "documented", "enumerations are given by their members, not by integers", MIGRATION
)
compiler.rule("output_buffer", "error", "documented", "kernels return tensors in nl.shared_hbm", MIGRATION)
compiler.rule("simulation_only", "error", "documented", "functions that work in simulation and do not compile", NOTES)
compiler.rule("power_of_scalar", "error", "documented", "nl.power takes two tiles (known issue)", NOTES)
compiler.rule("matmul_transpose", "error", "documented", "nl.matmul needs transpose_x=True (known issue)", NOTES)
compiler.rule("scalar_seed", "error", "documented", "nl.random_seed takes a [1, 1] tensor (known issue)", NOTES)
compiler.rule(
    "nested_loops",
    "warning",
    "documented (NKI 0.4.0, known issues; fixed in 0.6 according to aws-neuron-sdk issue 1346)",
    "nested loops on the device fail to compile before NKI 0.6 (NCC_ICFG018)",
    "https://github.com/aws-neuron/aws-neuron-sdk/issues/1346",
)
compiler.rule(
    "float8_target",
    "warning",
    "documented (NCC_EVRF051); NKI converts arguments of this dtype since 0.2",
    "float8_e4m3fn is native from trn3 on",
    "compiler/error-codes/EVRF051.rst",
)

compiler.rule(
    "integer_reduction",
    "warning",
    "documented (NCC_EVRF061, NCC_EVRF063) for collectives of frameworks; kernels use the same engine",
    "collectives reduce in float32, exact to 2^24",
    "compiler/error-codes/EVRF061.rst",
)

Broken = tuple[str, ast.AST, str, str]


@compiler.run
def _(evidence: Evidence) -> Iterator[Finding]:
    for notice in evidence.notices:
        if issubclass(notice.category, SimulationOnly):
            what, _, hint = notice.text.partition("; ")
            yield compiler.finding("simulation_only", what, notice.site, hint=hint)
    yield from _float8(evidence)
    yield from _integer_reductions(evidence)


def _float8(evidence: Evidence) -> Iterator[Finding]:
    """The first tensor of float8_e4m3fn on a chip without it."""
    if evidence.chip.nc_version >= 4:
        return
    for allocation in (a for trace in evidence.traces for a in trace.allocations if a.dtype.name == "float8_e4m3fn"):
        message = f"{allocation} holds float8_e4m3fn, which {evidence.chip.name} does not have"
        site = allocation.site or evidence.site
        yield compiler.finding("float8_target", message, site, hint="use nl.float8_e4m3 there")
        return


def _integer_reductions(evidence: Evidence) -> Iterator[Finding]:
    for core, trace in enumerate(evidence.traces):
        reduces = [step.instruction.name in ("all_reduce", "reduce_scatter") for step in trace.steps]
        for row in (row for row, step in enumerate(trace.step.tolist() if any(reduces) else ()) if reduces[step]):
            tensor = trace.allocations[trace.region_allocation[trace.region[trace.first_operand[row]]]]
            if tensor.dtype.name in ("int32", "uint32"):
                name = trace.instruction(row).name
                message = f"{name} adds {tensor.dtype.name} in float32: sums beyond 2^24 lose their last bits"
                hint = "keep the numbers below 2^24, or reduce float32"
                yield compiler.finding("integer_reduction", message, evidence.site_of(core, row), hint=hint)


@compiler.source
def _(source: Source) -> Iterator[Finding]:
    code = code_of(source)
    for function in code.functions if not code.legacy else ():
        for call in calls(function):
            for broken in (broken for rule in _CALLS for broken in rule(code, call)):
                yield _finding(code, function, broken)
        for broken in (*_outputs(code, function), *_nested(code, function)):
            yield _finding(code, function, broken)


def _finding(code: KernelCode, function: ast.FunctionDef | ast.AsyncFunctionDef, broken: Broken) -> Finding:
    label, node, message, hint = broken
    return compiler.finding(label, message, site_at(code.source, node, function), hint=hint)


# ------------------------------------------------------------------ of single calls
def _string_buffer(code: KernelCode, call: ast.Call) -> Iterator[Broken]:
    for keyword in call.keywords if code.path(call.func).startswith("nki.language.") else ():
        if keyword.arg == "buffer" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
            name = keyword.value.value
            yield "string_buffer", keyword.value, f"buffer={name!r} is a string", f"write buffer=nl.{name}"


_ENUMERATIONS = ("dge_mode", "oob_mode", "engine", "reduce_cmd", "dma_engine")


def _integer_enum(code: KernelCode, call: ast.Call) -> Iterator[Broken]:
    for keyword in call.keywords if code.path(call.func).startswith("nki.isa.") else ():
        value = keyword.value
        if keyword.arg in _ENUMERATIONS and isinstance(value, ast.Constant) and type(value.value) is int:
            hint = f"write a member of nisa.{keyword.arg}"
            yield "integer_enum", value, f"{keyword.arg}={value.value} is an integer", hint


_SIMULATED = {"divide": "multiply by nl.reciprocal", "fmod": "compute it outside", "mod": "compute it outside"}


def _language_calls(code: KernelCode, call: ast.Call) -> Iterator[Broken]:
    """Functions of nki.language that do not compile, or not in this form."""
    name = code.path(call.func).removeprefix("nki.language.")
    if name in _SIMULATED:
        message = f"nl.{name} has no hardware instruction: it works in simulation only"
        yield "simulation_only", call, message, _SIMULATED[name]
    if name == "power" and _number(_argument(call, 1, "y")):
        yield "power_of_scalar", call, "nl.power with a number as exponent does not compile", "give both as tiles"
    if name == "matmul" and not _true(_argument(call, 2, "transpose_x")):
        message = "nl.matmul without transpose_x=True does not compile"
        yield "matmul_transpose", call, message, "load x transposed and pass transpose_x=True, or use nisa.nc_matmul"
    if name == "random_seed" and _number(_argument(call, 0, "seed")):
        yield (
            "scalar_seed",
            call,
            "nl.random_seed with a number does not compile",
            "pass nl.full((1, 1), seed, dtype=nl.int32)",
        )


def _argument(call: ast.Call, position: int, name: str) -> ast.AST | None:
    given = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return given[0] if given else call.args[position] if len(call.args) > position else None


def _number(node: ast.AST | None) -> bool:
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _true(node: ast.AST | None) -> bool:
    """True, or something that may be."""
    return node is not None and not (isinstance(node, ast.Constant) and not node.value)


_CALLS: tuple[Callable[[KernelCode, ast.Call], Iterator[Broken]], ...] = (
    _string_buffer,
    _integer_enum,
    _language_calls,
)


# ------------------------------------------------------------------ of functions
def _outputs(code: KernelCode, function: ast.AST) -> Iterator[Broken]:
    """Results of a kernel that are made in another buffer than nl.shared_hbm."""
    made = {
        t.id: node
        for node in nodes(function)
        if isinstance(node, ast.Assign)
        for t in node.targets
        if isinstance(t, ast.Name)
    }
    returned = [r.value for r in nodes(function) if isinstance(r, ast.Return)] if function in code.entries else []
    for name in (n.id for value in returned if value for n in _parts(value) if isinstance(n, ast.Name)):
        call = made[name].value if name in made else None
        buffer = _argument(call, 2, "buffer") if isinstance(call, ast.Call) and _makes(code, call) else None
        where = code.path(buffer) if buffer is not None else ""
        wrong = where == "nki.language.hbm"
        if wrong and any(later(v, "0.3") for v in meant_for(code.source, made[name])):
            yield "output_buffer", made[name], f"{name} is returned and lies in nl.hbm", "write buffer=nl.shared_hbm"


def _parts(value: ast.AST) -> list[ast.expr]:
    return value.elts if isinstance(value, (ast.Tuple, ast.List)) else [value]  # type: ignore[list-item]


def _makes(code: KernelCode, call: ast.Call) -> bool:
    return code.path(call.func) == "nki.language.ndarray"


def _nested(code: KernelCode, function: ast.AST) -> Iterator[Broken]:
    for outer in loops_of(code, function):
        inner = next((loop for body in outer.body for loop in loops_of(code, body)), None)
        if inner is not None and any(not later(v, "0.6") for v in meant_for(code.source, outer.node)):
            hint = "unroll one of them with range(), or say `# needs NKI >= 0.6`"
            yield "nested_loops", inner.node, f"{inner.name} inside the body of {outer.name}", hint
