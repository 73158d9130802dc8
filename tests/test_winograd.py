"""Convolution by Winograd's F(4x4, 3x3): its rounding errors, and what its results depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastnn
from arrays import normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference
from geometry import Conv

pytestmark = pytest.mark.isa

R, S = np.sqrt(0.5), np.sqrt(2)
B = np.array(  # of Lavin and Gray's B^T d B, G g G^T and A^T m A at 0, +-R, +-S and infinity
    [
        [1, 0, -2.5, 0, 1, 0],
        [0, -S, -2, R, 1, 0],
        [0, S, -2, -R, 1, 0],
        [0, -R, -0.5, S, 1, 0],
        [0, R, -0.5, -S, 1, 0],
        [0, 1, 0, -2.5, 0, 1],
    ]
).T
G = np.array(
    [[1, 0, 0], *([-2 / 3, -2 / 3 * p, -1 / 3] for p in (R, -R))]
    + [[1 / 6, p / 6, 1 / 3] for p in (S, -S)]
    + [[0, 0, 1]]
)
A = np.array([[1, 0, 0, 0], *([1, p, p**2, p**3] for p in (R, -R, S, -S)), [0, 0, 0, 1]])

CONVS = [
    Conv((2, 4, 4, 16), 16, (3, 3), padding=1),  # one square
    Conv((1, 3, 5, 16), 17, (3, 3), padding=1),
    Conv((1, 9, 7, 17), 33, (3, 3), padding=1),
    Conv((2, 10, 6, 23), 16, (3, 3)),
    Conv((1, 5, 8, 24), 31, (3, 3), padding=((0, 2), (3, 1))),
    Conv((1, 3, 3, 16), 16, (3, 3), padding=(5, 4)),  # squares in the padding alone
    Conv((1, 6, 6, 70), 100, (3, 3), padding=1),  # several blocks of channels and of outputs
    Conv((9, 13, 13, 16), 18, (3, 3), padding=2),  # several rounds of squares: 144
    Conv((1, 7, 5, 131), 65, (3, 3), padding=1),
]
every_conv = pytest.mark.parametrize("conv", CONVS, ids=str)


def squares(image, top, left, size, down, across):
    """(N, down, across, size, size, C): every fourth square of a batch, zeros around it."""
    bottom, right = 4 * down + 2, 4 * across + 2
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return windows[:, : 4 * down : 4, : 4 * across : 4].transpose(0, 1, 2, 4, 5, 3)


def both(matrix, square):
    """|matrix|^T |square| |matrix| over the two axes before the last: what rounding scales with."""
    m = np.abs(matrix)
    return np.einsum("ia,...ijc,jb->...abc", m, np.abs(square), m)


def forward_size(x, w, padding):
    """What each output's rounding errors are relative to: the formula with absolute values."""
    (top, bottom), (left, right) = padding
    OH, OW = x.shape[1] + top + bottom - 2, x.shape[2] + left + right - 2
    down, across = -(-OH // 4), -(-OW // 4)
    v = both(B, squares(x, top, left, 6, down, across))
    u = both(G.T, w)
    y = both(A, np.einsum("nhwijc,oijc->nhwijo", v, u))
    y = y.transpose(0, 1, 3, 2, 4, 5).reshape(len(x), 4 * down, 4 * across, len(w))
    return y[:, :OH, :OW]


def sides(padding):
    """((top, bottom), (left, right))."""
    if isinstance(padding, int):
        padding = (padding, padding)
    return tuple(p if isinstance(p, tuple) else (p, p) for p in padding)


def turned(w):
    """The filters of which the gradient of x is the convolution of dy: (C, 3, 3, O)."""
    return w[:, ::-1, ::-1].transpose(3, 1, 2, 0)


ROUNDINGS = 2 * 4 + 2 * 6 + 2 * 5
"""Of the transforms along both axes: at most 4 for an input, 6 for a filter, 5 for an output."""


def check(conv, rng, dtype=np.float32):
    x, w, b, dy = (normal(rng, shape, dtype) for shape in (conv.x, conv.w, conv.o, conv.y))
    eps = roundoff(dtype)
    padding = sides(conv.padding)
    y = fastnn.conv2d(x, w, b, **conv.options)
    bound = (conv.x[3] + ROUNDINGS + 1) * eps * (forward_size(x, w, padding) + np.abs(b))
    assert_within(y, reference.conv2d(x, w, b, **conv.options), bound)

    dx = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)
    flipped = [(2 - before, 2 - after) for before, after in padding]
    cropped = dy
    for axis, (before, after) in enumerate(flipped, 1):  # where padding is above 2
        cut = slice(max(0, -before), cropped.shape[axis] - max(0, -after))
        cropped = cropped[(slice(None),) * axis + (cut,)]
    size = forward_size(cropped, turned(w), np.maximum(flipped, 0).tolist())
    bound = (conv.o + ROUNDINGS) * eps * size
    assert_within(dx, reference.conv2d_backward_input(dy, w, conv.x, **conv.options), bound)

    dw = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    down, across = -(-conv.y[1] // 4), -(-conv.y[2] // 4)
    v = both(B, squares(x, padding[0][0], padding[1][0], 6, down, across))
    m = both(A.T, squares(dy, 0, 0, 4, down, across))
    size = both(G, np.einsum("nhwijc,nhwijo->oijc", v, m))
    terms = conv.x[0] * down * across
    bound = (terms + ROUNDINGS + 1) * eps * size
    assert_within(dw, reference.conv2d_backward_weight(dy, x, conv.w, **conv.options), bound)


def algorithms(conv, dtype=np.float32):
    return set(fastnn.get_conv2d_algorithms(conv.x, conv.w, dtype=dtype, **conv.options).values())


@every_conv
def test_is_within_its_bound(rng, conv):
    assert algorithms(conv) == {"winograd"}
    check(conv, rng)


@given(
    h=st.integers(3, 40),
    w=st.integers(3, 14),
    c=st.integers(16, 40),
    o=st.integers(16, 40),
    padding=st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4))] * 2),
)
def test_any_geometry_is_within_its_bound(h, w, c, o, padding):
    conv = Conv((1, h, w, c), o, (3, 3), padding=padding)
    check(conv, np.random.default_rng(h + 40 * w))


