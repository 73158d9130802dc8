"""Activations, sums and optimizer: little arithmetic, limited by memory or by calls."""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import numpy_baseline
import torch_peer
from fastnn import reference

SIZES = {"4K": 4 << 10, "256K": 256 << 10, "16M": 16 << 20}
EPS = harness.eps(np.float32)

every_size = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def long(rng, size):
    """Random numbers that repeat, as it takes a while to draw millions."""
    return np.resize(normal(rng, min(size, 1 << 16)), size)


def ends(x):
    """The first and the last elements: what is checked of a large array."""
    return np.concatenate([x[:4096], x[-4096:]])


@every_size
@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_activation(compare, rng, threads, name, size):
    x = long(rng, size)
    want = getattr(reference, name)(ends(x))
    # |y| <= 1 for sigmoid and tanh. One way to compute sigmoid in NumPy, by tanh, is only
    # absolutely accurate: three roundings below 1, and tanh's own error, at most 4 ulp.
    bound = 0 if name == "relu" else 8 * EPS

    compare(
        op=name,
        shape=f"{size:,}",
        dtype=np.float32,
        threads=threads,
        ours=partial(getattr(fastnn, name), x, out=np.empty_like(x)),
        check=lambda y: harness.assert_within(ends(y), want, bound),
        numpy=lambda: getattr(numpy_baseline, name)(x, np.empty_like(x)),
        torch=lambda: torch_peer.elementwise(threads, name, x, np.empty_like(x)),
        from_torch=torch_peer.arrays,
        nbytes=2 * x.nbytes,
    )


@every_size
def test_relu_backward(compare, rng, threads, size):
    dy, y = long(rng, size), np.maximum(long(rng, size), 0)
    want = ends(dy) * (ends(y) > 0)

    compare(
        op="relu_backward",
        shape=f"{size:,}",
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.relu_backward, dy, y, out=np.empty_like(y)),
        check=lambda dx: harness.assert_within(ends(dx), want, 0),
        numpy=lambda: numpy_baseline.relu_backward(dy, y, np.empty_like(y)),
        nbytes=3 * y.nbytes,
    )


@every_size
def test_sgd_step(compare, rng, threads, size):
    lr, momentum = 0.01, 0.9
    w, dw, v = long(rng, size), long(rng, size), long(rng, size)
    first_w, first_v = w.copy(), v.copy()
    want_v = momentum * ends(v).astype(np.float64) + ends(dw)
    want = ends(w) - lr * want_v
    # two roundings each, and those of lr and momentum
    bound = 4 * EPS * (np.abs(ends(w)) + lr * (np.abs(ends(v)) + np.abs(ends(dw))))

    def numpy():
        names = numpy_baseline.sgd_step(w, dw, v, lr, momentum)
        return {  # each with arrays of its own, as each is checked after its first step
            name: numpy_baseline.sgd_step(first_w.copy(), dw, first_v.copy(), lr, momentum)[name]
            for name in names
        }

    def check(result):  # ours returns None
        harness.assert_within(ends(w if result is None else result), want, bound)

    compare(
        op="sgd_step",
        shape=f"{size:,}",
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.sgd_step, w, dw, v, np.array([lr, momentum, 0.0])),
        check=check,
        numpy=numpy,
        nbytes=5 * w.nbytes,
        footprint=3 * w.nbytes,
    )


def shape_id(shape):
    return "x".join(map(str, shape))


@pytest.mark.parametrize("shape", [(64, 120), (6400, 16), (50176, 6)], ids=shape_id)
def test_bias_backward(compare, rng, threads, shape):
    dy = normal(rng, *shape)
    want, size = reference.bias_backward(dy), reference.bias_backward(np.abs(dy))

    compare(
        op="bias_backward",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.bias_backward, dy, out=np.empty(shape[1], np.float32)),
        check=lambda db: harness.assert_within(db, want, shape[0] * EPS * size),
        numpy=lambda: numpy_baseline.bias_backward(dy, np.empty(shape[1], np.float32)),
        nbytes=dy.nbytes,
    )
