"""Kernels inside PyTorch and JAX programs: traced, compiled, differentiated, mapped; and what a whole program launches.

A framework is imported only when one of its arrays arrives in a kernel call, or when its module here is imported.
"""

__all__: list[str] = []