def test_the_matrices_convolve():
    """What the bounds are made of: one square, one channel, exactly."""
    rng = np.random.default_rng(0)
    d, g = rng.integers(-9, 9, (6, 6)).astype(float), rng.integers(-9, 9, (3, 3)).astype(float)
    y = A.T @ ((G @ g @ G.T) * (B.T @ d @ B)) @ A
    want = reference.conv2d(d[None, :, :, None], g[None, :, :, None])[0, :, :, 0]
    np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("passes", ["forward", "backward_input", "backward_weight"])
def test_error_is_at_most_three_times_that_of_a_chain(rng, passes):
    """Over 512 channels, largest and root mean square, against float64."""
    channels, filters = {"backward_input": (16, 512)}.get(passes, (512, 16))
    conv = Conv((3, 14, 14, channels), filters, (3, 3), padding=1)
    x, w, dy = (normal(rng, shape, np.float32) for shape in (conv.x, conv.w, conv.y))
    run, want = {
        "forward": (lambda: fastnn.conv2d(x, w, padding=1), reference.conv2d(x, w, padding=1)),
        "backward_input": (
            lambda: fastnn.conv2d_backward_input(dy, w, conv.x, padding=1),
            reference.conv2d_backward_input(dy, w, conv.x, padding=1),
        ),
        "backward_weight": (
            lambda: fastnn.conv2d_backward_weight(dy, x, conv.w, padding=1),
            reference.conv2d_backward_weight(dy, x, conv.w, padding=1),
        ),
    }[passes]
    error = np.abs(run() - want)
    with fastnn.conv_algorithm("im2col"):
        chain = np.abs(run() - want)
    assert 0 < error.max() <= 3 * chain.max()
    assert np.sqrt(np.mean(error**2)) <= 3 * np.sqrt(np.mean(chain**2))


