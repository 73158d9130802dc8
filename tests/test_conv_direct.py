"""Convolutions of few channels: the direct ways give what im2col gives."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastnn
from arrays import integers, normal
from bits import assert_same_bits
from fastnn import reference
from fastnn.reference import windows
from geometry import CONVS, Conv
from test_conv2d import arrays, convs

pytestmark = pytest.mark.isa

PASSES = ("forward", "backward_input", "backward_weight")

DIRECT = [
    Conv((2, 28, 28, 1), 6, (5, 5), padding=2),  # LeNet-5's
    Conv((2, 32, 32, 1), 6, (5, 5)),
    Conv((3, 14, 14, 6), 16, (5, 5)),
    Conv((1, 21, 37, 3), 64, (3, 3), padding=1),
    Conv((1, 33, 29, 3), 32, (7, 7), stride=2, padding=3),
    Conv((2, 9, 70, 2), 2, (3, 3), padding=1),  # two rows at a time, and wide ones
    Conv((1, 7, 35, 1), 1, (4, 3), padding=((0, 3), (2, 1))),
    Conv((3, 5, 3, 3), 5, (2, 2), padding=1),  # images narrower than a vector
    Conv((2, 10, 17, 4), 4, (1, 1)),
    Conv((1, 11, 9, 5), 6, (1, 5), padding=(0, 2)),
    Conv((1, 16, 23, 3), 3, (3, 4), stride=(2, 3), padding=(1, 2)),  # phases of columns
    Conv((2, 13, 10, 2), 1, (2, 2), stride=3),  # pixels that no window reads
    Conv((1, 10, 11, 3), 7, (3, 3), stride=(1, 2), padding=(3, 0)),
    Conv((1, 15, 14, 3), 13, (3, 3), stride=(3, 1), padding=1, dilation=(2, 1)),
    Conv((1, 4, 40, 6), 9, (7, 5), padding=(5, 2)),  # a kernel taller than the image
    Conv((1, 12, 12, 6), 17, (6, 6), stride=2),  # taps of more vectors than a tile has
    Conv((1, 30, 33, 3), 33, (3, 3)),  # a last filter by itself
]
"""Every pass of these is direct, on every instruction set."""

DILATED = [
    Conv((1, 9, 13, 1), 6, (3, 3), padding=2, dilation=2),
    Conv((2, 14, 19, 3), 5, (3, 2), stride=(2, 3), padding=3, dilation=(3, 2)),
    Conv((1, 13, 40, 5), 2, (2, 3), stride=2, padding=(1, 4), dilation=(2, 3)),
]
"""The taps of a row are no run of memory: the gradient of the filters is im2col's."""

every_conv = pytest.mark.parametrize("conv", DIRECT + DILATED, ids=str)


def by_im2col(run, *args, **options):
    with fastnn.conv_algorithm("im2col"):
        return run(*args, **options)


@pytest.mark.parametrize("conv", DIRECT, ids=str)
def test_is_chosen(dtype, conv):
    chosen = fastnn.get_conv2d_algorithms(conv.x, conv.w, dtype=dtype, **conv.options)
    assert chosen == dict.fromkeys(PASSES, "direct")


@pytest.mark.parametrize("conv", DILATED, ids=str)
def test_is_chosen_where_dilated(dtype, conv):
    chosen = fastnn.get_conv2d_algorithms(conv.x, conv.w, dtype=dtype, **conv.options)
    assert [chosen[name] for name in PASSES] == ["direct", "direct", "im2col"]


def test_is_not_chosen_where_rows_take_too_much_memory():
    """A row of 2 million pixels would have to be laid out."""
    chosen = fastnn.get_conv2d_algorithms((1, 9, 2_000_000, 1), (6, 5, 5, 1), padding=2)
    assert chosen == dict.fromkeys(PASSES, "im2col")


