"""max_pool2d and avg_pool2d, and their gradients."""

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, integers, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference

pytestmark = pytest.mark.isa

# x, kernel_size, options
POOLS = [
    ((1, 1, 1, 1), 1, {}),
    ((2, 4, 4, 3), 2, {}),
    ((2, 7, 5, 1), 2, {}),  # a last row and column that no window reaches
    ((1, 28, 28, 6), 2, {}),
    ((2, 14, 13, 16), (2, 3), {}),
    ((1, 9, 9, 17), 3, {"stride": 2, "padding": 1}),
    ((2, 8, 7, 5), 3, {"stride": 1, "padding": ((1, 0), (2, 1))}),
    ((1, 11, 12, 33), (3, 2), {"stride": (1, 3), "padding": (2, 1)}),
    ((1, 5, 6, 2), 2, {"stride": 4}),  # gaps between windows
    ((2, 3, 3, 4), 3, {}),  # the whole image
    ((1, 2, 2, 3), 3, {"padding": 1}),  # a window larger than the image
    ((1, 17, 19, 70), 3, {"stride": 2}),
    ((3, 6, 6, 48), 2, {"stride": 1}),
    ((1, 15, 17, 3), (15, 17), {}),  # 255 taps: the largest index is 254
    ((0, 6, 6, 3), 2, {}),
    ((2, 6, 6, 0), 2, {}),
]
every_pool = pytest.mark.parametrize(("shape", "kernel", "options"), POOLS, ids=str)


@every_pool
@pytest.mark.parametrize("values", ["normal", "ties", "special"])
def test_max_pool(rng, dtype, shape, kernel, options, values):
    x = normal(rng, shape, dtype) if values == "normal" else integers(rng, shape, dtype, 1)
    if values == "special":
        x = rng.choice(np.array([np.nan, -np.inf, np.inf, -0.0, 0.0, -1.0], dtype=dtype), shape)
    want, want_indices = reference.max_pool2d(x, kernel, return_indices=True, **options)
    out = np.full(want.shape, np.nan, dtype=dtype)
    y, indices = fastnn.max_pool2d(x, kernel, return_indices=True, out=out, **options)
    assert y is out
    assert indices.dtype == np.uint8
    np.testing.assert_array_equal(indices, want_indices)
    np.testing.assert_array_equal(y, want.astype(dtype))
    assert_same_bits(fastnn.max_pool2d(x, kernel, **options), y)


def test_max_pool_takes_the_chosen_pixel_bit_for_bit(dtype):
    """Of +0 and -0 the first is chosen, and it is its own sign that comes out."""
    pairs = np.array([[0.0, -0.0], [-0.0, 0.0]], dtype=dtype)
    x = np.repeat(pairs.reshape(2, 1, 2, 1), 37, axis=3)
    y, indices = fastnn.max_pool2d(x, (1, 2), return_indices=True)
    assert (indices == 0).all()
    assert_same_bits(y, x[:, :, :1])
    assert_same_bits(fastnn.max_pool2d(x, (1, 2)), x[:, :, :1])


def test_max_pool_first_nan_wins(dtype):
    x = np.array([1.0, np.nan, 5.0, np.nan], dtype=dtype).reshape(1, 2, 2, 1)
    x = np.repeat(x, 37, axis=3)
    y, indices = fastnn.max_pool2d(x, 2, return_indices=True)
    assert np.isnan(y).all()
    assert (indices == 1).all()
    assert np.isnan(fastnn.max_pool2d(x, 2)).all()


def test_max_pool_padding_never_wins(dtype):
    x = np.full((1, 2, 2, 37), -np.inf, dtype=dtype)
    y, indices = fastnn.max_pool2d(x, 2, stride=2, padding=1, return_indices=True)
    assert np.isneginf(y).all()
    np.testing.assert_array_equal(indices[0, :, :, 0], [[3, 2], [1, 0]])


@every_pool
def test_max_pool_backward(rng, dtype, shape, kernel, options):
    x = normal(rng, shape, dtype)
    _, indices = fastnn.max_pool2d(x, kernel, return_indices=True, **options)
    dy = integers(rng, indices.shape, dtype)
    dx = np.full(shape, np.nan, dtype=dtype)
    assert fastnn.max_pool2d_backward(dy, indices, shape, kernel, out=dx, **options) is dx
    want = reference.max_pool2d_backward(dy, indices, shape, kernel, **options)
    np.testing.assert_array_equal(dx, want)

    dy = normal(rng, indices.shape, dtype)
    kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
    size = reference.max_pool2d_backward(np.abs(dy), indices, shape, kernel, **options)
    want = reference.max_pool2d_backward(dy, indices, shape, kernel, **options)
    got = fastnn.max_pool2d_backward(dy, indices, shape, kernel, **options)
    assert_within(got, want, kh * kw * roundoff(dtype) * size)


@every_pool
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_pool(rng, dtype, shape, kernel, options, count_include_pad):
    """The sum of T taps and one division, by the count or times its reciprocal."""
    options = {**options, "count_include_pad": count_include_pad}
    kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
    x = normal(rng, shape, dtype)
    want = reference.avg_pool2d(x, kernel, **options)
    bound = (kh * kw + 2) * roundoff(dtype) * reference.avg_pool2d(np.abs(x), kernel, **options)
    y = np.full(want.shape, np.nan, dtype=dtype)
    assert fastnn.avg_pool2d(x, kernel, out=y, **options) is y
    assert_within(y, want, bound)

    dy = normal(rng, want.shape, dtype)
    want = reference.avg_pool2d_backward(dy, shape, kernel, **options)
    size = reference.avg_pool2d_backward(np.abs(dy), shape, kernel, **options)
    dx = np.full(shape, np.nan, dtype=dtype)
    assert fastnn.avg_pool2d_backward(dy, shape, kernel, out=dx, **options) is dx
    assert_within(dx, want, (kh * kw + 2) * roundoff(dtype) * size)


