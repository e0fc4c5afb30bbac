"""Kernels in PyTorch: eager, under its compilers and transforms, as operators, and what it may not do with them."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.bridges.golden import assert_golden  # noqa: E402
from tests.bridges.kernels import accumulate, add, by_value, halves, too_wide, unwritten, write  # noqa: E402

import opentrn  # noqa: E402
from opentrn.bridges.torch import launch, nki_op, wrap_nki  # noqa: E402
from opentrn.errors import CompileError, GradientError, TensorError, TracingError  # noqa: E402

SHAPE = (32, 16)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)


def compiled(function, **options):
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager", **options)


# --------------------------------------------------------------------- eager
def test_strides_and_views(pair):
    a, b = pair
    wide = torch.arange(64 * 32.0).reshape(64, 32)
    for view in (wide[::2, ::2], wide.T[:, :16], wide[5:37, 3:19], a.expand(2, *SHAPE)[1]):
        assert torch.equal(add(view, b), view + b)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "int32", "uint8"])
def test_dtypes_are_the_same_eager_compiled_and_as_numpy(pair, dtype):
    a, b = ((8 * x).abs().to(getattr(torch, dtype)) for x in pair)
    eager, traced = add(a, b), compiled(add)(a, b)
    assert eager.dtype == traced.dtype == a.dtype
    assert torch.equal(eager.float(), traced.float())
    if dtype == "bfloat16":
        assert torch.equal(eager, a + b)


def test_a_view_that_is_stored_into_changes_its_base(pair):
    a, _ = pair
    base = torch.zeros(2, *SHAPE)
    total, more = accumulate(base[1], a)
    assert torch.equal(base[1], a) and torch.equal(base[0], torch.zeros(SHAPE)) and more["number"] == 7
    assert total.data_ptr() == base[1].data_ptr() and torch.equal(more["twice"], 2 * a)


# --------------------------------------------------------------------- compilers
def test_compiled_whole_graph(pair):
    a, b = pair
    function = compiled(lambda x, y: add(x, y, scale=2.0) * x + add[2](x, y) + halves([x, y])[0])
    assert torch.allclose(function(a, b), (a + b) * 2 * a + 2 * (a + b))
    assert function(b, a).shape == SHAPE


def test_compiled_for_every_new_shape(pair):
    function = compiled(lambda x: add(x, x), dynamic=True)
    for rows in (8, 16, 24):
        x = torch.randn(rows, 16)
        assert torch.equal(function(x), x + x)


def test_compiled_kernels_that_store_into_arguments(pair):
    a, b = pair

    def step(total, x):
        changed, more = accumulate(total, x)
        out = torch.empty_like(x)
        write(changed * 2, out)
        return out, more["twice"], more["number"]

    total = a.clone()
    out, twice, number = compiled(step)(total, b)
    assert torch.equal(total, a + b) and torch.equal(out, 2 * (a + b)) and torch.equal(twice, 2 * b) and number == 7


@pytest.mark.slow
def test_inductor(pair):
    a, b = pair
    torch._dynamo.reset()
    function = torch.compile(lambda x, y: torch.relu(add(x * 2, y)) + 1, fullgraph=True)
    assert torch.allclose(function(a, b), torch.relu(a * 2 + b) + 1)


def test_export(pair):
    class Model(torch.nn.Module):
        def forward(self, x, y):
            return add(x, y) * x

    exported = torch.export.export(Model(), pair)
    assert torch.allclose(exported.module()(*pair), (pair[0] + pair[1]) * pair[0])
    assert "opentrn.launch" in str(exported.graph)


def test_make_fx_and_meta_tensors(pair):
    graph = torch.fx.experimental.proxy_tensor.make_fx(lambda x, y: add(x, y) + 1)(*pair)
    assert "opentrn.launch" in graph.code and torch.equal(graph(*pair), pair[0] + pair[1] + 1)
    shaped = add(*(x.to("meta") for x in pair))
    assert shaped.device.type == "meta" and shaped.shape == SHAPE


def test_vmap(pair):
    a, b = pair
    batch = torch.stack([a, b, a + b])
    assert torch.equal(torch.func.vmap(add, in_dims=(0, None))(batch, b), batch + b)
    assert torch.equal(
        torch.func.vmap(add, in_dims=(2, 2))(batch.permute(1, 2, 0), batch.permute(1, 2, 0)), batch + batch
    )
    totals = torch.zeros(3, *SHAPE)
    torch.func.vmap(lambda t, x: accumulate(t, x)[1]["twice"])(totals, batch)
    assert torch.equal(totals, batch)


def test_the_operators_keep_their_promises(pair):
    made = "add#check"
    from opentrn.bridges.calls import call_of

    call, tensors = call_of(add, pair, {}, lambda value: isinstance(value, torch.Tensor))
    assert set(torch.library.opcheck(launch, (tensors, call.name)).values()) == {"SUCCESS"}
    call, tensors = call_of(accumulate, pair, {}, lambda value: isinstance(value, torch.Tensor))
    given = ([tensors[0].clone(), torch.empty(SHAPE)], [tensors[1]], [0], call.name)
    assert set(torch.library.opcheck(torch.ops.opentrn.store.default, given).values()) == {"SUCCESS"}
    with pytest.raises(TracingError, match="no kernel call add#check in this process"):
        launch(list(pair), made)


# --------------------------------------------------------------------- operators of the user
@nki_op("opentrn_tests::scaled", mutates_args={})
def scaled(x: torch.Tensor, factor: float) -> torch.Tensor:
    return add(x, x, scale=factor / 2)


scaled.register_autograd(
    lambda ctx, gradient: (scaled(gradient, ctx.factor), None),
    setup_context=lambda ctx, inputs, output: setattr(ctx, "factor", inputs[1]),
)


@nki_op("opentrn_tests::write", mutates_args=("out",))
def write_op(x: torch.Tensor, out: torch.Tensor) -> None:
    write(x, out)


@nki_op("opentrn_tests::copied")
def copied(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    write(x, out)
    return out


def test_nki_op_passes_opcheck(pair):
    a, _ = pair
    for operator, given in (
        (scaled, (a.clone().requires_grad_(), 4.0)),
        (write_op, (a, torch.zeros(SHAPE))),
        (copied, (a,)),
    ):
        assert set(torch.library.opcheck(operator, given).values()) == {"SUCCESS"}


def test_nki_op_is_what_a_custom_op_is_on_plain_tensors(pair):
    """Calls on plain tensors take a way of their own, where PyTorch's is kept for all others."""
    a, b = pair

    @nki_op("opentrn_tests::same")
    def same(x: torch.Tensor, again: bool = False) -> torch.Tensor:
        return x if again else add(x, x)

    assert torch.equal(same(a), 2 * a) and torch.equal(torch.ops.opentrn_tests.same(a), 2 * a)
    with pytest.raises(RuntimeError, match=r"^same .*may not alias any inputs"):
        same(a, True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        same(a.clone().requires_grad_()).sum().backward()
    with pytest.raises(RuntimeError, match=r"Expected a value of type 'Tensor \(inferred\)'|'Tensor' for argument 'x'"):
        same(3)
    negative = torch.imag(torch.complex(a, b).conj())  # a lazy negation, which numpy does not know
    assert negative.is_neg() and torch.equal(same(negative), -2 * b)
    assert same(a.to("meta")).device.type == "meta"
    with torch.inference_mode():
        assert torch.equal(same(a), 2 * a)
    version = b._version
    write_op(a, b)
    assert b._version > version

    @same.register_kernel("cpu")
    def _(x, again=False):
        return x + 1

    assert torch.equal(same(a), a + 1)
    with same.set_kernel_enabled("cpu", False):
        assert torch.equal(same(a), 2 * a)


def test_nki_op_has_a_derivative_eager_and_compiled(pair):
    a = pair[0].clone().requires_grad_()
    for function in (lambda x: scaled(x, 3.0).square().sum(), compiled(lambda x: scaled(x, 3.0).square().sum())):
        a.grad = None
        function(a).backward()
        assert torch.allclose(a.grad, 18 * a)
    # float32 kernels: steps and tolerances of single precision
    assert torch.autograd.gradcheck(
        lambda x: scaled(x, 3.0), (a[:2, :2].detach().requires_grad_(),), eps=1e-2, atol=1e-2
    )


def test_nki_op_in_place_and_compiled(pair):
    a, _ = pair
    out = torch.zeros(SHAPE)
    compiled(lambda x, y: write_op(x + 1, y))(a, out)
    assert torch.equal(out, a + 1) and torch.equal(compiled(copied)(a), a)
    assert wrap_nki(add) is add


class Sum(torch.autograd.Function):
    @staticmethod
    def forward(a, b):
        return add(a, b)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, gradient):
        return gradient, gradient


