"""Pooling, limited by memory: windows of 2 x 2 that do not overlap, and whole images."""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import numpy_baseline
import torch_peer
from fastnn import reference

EPS = harness.eps(np.float32)
LENET = [(64, 28, 28, 6), (64, 10, 10, 16)]
VGG_224 = [(4, 224, 224, 64), (4, 112, 112, 128), (4, 56, 56, 256), (4, 28, 28, 512)]
VGG_224 += [(4, 14, 14, 512)]
VGG_32 = [(64, 32, 32, 64), (64, 16, 16, 128), (64, 8, 8, 256), (64, 4, 4, 512), (64, 2, 2, 512)]
SMALL = [*LENET, (16, 32, 32, 64)]


def shape_id(shape):
    return "x".join(map(str, shape))


def normal(rng, shape, dtype=np.float32):
    """Random numbers that repeat, as it takes a while to draw millions, if not within a window."""
    size = int(np.prod(shape))
    some = rng.standard_normal(min(size, (1 << 20) - 3)).astype(dtype)
    return np.resize(some, size).reshape(shape)


def max_pool_calls(x):
    """Ours: forward with indices, then backward, each into arrays made once."""
    y, indices = fastnn.max_pool2d(x, 2, return_indices=True)
    dx = np.empty_like(x)

    def step(dy):
        _, indices = fastnn.max_pool2d(x, 2, return_indices=True, out=y)
        return fastnn.max_pool2d_backward(dy, indices, x.shape, 2, out=dx)

    return y, indices, step


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("shape", LENET + VGG_224 + VGG_32, ids=shape_id)
def test_max_pool2d_step(compare, rng, threads, shape, dtype):
    x = normal(rng, shape, dtype)
    y, indices, step = max_pool_calls(x)
    dy = normal(rng, y.shape, dtype)
    some = slice(0, 1)  # the oracle is slow
    want = reference.max_pool2d_backward(dy[some], indices[some], (1, *shape[1:]), 2)
    bound = 0 * want

    compare(
        op="max_pool2d and backward",
        shape=shape_id(shape),
        dtype=dtype,
        threads=threads,
        ours=partial(step, dy),
        check=lambda dx: harness.assert_within(dx[some], want, bound),
        numpy=lambda: numpy_baseline.max_pool2d_step(x, dy, 2, np.empty_like(y), np.empty_like(x)),
        torch=lambda: torch_peer.max_pool2d_step(threads, x, dy, 2),
        from_torch=torch_peer.nhwc,
        nbytes=2 * x.nbytes + 2 * y.nbytes + 2 * indices.nbytes,
        group="max_pool2d and backward",
        rounds=harness.ROUNDS if x.size < 1 << 22 else 5,
    )


@pytest.mark.parametrize("shape", SMALL, ids=shape_id)
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pool(compare, rng, threads, kind, shape):
    x = normal(rng, shape)
    name = f"{kind}_pool2d"
    want = getattr(reference, name)(x, 2)
    bound = 0 if kind == "max" else 4 * EPS * reference.avg_pool2d(np.abs(x), 2)
    out = np.empty(want.shape, np.float32)

    compare(
        op=name,
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(getattr(fastnn, name), x, 2, out=out),
        check=lambda y: harness.assert_within(y, want, bound),
        numpy=lambda: getattr(numpy_baseline, name)(x, 2, np.empty_like(out)),
        torch=lambda: torch_peer.pool(threads, kind, x, 2),
        from_torch=torch_peer.nhwc,
        nbytes=x.nbytes + out.nbytes,
    )


@pytest.mark.parametrize("shape", SMALL, ids=shape_id)
def test_max_pool2d_backward(compare, rng, threads, shape):
    x = normal(rng, shape)  # free of ties within a window, which NumPy's way would share
    y, indices, _ = max_pool_calls(x)
    dy = normal(rng, y.shape)
    want = reference.max_pool2d_backward(dy, indices, shape, 2)

    compare(
        op="max_pool2d_backward",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.max_pool2d_backward, dy, indices, shape, 2, out=np.empty_like(x)),
        check=lambda dx: harness.assert_within(dx, want, 0),
        numpy=lambda: numpy_baseline.max_pool2d_backward(dy, x, y, 2, np.empty_like(x)),
        nbytes=x.nbytes + dy.nbytes + indices.nbytes,
    )


@pytest.mark.parametrize("shape", SMALL, ids=shape_id)
def test_avg_pool2d_backward(compare, rng, threads, shape):
    n, h, w, c = shape
    dy = normal(rng, (n, h // 2, w // 2, c))
    want = reference.avg_pool2d_backward(dy, shape, 2)
    dx = np.empty(shape, np.float32)

    compare(
        op="avg_pool2d_backward",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.avg_pool2d_backward, dy, shape, 2, out=dx),
        check=lambda dx: harness.assert_within(dx, want, 0),  # a quarter is exact
        numpy=lambda: numpy_baseline.avg_pool2d_backward(dy, 2, np.empty_like(dx)),
        nbytes=dx.nbytes + dy.nbytes,
    )


@pytest.mark.parametrize("shape", [(16, 7, 7, 512), (64, 8, 8, 64)], ids=shape_id)
def test_global_avg_pool2d(compare, rng, threads, shape):
    x = normal(rng, shape)
    n, h, w, c = shape
    want = reference.global_avg_pool2d(x)
    bound = (h * w + 2) * EPS * reference.global_avg_pool2d(np.abs(x))
    out = np.empty((n, c), np.float32)

    compare(
        op="global_avg_pool2d",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.global_avg_pool2d, x, out=out),
        check=lambda y: harness.assert_within(y, want, bound),
        numpy=lambda: numpy_baseline.global_avg_pool2d(x, np.empty_like(out)),
        torch=lambda: torch_peer.global_avg_pool2d(threads, x),
        from_torch=lambda y: torch_peer.nhwc(y).reshape(n, c),
        nbytes=x.nbytes + out.nbytes,
    )


@pytest.mark.parametrize("shape", LENET, ids=shape_id)
def test_subsample2d(compare, rng, threads, shape):
    x, a, b = normal(rng, shape), normal(rng, shape[3:]), normal(rng, shape[3:])
    want = reference.subsample2d(x, a, b)
    bound = 6 * EPS * reference.subsample2d(np.abs(x), np.abs(a), np.abs(b))
    out = np.empty(want.shape, np.float32)

    compare(
        op="subsample2d",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.subsample2d, x, a, b, out=out),
        check=lambda y: harness.assert_within(y, want, bound),
        numpy=lambda: numpy_baseline.subsample2d(x, a, b, 2, np.empty_like(out)),
        nbytes=x.nbytes + out.nbytes,
    )
