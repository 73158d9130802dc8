"""Depthwise convolution, a filter per channel: what it computes and when it is chosen."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import chain
import fastnn
from arrays import integers, normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference
from geometry import Conv

pytestmark = pytest.mark.isa

PASSES = ("forward", "backward_input", "backward_weight")


def depthwise(n, h, w, channels, kernel, **options):
    return Conv((n, h, w, channels), channels, kernel, groups=channels, **options)


SEVERAL_CHUNKS = depthwise(5, 31, 29, 40, (3, 3), padding=1)
LARGE = [
    SEVERAL_CHUNKS,
    depthwise(2, 60, 45, 19, (5, 5), padding=2),
    depthwise(3, 33, 38, 24, (3, 3), padding=1, stride=2),
    depthwise(2, 40, 36, 33, (4, 7), padding=(2, 3), stride=(3, 2), dilation=(2, 1)),
]


def arrays(make, rng, conv, dtype):
    return (make(rng, shape, dtype) for shape in (conv.x, conv.w, conv.o, conv.y))


def algorithms(conv, dtype=np.float32):
    return fastnn.get_conv2d_algorithms(conv.x, conv.w, dtype=dtype, **conv.options)


def test_is_chosen_for_one_filter_per_channel(dtype):
    conv = depthwise(1, 14, 14, 32, (3, 3), padding=1)
    assert algorithms(conv, dtype) == dict.fromkeys(PASSES, "depthwise")
    with fastnn.conv_algorithm("im2col"):
        assert algorithms(conv, dtype) == dict.fromkeys(PASSES, "im2col")


@pytest.mark.parametrize(
    "conv",
    [
        Conv((1, 9, 9, 1), 1, (3, 3)),  # a single channel
        Conv((1, 9, 9, 4), 8, (3, 3), groups=4),  # two filters per channel
        Conv((1, 9, 9, 4), 4, (3, 3), groups=2),
        Conv((1, 99, 9, 4), 4, (65, 3), groups=4),  # more rows of taps than there is room for
        Conv((1, 30, 30, 4), 4, (3, 3), stride=(9, 1), groups=4),
        Conv((1, 30, 9000, 4), 4, (3, 3), dilation=(10, 1), groups=4),  # rows that fill the cache
    ],
    ids=str,
)
def test_is_not_chosen_otherwise(conv):
    assert "depthwise" not in algorithms(conv).values()


@st.composite
def convs(draw):
    small, pads = st.integers(1, 4), st.tuples(st.integers(0, 4), st.integers(0, 4))
    conv = depthwise(
        draw(st.integers(1, 3)),
        draw(st.integers(1, 12)),
        draw(st.integers(1, 20)),
        draw(st.integers(2, 35)),
        (draw(st.integers(1, 6)), draw(st.integers(1, 7))),
        stride=(draw(small), draw(small)),
        padding=(draw(pads), draw(pads)),
        dilation=(draw(small), draw(small)),
    )
    for i in range(2):
        reach = conv.dilation[i] * (conv.kernel[i] - 1) + 1
        assume(conv.x[1 + i] + sum(conv.padding[i]) >= reach)
    return conv


@given(
    conv=convs(), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float32, np.float64])
)
def test_any_geometry(conv, seed, dtype):
    rng = np.random.default_rng(seed)
    assert algorithms(conv, dtype) == dict.fromkeys(PASSES, "depthwise")
    x, w, b, dy = arrays(normal, rng, conv, dtype)
    y = fastnn.conv2d(x, w, b, **conv.options, activation="relu")
    assert_same_bits(y, fastnn.relu(chain.conv2d(x, w, **conv.options) + b))
    dx = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)
    assert_same_bits(dx, chain.conv2d_backward_input(dy, w, conv.x, **conv.options))
    x, dy = integers(rng, conv.x, dtype), integers(rng, conv.y, dtype)
    dw = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    np.testing.assert_array_equal(
        dw, reference.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    )


@pytest.mark.parametrize("conv", LARGE, ids=str)
def test_has_the_bits_of_im2col(rng, dtype, conv):
    """Forward and the gradient of x, whatever the activation: the same chains."""
    x, w, b, dy = arrays(normal, rng, conv, dtype)

    def results():
        yield fastnn.conv2d(x, w, **conv.options)
        for activation in (None, "relu", "sigmoid", "tanh", "scaled_tanh"):
            yield fastnn.conv2d(x, w, b, **conv.options, activation=activation)
        yield fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)

    got = list(results())
    with fastnn.conv_algorithm("im2col"):
        for ours, theirs in zip(got, results(), strict=True):
            assert_same_bits(ours, theirs)


@pytest.mark.parametrize("conv", LARGE, ids=str)
def test_backward_weight_is_within_its_bound(rng, dtype, conv):
    """Each of P products and sums rounds at most once, however the pixels are cut."""
    x, _, _, dy = arrays(normal, rng, conv, dtype)
    pixels = conv.y[0] * conv.y[1] * conv.y[2]
    size = reference.conv2d_backward_weight(np.abs(dy), np.abs(x), conv.w, **conv.options)
    assert_within(
        fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options),
        reference.conv2d_backward_weight(dy, x, conv.w, **conv.options),
        (pixels + 1) * roundoff(dtype) * size,
    )


@pytest.mark.parametrize("conv", [SEVERAL_CHUNKS, depthwise(1, 7, 6, 19, (3, 2))], ids=str)
def test_backward_weight_accumulates(rng, dtype, conv):
    x, w, _, dy = arrays(integers, rng, conv, dtype)
    dw = w.copy()
    fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options, accumulate=True, out=dw)
    want = w + reference.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    np.testing.assert_array_equal(dw, want)


@pytest.mark.parametrize("conv", LARGE, ids=str)
def test_threads_change_no_bit(rng, dtype, conv):
    x, w, b, dy = arrays(normal, rng, conv, dtype)

    def results():
        return [
            fastnn.conv2d(x, w, b, **conv.options, activation="tanh"),
            fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options),
            fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options),
        ]

    with fastnn.threads(1):
        want = results()
    for n in (2, 3, 5):
        with fastnn.threads(n):
            for got, one in zip(results(), want, strict=True):
                assert_same_bits(got, one)


def test_images_stand_alone(rng, dtype):
    conv = SEVERAL_CHUNKS
    x, w, b, dy = arrays(normal, rng, conv, dtype)
    y = fastnn.conv2d(x, w, b, **conv.options)
    dx = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)
    for i in range(conv.x[0]):
        assert_same_bits(fastnn.conv2d(x[i : i + 1], w, b, **conv.options)[0], y[i])
        one = fastnn.conv2d_backward_input(dy[i : i + 1], w, (1, *conv.x[1:]), **conv.options)
        assert_same_bits(one[0], dx[i])


def test_no_images(dtype):
    conv = depthwise(0, 9, 8, 20, (3, 3), padding=1, stride=2)
    x, w, dy = (np.ones(shape, dtype) for shape in (conv.x, conv.w, conv.y))
    assert fastnn.conv2d(x, w, **conv.options).shape == (0, 5, 4, 20)
    assert fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options).shape == conv.x
    dw = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    assert_same_bits(dw, np.zeros(conv.w, dtype))
    fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options, accumulate=True, out=w)
    assert_same_bits(w, np.ones(conv.w, dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_filters_that_are_not_finite(rng, dtype, value):
    """Padding is zeros that take part, as in im2col; only what lies between outputs does not."""
    conv = depthwise(2, 7, 9, 5, (3, 3), padding=1, stride=2)
    x, w, _, dy = arrays(normal, rng, conv, dtype)
    w[2, 0, 1] = value
    with np.errstate(invalid="ignore"):
        want = chain.conv2d(x, w, **conv.options)
    assert np.isnan(want[..., 2]).any()
    assert_same_bits(fastnn.conv2d(x, w, **conv.options), want)
    dx = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)
    finite = np.isfinite(dx).all(axis=0)
    # Tap (0, 1) of outputs at 2 * o - 1 reads odd rows and even columns.
    assert finite[::2, :, 2].all()
    assert finite[:, 1::2, 2].all()
    assert not finite[1::2, ::2, 2].any()
    assert finite[..., [0, 1, 3, 4]].all()


def test_one_pixel_that_is_not_finite_stays_in_its_channel(rng, dtype):
    conv = depthwise(1, 8, 9, 18, (3, 3), padding=1)
    x, w, _, _ = arrays(normal, rng, conv, dtype)
    x[0, 3, 4, 17] = np.nan
    y = fastnn.conv2d(x, w, **conv.options)
    seen = np.zeros(y.shape, bool)
    seen[0, 2:5, 3:6, 17] = True
    np.testing.assert_array_equal(np.isnan(y), seen)
