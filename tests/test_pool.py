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
    ((2, 7, 5, 9), 2, {"ceil_mode": True}),  # the last row and column in windows of their own
    ((1, 6, 7, 5), 3, {"stride": 2, "padding": ((1, 0), (0, 1)), "ceil_mode": True}),
    ((1, 5, 6, 8), (3, 2), {"stride": 4, "padding": 1, "ceil_mode": True}),  # one would lie outside
    ((1, 1, 3, 2), 2, {"ceil_mode": True}),  # an image smaller than the window
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
@pytest.mark.parametrize("values", ["ties", "special"])
def test_max_pool_of_relu(rng, dtype, shape, kernel, options, values):
    """In one pass as in two, forward and backward, bit for bit."""
    x = integers(rng, shape, dtype, 2)
    if values == "special":
        x = rng.choice(np.array([np.nan, -np.inf, np.inf, -0.0, 0.0, -1.0], dtype=dtype), shape)
    rectified = fastnn.relu(x)
    want, chosen = fastnn.max_pool2d(rectified, kernel, return_indices=True, **options)
    fused = {**options, "activation": "relu"}
    y, indices = fastnn.max_pool2d(x, kernel, return_indices=True, **fused)
    assert_same_bits(y, want)
    np.testing.assert_array_equal(indices, np.where(want == 0, 255, chosen))
    assert_same_bits(fastnn.max_pool2d(x, kernel, **fused), y)
    by_reference = reference.max_pool2d(x, kernel, return_indices=True, **fused)
    assert_same_bits(y, by_reference[0].astype(dtype))
    np.testing.assert_array_equal(indices, by_reference[1])

    dy = rng.choice(np.array([np.nan, -0.0, 0.0, 1.5, -2.0], dtype=dtype), y.shape)
    dx = fastnn.max_pool2d_backward(dy, chosen, shape, kernel, **options)
    want = fastnn.relu_backward(dx, rectified)
    assert_same_bits(fastnn.max_pool2d_backward(dy, indices, shape, kernel, **options), want)


def test_max_pool_infinities_and_nan_in_one_row(dtype):
    """Rows are done without looking for NaN first: its place in the row must not matter."""
    for channels in (1, 3, 37):
        for where in range(12):
            x = np.zeros((3, 2, 12, channels), dtype)
            x[0, 1, where, -1] = np.nan
            x[1, 0, where, 0], x[1, 1, where, 0] = np.inf, -np.inf
            y, indices = fastnn.max_pool2d(x, 2, return_indices=True)
            want, want_indices = reference.max_pool2d(x, 2, return_indices=True)
            assert_same_bits(y, want.astype(dtype))
            np.testing.assert_array_equal(indices, want_indices)


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


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("after", range(3))
def test_ceil_mode_counts_windows_as_pytorch(before, after):
    """Window i starts at i * stride - before; it is one more as long as something is left over."""
    for kernel in range(max(before, after) + 1, 5):
        for stride in range(1, 5):
            for size in range(1, 9):
                # ATen's pooling_output_shape: rounded up, less one that starts behind the image
                rows = (size + before + after - kernel + stride - 1) // stride + 1
                if rows < 1:
                    continue
                if (rows - 1) * stride >= size + before:
                    rows -= 1
                options = {"stride": (stride, 1), "padding": ((before, after), 0)}
                x = np.arange(1.0, size + 1).reshape(1, size, 1, 1)
                y = fastnn.avg_pool2d(x, (kernel, 1), ceil_mode=True, **options)
                starts = [i * stride - before for i in range(rows)]
                windows = [range(i, min(i + kernel, size + after)) for i in starts]
                want = [sum(x[0, i, 0, 0] for i in w if 0 <= i < size) / len(w) for w in windows]
                assert_within(y.ravel(), want, (kernel + 2) * roundoff(np.float64) * size)


@pytest.mark.parametrize("channels", [1, 3, 8, 17, 70])
def test_global_avg_pool(rng, dtype, channels):
    x = normal(rng, (3, 7, 5, channels), dtype)
    y = np.full((3, channels), np.nan, dtype)
    assert fastnn.global_avg_pool2d(x, out=y) is y
    bound = 37 * roundoff(dtype) * reference.global_avg_pool2d(np.abs(x))
    assert_within(y, reference.global_avg_pool2d(x), bound)
    assert_same_bits(y, fastnn.avg_pool2d(x, (7, 5)).reshape(y.shape))
    # in the specified order: from 0, row by row
    total = np.zeros_like(y)
    for pixel in x.reshape(3, 35, channels).swapaxes(0, 1):
        total += pixel
    assert_same_bits(y, total / dtype(35))
    assert_same_bits(fastnn.global_avg_pool2d(x[1:2]), y[1:2])

    dy = normal(rng, y.shape, dtype)
    dx = np.full(x.shape, np.nan, dtype)
    assert fastnn.global_avg_pool2d_backward(dy, x.shape, out=dx) is dx
    share = (dy / dtype(35))[:, None, None]  # one rounding: exact
    assert_same_bits(dx, np.broadcast_to(share, x.shape).copy())


