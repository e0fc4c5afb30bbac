"""Seeded bugs: Python that runs here and that the NKI language, its versions or its compilers do not have."""

import random
from dataclasses import dataclass

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "keyword_only_scale": "x=float32[128,256] scale=2.0",
    "list_of_columns": "x=float32[128,256]",
    "identity_of_a_flag": "x=float32[128,256] flag=True",
    "set_of_columns": "x=float32[128,256]",
    "keys_by_number": "x=float32[128,256]",
    "plain_class": "x=float32[128,256]",
    "two_base_classes": "x=float32[128,256]",
    "counts_calls": "x=float32[128,256]",
    "reads_a_setting": "x=float32[128,256]",
    "random_scale": "x=float32[128,256]",
    "condition_on_an_index": "x=float32[128,256]",
    "branch_on_a_register": "x=float32[128,256] many=int32[1,1]{1:2}",
    "counts_in_a_loop": "x=float32[128,256]",
    "fails_an_assertion": "x=float32[128,200]",
    "uses_a_missing_name": "x=float32[128,256]",
    "result_in_hbm": "x=float32[128,256]",
    "divides": "x=float32[128,256] y=float32[128,256]{1:2}",
    "accumulates_by_copy": "x=float32[128,256]",
    "loop_too_new": "x=float32[128,256]",
    "swallows_errors": "x=float32[128,256]",
}
EXPECTS = {
    "keyword_only_scale": "language.keyword_only",
    "list_of_columns": "language.list_argument",
    "identity_of_a_flag": "language.identity",
    "set_of_columns": "language.value",
    "keys_by_number": "language.dictionary_keys",
    "plain_class": "language.base_class",
    "two_base_classes": "language.more_bases",
    "counts_calls": "language.global_state",
    "reads_a_setting": "language.stale_state",
    "random_scale": "language.impure",
    "condition_on_an_index": "language.device_value",
    "branch_on_a_register": "language.device_value",
    "counts_in_a_loop": "language.loop_state",
    "fails_an_assertion": "language.raised",
    "uses_a_missing_name": "versions.unknown",
    "result_in_hbm": "compiler.output_buffer",
    "divides": "compiler.simulation_only",
    "accumulates_by_copy": "versions.removed",
    "loop_too_new": "versions.newer",
    "swallows_errors": "language.undocumented",
}

CALLS = []
SETTINGS = {"scale": 2.0}


def set_scale(value):
    """What a host program calls between two launches."""
    SETTINGS["scale"] = value


def scaled(x, scale):
    """x times a number, by way of SBUF."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=scale)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def keyword_only_scale(x, *, scale=1.0):
    """The parameter after the star is keyword-only, which kernels cannot have."""
    return scaled(x, scale)


@nki.jit
def list_of_columns(x, columns=[0, 128]):  # noqa: B006
    """A list as default argument, by which no compiled kernel can be found again."""
    out = nl.ndarray((128, 2), dtype=x.dtype, buffer=nl.shared_hbm)
    for number in range(len(columns)):
        nisa.dma_copy(dst=out[:, number : number + 1], src=x[:, columns[number] : columns[number] + 1])
    return out


@nki.jit
def identity_of_a_flag(x, flag):
    """A flag is compared by identity."""
    return scaled(x, 2.0 if flag is True else 1.0)


@nki.jit
def set_of_columns(x):
    """A set, which is no value of the language."""
    chosen = {0, 128}
    return scaled(x, 2.0 if 128 in chosen else 1.0)


@nki.jit
def keys_by_number(x):
    """A dictionary whose keys are numbers."""
    scales = {128: 2.0, 256: 3.0}
    return scaled(x, scales[x.shape[1]])


@dataclass
class Plain:
    """Not an NKIObject."""

    scale: float


@nki.jit
def plain_class(x):
    """A dataclass that does not inherit from NKIObject."""
    config = Plain(2.0)
    return scaled(x, config.scale)


class Named:
    """A second base class."""


class Both(nl.NKIObject, Named):
    """An NKIObject that is something else, too."""

    scale: float = 2.0


@nki.jit
def two_base_classes(x):
    """A class that inherits from NKIObject and another class."""
    config = Both()
    return scaled(x, config.scale)


@nki.jit
def counts_calls(x):
    """Every call is noted in a list of the module; a compiled kernel notes one."""
    CALLS.append(x.shape)
    return scaled(x, 2.0)


@nki.jit
def reads_a_setting(x):
    """The scale is read from a dictionary that set_scale changes; a compiled kernel keeps the first."""
    return scaled(x, SETTINGS["scale"])


@nki.jit
def random_scale(x):
    """A random number that is drawn once, when the kernel is compiled."""
    return scaled(x, random.uniform(1.0, 2.0))


@nki.jit
def condition_on_an_index(x):
    """The first iteration of a loop on the device is to be different; Python compares the index once."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)

    def body(i):
        scale = 2.0 if i == 0 else 3.0
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=scale)

    nl.fori_loop(0, 4, body)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def branch_on_a_register(x, many):
    """Whether to scale is decided by a register that the device loads."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile, count = nl.load(x), nl.load(many)
    register = nisa.register_alloc(0)
    nisa.register_load(register, count)
    if register:
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def counts_in_a_loop(x):
    """The body of a loop on the device counts in Python: compiled, it counts once."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    done = 0

    def body(i):
        nonlocal done
        done += 1
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)

    nl.fori_loop(0, 4, body)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=float(done))
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def fails_an_assertion(x):
    """The kernel's own assertion does not hold for this shape."""
    assert x.shape[1] % 128 == 0, "columns in tiles of 128"
    return scaled(x, 2.0)


@nki.jit
def uses_a_missing_name(x):
    """A misspelt function, on a path that this run does not take."""
    if x.shape[0] > 128:
        return nl.sqrtt(x)
    return scaled(x, 2.0)


@nki.jit
def result_in_hbm(x):
    """The result lies in nl.hbm, which no caller sees."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.hbm)
    nisa.dma_copy(dst=out, src=nl.load(x))
    return out


@nki.jit
def divides(x, y):
    """A division, for which there is no instruction."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=nl.divide(nl.load(x), nl.load(y)))
    return out


@nki.jit
def accumulates_by_copy(x):
    """A copy that adds, which NKI 0.3 removed."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    nisa.dma_copy(dst=out, src=tile)
    nisa.dma_copy(dst=out, src=tile, dst_rmw_op=nl.add)
    return out


# needs NKI >= 0.3
@nki.jit
def loop_too_new(x):
    """It says that it runs from NKI 0.3 on, and uses a loop that 0.6 brought."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)

    def body(i):
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)

    nl.fori_loop(0, 4, body)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def swallows_errors(x):
    """An exception is handled inside a kernel."""
    try:
        scale = SCALES[x.shape[1]]
    except IndexError:
        scale = 1.0
    return scaled(x, scale)


SCALES = (1.0, 2.0)