def test_autograd_function_around_a_kernel(pair):
    a, b = (x.clone().requires_grad_() for x in pair)
    want = torch.autograd.grad((a * b * (a + b)).sum(), (a, b))
    for function in (
        lambda x, y: (x * y * Sum.apply(x, y)).sum(),
        compiled(lambda x, y: (x * y * Sum.apply(x, y)).sum()),
    ):
        got = torch.autograd.grad(function(a, b), (a, b))
        assert all(torch.allclose(g, w, atol=1e-5) for g, w in zip(got, want, strict=True))
    through = torch.func.grad(lambda x: (x * Sum.apply(x, b)).sum())(a)
    assert torch.allclose(through, 2 * a + b, atol=1e-5)


# --------------------------------------------------------------------- what is refused
def refused(kind, action):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(kind) as caught:
            action()
    return f"{type(caught.value).__name__}: {caught.value}"


def test_messages(pair):
    a, b = pair
    watched = a.clone().requires_grad_()
    texts = {
        "sparse": refused(TensorError, lambda: add(a.to_sparse(), b)),
        "complex": refused(RuntimeError, lambda: add(a.to(torch.complex64), b)),
        "no backward": refused(GradientError, lambda: add(watched, b).sum().backward()),
        "no backward, in place": refused(GradientError, lambda: accumulate(watched * 1, b)[0].sum().backward()),
        "torch.func.grad": refused(GradientError, lambda: torch.func.grad(lambda x: add(x, b).sum())(a)),
        "torch.func.jvp": refused(GradientError, lambda: torch.func.jvp(lambda x: add(x, b), (a,), (a,))),
        "make_fx by value": refused(TracingError, lambda: torch.fx.experimental.proxy_tensor.make_fx(by_value)(a)),
        "fullgraph by value": refused(CompileError, lambda: compiled(by_value)(a)),
        "fullgraph complex": refused(CompileError, lambda: compiled(add)(a.to(torch.complex64), b)),
        "vmap in place": refused(
            TensorError, lambda: torch.func.vmap(accumulate, in_dims=(None, 0))(a, torch.stack([b]))
        ),
    }
    assert_golden("torch.txt", "\n\n".join(f"--- {name}\n{text}" for name, text in texts.items()))