SUBSAMPLES = [
    ((2, 28, 28, 6), 2, {}),
    ((3, 10, 10, 16), 2, {}),
    ((2, 7, 5, 1), (3, 2), {}),
    ((1, 8, 9, 19), 3, {"stride": 2}),
    ((2, 9, 4, 3), 2, {"stride": (3, 1)}),
    ((5, 32, 32, 9), 2, {}),  # more than one chunk of windows
    ((0, 4, 4, 3), 2, {}),
    ((2, 4, 4, 0), 2, {}),
]
every_subsample = pytest.mark.parametrize(("shape", "kernel", "options"), SUBSAMPLES, ids=str)


@every_subsample
def test_subsample_of_integers_is_exact(rng, dtype, shape, kernel, options):
    x, a, b = (integers(rng, s, dtype) for s in (shape, shape[-1], shape[-1]))
    want = reference.subsample2d(x, a, b, kernel, **options)
    y = np.full(want.shape, np.nan, dtype)
    assert fastnn.subsample2d(x, a, b, kernel, out=y, **options) is y
    np.testing.assert_array_equal(y, want)

    dy = integers(rng, y.shape, dtype)
    dx = np.full(shape, np.nan, dtype)
    assert fastnn.subsample2d_backward_input(dy, a, shape, kernel, out=dx, **options) is dx
    want = reference.subsample2d_backward_input(dy, a, shape, kernel, **options)
    np.testing.assert_array_equal(dx, want)
    da = np.full(shape[-1], np.nan, dtype)
    assert fastnn.subsample2d_backward_coefficient(dy, x, kernel, out=da, **options) is da
    want = reference.subsample2d_backward_coefficient(dy, x, kernel, **options)
    np.testing.assert_array_equal(da, want)
    fastnn.subsample2d_backward_coefficient(dy, x, kernel, accumulate=True, out=da, **options)
    np.testing.assert_array_equal(da, 2 * want)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "scaled_tanh"])
def test_subsample_applies_the_activation_last(rng, dtype, activation):
    x, a, b = (normal(rng, s, dtype) for s in ((2, 6, 8, 11), 11, 11))
    want = getattr(fastnn, activation)(fastnn.subsample2d(x, a, b))
    assert_same_bits(fastnn.subsample2d(x, a, b, activation=activation), want)


@every_subsample
def test_subsample_is_within_its_bound(rng, dtype, shape, kernel, options):
    """T - 1 roundings of the sum and one of product and bias, two where there is no FMA."""
    x, a, b = (normal(rng, s, dtype) for s in (shape, shape[-1], shape[-1]))
    kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
    size = reference.subsample2d(*(np.abs(z) for z in (x, a, b)), kernel, **options)
    y = fastnn.subsample2d(x, a, b, kernel, **options)
    want = reference.subsample2d(x, a, b, kernel, **options)
    assert_within(y, want, (kh * kw + 2) * roundoff(dtype) * size)
    dy = normal(rng, y.shape, dtype)
    size = reference.subsample2d_backward_coefficient(np.abs(dy), np.abs(x), kernel, **options)
    want = reference.subsample2d_backward_coefficient(dy, x, kernel, **options)
    got = fastnn.subsample2d_backward_coefficient(dy, x, kernel, **options)
    assert_within(got, want, (kh * kw + 2 * (dy.size + 1)) * roundoff(dtype) * size)


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
    want, want_indices = reference.max_pool2d(x, kernel, return_indices=True, **moves)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(indices, want_indices)
    dy = rng.integers(-8, 9, y.shape).astype(dtype)
    dx = fastnn.max_pool2d_backward(
        dy, indices, x.shape, kernel, out=np.full_like(x, np.nan), **moves
    )
    want = reference.max_pool2d_backward(dy, indices, x.shape, kernel, **moves)
    np.testing.assert_array_equal(dx, want)
    dy *= (kernel * kernel) ** 2  # so that a mean is an integer
    dx = fastnn.avg_pool2d_backward(dy, x.shape, kernel, out=np.full_like(x, np.nan), **moves)
    np.testing.assert_array_equal(dx, reference.avg_pool2d_backward(dy, x.shape, kernel, **moves))


@pytest.mark.parametrize("channels", [16, 20])
@pytest.mark.parametrize("shift", [0, 1])
def test_gradients_past_the_caches(rng, dtype, channels, shift):
    """A dx that fills many L2 caches, and how it is aligned, change no bit."""
    shape = (80, 64, 65, channels)
    size = int(np.prod(shape))
    dy = integers(rng, (80, 32, 32, channels), dtype)
    indices = rng.integers(0, 5, dy.shape).astype(np.uint8)
    dx = np.full(size + shift, np.nan, dtype)[shift:].reshape(shape)
    fastnn.max_pool2d_backward(dy, indices, shape, 2, out=dx)
    for i in (0, 40, 79):
        alone = (1, *shape[1:])
        want = fastnn.max_pool2d_backward(dy[i : i + 1], indices[i : i + 1], alone, 2)
        assert_same_bits(dx[i : i + 1], want)
    with fastnn.threads(1):
        assert_same_bits(fastnn.max_pool2d_backward(dy, indices, shape, 2), dx)
