"""add, mul, add_relu, prelu with broadcasting; sums and norms of rows and columns."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from bits import assert_same_bits
from fastnn import nn, reference
from fastnn.gradcheck import gradcheck

DTYPES = [np.float32, np.float64]
SHAPES = [
    ((3, 5), (3, 5)),
    ((3, 5), (5,)),
    ((3, 5), (1,)),
    ((3, 5), (3, 1)),
    ((5,), (3, 5)),
    ((3, 1), (1, 5)),
    ((2, 3, 4, 5), (3, 1, 5)),
    ((2, 1, 4, 1), (1, 3, 1, 5)),
    ((), (4,)),
    ((), ()),
    ((0, 5), (5,)),
    ((3, 0), (3, 1)),
    ((1, 1, 1), (1,)),
    ((2, 8, 8, 16), (2, 8, 8, 16)),
    ((7, 17), (17,)),
]
SPECIAL = [0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, 1e-40, -1e-40]


def integers(rng: np.random.Generator, shape: tuple, dtype: type) -> np.ndarray:
    return np.asarray(rng.integers(-8, 9, shape)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES)
def test_add_and_mul_broadcast_as_numpy(a_shape: tuple, b_shape: tuple, dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, b = integers(rng, a_shape, dtype), integers(rng, b_shape, dtype)
    for ours, numpys in ((fastnn.add, np.add), (fastnn.mul, np.multiply)):
        want = np.asarray(numpys(a, b))
        got = ours(a, b)
        assert got.shape == want.shape
        assert got.dtype == dtype
        assert np.array_equal(got, want)
    assert np.array_equal(fastnn.add_relu(a, b), np.maximum(a + b, 0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES)
def test_gradients_are_sums_over_what_was_broadcast(
    a_shape: tuple, b_shape: tuple, dtype: type
) -> None:
    rng = np.random.default_rng(1)
    a, b = integers(rng, a_shape, dtype), integers(rng, b_shape, dtype)
    dy = integers(rng, np.broadcast_shapes(a_shape, b_shape), dtype)
    for got, want in zip(
        (*fastnn.add_backward(dy, a_shape, b_shape), *fastnn.mul_backward(dy, a, b)),
        (*reference.add_backward(dy, a_shape, b_shape), *reference.mul_backward(dy, a, b)),
        strict=True,
    ):
        assert got.shape == want.shape
        assert np.array_equal(got, want)  # small integers: every sum is exact


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_strides(dtype: type) -> None:
    rng = np.random.default_rng(2)
    big = integers(rng, (8, 6, 10), dtype)
    pairs = [
        (big[::2, ::-1, ::3], big[:4, :, :4]),
        (big.T, big.T[::-1]),
        (big[:, 1:2], big[1]),
        (np.asfortranarray(big[0]), big[1]),
        (np.broadcast_to(big[0, 0], (8, 6, 10)), big),
    ]
    for a, b in pairs:
        assert np.array_equal(fastnn.add(a, b), a + b)
        assert np.array_equal(fastnn.mul(b, a), a * b)
        out = np.zeros((2, *np.broadcast_shapes(a.shape, b.shape)), dtype)[::-1]
        assert fastnn.add(a, b, out=out[1]) is not None
        assert np.array_equal(out[1], a + b)
        assert not out[0].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(dtype: type) -> None:
    values = np.array(SPECIAL, dtype)
    a, b = np.meshgrid(values, values)
    with np.errstate(all="ignore"):
        assert_same_bits(fastnn.add(a, b), a + b)
        assert_same_bits(fastnn.mul(a, b), a * b)
        total = a + b
        assert np.array_equal(fastnn.add_relu(a, b), np.where(total <= 0, 0, total), equal_nan=True)
    x = values[:, None]
    w = np.array([0.25], dtype)
    with np.errstate(all="ignore"):
        want = np.where(x > 0, x, w * x)
    assert np.array_equal(fastnn.prelu(x, w), want, equal_nan=True)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_threads_change_no_bit(threads: int) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.standard_normal((2, 700, 300)).astype(np.float32)
    row, column = a[0].copy(), a[:, :1].copy()

    def everything() -> list[np.ndarray]:
        y = fastnn.l2_norm(a)
        return [
            *(fastnn.add(a, b), fastnn.mul(a, row), fastnn.add_relu(a, column), y),
            *fastnn.mul_backward(a, b, row),
            *fastnn.add_backward(a, (300,), (700, 1)),
            *(fastnn.row_sum(a), fastnn.column_sum(a), fastnn.prelu(a, row)),
            *fastnn.prelu_backward(a, b, row),
            fastnn.l2_norm_backward(y, a, y),
        ]

    with fastnn.threads(1):
        want = everything()
    with fastnn.threads(threads):
        for got, expected in zip(everything(), want, strict=True):
            assert_same_bits(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 31, 32, 33, 100, 1000])
def test_row_sums_and_norms(n: int, dtype: type) -> None:
    rng = np.random.default_rng(4)
    x = integers(rng, (3, 2, n), dtype)
    assert np.array_equal(fastnn.row_sum(x), x.sum(-1))
    assert np.array_equal(fastnn.column_sum(x), x.sum((0, 1)))
    y = rng.standard_normal((4, n)).astype(dtype)
    want = reference.l2_norm(y)
    # n roundings of squares and sums, halved by the root, and one more
    bound = (n / 2 + 1) * np.finfo(dtype).eps * want
    assert (np.abs(fastnn.l2_norm(y) - want) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradient_of_the_norm(dtype: type) -> None:
    x = np.random.default_rng(5).standard_normal((4, 6)).astype(dtype)
    x[2] = 0
    y = fastnn.l2_norm(x)
    dy = np.arange(1, 5).astype(dtype)
    dx = fastnn.l2_norm_backward(dy, x, y)
    assert not dx[2].any()
    eps = np.finfo(dtype).eps
    assert np.allclose(dx, reference.l2_norm_backward(dy, x, y), rtol=2 * eps, atol=0)
    # along x the norm grows as fast as x
    assert np.allclose((dx * x).sum(1), dy * y, rtol=8 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 5])
def test_prelu(channels: int, dtype: type) -> None:
    rng = np.random.default_rng(6)
    x, dy = integers(rng, (2, 3, 4, 5), dtype), integers(rng, (2, 3, 4, 5), dtype)
    w = integers(rng, (channels,), dtype) / 4
    assert np.array_equal(fastnn.prelu(x, w), reference.prelu(x, w))
    for got, want in zip(
        fastnn.prelu_backward(dy, x, w), reference.prelu_backward(dy, x, w), strict=True
    ):
        assert got.shape == want.shape
        assert np.array_equal(got, want)
    out = x.copy()
    assert fastnn.prelu(out, w, out=out) is out
    assert np.array_equal(out, reference.prelu(x, w))


def test_prelu_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    x, dy = rng.standard_normal((2, 4, 6)), rng.standard_normal((2, 4, 6))
    w = rng.standard_normal(6)
    tx = torch.tensor(x.transpose(0, 2, 1).copy(), requires_grad=True)
    tw = torch.tensor(w, requires_grad=True)
    torch.nn.functional.prelu(tx, tw).backward(torch.tensor(dy.transpose(0, 2, 1).copy()))
    dx, dw = fastnn.prelu_backward(dy, x, w)
    assert np.array_equal(dx, tx.grad.numpy().transpose(0, 2, 1))
    assert np.allclose(dw, tw.grad.numpy(), rtol=1e-14)


@pytest.mark.parametrize("num_parameters", [1, 3])
def test_prelu_layer(num_parameters: int) -> None:
    layer = nn.PReLU(num_parameters, 0.3, dtype=np.float64)
    assert gradcheck(layer, np.random.default_rng(8).standard_normal((4, 2, 3)))
    assert repr(layer) == f"PReLU({num_parameters})"
    assert nn.PReLU().weight.data.tolist() == [0.25]


@pytest.mark.parametrize("shortcut", [False, True])
def test_residual_layer(shortcut: bool) -> None:
    rng = np.random.default_rng(9)

    def linear() -> nn.Linear:
        return nn.Linear(4, 4, rng=rng, dtype=np.float64)

    layer = nn.Residual(linear(), nn.Tanh(), linear(), shortcut=linear() if shortcut else None)
    x = rng.standard_normal((3, 4))
    branch = layer.branch(x)
    around = layer.shortcut(x) if shortcut else x
    assert np.array_equal(layer(x), np.maximum(around + branch, 0))
    assert gradcheck(layer, x)
    assert len(list(layer.parameters())) == (6 if shortcut else 4)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda a: fastnn.add(a, np.ones(4)), ValueError, r"a of shape \(2, 3\) and b of shape"),
        (lambda a: fastnn.add(a, np.ones(3, np.float32)), TypeError, "b is float32 but a is"),
        (lambda a: fastnn.mul(a, 2), TypeError, "mul: b must be a NumPy array, not int"),
        (lambda a: fastnn.add(a, a, out=np.ones((3, 2))), ValueError, r"out must have shape"),
        (lambda a: fastnn.add(a[:, :2], a[:, 1:], out=a[:, :2]), ValueError, "out overlaps a"),
        (lambda a: fastnn.add(a, a[:1], out=a), ValueError, "out overlaps b"),
        (lambda a: fastnn.add_backward(a, (2,), (3,)), ValueError, "does not broadcast to dy's"),
        (lambda a: fastnn.mul_backward(a, a, np.ones((2, 1, 3))), ValueError, "does not broadcast"),
        (lambda a: fastnn.row_sum(np.array(1.0)), ValueError, "at least 1 dimension"),
        (lambda a: fastnn.l2_norm_backward(a, a, a), ValueError, "dy must have shape"),
        (lambda a: fastnn.prelu(a, np.ones(2)), ValueError, "w must have one element, or one for"),
        (lambda a: fastnn.prelu(a, np.ones((1, 3))), ValueError, "w must have one element"),
        (lambda a: fastnn.prelu_backward(a[0], a, np.ones(3)), ValueError, "dy must have shape"),
        (lambda a: nn.PReLU(0), ValueError, "num_parameters must be at least 1"),
        (lambda a: nn.Residual(3), TypeError, "not a Module"),
    ],
)
def test_bad_arguments(call: object, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        call(np.ones((2, 3)))
