"""Normalisation, forward and backward together, and dropout: limited by memory."""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import numpy_norm
import torch_peer
from fastnn import reference

EPS = harness.eps(np.float32)
IMAGES = [(64, 32, 32, 64), (4, 32, 32, 64), (64, 8, 8, 256), (64, 4, 4, 512)]
ROWS = [(8192, 768), (256, 768), (1024, 64), (64, 4096)]
SIZES = {"4K": 4 << 10, "256K": 256 << 10, "16M": 16 << 20}


def shape_id(shape):
    return "x".join(map(str, shape))


def normal(rng, shape):
    """Random numbers that repeat, as it takes a while to draw millions."""
    size = int(np.prod(shape))
    return np.resize(rng.standard_normal(min(size, (1 << 20) - 3), np.float32), size).reshape(shape)


def arguments(rng, shape):
    """x, dy, weight, bias, and room for y and dx."""
    x, dy, weight, bias = (normal(rng, s) for s in (shape, shape, shape[-1:], shape[-1:]))
    return x, dy, weight, bias, np.empty_like(x), np.empty_like(x)


def bound(dy, x, weight, inv_std, count, chain):
    """Of dx: sums are chains of `chain` roundings, and of `count` terms in NumPy and PyTorch."""
    g = np.abs(dy * weight).max()
    return (chain + count**0.5 + 32) * EPS * inv_std * g * (2 + np.abs(x)) ** 2


@pytest.mark.parametrize("shape", IMAGES, ids=shape_id)
def test_batch_norm_step(compare, rng, threads, shape):
    x, dy, weight, bias, y, dx = arguments(rng, shape)
    running = np.zeros_like(weight), np.ones_like(weight)
    _, mean, inv_std = reference.batch_norm(x, return_stats=True)
    want = reference.batch_norm_backward(dy, x, mean, inv_std, weight)[0]
    limit = bound(dy, x, weight, inv_std, x.size / shape[-1], 144)

    def step():
        _, mean, inv_std = fastnn.batch_norm(x, weight, bias, *running, return_stats=True, out=y)
        return fastnn.batch_norm_backward(dy, x, mean, inv_std, weight, out=dx)[0]

    rows = (-1, shape[-1])
    compare(
        op="batch_norm and backward",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=step,
        check=lambda dx: harness.assert_within(np.reshape(dx, shape), want, limit),
        numpy=lambda: numpy_norm.batch_norm_step(
            x.reshape(rows), dy.reshape(rows), weight, bias, y.reshape(rows), dx.reshape(rows)
        ),
        torch=lambda: torch_peer.batch_norm_step(threads, x, dy, weight, bias),
        from_torch=torch_peer.nhwc,
        nbytes=7 * x.nbytes,
        footprint=4 * x.nbytes,
        group="batch_norm and backward",
        rounds=harness.ROUNDS if x.size < 1 << 22 else 7,
    )


@pytest.mark.parametrize("shape", ROWS, ids=shape_id)
def test_layer_norm_step(compare, rng, threads, shape):
    x, dy, weight, bias, y, dx = arguments(rng, shape)
    _, mean, inv_std = reference.layer_norm(x, shape[-1], return_stats=True)
    want = reference.layer_norm_backward(dy, x, mean, inv_std, weight)[0]
    limit = bound(dy, x, weight, inv_std[:, None], shape[-1], 144)

    def step():
        _, mean, inv_std = fastnn.layer_norm(x, shape[-1], weight, bias, return_stats=True, out=y)
        return fastnn.layer_norm_backward(dy, x, mean, inv_std, weight, out=dx)[0]

    compare(
        op="layer_norm and backward",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=step,
        check=lambda dx: harness.assert_within(dx, want, limit),
        numpy=lambda: numpy_norm.layer_norm_step(x, dy, weight, bias, y, dx),
        torch=lambda: torch_peer.layer_norm_step(threads, x, dy, weight, bias),
        from_torch=torch_peer.arrays,
        nbytes=5 * x.nbytes,
        footprint=4 * x.nbytes,
        group="layer_norm and backward",
        rounds=harness.ROUNDS if x.size < 1 << 22 else 7,
    )


@pytest.mark.parametrize("shape", IMAGES[1:3], ids=shape_id)
def test_group_norm_step(compare, rng, threads, shape):
    x, dy, _, _, y, dx = arguments(rng, shape)
    n, c, groups = shape[0], shape[-1], 8
    one, zero = np.ones(c, np.float32), np.zeros(c, np.float32)
    _, mean, inv_std = reference.group_norm(x, groups, return_stats=True)
    want = reference.group_norm_backward(dy, x, mean, inv_std)[0]
    limit = bound(dy, x, one, inv_std.max(), x.size / n / groups, 144)

    def step():
        _, mean, inv_std = fastnn.group_norm(x, groups, one, zero, return_stats=True, out=y)
        return fastnn.group_norm_backward(dy, x, mean, inv_std, one, out=dx)[0]

    pixels = (n, -1, c)
    compare(
        op="group_norm and backward",
        shape=f"{shape_id(shape)}, {groups} groups",
        dtype=np.float32,
        threads=threads,
        ours=step,
        check=lambda dx: harness.assert_within(np.reshape(dx, shape), want, limit),
        numpy=lambda: numpy_norm.group_norm_step(
            x.reshape(pixels), dy.reshape(pixels), groups, y.reshape(pixels), dx.reshape(pixels)
        ),
        torch=lambda: torch_peer.group_norm_step(threads, x, dy, groups, one, zero),
        from_torch=torch_peer.nhwc,
        nbytes=7 * x.nbytes,
        footprint=4 * x.nbytes,
    )


@pytest.mark.parametrize("shape", [(8, 27, 27, 96)], ids=shape_id)
def test_local_response_norm(compare, rng, threads, shape):
    x, y = normal(rng, shape), np.empty(shape, np.float32)
    want = reference.local_response_norm(x, 5)
    rows = (-1, shape[-1])

    compare(
        op="local_response_norm",
        shape=f"{shape_id(shape)}, 5",
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.local_response_norm, x, 5, out=y),
        check=lambda y: harness.assert_within(np.reshape(y, shape), want, 16 * EPS * np.abs(want)),
        numpy=lambda: numpy_norm.local_response_norm(
            x.reshape(rows), 5, np.empty_like(x).reshape(rows)
        ),
        torch=lambda: torch_peer.local_response_norm(threads, x, 5),
        from_torch=torch_peer.nhwc,
        nbytes=2 * x.nbytes,
    )


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_dropout(compare, rng, threads, size):
    x = normal(rng, size)
    deviations = 6 * (0.25 / size) ** 0.5

    def check(y):
        """Elements are 0 or twice as large, half of each."""
        y = np.asarray(y)
        kept = y != 0
        harness.assert_within(y, np.where(kept, 2 * x, 0), 0)
        harness.assert_within(kept.mean(), 0.5, deviations)

    compare(
        op="dropout",
        shape=f"{size:,}",
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.dropout, x, seed=1, out=np.empty_like(x)),
        check=check,
        numpy=lambda: numpy_norm.dropout(x, 0.5, np.empty_like(x)),
        torch=lambda: torch_peer.dropout(threads, x, 0.5),
        from_torch=lambda result: torch_peer.arrays(result[0]),
        nbytes=2 * x.nbytes,
    )