@pytest.mark.parametrize("size", [1, 2**31 - 1])
def test_the_choice_does_not_overflow(size):
    shape = (size, size, size, 3)
    options = {"stride": size, "padding": size, "dilation": 2 if size == 1 else size // 2}
    for w in [(6, 1, 1, 3), (6, 2, 2, 3), (2**31 - 1, 2, 2, 3)]:
        assert set(fastnn.get_conv2d_algorithms(shape, w, **options)) == set(PASSES)


@every_conv
def test_has_the_bits_of_im2col(rng, dtype, conv):
    x, w, b, dy = arrays(normal, rng, conv, dtype)
    dx = by_im2col(fastnn.conv2d_backward_input, dy, w, conv.x, **conv.options)
    for threads in (1, 2, 3, 5):
        with fastnn.threads(threads):
            for bias, activation in [(None, None), (b, "relu"), (b, "tanh")]:
                options = {"activation": activation, **conv.options}
                got = fastnn.conv2d(x, w, bias, **options, out=np.full(conv.y, np.nan, dtype))
                assert_same_bits(got, by_im2col(fastnn.conv2d, x, w, bias, **options))
            out = np.full(conv.x, np.nan, dtype)
            got = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options, out=out)
            assert_same_bits(got, dx)


@every_conv
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_transposed_with_bias_and_activation(rng, dtype, conv, activation):
    """The gradient of the input, and what the transposed convolution does with it."""
    _, w, _, dy = arrays(normal, rng, conv, dtype)
    b = normal(rng, conv.x[3], dtype)
    dx = by_im2col(fastnn.conv2d_backward_input, dy, w, conv.x, **conv.options)
    (top, bottom), (left, right) = windows.sides(conv.padding)
    steps = windows.pair(conv.stride)
    reach = [d * (k - 1) + 1 for d, k in zip(windows.pair(conv.dilation), conv.kernel, strict=True)]
    seen = [  # rows and columns of dx that the windows reach
        (n - 1) * step + r - before - after
        for n, step, r, before, after in zip(
            conv.y[1:3], steps, reach, (top, left), (bottom, right), strict=True
        )
    ]
    extra = [size - n for size, n in zip(conv.x[1:3], seen, strict=True)]
    y = fastnn.conv_transpose2d(
        dy, w, b, **conv.options, output_padding=tuple(extra), activation=activation
    )
    want = dx + b
    assert_same_bits(y, getattr(fastnn, activation)(want) if activation else want)


@pytest.mark.parametrize("conv", CONVS, ids=str)
def test_im2col_has_the_same_bits_everywhere(rng, dtype, conv):
    """So what test_conv2d.py shows of whatever is chosen, but Winograd, holds for im2col too."""
    chosen = fastnn.get_conv2d_algorithms(conv.x, conv.w, dtype=dtype, **conv.options)
    if "winograd" in chosen.values():
        pytest.skip("Winograd's algorithm is chosen, whose outputs are no chains")
    x, w, b, dy = arrays(normal, rng, conv, dtype)
    got = by_im2col(fastnn.conv2d, x, w, b, **conv.options)
    assert_same_bits(got, fastnn.conv2d(x, w, b, **conv.options))
    got = by_im2col(fastnn.conv2d_backward_input, dy, w, conv.x, **conv.options)
    assert_same_bits(got, fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options))
    x, _, _, dy = arrays(integers, rng, conv, dtype)
    got = by_im2col(fastnn.conv2d_backward_weight, dy, x, conv.w, **conv.options)
    np.testing.assert_array_equal(got, fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options))


@pytest.mark.parametrize(
    "conv", [conv for conv in DIRECT if conv.y[0] * conv.y[1] * conv.y[2] < 2048], ids=str
)
def test_one_chunk_of_pixels_is_the_chain_of_im2col(rng, dtype, conv):
    x, w, _, dy = arrays(normal, rng, conv, dtype)
    for options in ({}, {"accumulate": True}):
        results = []
        for run in (
            fastnn.conv2d_backward_weight,
            partial(by_im2col, fastnn.conv2d_backward_weight),
        ):
            out = w.copy()
            results.append(run(dy, x, conv.w, **conv.options, **options, out=out))
        assert_same_bits(*results)


