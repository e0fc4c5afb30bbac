"""Gradients of the wrappers in PyTorch and JAX against those of the frameworks, eager, compiled and transformed."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from tests.kernels.compare import distance, normal, real

import opentrn.nki.language as nl
from opentrn import kernels
from opentrn.kernels.layers import LAYERS

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
F = torch.nn.functional

from opentrn.kernels import jax as in_jax  # noqa: E402
from opentrn.kernels import torch as in_torch  # noqa: E402

LABELS = torch.arange(130, dtype=torch.int32) * 7 % 75
ANGLES = torch.linspace(0, 3, 130 * 5).reshape(130, 5)


def attention(q: Any, k: Any, v: Any) -> Any:
    return F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=True)[0]


def rotary(x: Any, cosine: Any, sine: Any) -> Any:
    pairs = torch.complex(*x.split(5, -1)) * torch.complex(cosine, sine)[:, None]
    return torch.cat([pairs.real, pairs.imag], -1)


WANTED = {
    "attention": (attention, [(4, 130, 20), (2, 130, 20), (2, 130, 20)], {}),
    "cross_entropy": (
        lambda x, labels: F.cross_entropy(x, labels.long(), reduction="none"), [(130, 75), LABELS], {}),
    "embedding": (lambda table, index: table[index.long()], [(75, 33), LABELS], {}),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (33,), w, b), [(130, 33), (33,), (33,)], {}),
    "linear": (
        lambda x, w, b: F.gelu(x @ w + b), [(130, 33), (33, 75), (75,)], {"activation": nl.gelu}),
    "matmul": (lambda a, b: a.T @ b.T, [(33, 130), (75, 33)], {"transpose_lhs": True, "transpose_rhs": True}),
    "rms_norm": (lambda x, w: F.rms_norm(x, (33,), w, 1e-6), [(130, 33), (33,)], {}),
    "rotary": (rotary, [(130, 3, 10), ANGLES.cos(), ANGLES.sin()], {}),
    "softmax": (lambda x: F.softmax(x, -1), [(130, 75)], {}),
    "swiglu": (
        lambda x, g, u, d: (F.silu(x @ g) * (x @ u)) @ d, [(130, 33), (33, 75), (33, 75), (75, 33)], {}),
}  # fmt: skip
"""The function in PyTorch, shapes of what has a gradient and values of what has none, options of the wrapper."""


def given(name: str, dtype: str) -> list[Any]:
    """Numpy arrays for the wrapper: weights are small, so that activations are not saturated."""
    shapes = WANTED[name][1]
    made = [normal(each, "float32", n) if isinstance(each, tuple) else each.numpy() for n, each in enumerate(shapes)]
    made = [a / 4 if name in ("linear", "swiglu") and n else a for n, a in enumerate(made)]
    return [
        a.astype(normal((1,), dtype).dtype) if isinstance(s, tuple) else a for a, s in zip(made, shapes, strict=True)
    ]


def to_torch(array: Any) -> Any:
    made = torch.tensor(real(array)) if array.dtype != "int32" else torch.tensor(array)
    return made.bfloat16() if array.dtype == "bfloat16" else made


def wanted(name: str, arrays: list[Any], weigh: Any) -> tuple[Any, list[Any]]:
    """The result and the gradients in float32, by PyTorch's own autograd."""
    leaves = [torch.tensor(real(a) if a.dtype != "int32" else a) for a in arrays]
    for leaf, shape in zip(leaves, WANTED[name][1], strict=True):
        leaf.requires_grad_(isinstance(shape, tuple))
    result = WANTED[name][0](*leaves)
    result.backward(torch.tensor(real(weigh)).reshape(result.shape))
    return result, [leaf.grad for leaf in leaves]


def weights(name: str, dtype: str) -> Any:
    shape = {"attention": (4, 130, 20), "cross_entropy": (130,), "linear": (130, 75), "matmul": (130, 75),
             "rotary": (130, 3, 10), "softmax": (130, 75)}.get(name, (130, 33))  # fmt: skip
    return normal(shape, "float32" if name == "cross_entropy" else dtype, 9)


def agree(name: str, result: Any, gradients: list[Any], arrays: list[Any], dtype: str) -> None:
    expected, slopes = wanted(name, arrays, weights(name, dtype))
    assert distance(result, expected) < 1.5e-2
    for got, slope in zip(gradients, slopes, strict=True):
        assert (got is None) == (slope is None)
        if slope is not None:
            assert distance(got, slope) < 2.5e-2


