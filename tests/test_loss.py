"""softmax, its cross-entropy with labels, and mean squared error."""

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, integers, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff, tiny
from fastnn import reference

pytestmark = pytest.mark.isa

SHAPES = [(1, 1), (1, 10), (7, 2), (3, 16), (64, 10), (5, 33), (2, 1000), (300, 17), (2, 20011)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def relative_bound(x):
    """The relative error of a softmax, in eps, each row: (..., 1) or (..., C).

    exp is within 2 ulp of a difference that is rounded to 1/2 ulp of up to ``spread``; the sum of C
    terms adds C - 1 roundings, and the quotient two (a reciprocal and a product).
    """
    spread = x.max(axis=-1, keepdims=True).astype(np.float64) - x
    return 2 * 2 + spread + spread.max(axis=-1, keepdims=True) + x.shape[-1] + 2


@every_shape
@pytest.mark.parametrize("scale", [1, 30])
def test_softmax(rng, dtype, shape, scale):
    x = (scale * normal(rng, shape, dtype)).astype(dtype)
    y = np.full(shape, np.nan, dtype=dtype)
    assert fastnn.softmax(x, out=y) is y
    want = reference.softmax(x)
    assert_within(y, want, roundoff(dtype) * relative_bound(x) * want + 2 * tiny(dtype))
    assert (y >= 0).all()
    assert_within(
        y.sum(axis=-1, dtype=np.float64), np.ones(shape[0]), 2 * shape[1] * roundoff(dtype)
    )


def test_softmax_rank(rng, dtype):
    x = normal(rng, (2, 3, 5, 7), dtype)
    y = fastnn.softmax(x)
    assert_same_bits(fastnn.softmax(x.reshape(-1, 7)).reshape(x.shape), y)
    assert_same_bits(fastnn.softmax(x[1, 2, 3]), y[1, 2, 3])
    for shape in [(0,), (0, 5), (5, 0), (2, 0, 3)]:
        empty = np.empty(shape, dtype)
        assert fastnn.softmax(empty).shape == shape
        assert fastnn.softmax_backward(empty, empty).shape == shape


def test_softmax_special_values(dtype):
    def rows(*values):
        return np.array(values, dtype=dtype)

    assert_same_bits(fastnn.softmax(rows(1e4, 1e4)), rows(0.5, 0.5))
    assert_same_bits(fastnn.softmax(rows(-1e30, -1e30)), rows(0.5, 0.5))
    assert_same_bits(fastnn.softmax(rows(3e38, -3e38)), rows(1, 0))
    assert_same_bits(fastnn.softmax(rows(0, -np.inf, 0, -np.inf)), rows(0.5, 0, 0.5, 0))
    assert_same_bits(fastnn.softmax(rows(7)), rows(1))
    for bad in (rows(1, np.nan, 2), rows(np.nan), rows(-np.inf, -np.inf), rows(np.inf, np.inf)):
        assert np.isnan(fastnn.softmax(bad)).all()
    got = fastnn.softmax(np.stack([rows(*range(40)), rows(*[np.nan] * 40), rows(*range(40))]))
    np.testing.assert_array_equal(np.isnan(got).any(axis=1), [False, True, False])


def test_softmax_depends_on_differences_alone(rng, dtype):
    x = integers(rng, (9, 37), dtype, 50)
    assert_same_bits(fastnn.softmax(x + 1000), fastnn.softmax(x))


@every_shape
def test_softmax_backward(rng, dtype, shape):
    dy, y = normal(rng, shape, dtype), fastnn.softmax(normal(rng, shape, dtype))
    dx = np.full(shape, np.nan, dtype=dtype)
    assert fastnn.softmax_backward(dy, y, out=dx) is dx
    size = np.abs(y) * (np.abs(dy) + np.abs(dy * y).sum(axis=-1, keepdims=True))
    want = reference.softmax_backward(dy, y)
    assert_within(dx, want, (shape[1] + 2) * roundoff(dtype) * size)


def test_rows_stand_alone(rng, dtype):
    x, dy = normal(rng, (45, 37), dtype), normal(rng, (45, 37), dtype)
    y = fastnn.softmax(x)
    dx = fastnn.softmax_backward(dy, y)
    for i, j in [(0, 1), (7, 8), (0, 16), (16, 45), (44, 45)]:
        assert_same_bits(fastnn.softmax(x[i:j]), y[i:j])
        assert_same_bits(fastnn.softmax_backward(dy[i:j], y[i:j]), dx[i:j])


def test_in_place(rng, dtype):
    x, dy = normal(rng, (45, 37), dtype), normal(rng, (45, 37), dtype)
    labels = rng.integers(0, 37, 45)
    y = fastnn.softmax(x)
    dx = fastnn.softmax_backward(dy, y)
    loss, dlogits = fastnn.softmax_cross_entropy(x, labels)
    error, difference = fastnn.mse(x, dy)
    for call, given, want in [
        (lambda z: fastnn.softmax(z, out=z), x, y),
        (lambda z: fastnn.softmax_backward(z, y, out=z), dy, dx),
        (lambda z: fastnn.softmax_backward(dy, z, out=z), y, dx),
        (lambda z: fastnn.softmax_cross_entropy(z, labels, out=z), x, dlogits),
        (lambda z: fastnn.mse(z, dy, out=z), x, difference),
        (lambda z: fastnn.mse(x, z, out=z), dy, difference),
    ]:
        z = given.copy()
        result = call(z)
        assert_same_bits(z, want)
        if isinstance(result, tuple):
            assert result[0] in (loss, error)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_softmax_layouts(rng, dtype, layout):
    x, dy = (LAYOUTS[layout](normal(rng, (5, 6, 19), dtype)) for _ in range(2))
    y = fastnn.softmax(np.ascontiguousarray(x))
    dx = fastnn.softmax_backward(np.ascontiguousarray(dy), y)
    assert_same_bits(fastnn.softmax(x), y)
    assert_same_bits(fastnn.softmax_backward(dy, LAYOUTS["sliced"](y)), dx)
    for out_layout in OUT_LAYOUTS:
        out = nan_out(out_layout, y.shape, dtype)
        fastnn.softmax(x, out=out)
        assert_same_bits(out, y)
        assert_nothing_else_written(out)
        out = nan_out(out_layout, y.shape, dtype)
        fastnn.softmax_backward(dy, y, out=out)
        assert_same_bits(out, dx)
        assert_nothing_else_written(out)


@every_shape
@pytest.mark.parametrize("scale", [1, 30])
def test_cross_entropy(rng, dtype, shape, scale):
    n, c = shape
    logits = (scale * normal(rng, shape, dtype)).astype(dtype)
    labels = rng.integers(0, c, n)
    out = np.full(shape, np.nan, dtype=dtype)
    loss, dlogits = fastnn.softmax_cross_entropy(logits, labels, out=out)
    want_loss, want = reference.softmax_cross_entropy(logits, labels)
    assert dlogits is out
    assert type(loss) is float

    onehot = np.arange(c) == labels[:, None]
    relative = relative_bound(logits)
    probability = reference.softmax(logits)
    bound = roundoff(dtype) * ((relative + 2) * probability + 2 * onehot) / n
    assert_within(dlogits, want, bound + 2 * tiny(dtype))

    # The log, within 2 ulp, of a sum with that relative error; two differences; a mean of n terms.
    spread = logits.max(axis=1, keepdims=True).astype(np.float64) - logits
    log_sum = np.log(np.exp(-spread).sum(axis=1))
    chosen = spread[np.arange(n), labels]
    rows = relative.max(axis=1) + 2 * log_sum + 2 * chosen
    assert_within(loss, want_loss, roundoff(dtype) * (rows.mean() + n * (log_sum + chosen).mean()))


@pytest.mark.parametrize("integer", INTEGERS)
def test_cross_entropy_label_types(rng, dtype, integer):
    logits = normal(rng, (40, 10), dtype)
    labels = rng.integers(0, 10, 40)
    want_loss, want = fastnn.softmax_cross_entropy(logits, labels)
    for given in (labels.astype(integer), np.repeat(labels, 2).astype(integer)[::2]):
        loss, dlogits = fastnn.softmax_cross_entropy(logits, given)
        assert loss == want_loss
        assert_same_bits(dlogits, want)


def test_cross_entropy_special_values(dtype):
    logits = np.array([[1e4, 0.0], [0.0, -np.inf]], dtype=dtype)
    loss, dlogits = fastnn.softmax_cross_entropy(logits, np.array([0, 0]))
    assert loss == 0.0
    assert_same_bits(dlogits, np.zeros((2, 2), dtype))
    loss, dlogits = fastnn.softmax_cross_entropy(logits[:1], np.array([1]))
    assert loss == 1e4
    assert_same_bits(dlogits, np.array([[1, -1]], dtype))
    loss, _ = fastnn.softmax_cross_entropy(np.array([[0, np.nan]], dtype), np.array([0]))
    assert np.isnan(loss)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cross_entropy_layouts(rng, dtype, layout):
    logits = LAYOUTS[layout](normal(rng, (19, 10), dtype))
    labels = rng.integers(0, 10, 19)
    want_loss, want = fastnn.softmax_cross_entropy(np.ascontiguousarray(logits), labels)
    for out_layout in OUT_LAYOUTS:
        out = nan_out(out_layout, (19, 10), dtype)
        loss, _ = fastnn.softmax_cross_entropy(logits, labels, out=out)
        assert loss == want_loss
        assert_same_bits(out, want)
        assert_nothing_else_written(out)


@pytest.mark.parametrize("shape", [(1,), (7, 3), (2, 3, 4, 5), (64, 10), (20011,)], ids=str)
def test_mse(rng, dtype, shape):
    y, t = normal(rng, shape, dtype), normal(rng, shape, dtype)
    out = np.full(shape, np.nan, dtype=dtype)
    loss, dy = fastnn.mse(y, t, out=out)
    want_loss, want = reference.mse(y, t)
    assert dy is out
    assert type(loss) is float
    # The difference rounds once, the factor 2 / size and the product once each.
    assert_within(dy, want, 2 * roundoff(dtype) * np.abs(want))
    assert_within(loss, want_loss, (y.size + 3) * roundoff(dtype) * want_loss)


def test_mse_of_integers_is_exact(rng, dtype):
    y, t = integers(rng, (64, 8), dtype, 9), integers(rng, (64, 8), dtype, 9)
    loss, dy = fastnn.mse(y, t)
    assert loss == ((y - t) ** 2).mean(dtype=np.float64)
    assert_same_bits(dy, ((y - t) / 256).astype(dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mse_layouts(rng, dtype, layout):
    y, t = (LAYOUTS[layout](normal(rng, (5, 6, 19), dtype)) for _ in range(2))
    want_loss, want = fastnn.mse(np.ascontiguousarray(y), np.ascontiguousarray(t))
    for out_layout in OUT_LAYOUTS:
        out = nan_out(out_layout, y.shape, dtype)
        loss, _ = fastnn.mse(y, t, out=out)
        assert loss == want_loss
        assert_same_bits(out, want)
        assert_nothing_else_written(out)
