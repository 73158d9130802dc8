"""conv_transpose2d and its two gradients."""

from dataclasses import dataclass

import numpy as np
import pytest

import fastnn
from arrays import integers, normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference

pytestmark = pytest.mark.isa


@dataclass(frozen=True)
class Case:
    """x (N, H, W, I), w (I, KH, KW, O // groups), y (N, OH, OW, O)."""

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    options: dict

    @property
    def o(self):
        return self.w[3] * self.options.get("groups", 1)

    @property
    def y(self):
        return reference.conv_transpose2d(np.zeros(self.x), np.zeros(self.w), **self.options).shape

    def __str__(self):
        return f"{self.x} {self.w} {self.options}"


CASES = [
    Case((1, 1, 1, 1), (1, 1, 1, 1), {}),
    Case((2, 5, 4, 3), (3, 3, 2, 4), {}),
    Case((2, 5, 4, 3), (3, 4, 4, 7), {"stride": 2, "padding": 1}),
    Case((1, 6, 5, 8), (8, 3, 3, 17), {"stride": 2, "padding": 1, "output_padding": 1}),
    Case((2, 4, 3, 4), (4, 3, 3, 3), {"stride": (3, 1), "output_padding": (2, 0), "groups": 2}),
    Case((1, 4, 4, 2), (2, 3, 2, 5), {"padding": ((1, 0), (0, 2)), "dilation": (2, 3)}),
    # output_padding may be as large as dilation lets it be
    Case((1, 4, 4, 2), (2, 3, 2, 5), {"dilation": 3, "stride": 1, "output_padding": (2, 1)}),
    Case((2, 6, 7, 18), (18, 3, 3, 1), {"stride": 2, "padding": 1, "groups": 18}),  # depthwise
    Case((2, 7, 9, 20), (20, 3, 3, 1), {"padding": 1, "groups": 20}),
    Case((1, 5, 3, 9), (9, 2, 2, 1), {"dilation": 4, "output_padding": 3, "groups": 9}),
]

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def arrays(make, rng, case, dtype):
    """x, w, b and dy of that case."""
    return (make(rng, shape, dtype) for shape in (case.x, case.w, case.o, case.y))


@every_case
def test_integers_are_exact(rng, dtype, case):
    x, w, b, dy = arrays(integers, rng, case, dtype)
    y = np.full(case.y, np.nan, dtype=dtype)
    assert fastnn.conv_transpose2d(x, w, b, **case.options, out=y) is y
    np.testing.assert_array_equal(y, reference.conv_transpose2d(x, w, b, **case.options))
    dx = np.full(case.x, np.nan, dtype=dtype)
    assert fastnn.conv_transpose2d_backward_input(dy, w, **case.options, out=dx) is dx
    want = reference.conv_transpose2d_backward_input(dy, w, **case.options)
    np.testing.assert_array_equal(dx, want)
    dw = w.copy()
    fastnn.conv_transpose2d_backward_weight(dy, x, case.w, **case.options, out=dw)
    want = reference.conv_transpose2d_backward_weight(dy, x, case.w, **case.options)
    np.testing.assert_array_equal(dw, want)
    fastnn.conv_transpose2d_backward_weight(dy, x, case.w, **case.options, accumulate=True, out=dw)
    np.testing.assert_array_equal(dw, 2 * want)


@every_case
def test_adjoints(rng, case):
    """<T(x, w), dy> = <x, dx> = <w, dw>: exact, being integers."""
    x, w, _, dy = arrays(integers, rng, case, np.float64)
    product = (reference.conv_transpose2d(x, w, **case.options) * dy).sum()
    dx = reference.conv_transpose2d_backward_input(dy, w, **case.options)
    dw = reference.conv_transpose2d_backward_weight(dy, x, case.w, **case.options)
    assert (x * dx).sum() == product
    assert (w * dw).sum() == product


@pytest.mark.parametrize("case", [c for c in CASES if "output_padding" not in c.options], ids=str)
def test_is_the_gradient_of_conv2d(rng, dtype, case):
    """The same bits; bias and activation come after the sum."""
    x, w, b, dy = arrays(normal, rng, case, dtype)
    want = fastnn.conv2d_backward_input(x, w, case.y, **case.options)
    assert_same_bits(fastnn.conv_transpose2d(x, w, **case.options), want)
    for activation in ("relu", "sigmoid", "tanh", "scaled_tanh"):
        got = fastnn.conv_transpose2d(x, w, b, **case.options, activation=activation)
        assert_same_bits(got, getattr(fastnn, activation)(want + b))
    dx = fastnn.conv_transpose2d_backward_input(dy, w, **case.options)
    assert_same_bits(dx, fastnn.conv2d(dy, w, **case.options))