def test_every_kernel_with_a_backward_has_a_wrapper_in_both() -> None:
    single = {name for name in kernels.__all__ if not name.endswith("_backward")}
    assert single == set(in_torch.__all__) == set(in_jax.__all__) == {*LAYERS, "adamw"} == {*WANTED, "adamw"}
    for layer in LAYERS.values():
        assert list(inspect.signature(layer.forward).parameters)[: len(layer.takes.split())] == layer.takes.split()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_in_torch(name: str, dtype: str) -> None:
    arrays = given(name, dtype)
    tensors = [to_torch(a) for a in arrays]
    for tensor, shape in zip(tensors, WANTED[name][1], strict=True):
        tensor.requires_grad_(isinstance(shape, tuple))
    result = getattr(in_torch, name)(*tensors, **WANTED[name][2])
    result.backward(to_torch(weights(name, dtype)))
    gradients = [tensor.grad for tensor in tensors]
    assert all(g is None or g.dtype == t.dtype for g, t in zip(gradients, tensors, strict=True))
    as_float = [None if g is None else g.float() for g in gradients]
    agree(name, result.float(), as_float, arrays, dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_in_jax(name: str, dtype: str) -> None:
    arrays = given(name, dtype)
    shapes, options = WANTED[name][1:]
    number = tuple(n for n, shape in enumerate(shapes) if isinstance(shape, tuple))

    @jax.jit
    def run(*arrays: Any) -> Any:
        def function(*chosen: Any) -> Any:
            whole = list(arrays)
            for n, each in zip(number, chosen, strict=True):
                whole[n] = each
            return getattr(in_jax, name)(*whole, **options)

        result, pullback = jax.vjp(function, *(arrays[n] for n in number))
        return result, pullback(jax.numpy.asarray(weights(name, dtype)))

    result, found = run(*map(jax.numpy.asarray, arrays))
    assert all(g.dtype == arrays[n].dtype for g, n in zip(found, number, strict=True))
    gradients = [found[number.index(n)] if n in number else None for n in range(len(shapes))]
    agree(name, result, gradients, arrays, dtype)


# ---------------------------------------------------------------- compilers and transforms
def chain(ops: Any, x: Any, weight: Any, table: Any) -> Any:
    return (ops.softmax(ops.linear(ops.rms_norm(x, weight), table, activation="gelu")) ** 2).sum()


def leaves() -> list[Any]:
    return [normal(shape, "float32", n) for n, shape in enumerate([(130, 33), (33,), (33, 75)])]


def test_compiled_whole_graph_gives_the_eager_gradients() -> None:
    found = []
    for way in (lambda f: f, lambda f: torch.compile(f, fullgraph=True, backend="aot_eager")):
        tensors = [torch.tensor(each, requires_grad=True) for each in leaves()]
        way(lambda *given: chain(in_torch, *given))(*tensors).backward()
        found.append([tensor.grad for tensor in tensors])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert float(found[0][0].abs().max()) > 0


def test_functional_gradients_are_those_of_backward() -> None:
    tensors = [torch.tensor(each) for each in leaves()]
    got = torch.func.grad(lambda *given: chain(in_torch, *given), argnums=(0, 1, 2))(*tensors)
    for tensor in tensors:
        tensor.requires_grad_()
    chain(in_torch, *tensors).backward()
    assert all(torch.equal(a, tensor.grad) for a, tensor in zip(got, tensors, strict=True))


def test_jitted_gradients_are_the_eager_ones_and_those_of_torch() -> None:
    slopes = jax.grad(lambda *given: chain(in_jax, *given), argnums=(0, 1, 2))
    arrays = [jax.numpy.asarray(each) for each in leaves()]
    eager, jitted = slopes(*arrays), jax.jit(slopes)(*arrays)
    tensors = [torch.tensor(each, requires_grad=True) for each in leaves()]
    chain(in_torch, *tensors).backward()
    for a, b, tensor in zip(eager, jitted, tensors, strict=True):
        assert distance(a, b) < 1e-6 and distance(a, tensor.grad) < 1e-3


def test_a_second_derivative_is_refused() -> None:
    x = torch.tensor(normal((5, 7), "float32"), requires_grad=True)
    (slope,) = torch.autograd.grad((in_torch.softmax(x) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_too_many_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="3 arguments where x, weight are expected"):
        in_torch.rms_norm(torch.ones(2, 3), torch.ones(3), 1e-5)


def test_an_activation_without_derivative_is_refused() -> None:
    x = torch.ones(3, 4, requires_grad=True)
    with pytest.raises(AssertionError, match="no derivative"):
        in_torch.linear(x, torch.ones(4, 5), activation=nl.tanh).sum().backward()


def test_one_program_of_adamw_serves_all_steps_in_jax() -> None:
    import opentrn

    arrays = [jax.numpy.asarray(abs(normal((130, 3), "float32", n))) for n in range(4)]
    step = jax.jit(lambda number, rate, *given: in_jax.adamw(*given, number, rate, decay=0.1))
    parameter = torch.nn.Parameter(torch.tensor(real(arrays[0])))
    optimiser = torch.optim.AdamW([parameter], lr=1e-2, weight_decay=0.1)
    parameter.grad = torch.tensor(real(arrays[1]))
    state = [jax.numpy.asarray(arrays[0]), *(jax.numpy.zeros_like(arrays[0]) for _ in range(2))]
    with opentrn.session(findings=False) as session:
        for number in (1, 2, 3):
            optimiser.step()
            state = step(float(number), 1e-2, state[0], arrays[1], *state[1:])
    assert distance(state[0], parameter) < 1e-6
    assert (len(session.launches), session.calls) == (1, 3)
