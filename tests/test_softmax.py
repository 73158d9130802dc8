"""log_softmax and logsumexp with their gradients; softmax, log_softmax, logsumexp over any axis."""

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, integers, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff, tiny
from fastnn import nn, reference

pytestmark = pytest.mark.isa

SHAPES = [
    (1, 1),
    (7, 2),
    (3, 3),
    (65, 10),
    (64, 32),
    (5, 64),
    (70, 65),
    (9, 511),
    (2, 513),
    (300, 17),
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def sum_bound(x):
    """The relative error of sum exp(x - max) in eps, each row: (..., 1).

    exp is within 2 ulp of a difference that is rounded to 1/2 ulp of up to the spread; the sum of C
    terms adds C - 1 roundings.
    """
    spread = x.max(axis=-1, keepdims=True).astype(np.float64) - x
    return 2 + spread.max(axis=-1, keepdims=True) + x.shape[-1]


@every_shape
@pytest.mark.parametrize("scale", [1, 30])
def test_log_softmax(rng, dtype, shape, scale):
    x = (scale * normal(rng, shape, dtype)).astype(dtype)
    y = np.full(shape, np.nan, dtype)
    assert fastnn.log_softmax(x, out=y) is y
    log_sum = reference.logsumexp(x - x.max(axis=-1, keepdims=True), keepdims=True)
    below = x.max(axis=-1, keepdims=True).astype(np.float64) - x
    # x - max rounds once, log is within 2 ulp, and the last difference rounds once.
    bound = sum_bound(x) + below + 2 * log_sum + (below + log_sum)
    assert_within(y, reference.log_softmax(x), roundoff(dtype) * bound)
    assert (y <= 0).all()


@every_shape
@pytest.mark.parametrize("scale", [1, 30])
def test_logsumexp(rng, dtype, shape, scale):
    x = (scale * normal(rng, shape, dtype)).astype(dtype)
    y = fastnn.logsumexp(x)
    want = reference.logsumexp(x)
    log_sum = reference.logsumexp(x - x.max(axis=-1, keepdims=True))
    bound = sum_bound(x)[:, 0] + 2 * log_sum + np.abs(want)
    assert_within(y, want, roundoff(dtype) * bound)
    kept = np.full((shape[0], 1), np.nan, dtype)
    assert fastnn.logsumexp(x, keepdims=True, out=kept) is kept
    assert_same_bits(kept[:, 0], y)


@every_shape
def test_gradients(rng, dtype, shape):
    x, dy = normal(rng, shape, dtype), normal(rng, shape, dtype)
    unit, terms = roundoff(dtype), shape[1]
    y = fastnn.log_softmax(x)
    dx = np.full(shape, np.nan, dtype)
    assert fastnn.log_softmax_backward(dy, y, out=dx) is dx
    # exp is within 2 ulp, and the sum within C roundings of the sum of magnitudes.
    size = np.exp(y) * np.abs(dy).sum(axis=1, keepdims=True)
    want = reference.log_softmax_backward(dy, y)
    assert_within(dx, want, unit * ((terms + 2) * size + np.abs(want)))

    y, dy = fastnn.logsumexp(x), dy[:, 0].copy()
    dx = np.full(shape, np.nan, dtype)
    assert fastnn.logsumexp_backward(dy, x, y, out=dx) is dx
    # x - y rounds to 1/2 ulp; exp is within 2, the product within 1/2.
    want = reference.logsumexp_backward(dy, x, y)
    assert_within(dx, want, unit * (3 + np.abs(x - y[:, None])) * np.abs(want))
    kept = fastnn.logsumexp_backward(dy[:, None], x, y[:, None], keepdims=True)
    assert_same_bits(kept, dx)


def special(dtype, *values):
    return np.array(values, dtype)


@pytest.mark.parametrize("repeat", [1, 40])
def test_special_values(dtype, repeat):
    """In short rows and, each value repeated, in long ones."""

    def lse(*values):
        y = fastnn.logsumexp(np.repeat(special(dtype, *values), repeat))
        return y[()] - (np.log(repeat) if np.isfinite(y) else 0)

    inf = np.inf
    eps = np.finfo(dtype).eps
    assert abs(lse(1e4, 1e4) - (1e4 + np.log(2))) <= 1e4 * eps
    assert abs(lse(-1e4, -1e4) - (np.log(2) - 1e4)) <= 1e4 * eps
    assert abs(lse(0, -inf, 0) - np.log(2)) <= 8 * eps
    assert lse(-inf, -inf) == -inf
    assert lse(inf, 0, -inf) == inf
    assert lse(inf, inf) == inf
    for bad in [(0, np.nan), (np.nan, 0), (inf, np.nan), (np.nan, -inf)]:
        assert np.isnan(lse(*bad))
        row = np.repeat(special(dtype, *bad), repeat)
        assert np.isnan(fastnn.log_softmax(row)).all()
    for bad in [(inf, 0), (-inf, -inf)]:
        row = np.repeat(special(dtype, *bad), repeat)
        assert np.isnan(fastnn.log_softmax(row)).any()
    row = fastnn.log_softmax(special(dtype, 0, -inf, 0, -inf, 0, 0))
    assert (row[[1, 3]] == -inf).all()
    assert_same_bits(
        fastnn.log_softmax(special(dtype, *[7] * repeat))[0] == 0, np.bool_(repeat == 1)
    )


def test_a_nan_stays_in_its_row(dtype):
    for c in (10, 70):
        x = np.tile(np.arange(c, dtype=dtype), (70, 1))
        x[33, 3] = np.nan
        bad = np.arange(70) == 33
        for f in (fastnn.softmax, fastnn.log_softmax, fastnn.logsumexp):
            y = np.isnan(f(x).reshape(70, -1))
            np.testing.assert_array_equal(y.all(axis=1), bad)
            np.testing.assert_array_equal(y.any(axis=1), bad)


FORWARD = [fastnn.softmax, fastnn.log_softmax, fastnn.logsumexp]


def gradient(f, dy, x, y, axis, **options):
    if f is fastnn.logsumexp:
        return fastnn.logsumexp_backward(dy, x, y, axis=axis, **options)
    backward = fastnn.softmax_backward if f is fastnn.softmax else fastnn.log_softmax_backward
    return backward(dy, y, axis=axis, **options)


@pytest.mark.parametrize("f", FORWARD, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", [(3, 32, 5), (2, 7, 67), (4, 1, 64), (32, 129), (5, 3, 2, 3)])
def test_axes_agree(rng, dtype, f, shape):
    """Up to 64 elements: every axis gives the bits of the same rows along the last one."""
    x = normal(rng, shape, dtype)
    for axis in range(x.ndim):
        if shape[axis] > 64:
            continue
        rows = np.ascontiguousarray(np.moveaxis(x, axis, -1))
        y = f(x, axis=axis)
        rows_y = f(rows)
        same = rows_y if f is fastnn.logsumexp else np.moveaxis(rows_y, -1, axis)
        assert_same_bits(y, same)
        assert_same_bits(f(x, axis=axis - x.ndim), y)
        dy = normal(rng, y.shape, dtype)
        rows_dy = dy if f is fastnn.logsumexp else np.ascontiguousarray(np.moveaxis(dy, axis, -1))
        dx = gradient(f, dy, x, y, axis)
        want = gradient(f, rows_dy, rows, np.ascontiguousarray(rows_y), -1)
        assert_same_bits(dx, np.moveaxis(want, -1, axis))


@pytest.mark.parametrize("f", FORWARD, ids=lambda f: f.__name__)
def test_long_axes(rng, dtype, f):
    """Beyond 64 elements, against the reference: the order of sums is another."""
    x = normal(rng, (3, 77, 70), dtype)
    y = f(x, axis=1)
    want = getattr(reference, f.__name__)(x, axis=1)
    bound = roundoff(dtype) * (sum_bound(np.moveaxis(x, 1, -1)).max() + 2 * np.abs(want).max() + 20)
    assert_within(y, want, bound * np.maximum(1, np.abs(want)))
    dy = normal(rng, y.shape, dtype)
    args = (dy, x, y) if f is fastnn.logsumexp else (dy, y)
    want = getattr(reference, f.__name__ + "_backward")(*args, axis=1)
    total = np.abs(dy).sum(axis=1, keepdims=True) if dy.ndim == 3 else np.abs(dy)[:, None]
    assert_within(gradient(f, dy, x, y, 1), want, 77 * roundoff(dtype) * (1 + total))


@pytest.mark.parametrize("f", FORWARD, ids=lambda f: f.__name__)
@pytest.mark.parametrize("c", [1, 3, 10, 63, 64, 65, 90])
def test_rows_stand_alone(rng, dtype, f, c):
    """A row's bits do not depend on its place in the batch, nor on the other rows."""
    x = normal(rng, (150, c), dtype)
    y = f(x)
    dy = normal(rng, y.shape, dtype)
    dx = gradient(f, dy, x, y, -1)
    for i, j in [(0, 1), (7, 8), (0, 16), (3, 68), (1, 150), (149, 150), (60, 130)]:
        assert_same_bits(f(x[i:j]), y[i:j])
        assert_same_bits(gradient(f, dy[i:j], x[i:j], y[i:j], -1), dx[i:j])


@pytest.mark.parametrize("f", FORWARD, ids=lambda f: f.__name__)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("axis", [0, 2])
def test_layouts(rng, dtype, f, layout, axis):
    x = LAYOUTS[layout](normal(rng, (5, 6, 19), dtype))
    plain = np.ascontiguousarray(x)
    y = f(plain, axis=axis)
    assert_same_bits(f(x, axis=axis), y)
    dy = LAYOUTS[layout](normal(rng, y.shape, dtype))
    dx = gradient(f, np.ascontiguousarray(dy), plain, y, axis)
    assert_same_bits(gradient(f, dy, x, LAYOUTS["sliced"](y), axis), dx)
    for out_layout in OUT_LAYOUTS:
        out = nan_out(out_layout, y.shape, dtype)
        assert f(x, axis=axis, out=out) is out
        assert_same_bits(out, y)
        assert_nothing_else_written(out)
        out = nan_out(out_layout, x.shape, dtype)
        assert gradient(f, dy, x, y, axis, out=out) is out
        assert_same_bits(out, dx)
        assert_nothing_else_written(out)


@pytest.mark.parametrize("f", FORWARD, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("shape", "axis"), [((45, 10), 1), ((45, 67), 1), ((6, 37, 9), 1)])
def test_in_place(rng, dtype, f, shape, axis):
    x = normal(rng, shape, dtype)
    y = f(x, axis=axis)
    dy = normal(rng, y.shape, dtype)
    dx = gradient(f, dy, x, y, axis)
    if f is fastnn.logsumexp:
        z = x.copy()
        assert_same_bits(gradient(f, dy, z, y, axis, out=z), dx)
        return
    z = x.copy()
    assert f(z, axis=axis, out=z) is z
    assert_same_bits(z, y)
    for place in (0, 1):
        arrays = [dy.copy(), y.copy()]
        gradient(f, arrays[0], None, arrays[1], axis, out=arrays[place])
        assert_same_bits(arrays[place], dx)


def test_zero_sizes(dtype):
    for shape, axis in [((0,), 0), ((0, 5), 1), ((5, 0), 1), ((2, 0, 3), 1), ((0, 4), 0)]:
        x = np.empty(shape, dtype)
        for f in (fastnn.softmax, fastnn.log_softmax):
            assert f(x, axis=axis).shape == shape
            assert gradient(f, x, x, x, axis).shape == shape
    x = np.empty((0, 5), dtype)
    y = fastnn.logsumexp(x)
    assert y.shape == (0,)
    assert fastnn.logsumexp_backward(y, x, y).shape == (0, 5)
    y = fastnn.logsumexp(np.empty((5, 0, 3), dtype), axis=0, keepdims=True)
    assert y.shape == (1, 0, 3)
    assert fastnn.logsumexp(np.zeros(4, dtype)).shape == ()
    with pytest.raises(ValueError, match=r"^logsumexp: x of shape \(5, 0\) is empty along axis 1"):
        fastnn.logsumexp(np.empty((5, 0), dtype))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_reference_gradients(rng, axis):
    """Central differences of the float64 reference."""
    x, step = normal(rng, (3, 4, 5), np.float64), 1e-6
    for name in ("softmax", "log_softmax", "logsumexp"):
        f = getattr(reference, name)
        y = f(x, axis=axis)
        dy = normal(rng, y.shape, np.float64)
        args = (dy, x, y) if name == "logsumexp" else (dy, y)
        dx = getattr(reference, name + "_backward")(*args, axis=axis)
        for at in np.ndindex(x.shape):
            up, down = x.copy(), x.copy()
            up[at] += step
            down[at] -= step
            slope = (dy * (f(up, axis=axis) - f(down, axis=axis))).sum() / (2 * step)
            # the third derivative is below 1, values are below 10 and have 2**-53 of rounding
            assert abs(slope - dx[at]) <= 20 * (step**2 + 10 * 2**-53 / step)


def test_integers_are_exact(rng, dtype):
    """dy of small integers, y of powers of two: every sum is exact."""
    dy = integers(rng, (70, 8), dtype)
    y = np.full((70, 8), 0.125, dtype)
    want = reference.softmax_backward(dy, y).astype(dtype)
    assert_same_bits(fastnn.softmax_backward(dy, y), want)
    assert_same_bits(fastnn.softmax_backward(dy.T.copy(), y.T.copy(), axis=0), want.T)
    wide = integers(rng, (5, 128), dtype)
    y = np.full((5, 128), 2.0**-7, dtype)
    want = reference.softmax_backward(wide, y).astype(dtype)
    assert_same_bits(fastnn.softmax_backward(wide, y), want)


def test_errors(dtype):
    x = np.ones((3, 4), dtype)
    for f in FORWARD:
        name = f.__name__
        for axis in (2, -3, 10**30):
            with pytest.raises(ValueError, match=rf"^{name}: axis {axis} is out of range"):
                f(x, axis=axis)
        for axis in (1.0, None, (0, 1), "1"):
            with pytest.raises(TypeError, match=rf"^{name}: axis must be an integer"):
                f(x, axis=axis)
    with pytest.raises(ValueError, match="log_softmax: x must have at least 1 dimension"):
        fastnn.log_softmax(np.array(1, dtype))
    with pytest.raises(ValueError, match=r"logsumexp: out must have shape \(3,\)"):
        fastnn.logsumexp(x, out=np.empty((3, 1), dtype))
    with pytest.raises(ValueError, match="logsumexp: out overlaps x"):
        fastnn.logsumexp(x, out=x[:, 0])
    with pytest.raises(ValueError, match=r"logsumexp_backward: dy must have shape \(3,\)"):
        fastnn.logsumexp_backward(x[0], x, x[:, 0])


@pytest.mark.parametrize("shape", [(64, 10), (5, 77), (3, 4, 5)], ids=str)
@pytest.mark.parametrize("axis", [0, -1])
def test_pytorch(rng, dtype, shape, axis):
    torch = pytest.importorskip("torch")
    x = normal(rng, shape, dtype)
    for f in FORWARD:
        theirs = torch.from_numpy(x.copy()).requires_grad_()
        want = getattr(torch, f.__name__)(theirs, axis)
        dy = normal(rng, tuple(want.shape), dtype)
        want.backward(torch.from_numpy(dy))
        y = f(x, axis=axis)
        # each is that far from the exact values: see the bounds above
        unit = 2 * roundoff(dtype) * (sum_bound(x).max() + 20 + shape[axis])
        assert_within(y, want.detach().numpy(), unit * np.maximum(1, np.abs(y)))
        total = np.abs(dy).max() * shape[axis]
        assert_within(gradient(f, dy, x, y, axis), theirs.grad.numpy(), unit * total + tiny(dtype))


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_layers(rng, name, axis):
    x, dy = normal(rng, (3, 4, 5), np.float64), normal(rng, (3, 4, 5), np.float64)
    layer = getattr(nn, name)(axis)
    y, backward = layer.forward(x)
    kernel = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[name]
    assert_same_bits(layer(x), getattr(fastnn, kernel)(x, axis=axis))
    assert_same_bits(y, layer(x))
    assert_same_bits(backward(dy), getattr(fastnn, kernel + "_backward")(dy, y, axis=axis))
    assert repr(layer) == (f"{name}()" if axis == -1 else f"{name}(axis={axis})")
    fastnn.gradcheck(layer, x)