@every_case
def test_is_pytorchs(rng, dtype, case):
    """Within what rounding each product and sum can cost on either side."""
    torch = pytest.importorskip("torch")
    x, w, b, dy = arrays(normal, rng, case, dtype)
    (top, bottom), (left, right) = reference.windows.sides(case.options.get("padding", 0))
    if top != bottom or left != right:
        pytest.skip("PyTorch pads both sides alike")
    options = {**case.options, "padding": (top, left)}
    images, weights = (torch.tensor(z).permute(0, 3, 1, 2) for z in (x, w))
    images.requires_grad_()
    weights.requires_grad_()
    theirs = torch.nn.functional.conv_transpose2d(images, weights, torch.tensor(b), **options)
    theirs.backward(torch.tensor(dy).permute(0, 3, 1, 2))

    def compare(got, want, size, terms):
        want = want.detach().permute(0, 2, 3, 1).numpy()
        assert_within(got, want, 2 * terms * roundoff(dtype) * size)

    taps, pixels = case.w[1] * case.w[2], case.x[0] * case.x[1] * case.x[2]
    x_, w_, b_, dy_ = map(np.abs, (x, w, b, dy))
    compare(
        fastnn.conv_transpose2d(x, w, b, **case.options),
        theirs,
        reference.conv_transpose2d(x_, w_, b_, **case.options),
        taps * case.x[3] + 1,
    )
    compare(
        fastnn.conv_transpose2d_backward_input(dy, w, **case.options),
        images.grad,
        reference.conv_transpose2d_backward_input(dy_, w_, **case.options),
        taps * case.o,
    )
    compare(
        fastnn.conv_transpose2d_backward_weight(dy, x, case.w, **case.options),
        weights.grad,
        reference.conv_transpose2d_backward_weight(dy_, x_, case.w, **case.options),
        pixels + 1,
    )


def test_threads_change_no_bit(rng, dtype):
    case = Case(
        (3, 15, 17, 24), (24, 3, 3, 20), {"stride": 2, "padding": 1, "output_padding": (1, 0)}
    )
    x, w, b, dy = arrays(normal, rng, case, dtype)

    def results():
        return [
            fastnn.conv_transpose2d(x, w, b, **case.options, activation="tanh"),
            fastnn.conv_transpose2d_backward_input(dy, w, **case.options),
            fastnn.conv_transpose2d_backward_weight(dy, x, case.w, **case.options),
        ]

    with fastnn.threads(1):
        want = results()
    for n in (2, 3, 5):
        with fastnn.threads(n):
            for got, one in zip(results(), want, strict=True):
                assert_same_bits(got, one)


def test_no_images(rng, dtype):
    x, w, b = normal(rng, (0, 4, 5, 3), dtype), normal(rng, (3, 3, 3, 2), dtype), np.ones(2, dtype)
    y = fastnn.conv_transpose2d(x, w, b, stride=2)
    assert y.shape == (0, 9, 11, 2)
    dx = fastnn.conv_transpose2d_backward_input(y, w, stride=2)
    assert dx.shape == x.shape
    dw = fastnn.conv_transpose2d_backward_weight(y, x, w.shape, stride=2)
    assert_same_bits(dw, np.zeros(w.shape, dtype))


def test_no_input_channels(dtype):
    x, w, b = np.ones((1, 2, 2, 0), dtype), np.ones((0, 3, 3, 2), dtype), np.array([1, 2], dtype)
    y = fastnn.conv_transpose2d(x, w, b)
    assert_same_bits(y, np.broadcast_to(b, (1, 4, 4, 2)))


def f32(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("x", "w", "options", "match"),
    [
        ((1, 4, 4, 3), (2, 3, 3, 5), {}, "w expects 2 input channels, x has 3"),
        ((1, 4, 4, 3), (3, 3, 3, 5), {"groups": 2}, "groups = 2 does not divide the 3"),
        ((1, 0, 4, 3), (3, 3, 3, 5), {}, "x must have at least 1 rows"),
        ((1, 4, 0, 3), (3, 3, 3, 5), {}, "x must have at least 1 columns"),
        ((1, 4, 4, 3), (3, 0, 3, 5), {}, "the kernel must have at least 1 rows"),
        ((1, 4, 4, 3), (3, 3, 3, 5), {"padding": 3}, "padding leaves nothing"),
        ((1, 4, 4, 3), (3, 3, 3, 5), {"output_padding": 1}, "output_padding must be smaller"),
        ((1, 4, 4, 3), (3, 3, 3, 5), {"stride": 0}, "stride must be from 1"),
        ((1, 4, 4, 3), (3, 3, 3, 5), {"stride": 2**31 - 1}, "a result of .* rows is too large"),
        ((1, 4, 4, 3), (3, 3, 3, 5), {"dilation": 2**31 - 1}, "a result of .* rows is too large"),
        ((1, 4, 4, 3), (3, 3, 3, 5), {"stride": (1, 2**30)}, "a result of .* columns is too large"),
    ],
)
def test_refuses(x, w, options, match):
    with pytest.raises(ValueError, match=f"^conv_transpose2d: {match}"):
        fastnn.conv_transpose2d(f32(*x), f32(*w), **options)


def test_a_result_too_large_to_allocate():
    x = np.broadcast_to(np.float32(0), (8, 2**20, 2**20, 1))
    with pytest.raises(ValueError, match=r"^conv_transpose2d: a result of shape .* is too large"):
        fastnn.conv_transpose2d(x, f32(1, 1, 1, 1), stride=2**10)


@pytest.mark.parametrize(
    ("dy", "options", "match"),
    [
        ((1, 5, 4, 5), {}, "w makes 4 channels, dy has 5"),
        ((1, 2, 4, 4), {}, "dy of 2 rows is of no x"),
        ((1, 4, 6, 4), {"stride": 2}, "dy of 4 rows is of no x"),
        ((1, 5, 6, 4), {"stride": 2}, "dy of 6 columns is of no x"),
    ],
)
def test_backward_input_refuses(dy, options, match):
    with pytest.raises(ValueError, match=f"^conv_transpose2d_backward_input: {match}"):
        fastnn.conv_transpose2d_backward_input(f32(*dy), f32(3, 3, 3, 4), **options)
