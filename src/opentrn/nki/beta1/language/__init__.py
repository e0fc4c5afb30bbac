"""`neuronxcc.nki.language`: tiles by index expressions, loads and stores, operators, loops (SDK 2.20 to 2.26)."""

from __future__ import annotations

from opentrn.nki.beta1.dtypes import NAMES
from opentrn.nki.beta1.index import arange, mgrid
from opentrn.nki.beta1.language import elementwise
from opentrn.nki.beta1.language.constants import bfp16, finfo, fp32, gemm_grid, gemm_stationary_grid, tile_size
from opentrn.nki.beta1.language.elementwise import copy
from opentrn.nki.beta1.language.matrix import *  # noqa: F403
from opentrn.nki.beta1.language.memory import *  # noqa: F403
from opentrn.nki.beta1.language.program import *  # noqa: F403
from opentrn.nki.beta1.language.reduce import *  # noqa: F403
from opentrn.nki.beta1.programs import all_reduce

globals().update(elementwise.BINARY | elementwise.UNARY)
globals().update({name: dtype for name, dtype in NAMES.items() if name != "bool"})
