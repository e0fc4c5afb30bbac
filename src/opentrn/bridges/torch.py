"""Kernels called with torch tensors: eager, traced (torch.compile, torch.export, torch.func), and as operators.

A call on plain tensors launches the kernel. Everything else (fake tensors, transforms, compilers) goes through two
operators of `torch.library`, which every part of PyTorch understands: ``opentrn::launch`` for kernels that give new
tensors, ``opentrn::store`` for kernels that store into their arguments (it gets its new tensors as arguments too,
because an operator that stores may not return lists of tensors, PyTorch 2.13).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch._C import _functorch  # type: ignore[attr-defined]  # not in PyTorch's stubs
from torch._library.autograd import make_autograd_impl
from torch._library.custom_ops import CustomOpDef
from torch._library.utils import _c_check_aliasing_constraint

from opentrn.bridges.calls import Call, Plan, Run, call_named, call_of, filled, site_of_kernel
from opentrn.errors import GradientError, TensorError
from opentrn.nki.arrays import ShapeDtype, check_tensor
from opentrn.nki.kernel import Kernel
from opentrn.numerics.dtypes import DTYPES

__all__ = ["call", "nki_op", "wrap_nki"]


def call(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call `kernel` with arguments that hold torch tensors; the results are new tensors, or arguments stored into.

    Raises TensorError for tensors on another device, sparse or complex ones, TracingError where a compiler traces a
    kernel that needs values. Differentiating through the kernel raises GradientError, at the backward pass.
    """
    if torch.compiler.is_compiling():
        from opentrn.bridges.compiled import traced

        return traced(kernel, args, kwargs)
    return dispatched(kernel, args, kwargs)


