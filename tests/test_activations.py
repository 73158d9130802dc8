"""The activations beyond those that are epilogues, and their gradients."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff, tiny
from fastnn import nn, reference

pytestmark = pytest.mark.isa


@dataclass(frozen=True)
class Case:
    """A function and its options; what backward takes; units in the last place that may be lost."""

    name: str
    options: dict = field(default_factory=dict)
    keeps: str = "y"
    ulps: float = 0  # of forward: exact but for one rounding of each step where 0
    slope: float = 4  # of backward, in eps of |dy| * (1 + |x|)

    def __str__(self):
        return "_".join([self.name, *map(str, self.options.values())])

    @property
    def forward(self):
        return partial(getattr(fastnn, self.name), **self.options)

    def backward(self, dy, x, y, out=None):
        kept = x if self.keeps == "x" else y
        return getattr(fastnn, self.name + "_backward")(dy, kept, **self.options, out=out)

    def reference(self, x):
        return getattr(reference, self.name)(x, **self.options)

    def reference_backward(self, dy, x, y):
        kept = x if self.keeps == "x" else y
        return getattr(reference, self.name + "_backward")(dy, kept, **self.options)


CASES = [
    Case("leaky_relu", ulps=1),
    Case("leaky_relu", {"negative_slope": 0.25}),
    Case("hard_sigmoid", ulps=2),
    Case("hard_swish", keeps="x", ulps=3),
    Case("hard_tanh"),
    Case("hard_tanh", {"min_val": -0.5, "max_val": 2.0}),
    Case("relu6"),
    Case("threshold", {"threshold": 0.5, "value": -2.0}, "x"),
    Case("softsign", keeps="x", ulps=2),
    Case("elu", ulps=2),
    Case("elu", {"alpha": 0.5}, ulps=2),
    Case("selu", ulps=4),
    Case("celu", {"alpha": 2.0}, ulps=3),
    Case("exp", ulps=2),
    Case("log", keeps="x", ulps=2),
    Case("softplus", {"threshold": 1e9}, ulps=2),
    Case("softplus", {"beta": 2.0, "threshold": 3.0}, ulps=2),
    Case("log_sigmoid", ulps=2),
    Case("silu", keeps="x", ulps=3),
    Case("mish", keeps="x", ulps=4, slope=8),
    Case("gelu", keeps="x", ulps=4, slope=8),
    Case("gelu", {"approximate": "tanh"}, "x", ulps=4, slope=8),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def sample(dtype, count=60_000):
    """Sorted, of every magnitude, subnormal to infinite, and more where the functions bend."""
    integer = np.uint32 if dtype == np.float32 else np.uint64
    infinity = int(np.array(np.inf, dtype=dtype).view(integer))
    magnitudes = np.linspace(0, infinity, count).astype(integer)
    magnitudes[-1] = infinity
    bend = np.concatenate([np.linspace(0, limit, count // 3) for limit in (1, 20, 120)])
    positive = np.concatenate([magnitudes.view(dtype), bend]).astype(dtype)
    return np.sort(np.concatenate([-positive, positive]))


def domain(case, dtype):
    """Where the units in the last place are promised."""
    x = sample(dtype)
    if case.name in ("silu", "mish"):  # a subnormal product of two numbers rounds twice
        return x[x > (-91 if dtype == np.float32 else -713)]
    if case.options.get("approximate") == "tanh":  # the argument of the exponential rounds
        return x[x > -1]
    return x


def exact(case, x):
    """f(x) of a float32 in float64, and of a float64 too: its rounding is allowed for."""
    with np.errstate(all="ignore"):
        return case.reference(x)


@every_case
def test_accuracy(dtype, case):
    x = domain(case, dtype)
    want = exact(case, x)
    got = case.forward(x)
    assert got.dtype == dtype
    largest = float(np.finfo(dtype).max)
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.abs(want) <= largest
        spacing = np.spacing(np.abs(np.where(finite, want, 0)).astype(dtype)).astype(np.float64)
    own = 0 if dtype == np.float32 else 6  # of the reference: constants, and steps that round
    if own and case.name == "gelu":  # and the argument of its erfc
        own = own + 2 * np.minimum(np.abs(x[finite]), 50) ** 2
    lost = np.abs(got[finite] - want[finite]) / spacing[finite]
    excess = lost - own
    assert excess.max() <= max(case.ulps, 0.5), x[finite][excess.argmax()]
    with np.errstate(over="ignore"):
        assert_same_bits(got[~finite], want[~finite].astype(dtype))


@every_case
def test_monotone(case):
    if case.name in ("hard_swish", "silu", "mish", "gelu", "threshold") or "beta" in case.options:
        pytest.skip("the function itself falls somewhere, or steps down at its threshold")
    y = case.forward(sample(np.float32))
    y = y[~np.isnan(y)]
    assert (y[1:] >= y[:-1]).all()


@every_case
def test_nan_stays(dtype, case):
    for size in (1, 7, 67):
        x = np.full(size, np.nan, dtype)
        assert np.isnan(case.forward(x)).all()


@pytest.mark.parametrize(
    ("case", "pairs"),
    [
        (Case("exp"), [(0, 1), (-0.0, 1), (np.inf, np.inf), (-np.inf, 0)]),
        (Case("log"), [(1, 0), (0, -np.inf), (-0.0, -np.inf), (np.inf, np.inf), (-1, np.nan)]),
        (Case("elu"), [(0, 0), (-0.0, -0.0), (-np.inf, -1), (np.inf, np.inf)]),
        (Case("softsign"), [(0, 0), (-0.0, -0.0), (-np.inf, -1), (np.inf, 1)]),
        (Case("softplus"), [(-np.inf, 0), (np.inf, np.inf), (30, 30)]),
        (Case("log_sigmoid"), [(-np.inf, -np.inf), (np.inf, -0.0)]),
        (Case("silu"), [(0, 0), (-0.0, -0.0), (-np.inf, -0.0), (np.inf, np.inf)]),
        (Case("mish"), [(0, 0), (-0.0, -0.0), (-np.inf, -0.0), (np.inf, np.inf)]),
        (Case("gelu"), [(0, 0), (-np.inf, -0.0), (np.inf, np.inf)]),
        (Case("hard_swish"), [(-np.inf, -0.0), (np.inf, np.inf), (3, 3), (-3, -0.0)]),
    ],
    ids=lambda value: str(value) if isinstance(value, Case) else "",
)
def test_special_values(dtype, case, pairs):
    for x, y in pairs:
        for size in (1, 67):
            assert_same_bits(case.forward(np.full(size, x, dtype)), np.full(size, y, dtype))


@every_case
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (7,), (5, 3), (63,), (65,), (20011,)])
def test_backward(rng, dtype, case, shape):
    x, dy = (np.asarray(normal(rng, shape, dtype)) for _ in range(2))
    x = x * 3 if case.name != "log" else np.abs(x) + dtype(0.125)
    x = np.asarray(x, dtype)
    y = np.asarray(case.forward(x))
    assert y.shape == shape
    got = np.asarray(case.backward(dy, x, y))
    assert got.shape == shape
    assert got.dtype == dtype
    want = case.reference_backward(dy, x, y)
    scale = np.abs(dy.astype(np.float64)) * (1 + np.abs(x) + np.abs(y))
    if case.name == "log":
        scale = np.abs(want)
    assert_within(got, want, case.slope * roundoff(dtype) * scale + 4 * tiny(dtype))


@every_case
def test_backward_is_the_derivative(rng, case):
    """Central differences of the reference, away from the corners."""
    x = rng.uniform(-4, 4, 500)
    corners = np.array([0, -3, 3, 6, -1, 1, -0.5, 2, 0.5, 1.5])
    x = x[np.abs(x[:, None] - corners).min(1) > 0.01]
    if case.name == "log":
        x = np.abs(x)
    step = 1e-6
    slope = (case.reference(x + step) - case.reference(x - step)) / (2 * step)
    ones = np.ones_like(x)
    np.testing.assert_allclose(case.backward(ones, x, case.forward(x)), slope, atol=1e-7)


@every_case
def test_elements_stand_alone(rng, dtype, case):
    """f(x)[i:j] and f(x[i:j]) have the same bits, whatever part of a vector an element falls in."""
    x, dy = (normal(rng, 150, dtype) * 10).astype(dtype), normal(rng, 150, dtype)
    x[::17], x[5::17], x[3::17], x[4::17] = np.nan, np.inf, 1e-40, -0.0
    y = case.forward(x)
    dx = case.backward(dy, x, y)
    for i in range(0, 70, 3):
        for j in (i, i + 1, i + 16, i + 33, 150):
            assert_same_bits(case.forward(x[i:j]), y[i:j])
            assert_same_bits(case.backward(dy[i:j], x[i:j], y[i:j]), dx[i:j])


@every_case
def test_in_place_and_layouts(rng, dtype, case):
    x, dy = normal(rng, (5, 6, 7), dtype), normal(rng, (5, 6, 7), dtype)
    y = case.forward(x)
    dx = case.backward(dy, x, y)
    z = x.copy()
    assert case.forward(z, out=z) is z
    assert_same_bits(z, y)
    z = dy.copy()
    assert case.backward(z, x, y, out=z) is z
    assert_same_bits(z, dx)
    for layout in LAYOUTS.values():
        assert_same_bits(case.forward(layout(x)), case.forward(np.ascontiguousarray(layout(x))))
    for out_layout in OUT_LAYOUTS:
        out = nan_out(out_layout, y.shape, dtype)
        assert case.backward(dy, x, y, out=out) is out
        assert_same_bits(out, dx)
        assert_nothing_else_written(out)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("leaky_relu", {"negative_slope": -0.1}, "leaky_relu: negative_slope must be from 0"),
        ("leaky_relu", {"negative_slope": np.nan}, "leaky_relu: negative_slope must be from 0"),
        ("elu", {"alpha": -1}, "elu: alpha must be from 0"),
        ("celu", {"alpha": 0}, "celu: alpha must be from"),
        ("softplus", {"beta": 0}, "softplus: beta must be from"),
        ("hard_tanh", {"min_val": 2}, "hard_tanh: min_val 2.0 is above max_val 1.0"),
        ("gelu", {"approximate": "erf"}, "gelu: approximate must be 'none' or 'tanh', not 'erf'"),
    ],
)
def test_refuses_options(name, options, message):
    x = np.ones(3, np.float32)
    with pytest.raises(ValueError, match=message):
        getattr(fastnn, name)(x, **options)
    with pytest.raises(ValueError, match=message.replace(":", "_backward:", 1)):
        getattr(fastnn, name + "_backward")(x, x, **options)


LAYERS = {
    nn.LeakyReLU: {"negative_slope": 0.2},
    nn.ELU: {"alpha": 0.5},
    nn.SELU: {},
    nn.CELU: {"alpha": 2.0},
    nn.GELU: {"approximate": "tanh"},
    nn.SiLU: {},
    nn.Mish: {},
    nn.Softplus: {"beta": 2.0, "threshold": 10.0},
    nn.Softsign: {},
    nn.LogSigmoid: {},
    nn.Hardsigmoid: {},
    nn.Hardswish: {},
    nn.Hardtanh: {"min_val": -2.0, "max_val": 0.5},
    nn.ReLU6: {},
    nn.Threshold: {"threshold": 0.1, "value": -1.0},
}


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_layers_are_pytorchs(rng, layer):
    """Constructor, result and gradient."""
    torch = pytest.importorskip("torch")
    options = LAYERS[layer]
    ours, theirs = layer(**options), getattr(torch.nn, layer.__name__)(**options)
    assert repr(ours) == f"{layer.__name__}({', '.join(f'{k}={v!r}' for k, v in options.items())})"
    x, dy = rng.standard_normal((4, 50)) * 3, rng.standard_normal((4, 50))
    y, backward = ours.forward(x)
    assert_same_bits(ours(x), y)
    t = torch.from_numpy(x).requires_grad_()
    z = theirs(t)
    z.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(y, z.detach().numpy(), rtol=1e-12, atol=1e-14)
    rtol = 1e-7 if layer is nn.Hardsigmoid else 1e-10  # PyTorch's 1/6 has the bits of float32's
    np.testing.assert_allclose(backward(dy), t.grad.numpy(), rtol=rtol, atol=1e-13)


def test_layers_refuse_bad_options_when_made():
    with pytest.raises(ValueError, match="celu: alpha must be from"):
        nn.CELU(alpha=0)
