"""A kernel registered as an operator of PyTorch, with a derivative: what torch_neuronx calls `nki_op`."""

import nki.language as nl
import torch
from torch_neuronx import nki, nki_op


@nki.jit
def scale_kernel(x, factor, out):
    """out = factor * x, in place; x of at most 128 rows."""
    nl.store(out, value=nl.multiply(nl.load(x), factor))


@nki_op("examples::scale", mutates_args={})
def scale(x: torch.Tensor, factor: float) -> torch.Tensor:
    out = torch.empty_like(x)
    scale_kernel(x, factor, out)
    return out


scale.register_autograd(
    lambda ctx, gradient: (scale(gradient, ctx.factor), None),
    setup_context=lambda ctx, inputs, output: setattr(ctx, "factor", inputs[1]),
)

x = torch.arange(12.0).reshape(3, 4).requires_grad_()
compiled = torch.compile(lambda x: scale(x, 3.0).square().sum(), fullgraph=True, backend="aot_eager")
compiled(x).backward()
print("gradient is 18 x:", torch.equal(x.grad, 18 * x))
print(*(f"{test}: {result}" for test, result in torch.library.opcheck(scale, (x, 3.0)).items()), sep="\n")
