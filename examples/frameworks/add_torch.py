"""A kernel in place of an operator of a PyTorch program: by itself, compiled, and with a derivative.

Written for the real chip: `torch_xla.device()` is the chip there, and the CPU under `opentrn run`.
"""

import torch
import torch_xla
from add_kernel import nki_add

device = torch_xla.device()
torch.manual_seed(0)
a = torch.randn(256, 1024).to(device).requires_grad_()
b = torch.randn(256, 1024).to(device).requires_grad_()


class Add(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        return nki_add(a, b)

    @staticmethod
    def backward(ctx, gradient):
        return gradient, gradient


def model(a, b):
    return a * b * Add.apply(a, b)


loss = model(a, b).sum()
loss.backward()
torch_xla.sync()
want = 2 * a * b + b * b
print(f"loss {loss.item():.0f}, gradient as PyTorch's: {torch.allclose(a.grad, want, atol=1e-5)}")

compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
with torch.no_grad():
    print("compiled gives the same:", torch.equal(compiled(a, b), model(a, b)))