@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"stride": 3, "padding": 1}], ids=str)
def test_avg_pool_of_integers_is_exact(rng, dtype, options):
    """The count of a 2x2 window is a power of two."""
    x = integers(rng, (2, 9, 8, 21), dtype, 100)
    want = reference.avg_pool2d(x, 2, **options)
    np.testing.assert_array_equal(fastnn.avg_pool2d(x, 2, **options), want)
    dy = integers(rng, want.shape, dtype, 100)
    np.testing.assert_array_equal(
        fastnn.avg_pool2d_backward(dy, x.shape, 2, **options),
        reference.avg_pool2d_backward(dy, x.shape, 2, **options),
    )


@every_pool
def test_adjoints(rng, shape, kernel, options):
    """<pool(x), dy> = <x, dx>: exactly for the maximum of integers, to rounding for the mean."""
    x = integers(rng, shape, np.float64)
    y, indices = fastnn.max_pool2d(x, kernel, return_indices=True, **options)
    dy = integers(rng, y.shape, np.float64)
    dx = fastnn.max_pool2d_backward(dy, indices, shape, kernel, **options)
    assert (y * dy).sum() == (x * dx).sum()

    y = fastnn.avg_pool2d(x, kernel, **options)
    dx = fastnn.avg_pool2d_backward(dy, shape, kernel, **options)
    kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
    size = (reference.avg_pool2d(np.abs(x), kernel, **options) * np.abs(dy)).sum()
    roundings = 2 * (kh * kw + 2) + x.size + y.size
    assert_within((y * dy).sum(), (x * dx).sum(), roundings * roundoff(np.float64) * size)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [3, 21])
def test_layouts(rng, dtype, layout, channels):
    shape, options = (2, 8, 7, channels), {"stride": (2, 1), "padding": 1}
    x = LAYOUTS[layout](normal(rng, shape, dtype))
    xc = np.ascontiguousarray(x)
    y, indices = fastnn.max_pool2d(xc, 3, return_indices=True, **options)
    got, got_indices = fastnn.max_pool2d(x, 3, return_indices=True, **options)
    assert_same_bits(got, y)
    np.testing.assert_array_equal(got_indices, indices)
    average = fastnn.avg_pool2d(xc, 3, **options)
    assert_same_bits(fastnn.avg_pool2d(x, 3, **options), average)

    dy = LAYOUTS[layout](normal(rng, y.shape, dtype))
    dyc = np.ascontiguousarray(dy)
    chosen = np.asfortranarray(indices)
    dx = fastnn.max_pool2d_backward(dyc, indices, shape, 3, **options)
    assert_same_bits(fastnn.max_pool2d_backward(dy, chosen, shape, 3, **options), dx)
    shared = fastnn.avg_pool2d_backward(dyc, shape, 3, **options)
    assert_same_bits(fastnn.avg_pool2d_backward(dy, shape, 3, **options), shared)

    for out_layout in OUT_LAYOUTS:
        for call, want in [
            (lambda out: fastnn.max_pool2d(x, 3, out=out, **options), y),
            (lambda out: fastnn.avg_pool2d(x, 3, out=out, **options), average),
            (
                lambda out: fastnn.max_pool2d_backward(dy, chosen, shape, 3, out=out, **options),
                dx,
            ),
            (lambda out: fastnn.avg_pool2d_backward(dy, shape, 3, out=out, **options), shared),
        ]:
            out = nan_out(out_layout, want.shape, dtype)
            assert call(out) is out
            assert_same_bits(out, want)
            assert_nothing_else_written(out)


def test_images_stand_alone(rng, dtype):
    x = normal(rng, (9, 12, 10, 7), dtype)
    y, indices = fastnn.max_pool2d(x, 3, stride=2, padding=1, return_indices=True)
    average = fastnn.avg_pool2d(x, 3, stride=2, padding=1)
    for i, j in [(0, 1), (1, 9), (4, 6)]:
        part, chosen = fastnn.max_pool2d(x[i:j], 3, stride=2, padding=1, return_indices=True)
        assert_same_bits(part, y[i:j])
        np.testing.assert_array_equal(chosen, indices[i:j])
        assert_same_bits(fastnn.avg_pool2d(x[i:j], 3, stride=2, padding=1), average[i:j])


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8, 9, 15, 17, 23, 31, 33, 40])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (2, 3, 1), (3, 2, 1)])
def test_any_number_of_channels(rng, dtype, channels, kernel, stride, padding):
    """Whole vectors, parts of one, what is left at the end; windows apart and overlapping."""
    x = rng.integers(-4, 5, (2, 7, 6, channels)).astype(dtype)
    moves = {"stride": stride, "padding": padding}
    y, indices = fastnn.max_pool2d(x, kernel, return_indices=True, **moves)
    np.testing.assert_array_equal(y, reference.max_pool2d(x, kernel, **moves))
    dy = rng.integers(-8, 9, y.shape).astype(dtype)
    dx = fastnn.max_pool2d_backward(
        dy, indices, x.shape, kernel, out=np.full_like(x, np.nan), **moves
    )
    want = reference.max_pool2d_backward(dy, indices, x.shape, kernel, **moves)
    np.testing.assert_array_equal(dx, want)
    dy *= (kernel * kernel) ** 2  # so that a mean is an integer
    dx = fastnn.avg_pool2d_backward(dy, x.shape, kernel, out=np.full_like(x, np.nan), **moves)
    np.testing.assert_array_equal(dx, reference.avg_pool2d_backward(dy, x.shape, kernel, **moves))
