"""Stand-in for AWS's `torch_neuronx` where that is not installed: kernels as PyTorch operators, on the CPU.

The names are those that AWS documents for kernels (nki/get-started/about, frameworks/torch/pytorch-native-overview,
vllm-neuron/docs, SDK 2.32), and `nki_jit` of the older dialect (nki.api.shared.rst, SDK 2.21; removed in 2.24); every
other name is missing, and asking for it says so.
"""

from __future__ import annotations

from opentrn import nki
from opentrn.bridges.torch import nki_op, wrap_nki
from opentrn.nki.beta1 import trace as nki_jit

__all__ = ["nki", "nki_jit", "nki_op", "wrap_nki"]