def test_forward_mode_has_no_derivative_either(pair):
    a, b = pair
    with torch.autograd.forward_ad.dual_level(), pytest.raises(RuntimeError, match=r"forward mode|jvp"):
        add(torch.autograd.forward_ad.make_dual(a, b), b)


def test_without_a_gradient_nothing_is_refused(pair):
    a, b = (x.clone().requires_grad_() for x in pair)
    with torch.no_grad():
        assert not add(a, b).requires_grad and torch.equal(compiled(add)(a, b), a + b)
    assert add(a, b).requires_grad


def test_a_kernel_that_needs_values_breaks_the_graph(pair):
    a = pair[0].abs() + 1
    torch._dynamo.reset()
    with pytest.warns(UserWarning, match="kernel by_value cannot be traced"):
        assert torch.equal(torch.compile(lambda x: by_value(x) + 1, backend="aot_eager")(a), 2 * a + 1)


def test_a_fault_inside_compiled_code_names_the_line(pair):
    with pytest.raises(opentrn.errors.MemoryFault, match=r"never written\n  at: .*kernels.py"):
        compiled(lambda x: unwritten(x) + 1)(pair[0])


def test_a_broken_rule_is_found_while_compiling():
    with pytest.raises(CompileError, match=r"kernels.py.*\n.*256 partitions"):
        compiled(too_wide)(torch.zeros(64, 16))


def test_numpy_and_torch_agree(pair):
    assert np.array_equal(add(*(x.numpy() for x in pair)), add(*pair).numpy())
