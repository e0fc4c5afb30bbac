"""`neuronxcc.nki.kernels.rmsnorm_quant`: a module of AWS's kernels, of which nothing is shipped here."""

from opentrn.nki.beta1.kernels import __getattr__ as __getattr__