def dispatched(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`call`, where no compiler is to see how it is done."""
    tensors = _tensors(args) + _tensors(kwargs)
    through = not all(map(_plain, tensors)) or _transformed()
    try:
        if not through and not _differentiated(tensors):
            return kernel.report(args, kwargs).results
        for tensor in tensors:
            check_tensor(tensor, "meta")
        return (_through_operator if through else _with_error_at_backward)(*call_of(kernel, args, kwargs, _is_tensor))
    except TensorError as error:
        if error.site is None:
            error.what, error.site = f"kernel {kernel.__name__}: {error.what}", site_of_kernel(kernel)
        raise


def _tensors(value: Any) -> list[torch.Tensor]:
    found = []
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, (tuple, list, dict)):
            found += _tensors(item)
    return found


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


_PLAIN = frozenset((torch.Tensor, torch.nn.Parameter))


def _plain(tensor: torch.Tensor) -> bool:
    return type(tensor) in _PLAIN and tensor.is_cpu


def _transformed() -> bool:
    """Someone watches the operators: a dispatch mode (fake tensors, make_fx) or a transform of torch.func."""
    return bool(torch._C._len_torch_dispatch_stack()) or _functorch.peek_interpreter_stack() is not None


def _differentiated(tensors: Sequence[torch.Tensor]) -> bool:
    forward = torch.autograd.forward_ad._current_level >= 0
    return forward or (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors))


# ---------------------------------------------------------------- derivatives
def _transforms_derive(tensors: Sequence[torch.Tensor]) -> bool:
    """`torch.func.grad` or `jvp` is at work: they know no operator with lists of tensors (PyTorch 2.13)."""
    transform = _functorch.peek_interpreter_stack()
    kinds = _functorch.TransformType
    grad = (
        torch.is_grad_enabled()
        and transform is not None
        and transform.key() == kinds.Grad
        and any(t.requires_grad for t in tensors)
    )
    tangents = torch.autograd.forward_ad._current_level >= 0
    return grad or (tangents and any(torch.autograd.forward_ad.unpack_dual(t).tangent is not None for t in tensors))


def _no_backward(made: Call) -> GradientError:
    return GradientError(
        f"kernel {made.kernel.__name__} has no backward",
        site=site_of_kernel(made.kernel),
        hint="call it in a torch.autograd.Function with a backward, or register it: nki_op(...).register_autograd(...)",
    )


class _ErrorAtBackward(torch.autograd.Function):
    """A launch in eager mode; backward says that there is none."""

    @staticmethod
    def forward(ctx: Any, made: Call, runs: list[Run], *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.made = made
        run = made.run(tensors)
        runs.append(run)
        stored = [tensors[number] for number in run.written]
        ctx.mark_dirty(*stored)
        return (*run.outputs, *stored)

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise _no_backward(ctx.made)


def _with_error_at_backward(made: Call, tensors: Sequence[torch.Tensor]) -> Any:
    runs: list[Run] = []
    outputs = _ErrorAtBackward.apply(made, runs, *tensors)
    return filled(runs[0].result, tensors, outputs[: len(runs[0].outputs)])


# ---------------------------------------------------------------- operators
def _shapes(tensors: Sequence[torch.Tensor]) -> list[ShapeDtype]:
    """Shapes as numbers: a kernel is made for them, so symbolic sizes become constants here."""
    return [ShapeDtype(tuple(tensor.shape), tensor.dtype) for tensor in tensors]  # type: ignore[arg-type]


def _empty(like: ShapeDtype, beside: torch.Tensor) -> torch.Tensor:
    """A tensor for a result; bytes where PyTorch has no such dtype (as `arrays` gives them)."""
    wanted, shape = getattr(torch, like.dtype, None), like.shape
    if wanted is None:
        wanted, shape = torch.uint8, (*shape[:-1], shape[-1] * DTYPES[like.dtype].itemsize)
    return beside.new_empty(shape, dtype=wanted)


def _through_operator(made: Call, tensors: Sequence[torch.Tensor]) -> Any:
    plan = made.plan(_shapes(tensors))
    if plan.written:
        if _differentiated(tensors):  # an operator that stores has no backward to raise the error in
            raise _no_backward(made)
        beside = next(filter(_functorch.is_batchedtensor, tensors), tensors[0])  # what vmap maps has results of its own
        outputs = [_empty(like, beside) for like in plan.outputs]
        stored, read = _parted(plan, tensors)
        store([*stored, *outputs], read, list(plan.written), made.name)
    else:
        outputs = launch(list(tensors), made.name)
    return filled(plan.result, tensors, outputs)


def _parted(plan: Plan, tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The tensors that are stored into, and the others."""
    return [tensors[n] for n in plan.written], [t for n, t in enumerate(tensors) if n not in plan.written]


def _joined(written: Sequence[int], stored: Sequence[Any], read: Sequence[Any]) -> list[Any]:
    """What `_parted` took apart; `stored` may have more than it needs."""
    first, second = iter(stored), iter(read)
    return [next(first) if n in written else next(second) for n in range(len(written) + len(read))]


_LIBRARY = torch.library.Library("opentrn", "FRAGMENT")
_LIBRARY.define("launch(Tensor[] tensors, str call) -> Tensor[]")
launch = torch.ops.opentrn.launch.default
"""Launch a kernel that stores into none of its arguments. Not a `custom_op`: its general autograd costs 30 us a call."""


def _launch(tensors: list[torch.Tensor], call: str) -> list[torch.Tensor]:
    return call_named(call).run(tensors).outputs


def _launch_recorded(keys: Any, tensors: list[torch.Tensor], call: str) -> list[torch.Tensor]:
    """The operator as autograd sees it."""
    if _transforms_derive(tensors):
        raise _no_backward(call_named(call))
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return list(_OperatorWithErrorAtBackward.apply(keys, call, *tensors))
    return _below_autograd(launch, keys, tensors, call)


def _below_autograd(operator: Any, keys: Any, *args: Any, **kwargs: Any) -> Any:
    """What the operator gives as the rest of PyTorch sees it; `keys` are those with which autograd was called."""
    with torch._C._AutoDispatchBelowAutograd():
        return operator.redispatch(keys & torch._C._after_autograd_keyset, *args, **kwargs)


class _OperatorWithErrorAtBackward(torch.autograd.Function):
    @staticmethod
    def forward(keys: Any, call: str, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(_below_autograd(launch, keys, list(tensors), call))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.call = inputs[1]

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise _no_backward(call_named(ctx.call))


_LIBRARY.impl("launch", _launch, "CompositeExplicitAutograd")
_LIBRARY.impl("launch", _launch_recorded, "Autograd", with_keyset=True)


@torch.library.register_fake("opentrn::launch", lib=_LIBRARY)
def _(tensors: list[torch.Tensor], call: str) -> list[torch.Tensor]:
    return [_empty(like, tensors[0]) for like in call_named(call).plan(_shapes(tensors)).outputs]


def _launch_each(
    info: Any, in_dims: Any, tensors: list[torch.Tensor], call: str
) -> tuple[list[torch.Tensor], list[int]]:
    """One launch for each element: kernels have no batch dimension of their own."""
    outputs = [launch(_element(tensors, in_dims[0], n), call) for n in range(info.batch_size)]
    stacked = [torch.stack(each) for each in zip(*outputs, strict=True)]
    return stacked, [0] * len(stacked)


torch.library.register_vmap("opentrn::launch", _launch_each, lib=_LIBRARY)


def _element(tensors: Sequence[torch.Tensor], dims: Sequence[int | None], number: int) -> list[torch.Tensor]:
    return [t if dim is None else t.select(dim, number) for t, dim in zip(tensors, dims, strict=True)]


@torch.library.custom_op("opentrn::store", mutates_args=("stored",))
def store(stored: list[torch.Tensor], read: list[torch.Tensor], written: list[int], call: str) -> None:
    """Launch a kernel that stores into its arguments `written`; its new tensors are the last of `stored`."""
    outputs = call_named(call).run(_joined(written, stored, read)).outputs
    for given, made in zip(stored[len(written) :], outputs, strict=True):
        given.copy_(made)


@store.register_fake
def _(stored: list[torch.Tensor], read: list[torch.Tensor], written: list[int], call: str) -> None:
    return None


@store.register_vmap
def _(
    info: Any, in_dims: Any, stored: list[torch.Tensor], read: list[torch.Tensor], written: list[int], call: str
) -> Any:
    if None in in_dims[0]:
        raise TensorError(
            f"vmap: kernel {call_named(call).kernel.__name__} stores into a tensor that is not mapped, from ones that are",
            site=site_of_kernel(call_named(call).kernel),
            hint="expand the tensor and map it as well",
        )
    for n in range(info.batch_size):
        store(_element(stored, in_dims[0], n), _element(read, in_dims[1], n), written, call)
    return None, None


def nki_op(name: str, function: Callable[..., Any] | None = None, /, *, mutates_args: str | Iterable[str] = ()) -> Any:
    """Register a function that calls kernels as the operator `name` (``"library::name"``); a decorator.

    It is a `torch.library.custom_op` whose shapes, for tracing, come from running the function on fake tensors; its
    methods, such as ``register_autograd``, are PyTorch's. The function has type annotations of PyTorch's operators and
    returns new tensors; `mutates_args` names the arguments that it stores into. Source: torch_neuronx.nki_op
    (nki/get-started/about, pytorch-native-overview, SDK 2.32).
    """
    if function is None:
        return lambda function: nki_op(name, function, mutates_args=mutates_args)
    made = torch.library.custom_op(name, function, mutates_args=mutates_args)  # type: ignore[call-overload]
    made.register_fake(function)
    _lighten(made)
    return made


_KEYS = torch._C.DispatchKeySet
_PLAIN_KEYS = _KEYS(torch._C.DispatchKey.CPU) | _KEYS(torch._C.DispatchKey.AutogradCPU)
"""What an operator is called for where nobody but autograd and the CPU has a say: no mode, transform or lazy negation."""


def _lighten(made: CustomOpDef) -> None:
    """Call an operator without what its backward needs where nothing is differentiated: 15 us less a call.

    `autograd_cpu` does what PyTorch's own autograd and kernel of a `custom_op` do after one another (PyTorch 2.13), and
    leaves all calls to them that do not end in the function itself: what is stored into, or has another kernel for the CPU.
    """
    operator, recorded = made._opoverload, make_autograd_impl(made._opoverload, made)
    other_kernel = f"{made._namespace}/{made._name}/CPU"

    def autograd_cpu(keys: Any, *args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled() and torch._C._any_requires_grad(*args):
            return recorded(keys, *args, **kwargs)
        if keys != _PLAIN_KEYS or other_kernel in torch.library._impls:
            return _below_autograd(operator, keys, *args, **kwargs)
        function = made._backend_fns[None]
        with torch._C._AutoDispatchBelowAutograd():
            result = function(*args, **kwargs)
        _c_check_aliasing_constraint(made._name, args, kwargs, result, lambda: inspect.getmodule(function))
        return result

    made._lib.impl(made._name, autograd_cpu, "AutogradCPU", with_keyset=True)


def wrap_nki(kernel: Kernel) -> Kernel:
    """The kernel itself: here every kernel can be called and traced (torch_neuronx.wrap_nki, SDK 2.32)."""
    return kernel
