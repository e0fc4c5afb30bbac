"""`neuronxcc.nki.language`: tiles by index expressions, loads and stores, operators, loops (SDK 2.20 to 2.26)."""

from __future__ import annotations

from opentrn.nki.beta1.dtypes import NAMES
from opentrn.nki.beta1.index import arange, mgrid
from opentrn.nki.beta1.language import constants, elementwise, matrix, memory, program, reduce
from opentrn.nki.beta1.language.constants import *  # noqa: F403
from opentrn.nki.beta1.language.matrix import *  # noqa: F403
from opentrn.nki.beta1.language.memory import *  # noqa: F403
from opentrn.nki.beta1.language.program import *  # noqa: F403
from opentrn.nki.beta1.language.reduce import *  # noqa: F403
from opentrn.nki.beta1.programs import all_reduce

_OPERATORS = elementwise.BINARY | elementwise.UNARY
_DTYPES = {name: dtype for name, dtype in NAMES.items() if name != "bool"}
globals().update(_OPERATORS | _DTYPES)

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "all_reduce", "arange", "mgrid", *_DTYPES, *_OPERATORS, *constants.__all__, *matrix.__all__, *memory.__all__,
    *program.__all__, *reduce.__all__,
]  # fmt: skip
