"""vector_norm and clip_grad_norm."""

import math

import numpy as np
import pytest

import fastnn
from arrays import normal
from bits import assert_same_bits
from fastnn import nn, optim, reference

EPS64 = float(np.finfo(np.float64).eps)


@pytest.mark.isa
@pytest.mark.parametrize("ord", [1, 2, math.inf])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 8191, 8192, 8193, 100003])
def test_norm(rng, dtype, ord, size):
    x = normal(rng, size, dtype)
    want = reference.vector_norm(x, ord=ord)
    got = fastnn.vector_norm(x, ord=ord)
    # each element passes fewer than 8192/16 + 16 + 13 additions here, and NumPy's in pairs fewer
    assert abs(got - want) <= (0 if ord == math.inf else 600 * EPS64 * want)


def test_norm_is_exact_for_small_integers(dtype):
    x = np.arange(-3000, 3000, dtype=dtype)
    assert fastnn.vector_norm(x, ord=1) == 9_000_000
    assert fastnn.vector_norm(x, ord=math.inf) == 3000
    assert fastnn.vector_norm(x) == math.sqrt(18_000_001_000)


@pytest.mark.parametrize("ord", [1, 2, math.inf])
def test_norm_of_any_layout(rng, dtype, ord):
    x = normal(rng, (20, 30), dtype)
    part = x[::-3, 1::2]
    assert fastnn.vector_norm(part, ord=ord) == fastnn.vector_norm(part.copy(), ord=ord)
    assert fastnn.vector_norm(np.array(-2, dtype), ord=ord) == 2


@pytest.mark.parametrize("ord", [1, 2, math.inf])
@pytest.mark.parametrize("at", [0, 5, 40, 9000])
def test_norm_of_nan_and_infinity(dtype, ord, at):
    x = np.ones(9001, dtype)
    x[at] = -math.inf
    assert fastnn.vector_norm(x, ord=ord) == math.inf
    x[4] = math.nan
    assert math.isnan(fastnn.vector_norm(x, ord=ord))


def test_large_values_of_float32_do_not_overflow():
    assert fastnn.vector_norm(np.full(4, 2.0**127, np.float32)) == 2.0**128


@pytest.mark.parametrize("ord", [0, 3, -1, math.nan, "fro", None])
def test_bad_ord(ord):
    with pytest.raises(ValueError, match=r"^vector_norm: ord must be 1, 2 or infinity"):
        fastnn.vector_norm(np.ones(3), ord=ord)


def parameters(dtype=np.float32):
    params = [nn.Parameter(np.zeros(s, dtype)) for s in [(3, 5), (7,), (2, 1, 2)]]
    for i, p in enumerate(params):
        p.grad = np.full(p.shape, i + 1, dtype)
    return params


@pytest.mark.parametrize(("norm_type", "norm"), [(1, 41), (2, math.sqrt(79)), (math.inf, 3)])
@pytest.mark.parametrize("make", [lambda p: p, iter, lambda p: optim.SGD(p, lr=0.1)])
def test_clipping(dtype, norm_type, norm, make):
    params = parameters(dtype)
    before = [p.grad.copy() for p in params]
    source = make(params)
    got = fastnn.optim.clip_grad_norm(source, 0.5, norm_type=norm_type)
    assert abs(got - norm) <= 4 * EPS64 * norm
    factor = dtype(0.5 / (got + 1e-6))
    for p, grad in zip(params, before, strict=True):
        assert_same_bits(p.grad, grad * factor)


def test_as_pytorch():
    torch = pytest.importorskip("torch")
    params = parameters(np.float64)
    peers = [torch.nn.Parameter(torch.tensor(p.data)) for p in params]
    for p, peer in zip(params, peers, strict=True):
        peer.grad = torch.tensor(p.grad)
    norm = optim.clip_grad_norm(params, 2.0)
    want = torch.nn.utils.clip_grad_norm_(peers, 2.0).item()
    assert abs(norm - want) <= 40 * EPS64 * want
    for p, peer in zip(params, peers, strict=True):
        assert np.abs(p.grad - peer.grad.numpy()).max() <= 40 * EPS64


@pytest.mark.parametrize("max_norm", [10.0, math.inf])
def test_small_gradients_keep_their_bits(max_norm):
    params = parameters()
    optim.clip_grad_norm(params, max_norm)
    assert [p.grad.flat[0] for p in params] == [1, 2, 3]


def test_used_gradients_do_not_count():
    params = parameters()
    optimizer = optim.SGD(params, lr=0.0)
    optimizer.step()
    params[1].grad = np.ones(7, np.float32)
    assert optim.clip_grad_norm(params, math.inf, norm_type=1) == 7
    assert optim.clip_grad_norm(optimizer, math.inf, norm_type=1) == 7
    optimizer.step()
    with pytest.raises(ValueError, match=r"^SGD.flat_grad: no parameter has got a gradient"):
        optim.clip_grad_norm(optimizer, 1.0)
    with pytest.raises(ValueError, match=r"^clip_grad_norm: no parameter has got a gradient"):
        optim.clip_grad_norm(params, 1.0)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_not_finite(value):
    params = parameters()
    params[0].grad[0, 0] = value
    with pytest.raises(FloatingPointError, match=f"the norm of the gradients is {value}"):
        optim.clip_grad_norm(params, 1.0, error_if_nonfinite=True)
    assert params[1].grad[0] == 2
    optim.clip_grad_norm(params, 1.0)
    assert math.isnan(params[0].grad[0, 0])
    assert params[1].grad[0] == 0 if value == math.inf else math.isnan(params[1].grad[0])


@pytest.mark.parametrize(
    ("source", "max_norm", "options", "error", "match"),
    [
        (3, 1.0, {}, TypeError, "expected a Module or parameters, got int"),
        ([], 1.0, {}, ValueError, "no parameters"),
        ([np.ones(3)], 1.0, {}, TypeError, "item 0 is a ndarray"),
        (None, "1", {}, TypeError, "max_norm must be a number, not str"),
        (None, -1.0, {}, ValueError, "max_norm must be at least 0, got -1.0"),
        (None, math.nan, {}, ValueError, "max_norm must be at least 0, got nan"),
        (None, 1.0, {"norm_type": 3}, ValueError, "norm_type must be 1, 2 or infinity, not 3"),
    ],
)
def test_bad_arguments(source, max_norm, options, error, match):
    with pytest.raises(error, match=f"^clip_grad_norm: .*{match}"):
        optim.clip_grad_norm(parameters() if source is None else source, max_norm, **options)
