"""Convolution by Winograd's F(4x4, 3x3) and F(2x2, 5x5): errors, and what bits depend on."""

import numpy as np
import pytest
from hypothesis import assume, given
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


def evaluate(size):
    """A polynomial's `size` coefficients to its values at the six points."""
    last = [0] * (size - 1) + [1]
    return np.array([last[::-1], *([p**i for i in range(size)] for p in (R, -R, S, -S)), last])


SCALE = np.array([1, -2 / 3, -2 / 3, 1 / 6, 1 / 6, 1])[:, None]
G = {kernel: SCALE * evaluate(kernel) for kernel in (3, 5)}
A = {kernel: evaluate(7 - kernel) for kernel in (3, 5)}

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
    Conv((2, 3, 4, 16), 16, (5, 5), padding=2),
    Conv((1, 9, 7, 17), 33, (5, 5), padding=2),
    Conv((1, 10, 9, 24), 31, (5, 5), padding=((0, 2), (3, 1))),
    Conv((5, 9, 9, 16), 18, (5, 5), padding=2),  # several rounds: 125
    Conv((1, 8, 7, 70), 66, (5, 5)),
    Conv((1, 9, 11, 17), 18, (3, 3), padding=2, dilation=2),
    Conv((2, 7, 16, 20), 17, (3, 3), padding=(1, 4), dilation=(1, 3)),
    Conv((1, 13, 14, 16), 16, (5, 5), padding=((6, 3), (9, 0)), dilation=(3, 2)),
    Conv((2, 6, 7, 34), 48, (3, 3), padding=1, groups=2),
    Conv((1, 8, 9, 48), 51, (5, 5), padding=(2, 4), dilation=(1, 2), groups=3),
]
every_conv = pytest.mark.parametrize("conv", CONVS, ids=str)


