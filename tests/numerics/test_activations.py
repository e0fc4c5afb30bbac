"""numerics.activations against torch in double precision, within 4 units in the last place of float32."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from opentrn.numerics.activations import ACTIVATIONS
from opentrn.numerics.erf import erf, erfc_positive

CODES = [
    "copy", "square", "sigmoid", "relu", "prelu", "gelu", "gelu_dx", "gelu_apprx_tanh", "gelu_apprx_sigmoid",
    "gelu_apprx_sigmoid_dx", "silu", "silu_dx", "tanh", "softplus", "mish", "erf", "erf_dx", "exp", "log", "sin",
    "arctan", "sqrt", "rsqrt", "reciprocal", "sign", "abs",
]  # fmt: skip
LIMITED = {
    "log": (2.0**-64, 2.0**64),
    "sin": (-math.pi, math.pi),
    "arctan": (-math.pi / 2, math.pi / 2),
    "sqrt": (2.0**-116, 2.0**118),
    "rsqrt": (2.0**-87, 2.0**97),
    "reciprocal": (2.0**-42, 2.0**42),
}


def gelu(x):
    """torch's own gelu cancels for negative x; this form does not."""
    return 0.5 * x * torch.special.erfc(-x * math.sqrt(0.5))


def gelu_dx(x):
    return 0.5 * torch.special.erfc(-x * math.sqrt(0.5)) + x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def gelu_tanh(x):
    twice = 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return x * torch.special.expit(twice)


def silu_dx(x):
    return torch.special.expit(x) * (1 + x * torch.special.expit(-x))


def mish(x):
    return x * torch.tanh(F.softplus(x, threshold=1000))


REFERENCE = {
    "copy": lambda x: x,
    "square": torch.square,
    "sigmoid": torch.special.expit,
    "relu": torch.relu,
    "prelu": lambda x: F.leaky_relu(x, 0.0),
    "gelu": gelu,
    "gelu_dx": gelu_dx,
    "gelu_apprx_tanh": gelu_tanh,
    "gelu_apprx_sigmoid": lambda x: x * torch.special.expit(1.702 * x),
    "gelu_apprx_sigmoid_dx": lambda x: silu_dx(1.702 * x),
    "silu": lambda x: x * torch.special.expit(x),
    "silu_dx": silu_dx,
    "tanh": torch.tanh,
    "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    "mish": mish,
    "erf": torch.special.erf,
    "erf_dx": lambda x: 2 / math.sqrt(math.pi) * torch.exp(-x * x),
    "exp": torch.exp,
    "log": torch.log,
    "sin": torch.sin,
    "arctan": torch.arctan,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "sign": torch.sign,
    "abs": torch.abs,
}


def inputs(name):
    """Random magnitudes from 1e-30 to 1e4, a dense grid, and every range's ends; seeds explicit."""
    rng = np.random.default_rng(CODES.index(name))
    spread = rng.choice([-1.0, 1.0], 20_000) * 10.0 ** rng.uniform(-30, 4, 20_000)
    x = np.concatenate([spread, np.linspace(-20, 20, 40_001), np.linspace(-110, 95, 10_000), [0.0, 1.0, -1.0]])
    low, high = LIMITED.get(name, (-np.inf, np.inf))
    if name in ("log", "sqrt", "rsqrt", "reciprocal"):
        x = np.concatenate([np.abs(x), 2.0 ** rng.uniform(math.log2(low), math.log2(high), 20_000)])
    return x[(x >= low) & (x <= high)].astype(np.float32)


def ulps(got, want):
    """Distance in spacings of float32 at the wanted value; where that is infinite, 0 or infinity."""
    exact = want.numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = exact.astype(np.float32)
        distance = np.abs(got.astype(np.float64) - exact) / np.abs(np.spacing(rounded))
    return np.where(np.isinf(rounded), np.where(got == rounded, 0, np.inf), distance)


