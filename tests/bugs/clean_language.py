"""The corrected forms of the seeded bugs in language.py: kernels in which nothing is wrong."""

from dataclasses import dataclass
from enum import Enum

import nki
import nki.isa as nisa
import nki.language as nl

CHECK_INPUTS = {
    "scale_with_default": "x=float32[128,256] scale=2.0",
    "tuple_of_columns": "x=float32[128,256]",
    "equality_of_a_flag": "x=float32[128,256] flag=True",
    "tuple_of_numbers": "x=float32[128,256]",
    "keys_by_name": "x=float32[128,256]",
    "nki_object": "x=float32[128,256]",
    "enumeration": "x=float32[128,256]",
    "own_list": "x=float32[128,256]",
    "constant_of_the_module": "x=float32[128,256]",
    "scale_from_outside": "x=float32[128,256] scale=1.5",
    "static_condition": "x=float32[128,256]",
    "counted_on_the_device": "x=float32[128,256]",
    "assertion_that_holds": "x=float32[128,256]",
    "result_in_shared_hbm": "x=float32[128,256]",
    "multiplies_by_the_reciprocal": "x=float32[128,256] y=float32[128,256]{1:2}",
    "accumulates_by_compute": "x=float32[128,256]",
    "loop_of_its_version": "x=float32[128,256]",
    "asks_first": "x=float32[128,256]",
}
EXPECTS: dict[str, str] = {}

SCALE = 2.0
SCALES = (1.0, 2.0, 3.0)


def scaled(x, scale):
    """x times a number, by way of SBUF."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=scale)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def scale_with_default(x, scale=1.0):
    """A parameter with a default, at the end."""
    return scaled(x, scale)


@nki.jit
def tuple_of_columns(x, columns=(0, 128)):
    """A tuple as default argument."""
    out = nl.ndarray((128, 2), dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    both = nl.ndarray((128, 2), dtype=x.dtype, buffer=nl.sbuf)
    for number in range(len(columns)):
        nisa.tensor_copy(dst=both[:, number : number + 1], src=tile[:, columns[number] : columns[number] + 1])
    nisa.dma_copy(dst=out, src=both)
    return out


@nki.jit
def equality_of_a_flag(x, flag):
    """A flag is compared by value."""
    return scaled(x, 2.0 if flag == True else 1.0)  # noqa: E712


@nki.jit
def tuple_of_numbers(x):
    """Membership in a tuple."""
    chosen = (0, 128)
    return scaled(x, 2.0 if 128 in chosen else 1.0)


@nki.jit
def keys_by_name(x):
    """A dictionary whose keys are strings."""
    scales = {"narrow": 2.0, "wide": 3.0}
    return scaled(x, scales["wide" if x.shape[1] > 128 else "narrow"])


@dataclass
class Config(nl.NKIObject):
    """A class of the language."""

    scale: float


@nki.jit
def nki_object(x):
    """A dataclass that inherits from NKIObject."""
    config = Config(2.0)
    return scaled(x, config.scale)


class Size(Enum):
    """An enumeration, which the language has."""

    narrow = 1
    wide = 2


@nki.jit
def enumeration(x):
    """Enumerations are compared by value."""
    size = Size.wide
    return scaled(x, 2.0 if size == Size.wide else 1.0)


@nki.jit
def own_list(x):
    """A list that the kernel itself makes and changes."""
    factors = []
    for factor in range(1, 3):
        factors.append(float(factor))
    return scaled(x, factors[0] * factors[1])


@nki.jit
def constant_of_the_module(x):
    """A number of the module that nothing changes."""
    return scaled(x, SCALE)


@nki.jit
def scale_from_outside(x, scale):
    """What differs from call to call is an argument."""
    return scaled(x, scale)


@nki.jit
def static_condition(x):
    """A condition on the index of a loop that Python unrolls."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    for i in range(4):
        scale = 2.0 if i == 0 else 3.0
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=scale)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def counted_on_the_device(x):
    """A loop on the device that counts in SBUF."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    done = nl.zeros((128, 1), dtype=nl.float32, buffer=nl.sbuf)

    def body(i):
        nisa.tensor_scalar(dst=done, data=done, op0=nl.add, operand0=1.0)

    nl.fori_loop(0, 4, body)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=done)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def assertion_that_holds(x):
    """The kernel's own assertion holds."""
    assert x.shape[1] % 128 == 0, f"columns in tiles of 128, not {x.shape}"
    return scaled(x, 2.0)


@nki.jit
def result_in_shared_hbm(x):
    """The result lies where callers see it."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=nl.load(x))
    return out


@nki.jit
def multiplies_by_the_reciprocal(x, y):
    """A division by way of the reciprocal."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    top, below = nl.load(x), nl.load(y)
    nisa.reciprocal(dst=below, data=below)
    nisa.tensor_tensor(dst=top, data1=top, data2=below, op=nl.multiply)
    nisa.dma_copy(dst=out, src=top)
    return out


@nki.jit
def accumulates_by_compute(x):
    """A sum on the way, as it is written since NKI 0.3."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile, more = nl.load(x), nl.load(x)
    nisa.dma_compute(dst=out, srcs=[tile, more], reduce_op=nl.add)
    return out


# needs NKI >= 0.6
@nki.jit
def loop_of_its_version(x):
    """It says that it needs NKI 0.6, which has the loop."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)

    def body(i):
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)

    nl.fori_loop(0, 4, body)
    nisa.dma_copy(dst=out, src=tile)
    return out


@nki.jit
def asks_first(x):
    """A condition where an exception would have to be handled."""
    index = x.shape[1] // 128
    return scaled(x, SCALES[index] if index < len(SCALES) else 1.0)