@every_conv
def test_gradient_of_the_filters_is_exact_for_integers(rng, dtype, conv):
    x, w, _, dy = arrays(integers, rng, conv, dtype)
    want = reference.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    for threads in (1, 3):
        with fastnn.threads(threads):
            out = np.full(conv.w, np.nan, dtype)
            fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options, out=out)
            np.testing.assert_array_equal(out, want)
            out = w.copy()
            fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options, accumulate=True, out=out)
            np.testing.assert_array_equal(out, w + want)


@pytest.mark.parametrize(
    "conv",
    [
        Conv((9, 24, 25, 1), 6, (5, 5), padding=2),  # chunks that end within images
        Conv((70, 11, 10, 6), 16, (3, 3)),
        Conv((2, 70, 71, 3), 40, (3, 3), stride=2, padding=1),
    ],
    ids=str,
)
def test_chunks_of_pixels_do_not_depend_on_threads(rng, dtype, conv):
    x, w, _, dy = arrays(normal, rng, conv, dtype)
    results = []
    for threads in (1, 2, 3, 5):
        with fastnn.threads(threads):
            plain = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options)
            added = fastnn.conv2d_backward_weight(
                dy, x, conv.w, **conv.options, accumulate=True, out=w.copy()
            )
            results.append((plain, added))
    for plain, added in results[1:]:
        assert_same_bits(plain, results[0][0])
        assert_same_bits(added, results[0][1])


@every_conv
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite_reaches_what_sees_it(rng, dtype, conv, value):
    """Wherever it lies: at the border, and where vectors reach beyond what they are for."""
    x, w, _, dy = arrays(normal, rng, conv, dtype)
    w = np.where(w == 0, dtype(1), w)  # 0 * inf would be NaN
    y, dx = (
        fastnn.conv2d(x, w, **conv.options),
        fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options),
    )
    ones = np.ones(conv.w)
    for _ in range(4):
        at = tuple(int(rng.choice([0, size - 1, rng.integers(size)])) for size in conv.x)
        hit = x.copy()
        hit[at] = value
        seen = reference.conv2d((hit != x).astype(float), ones, **conv.options) > 0
        got = fastnn.conv2d(hit, w, **conv.options)
        assert not np.isfinite(got[seen]).any()
        assert_same_bits(got[~seen], y[~seen])
        got = fastnn.conv2d_backward_weight(dy, hit, conv.w, **conv.options)
        want = by_im2col(fastnn.conv2d_backward_weight, dy, hit, conv.w, **conv.options)
        np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))

        at = tuple(int(rng.choice([0, size - 1, rng.integers(size)])) for size in conv.y)
        hit = dy.copy()
        hit[at] = value
        seen = (
            reference.conv2d_backward_input((hit != dy).astype(float), ones, conv.x, **conv.options)
            > 0
        )
        got = fastnn.conv2d_backward_input(hit, w, conv.x, **conv.options)
        assert not np.isfinite(got[seen]).any()
        assert_same_bits(got[~seen], dx[~seen])


@given(conv=convs(), seed=st.integers(0, 2**32 - 1))
def test_any_geometry_has_the_bits_of_im2col(conv, seed):
    rng = np.random.default_rng(seed)
    x, w, b, dy = arrays(normal, rng, conv, np.float32)
    want = by_im2col(fastnn.conv2d, x, w, b, **conv.options)
    assert_same_bits(fastnn.conv2d(x, w, b, **conv.options), want)
    want = by_im2col(fastnn.conv2d_backward_input, dy, w, conv.x, **conv.options)
    assert_same_bits(fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options), want)