def test_codes_and_ranges():
    assert {name: a.code for name, a in ACTIVATIONS.items()} == {name: i for i, name in enumerate(CODES)}
    assert {n: a.valid for n, a in ACTIVATIONS.items() if a.valid != (-np.inf, np.inf)} == LIMITED
    assert all(a.name == name for name, a in ACTIVATIONS.items())


@pytest.mark.parametrize("name", CODES)
def test_within_four_ulp(name):
    x = inputs(name)
    got = ACTIVATIONS[name].f(x)
    assert got.dtype == np.float32
    far = ulps(got, REFERENCE[name](torch.from_numpy(x.astype(np.float64))))
    assert far.max() <= 4, (x[far.argmax()], got[far.argmax()], far.max())


LIMITS = {  # at -inf, inf
    "sigmoid": (0, 1), "relu": (0, np.inf), "gelu": (0, np.inf), "gelu_dx": (0, 1), "gelu_apprx_tanh": (0, np.inf),
    "gelu_apprx_sigmoid": (0, np.inf), "gelu_apprx_sigmoid_dx": (0, 1), "silu": (0, np.inf), "silu_dx": (0, 1),
    "tanh": (-1, 1), "softplus": (0, np.inf), "mish": (0, np.inf), "erf": (-1, 1), "erf_dx": (0, 0),
    "exp": (0, np.inf), "square": (np.inf, np.inf), "sign": (-1, 1), "abs": (np.inf, np.inf),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_limits_at_infinity(name):
    for far in (np.inf, np.float32(3e38)):
        with np.errstate(over="ignore"):
            got = ACTIVATIONS[name].f(np.array([-far, far], np.float32))
        want = [far if w == np.inf and name not in ("square", "exp") else w for w in LIMITS[name]]
        assert got.tolist() == want


@pytest.mark.parametrize("name", CODES)
def test_nan_stays_nan_and_shapes_stay(name):
    assert np.isnan(ACTIVATIONS[name].f(np.float32([np.nan]))).all()
    for shape in ((), (0,), (3, 2), (2, 1, 20_000)):
        x = np.full(shape, 0.5, np.float32)
        y = ACTIVATIONS[name].f(x)
        assert isinstance(y, np.ndarray)
        assert (y.shape, y.dtype) == (shape, np.float32)
        assert np.all(y == y.flat[0] if y.size else True)


def test_strided_input_of_more_than_one_block():
    x = np.random.default_rng(0).standard_normal((300, 301)).astype(np.float32)
    assert np.array_equal(ACTIVATIONS["gelu"].f(x[::2].T), ACTIVATIONS["gelu"].f(x)[::2].T)


def test_sin_extrapolates_a_cubic_outside_pi():
    got = ACTIVATIONS["sin"].f(np.float32([9.0, -9.0, 4.0]))
    past = 4.0 - math.pi
    np.testing.assert_allclose(got, [27.65, -27.65, past**3 / 6 - past], rtol=1e-4)
    around = ACTIVATIONS["sin"].f(np.linspace(3.14, 3.143, 1001, dtype=np.float32))
    assert np.all(np.diff(around) <= 0)  # no jump where the two meet


def test_prelu_slope_may_differ_by_partition():
    x = np.float32([[-2.0, 3.0], [-4.0, -0.5]])
    assert ACTIVATIONS["prelu"].f(x, np.float32([[0.5], [0.1]])).tolist() == [
        [-1.0, 3.0],
        [np.float32(-0.4), np.float32(-0.05)],
    ]


def test_erf_and_erfc_in_double_precision():
    z = np.concatenate([np.linspace(0, 26, 2601), np.logspace(-12, 1.4, 400)])
    np.testing.assert_allclose(erfc_positive(z), [math.erfc(v) for v in z], rtol=1e-13)
    np.testing.assert_allclose(erf(-z), [-math.erf(v) for v in z], rtol=1e-12)
    assert erfc_positive(np.array([np.inf])).tolist() == [0.0]