def squares(image, size, out, down, across):
    """(N, down, across, size, size, C): squares of a batch `out` pixels apart, zeros after it."""
    padded = np.pad(image, ((0, 0), (0, out * down + size), (0, out * across + size), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return windows[:, : out * down : out, : out * across : out].transpose(0, 1, 2, 4, 5, 3)


def both(matrix, square):
    """|matrix|^T |square| |matrix| over the two axes before the last: what rounding scales with."""
    m = np.abs(matrix)
    return np.einsum("ia,...ijc,jb->...abc", m, np.abs(square), m)


def phases(dilation):
    """What sees nothing of each other: every so many rows and columns."""
    h, w = dilation
    return [np.s_[:, i::h, j::w] for i in range(h) for j in range(w)]


def forward_size(x, w, padding, dilation):
    """What each output's rounding errors are relative to: the formula with absolute values."""
    kernel = w.shape[1]
    out = 7 - kernel
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    span = [(kernel - 1) * d for d in dilation]
    size = np.zeros((len(x), padded.shape[1] - span[0], padded.shape[2] - span[1], len(w)))
    u = both(G[kernel].T, w)
    for phase in phases(dilation):
        OH, OW = size[phase].shape[1:3]
        down, across = -(-OH // out), -(-OW // out)
        v = both(B, squares(padded[phase], 6, out, down, across))
        y = both(A[kernel], np.einsum("nhwijc,oijc->nhwijo", v, u))
        y = y.transpose(0, 1, 3, 2, 4, 5).reshape(len(x), out * down, out * across, len(w))
        size[phase] = y[:, :OH, :OW]
    return size


def weight_size(dy, x, kernel, padding, dilation):
    """The same of the gradient of the filters; and how many terms a sum over squares has."""
    out = 7 - kernel
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    size, terms = 0, 0
    for phase in phases(dilation):
        down, across = (-(-n // out) for n in dy[phase].shape[1:3])
        v = both(B, squares(padded[phase], 6, out, down, across))
        m = both(A[kernel].T, squares(dy[phase], out, out, down, across))
        size = size + np.einsum("nhwijc,nhwijo->oijc", v, m)
        terms += len(x) * down * across
    return both(G[kernel], size), terms


def pair(value):
    return (value, value) if isinstance(value, int) else value


def sides(padding):
    """((top, bottom), (left, right))."""
    return tuple(pair(p) for p in pair(padding))


def turned(w):
    """The filters of which the gradient of x is the convolution of dy: (C, KH, KW, O)."""
    return w[:, ::-1, ::-1].transpose(3, 1, 2, 0)


ROUNDINGS = 2 * 4 + 2 * 6 + 2 * 5
"""Of the transforms along both axes: at most 4 for an input, 6 for a filter, 5 for an output."""


def grouped(conv, function, *arrays):
    """The function of each group's arrays, which have their channels or filters along an axis."""
    parts = [np.array_split(a, conv.groups, axis) for a, axis in arrays]
    return [function(*group) for group in zip(*parts, strict=True)]


def check(conv, rng, dtype):
    x, w, b, dy = (normal(rng, shape, dtype) for shape in (conv.x, conv.w, conv.o, conv.y))
    eps = roundoff(dtype)
    kernel, padding, dilation = conv.kernel[0], sides(conv.padding), pair(conv.dilation)
    y = fastnn.conv2d(x, w, b, **conv.options)
    size = np.concatenate(
        grouped(conv, lambda x, w: forward_size(x, w, padding, dilation), (x, 3), (w, 0)), 3
    )
    bound = (conv.w[3] + ROUNDINGS + 1) * eps * (size + np.abs(b))
    assert_within(y, reference.conv2d(x, w, b, **conv.options), bound)

    dx = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)
    reach = [(kernel - 1) * d for d in dilation]
    flipped = [tuple(r - p for p in side) for r, side in zip(reach, padding, strict=True)]
    cropped = dy
    for axis, (before, after) in enumerate(flipped, 1):  # where padding is above the reach
        cut = slice(max(0, -before), cropped.shape[axis] - max(0, -after))
        cropped = cropped[(slice(None),) * axis + (cut,)]
    around = np.maximum(flipped, 0).tolist()
    size = grouped(
        conv, lambda dy, w: forward_size(dy, turned(w), around, dilation), (cropped, 3), (w, 0)
    )
    bound = (conv.o // conv.groups + ROUNDINGS) * eps * np.concatenate(size, 3)
    assert_within(dx, reference.conv2d_backward_input(dy, w, conv.x, **conv.options), bound)

    dw = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    sizes = grouped(
        conv, lambda dy, x: weight_size(dy, x, kernel, padding, dilation), (dy, 3), (x, 3)
    )
    bound = (sizes[0][1] + ROUNDINGS + 1) * eps * np.concatenate([size for size, _ in sizes])
    assert_within(dw, reference.conv2d_backward_weight(dy, x, conv.w, **conv.options), bound)


def algorithms(conv, dtype=np.float32):
    return set(fastnn.get_conv2d_algorithms(conv.x, conv.w, dtype=dtype, **conv.options).values())


@every_conv
def test_is_within_its_bound(rng, conv, dtype):
    assert algorithms(conv, dtype) == {"winograd"}
    check(conv, rng, dtype)


@given(
    kernel=st.sampled_from((3, 5)),
    h=st.integers(3, 40),
    w=st.integers(3, 14),
    c=st.integers(16, 40),
    o=st.integers(16, 40),
    padding=st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 4))] * 2),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    groups=st.integers(1, 2),
    dtype=st.sampled_from((np.float32, np.float64)),
)
def test_any_geometry_is_within_its_bound(kernel, h, w, c, o, padding, dilation, groups, dtype):
    grown = [size + sum(p) for size, p in zip((h, w), padding, strict=True)]
    counts = [n - (kernel - 1) * d for n, d in zip(grown, dilation, strict=True)]
    assume(min(counts) > 0)
    x = (1, h, w, c * groups)
    conv = Conv(x, o * groups, (kernel, kernel), 1, padding, dilation, groups)
    assume(algorithms(conv) == {"winograd"})
    check(conv, np.random.default_rng(h + 40 * w), dtype)


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_matrices_convolve(kernel):
    """What the bounds are made of: one square, one channel, exactly."""
    rng = np.random.default_rng(0)
    d, g = (rng.integers(-9, 9, (n, n)).astype(float) for n in (6, kernel))
    u = G[kernel] @ g @ G[kernel].T
    y = A[kernel].T @ (u * (B.T @ d @ B)) @ A[kernel]
    want = reference.conv2d(d[None, :, :, None], g[None, :, :, None])[0, :, :, 0]
    np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("passes", ["forward", "backward_input", "backward_weight"])
def test_error_is_at_most_three_times_that_of_a_chain(rng, passes, kernel):
    """Over 512 channels, largest and root mean square, against float64."""
    channels, filters = {"backward_input": (16, 512)}.get(passes, (512, 16))
    conv = Conv((3, 14, 14, channels), filters, (kernel, kernel), padding=kernel // 2)
    x, w, dy = (normal(rng, shape, np.float32) for shape in (conv.x, conv.w, conv.y))
    function, *args = {
        "forward": ("conv2d", x, w),
        "backward_input": ("conv2d_backward_input", dy, w, conv.x),
        "backward_weight": ("conv2d_backward_weight", dy, x, conv.w),
    }[passes]
    want = getattr(reference, function)(*args, padding=conv.padding)

    def run():
        return getattr(fastnn, function)(*args, padding=conv.padding)

    error = np.abs(run() - want)
    with fastnn.conv_algorithm("im2col"):
        chain = np.abs(run() - want)
    assert 0 < error.max() <= 3 * chain.max()
    assert np.sqrt(np.mean(error**2)) <= 3 * np.sqrt(np.mean(chain**2))


@pytest.mark.parametrize(
    "conv",
    [
        Conv((1, 8, 8, 32), 32, (3, 3), stride=2),
        Conv((1, 8, 8, 32), 32, (3, 3), stride=(1, 2)),
        Conv((1, 8, 8, 30), 60, (3, 3), groups=2),
        Conv((1, 8, 8, 60), 30, (3, 3), groups=2),
        Conv((1, 4, 9, 32), 32, (3, 3), padding=1, dilation=2),  # phases of two rows
        Conv((1, 8, 8, 32), 32, (3, 5)),
        Conv((1, 8, 8, 32), 32, (4, 4)),
    ],
    ids=str,
)
def test_other_geometries_do_not_use_it(conv, dtype):
    assert "winograd" not in algorithms(conv, dtype)


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
    dilation = pair(conv.dilation)
    most = [-(-n // d // 2) * d for n, d in zip(conv.y[1:3], dilation, strict=True)]
    terms = conv.y[0] * np.prod(most)
    chunks = -(-terms // 6)  # none has fewer squares, which are of 2 x 2 outputs or more
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
