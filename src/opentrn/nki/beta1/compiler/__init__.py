"""`neuronxcc.nki.compiler`: where tensors go, and marks for the compiler, which have no effect here (SDK 2.26)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from opentrn.nki.beta1.compiler import psum, sbuf
from opentrn.nki.language import spmd

__all__ = [
    "allocation_scope", "enable_stack_allocator", "force_auto_alloc", "multi_buffer", "no_reorder", "psum", "sbuf",
    "skip_middle_end_transformations",
]  # fmt: skip


def _mark(func: Any = None, **_options: Any) -> Any:
    return func if func is not None else lambda f: f


skip_middle_end_transformations = enable_stack_allocator = _mark


def force_auto_alloc(func: Any = None) -> Any:
    """Let the allocator place every tensor of a kernel, whatever the kernel says."""
    from opentrn.nki.beta1.kernel import Kernel

    if func is None:
        return force_auto_alloc
    return func.changed(automatic=True) if isinstance(func, Kernel) else func


def multi_buffer(factor: int = 2) -> int:
    """A directive of the compiler's allocator; automatic placement here is by liveness alone."""
    return factor


@contextmanager
def no_reorder() -> Iterator[None]:
    """A region whose instructions keep program order."""
    from opentrn.nki.beta1 import state

    state.settle()
    with spmd.no_reorder():
        yield
        state.settle()


def allocation_scope() -> Any:
    """A scope of the compiler's allocator; placement here is by liveness."""
    return nullcontext()
