"""Kernels in JAX: eager, jitted, mapped, differentiated, with donated arguments; and what it may not do with them."""

import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from tests.bridges.golden import assert_golden  # noqa: E402
from tests.bridges.kernels import accumulate, add, by_value, halves, unwritten  # noqa: E402

from opentrn.bridges import jax as bridge  # noqa: E402
from opentrn.program import native  # noqa: E402

SHAPE = (32, 16)


@pytest.fixture
def pair():
    first, second = jax.random.split(jax.random.PRNGKey(0))
    return jax.random.normal(first, SHAPE), jax.random.normal(second, SHAPE)


@pytest.fixture(params=["ffi", "pure_callback"])
def way(request, monkeypatch):
    """Both ways from XLA to a kernel; the native core speaks XLA's interface."""
    if request.param == "ffi" and not native.available():
        pytest.skip("no native core: XLA's interface is not used")
    assert bridge._interface() == native.available(), "XLA refused the custom call"
    monkeypatch.setattr(bridge, "_interface", lambda: request.param == "ffi")
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


def test_jit(pair, way):
    a, b = pair
    function = jax.jit(lambda x, y: add(x, y, scale=2.0) * x + add[2](x, y) + halves([x, y])[0])
    assert np.allclose(function(a, b), (a + b) * 2 * a + 2 * (a + b), atol=1e-6)
    called = "opentrn_launch" in function.lower(a, b).as_text()
    assert called == (way == "ffi")


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3", "int32", "uint8"]
)
def test_dtypes_are_the_same_eager_and_jitted(pair, dtype):
    a, b = (jnp.abs(8 * x).astype(dtype) for x in pair)
    eager, jitted = add(a, b), jax.jit(add)(a, b)
    assert eager.dtype == jitted.dtype == a.dtype
    assert np.array_equal(np.asarray(eager, np.float32), np.asarray(jitted, np.float32))


def test_vmap_launches_once_for_each_element(pair, way):
    a, b = pair
    batch = jnp.stack([a, b, a + b])
    for function in (jax.vmap(add, in_axes=(0, None)), jax.jit(jax.vmap(add, in_axes=(0, None)))):
        assert np.array_equal(function(batch, b), batch + b)
    assert np.array_equal(jax.vmap(jax.vmap(add))(batch[None], batch[None])[0], 2 * batch)


def test_vmap_with_a_declared_rule(pair):
    """A kernel of rows takes a batch as more rows."""

    @jax.custom_batching.custom_vmap
    def rows(x, y):
        return add(x, y)

    @rows.def_vmap
    def _(size, mapped, x, y):
        assert mapped == [True, True]
        return add(x.reshape(-1, 16), y.reshape(-1, 16)).reshape(x.shape), True

    batch = jnp.stack(pair)
    mapped = jax.jit(jax.vmap(rows))
    assert np.array_equal(mapped(batch, batch), 2 * batch)
    assert mapped.lower(batch, batch).as_text().count("stablehlo.while") == 0


def test_custom_vjp(pair, way):
    a, b = pair

    @jax.custom_vjp
    def total(x, y):
        return add(x, y)

    total.defvjp(lambda x, y: (total(x, y), None), lambda _, gradient: (gradient, gradient))
    loss = lambda f: lambda x, y: (f(x, y) * x * y).sum()  # noqa: E731
    want = jax.grad(loss(jnp.add), argnums=(0, 1))(a, b)
    for gradient in (jax.grad(loss(total), argnums=(0, 1)), jax.jit(jax.grad(loss(total), argnums=(0, 1)))):
        assert all(np.allclose(g, w, atol=1e-5) for g, w in zip(gradient(a, b), want, strict=True))
    directions = (jnp.ones(SHAPE), jnp.zeros(SHAPE))
    step = 1e-2
    numeric = (loss(total)(a + step * directions[0], b) - loss(total)(a - step * directions[0], b)) / (2 * step)
    assert np.isclose(numeric, want[0].sum(), rtol=1e-2, atol=0.5)


def test_kernels_that_store_into_arguments(pair, way):
    a, b = pair
    kept = jax.jit(lambda x, y: (accumulate(x, y)[0], x))(a, b)
    assert np.allclose(kept[0], a + b) and np.array_equal(kept[1], a)
    donated = a + 0
    total, more = jax.jit(accumulate, donate_argnums=0)(donated, b)
    assert np.allclose(total, a + b) and np.allclose(more["twice"], 2 * b) and more["number"] == 7
    assert donated.is_deleted()


def test_many_calls_at_once(pair):
    """XLA may run independent calls on several threads; kernels take turns."""
    a, b = pair

    @jax.jit
    def many(x, y):
        return [jnp.abs(add(x, y + n) - (x + (y + n))).max() for n in range(8)]

    waiting = many(a, b)
    assert np.array_equal(add(a, b), a + b)  # while those are on their way
    assert max(map(float, waiting)) == 0.0


def test_scan_and_constants(pair):
    a, b = pair
    numbers = np.asarray(b)
    last, _ = jax.lax.scan(lambda x, _: (add(x, numbers), None), a, length=3)
    assert np.allclose(last, a + 3 * b, atol=1e-6)


# --------------------------------------------------------------------- what is refused
def refused(kind, action):
    with pytest.raises(kind) as caught:
        jax.block_until_ready(action())
    return (
        f"{type(caught.value).__name__}: {str(caught.value).partition('The error occurred while tracing')[0].strip()}"
    )


def test_messages(pair):
    a, b = pair
    fault = refused(jax.errors.JaxRuntimeError, lambda: jax.jit(unwritten)(a))
    if not native.available():  # of the error of a callback JAX shows the stack first
        fault = f"JaxRuntimeError: INTERNAL: {fault[fault.rindex('MemoryFault: ') :]}"
    texts = {
        "complex": refused(TypeError, lambda: jax.jit(add)(a.astype(jnp.complex64), b)),
        "no derivative": refused(ValueError, lambda: jax.grad(lambda x: add(x, b).sum())(a)),
        "no derivative, jitted": refused(ValueError, lambda: jax.jit(jax.grad(lambda x: add(x, b).sum()))(a)),
        "by value": refused(jax.errors.ConcretizationTypeError, lambda: jax.jit(by_value)(a)),
        "fault in compiled code": fault,
    }
    assert_golden("jax.txt", "\n\n".join(f"--- {name}\n{text}" for name, text in texts.items()))


def test_after_a_fault_kernels_run_again(pair):
    a, b = pair
    refused(jax.errors.JaxRuntimeError, lambda: jax.jit(lambda x: unwritten(x) + 1)(a))
    assert np.array_equal(jax.jit(add)(a, b), a + b)
