"""`neuronxcc.nki.typing`: annotations of kernel parameters, which check nothing here, and arrays without data."""

from __future__ import annotations

from typing import Any

from opentrn.nki.arrays import ShapeDtype
from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.typing import mutable_tensor
from opentrn.nki.typing import tensor as annotation

__all__ = ["immutable", "mutable", "mutable_tensor", "tensor"]


class tensor(annotation):
    """A tensor parameter. ``tensor[[128, 512], nl.float32]`` is an argument for `nki.benchmark` and `nki.profile`:
    they need no data (general/nki/examples/prof-kernel-benchmark.py, SDK 2.26).
    """

    def __class_getitem__(cls, key: Any) -> Any:
        if isinstance(key, tuple) and isinstance(key[0], (list, tuple)):
            shape, dtype = key
            return ShapeDtype(tuple(shape), name_of(dtype))
        return cls


mutable, immutable = mutable_tensor, tensor
