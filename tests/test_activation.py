"""relu, sigmoid, tanh, scaled_tanh and their gradients: elementwise, on arrays of any shape."""

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff, tiny
from fastnn import reference

pytestmark = pytest.mark.isa

NAMES = ["relu", "sigmoid", "tanh", "scaled_tanh"]
every_activation = pytest.mark.parametrize("name", NAMES)
curved = pytest.mark.parametrize("name", NAMES[1:])

ULPS = {"sigmoid": 2, "tanh": 2, "scaled_tanh": 4}
# Of backward, in eps: the rounding of each operation, of the constants, and of y*y before 1 - y*y.
BACKWARD_BOUND = {
    "relu": lambda dy, y: 0 * dy,
    "sigmoid": lambda dy, y: 2 * np.abs(dy * y * (1 - y)),
    "tanh": lambda dy, y: 2 * np.abs(dy) * (1 + y * y),
    "scaled_tanh": lambda dy, y: 4 * np.abs(dy) * 2 / 3 * (1.7159 + y * y / 1.7159),
}


def sample(dtype):
    """Sorted, of every magnitude, subnormal to infinite, and more where the functions bend."""
    integer = np.uint32 if dtype == np.float32 else np.uint64
    count = 300_000 if dtype == np.float32 else 60_000
    infinity = int(np.array(np.inf, dtype=dtype).view(integer))
    magnitudes = np.linspace(0, infinity, count).astype(integer)
    magnitudes[-1] = infinity
    bend = np.concatenate([np.linspace(0, limit, count // 3) for limit in (1, 20, 120)])
    positive = np.concatenate([magnitudes.view(dtype), np.linspace(0, 800, 4001), bend]).astype(
        dtype
    )
    return np.sort(np.concatenate([-positive, positive]))


def exact(name, x):
    """f(x) in float64 for float32, in the longer long double for float64."""
    x = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    number = x.dtype.type
    with np.errstate(over="ignore", under="ignore"):
        if name == "sigmoid":
            return 1 / (1 + np.exp(-x))
        if name == "tanh":
            return np.tanh(x)
        return number(17159) / 10000 * np.tanh(number(2) / 3 * x)


def assert_accurate(name, x):
    want = exact(name, x)
    got = getattr(fastnn, name)(x)
    with np.errstate(under="ignore"):
        ulp = np.spacing(np.abs(want).astype(x.dtype))
    error = np.abs((got.astype(want.dtype) - want) / ulp)
    assert not np.isnan(error).any()
    worst = int(error.argmax())
    assert error[worst] <= ULPS[name], f"{error[worst]} ulp at {x[worst]!r}: {got[worst]!r}"


def assert_monotone(name, x):
    """f does not fall anywhere on the sorted x."""
    y = getattr(fastnn, name)(x)
    falls = np.flatnonzero(y[1:] < y[:-1])
    assert falls.size == 0, f"{falls.size} falls, the first after {x[falls[0]]!r}"


@curved
def test_accuracy(dtype, name):
    if dtype == np.float64 and np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("long double is no longer than double here")
    assert_accurate(name, sample(dtype))


@every_activation
def test_monotone(name):
    """Promised for float32 alone."""
    assert_monotone(name, sample(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("check", [assert_accurate, assert_monotone])
@curved
def test_every_float32(name, check):
    """All 2**32 but the NaNs, in blocks that overlap by one and stay in the cache."""
    infinity, block = 0x7F800000, 2**16
    for first in range(0, infinity, block):
        bits = np.arange(first, min(first + block, infinity) + 1, dtype=np.uint32)
        x = bits.view(np.float32)
        check(name, x)
        check(name, -x[::-1])


@pytest.mark.parametrize("name", ["tanh", "scaled_tanh"])
def test_odd(dtype, name):
    x = sample(dtype)
    f = getattr(fastnn, name)
    assert_same_bits(f(-x), -f(x))


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("relu", [(0, 0), (-0.0, 0), (-1, 0), (2.5, 2.5), (np.inf, np.inf), (-np.inf, 0)]),
        ("sigmoid", [(0, 0.5), (-0.0, 0.5), (np.inf, 1), (-np.inf, 0), (100, 1), (-1e30, 0)]),
        ("tanh", [(0, 0), (-0.0, -0.0), (np.inf, 1), (-np.inf, -1), (40, 1), (-1e30, -1)]),
        (
            "scaled_tanh",
            [(0, 0), (-0.0, -0.0), (np.inf, 1.7159), (-np.inf, -1.7159), (1e30, 1.7159)],
        ),
    ],
)
def test_special_values(dtype, name, pairs):
    f = getattr(fastnn, name)
    for size in (1, 7, 67):  # alone, in the remainder of a vector, and in vectors
        for x, y in pairs:
            assert_same_bits(f(np.full(size, x, dtype)), np.full(size, y, dtype))
        nan = f(np.full(size, np.nan, dtype))
        assert np.isnan(nan).all()


def test_relu_backward_at_the_edge(dtype):
    """The gradient is dy where y > 0 and where y is NaN; where y <= 0 it is 0, whatever dy is."""
    y = np.array([1.0, tiny(dtype), 0.0, -0.0, -1.0, np.nan, np.inf] * 11, dtype=dtype)
    dy = np.full_like(y, -3.0)
    want = np.where(y <= 0, 0.0, dy).astype(dtype)
    assert_same_bits(fastnn.relu_backward(dy, y), want)
    dy[:] = np.inf
    want = np.where(y <= 0, 0.0, dy).astype(dtype)
    assert_same_bits(fastnn.relu_backward(dy, y), want)


@every_activation
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (7,), (5, 3), (2, 3, 5, 7), (20011,)])
def test_any_shape(rng, dtype, name, shape):
    x, dy = np.asarray(normal(rng, shape, dtype)), np.asarray(normal(rng, shape, dtype))
    y = np.asarray(getattr(fastnn, name)(x))
    assert y.shape == shape
    assert y.dtype == dtype
    want = getattr(reference, name)(x)
    assert_within(y, want, (ULPS.get(name, 0) + 1) * roundoff(dtype) * np.abs(want))
    dx = np.asarray(getattr(fastnn, name + "_backward")(dy, y))
    assert dx.shape == shape
    bound = BACKWARD_BOUND[name](dy.astype(np.float64), y.astype(np.float64))
    want = getattr(reference, name + "_backward")(dy, y)
    assert_within(dx, want, roundoff(dtype) * bound)


@curved
def test_backward_over_the_whole_range(rng, dtype, name):
    y = getattr(fastnn, name)(sample(dtype))
    dy = normal(rng, y.shape, dtype)
    bound = BACKWARD_BOUND[name](dy.astype(np.float64), y.astype(np.float64))
    want = getattr(reference, name + "_backward")(dy, y)
    got = getattr(fastnn, name + "_backward")(dy, y)
    assert_within(got, want, roundoff(dtype) * bound + 4 * tiny(dtype))


@every_activation
def test_elements_stand_alone(rng, dtype, name):
    """f(x)[i:j] and f(x[i:j]) have the same bits, whatever part of a vector an element falls in."""
    x = (normal(rng, 150, dtype) * 10).astype(dtype)
    x[::17], x[5::17], x[3::17], x[4::17] = np.nan, np.inf, 1e-40, -0.0
    dy = normal(rng, 150, dtype)
    forward, backward = getattr(fastnn, name), getattr(fastnn, name + "_backward")
    y = forward(x)
    dx = backward(dy, y)
    for i in range(70):
        for j in (i, i + 1, i + 7, i + 16, i + 33, 150):
            assert_same_bits(forward(x[i:j]), y[i:j])
            assert_same_bits(backward(dy[i:j], y[i:j]), dx[i:j])


@every_activation
def test_in_place(rng, dtype, name):
    x, dy = normal(rng, (13, 17), dtype), normal(rng, (13, 17), dtype)
    forward, backward = getattr(fastnn, name), getattr(fastnn, name + "_backward")
    y = forward(x)
    dx = backward(dy, y)
    z = x.copy()
    assert forward(z, out=z) is z
    assert_same_bits(z, y)
    z = dy.copy()
    assert backward(z, y, out=z) is z
    assert_same_bits(z, dx)
    z = y.copy()
    assert backward(dy, z, out=z) is z
    assert_same_bits(z, dx)
    z = x.copy()[::2, ::-3]
    want = forward(z)
    assert_same_bits(forward(z, out=z), want)


@every_activation
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng, dtype, name, layout):
    x, dy = (LAYOUTS[layout](normal(rng, (5, 6, 7), dtype)) for _ in range(2))
    forward, backward = getattr(fastnn, name), getattr(fastnn, name + "_backward")
    y = forward(np.ascontiguousarray(x))
    assert_same_bits(forward(x), y)
    dx = backward(np.ascontiguousarray(dy), y)
    assert_same_bits(backward(dy, LAYOUTS["sliced"](y)), dx)
    for out_layout in OUT_LAYOUTS:
        out = nan_out(out_layout, y.shape, dtype)
        assert forward(x, out=out) is out
        assert_same_bits(out, y)
        assert_nothing_else_written(out)
        out = nan_out(out_layout, y.shape, dtype)
        assert backward(dy, y, out=out) is out
        assert_same_bits(out, dx)
        assert_nothing_else_written(out)