def test_float64_does_not_use_it():
    assert "winograd" not in algorithms(CONVS[0], np.float64)


@pytest.mark.parametrize(
    "conv",
    [
        Conv((1, 8, 8, 32), 32, (3, 3), stride=2),
        Conv((1, 8, 8, 32), 32, (3, 3), stride=(1, 2)),
        Conv((1, 8, 8, 32), 32, (3, 3), dilation=2),
        Conv((1, 8, 8, 32), 32, (3, 3), groups=2),
        Conv((1, 8, 8, 32), 32, (3, 2)),
        Conv((1, 8, 8, 32), 32, (5, 5)),
    ],
    ids=str,
)
def test_other_geometries_do_not_use_it(conv):
    assert "winograd" not in algorithms(conv)


@every_conv
def test_threads_do_not_change_a_bit(rng, conv):
    x, w, b, dy = (normal(rng, shape, np.float32) for shape in (conv.x, conv.w, conv.o, conv.y))

    def run(n):
        with fastnn.threads(n):
            return (
                fastnn.conv2d(x, w, b, **conv.options, activation="tanh"),
                fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options),
                fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options),
            )

    once = run(1)
    for n in (2, 3, 5):
        for got, want in zip(run(n), once, strict=True):
            assert_same_bits(got, want)


def test_images_stand_alone(rng):
    conv = Conv((11, 14, 13, 20), 24, (3, 3), padding=1)
    x, w, dy = (normal(rng, shape, np.float32) for shape in (conv.x, conv.w, conv.y))
    y = fastnn.conv2d(x, w, padding=1)
    dx = fastnn.conv2d_backward_input(dy, w, conv.x, padding=1)
    for cut in (slice(0, 1), slice(3, 7), slice(10, 11)):
        assert_same_bits(fastnn.conv2d(x[cut], w, padding=1), y[cut])
        part = fastnn.conv2d_backward_input(dy[cut], w, x[cut].shape, padding=1)
        assert_same_bits(part, dx[cut])


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "scaled_tanh"])
def test_activations(rng, activation):
    conv = CONVS[2]
    x, w, b = (normal(rng, shape, np.float32) for shape in (conv.x, conv.w, conv.o))
    y = fastnn.conv2d(x, w, b, padding=1)
    assert_same_bits(
        fastnn.conv2d(x, w, b, padding=1, activation=activation), getattr(fastnn, activation)(y)
    )


@every_conv
def test_backward_weight_accumulates(rng, conv):
    x, w, dy = (normal(rng, shape, np.float32) for shape in (conv.x, conv.w, conv.y))
    dw = w.copy()
    fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options, accumulate=True, out=dw)
    alone = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    chunks = -(-conv.y[0] * -(-conv.y[1] // 4) * -(-conv.y[2] // 4) // 6)  # no chunk has fewer
    bound = 2 * chunks * roundoff(np.float32) * (np.abs(w) + np.abs(alone).max())
    assert_within(dw, w.astype(np.float64) + alone, bound)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_squares(rng, value):
    """An output that reads it is not finite; one of whose square none does is what it was."""
    x, w = normal(rng, (1, 16, 16, 16), np.float32), normal(rng, (16, 3, 3, 16), np.float32)
    before = fastnn.conv2d(x, w, padding=1)
    x[0, 0, 9, 3] = value
    after = fastnn.conv2d(x, w, padding=1)
    assert not np.isfinite(after[0, :2, 8:11]).any()
    outside = np.ones((16, 16), bool)
    outside[0:4, 8:12] = False
    assert_same_bits(after[0, outside], before[0, outside])
