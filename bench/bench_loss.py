"""Softmax and losses with their gradients."""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import numpy_baseline
import torch_peer
from fastnn import reference

EPS = harness.eps(np.float32)


def normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def shape_id(shape):
    return "x".join(map(str, shape))


def check_loss(want, loss_bound, gradient_bound):
    """Return a function that checks (loss, gradient)."""

    def check(result):
        harness.assert_within(result[0], want[0], loss_bound)
        harness.assert_within(result[1], want[1], gradient_bound)

    return check


@pytest.mark.parametrize("shape", [(64, 10), (256, 10), (64, 1000), (256, 1000)], ids=shape_id)
def test_softmax_cross_entropy(compare, rng, threads, shape):
    N, C = shape
    logits, labels = normal(rng, N, C), rng.integers(0, C, N)
    # C roundings of a sum of numbers up to 1; subtraction, exp, log and division are a few more
    bound = (C + 32) * EPS
    want = reference.softmax_cross_entropy(logits, labels)

    compare(
        op="softmax_cross_entropy",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.softmax_cross_entropy, logits, labels, out=np.empty_like(logits)),
        check=check_loss(want, bound * (1 + np.abs(logits).max()), bound / N),
        numpy=lambda: numpy_baseline.softmax_cross_entropy(logits, labels, np.empty_like(logits)),
        torch=lambda: torch_peer.loss(threads, "cross_entropy", logits, labels),
        from_torch=torch_peer.loss_arrays,
        nbytes=2 * logits.nbytes,
    )


@pytest.mark.parametrize("kind", ["smooth", "probabilities"])
def test_softmax_cross_entropy_of_targets(compare, rng, threads, kind):
    N, C = shape = 64, 10
    logits = normal(rng, N, C)
    smoothing = 0.1 if kind == "smooth" else 0.0
    labels = rng.integers(0, C, N) if kind == "smooth" else fastnn.softmax(normal(rng, N, C))
    onehot = np.eye(C, dtype=np.float32)[labels] if kind == "smooth" else labels
    target = ((1 - smoothing) * onehot + smoothing / C).astype(np.float32)
    bound = (C + 32) * EPS
    want = reference.softmax_cross_entropy(logits, labels, label_smoothing=smoothing)

    compare(
        op=f"softmax_cross_entropy, {kind}",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(
            fastnn.softmax_cross_entropy,
            logits,
            labels,
            label_smoothing=smoothing,
            out=np.empty_like(logits),
        ),
        check=check_loss(want, 2 * bound * (1 + np.abs(logits).max()), 2 * bound / N),
        numpy=lambda: numpy_baseline.cross_entropy_of_targets(
            logits, target, np.empty_like(logits)
        ),
        torch=lambda: torch_peer.loss(
            threads, "cross_entropy", logits, labels, label_smoothing=smoothing
        ),
        from_torch=torch_peer.loss_arrays,
        nbytes=2 * logits.nbytes,
    )


SOFTMAX = [((64, 10), -1), ((4096, 10), -1), ((256, 1000), -1), ((8, 21, 64, 64), 1)]


@pytest.mark.parametrize(("shape", "axis"), SOFTMAX, ids=lambda z: str(z).replace(" ", ""))
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_softmax(compare, rng, threads, name, shape, axis):
    x = normal(rng, *shape)
    want = getattr(reference, name)(x, axis=axis)
    out = np.empty(want.shape, np.float32)
    bound = (shape[axis] + 32) * EPS * max(1, np.abs(want).max())

    compare(
        op=name,
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(getattr(fastnn, name), x, axis=axis, out=out),
        check=lambda y: harness.assert_within(y, want, bound),
        numpy=lambda: getattr(numpy_baseline, name)(x, axis, np.empty_like(out)),
        torch=lambda: torch_peer.over_axis(threads, name, x, axis, np.empty_like(out)),
        from_torch=torch_peer.arrays,
        nbytes=x.nbytes + out.nbytes,
    )


@pytest.mark.parametrize(("shape", "axis"), SOFTMAX, ids=lambda z: str(z).replace(" ", ""))
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_backward(compare, rng, threads, name, shape, axis):
    dy, y = normal(rng, *shape), getattr(fastnn, name)(normal(rng, *shape), axis=axis)
    want = getattr(reference, f"{name}_backward")(dy, y, axis=axis)
    bound = (shape[axis] + 16) * EPS * (1 + np.abs(dy).sum(axis=axis, keepdims=True))

    compare(
        op=f"{name}_backward",
        shape=shape_id(shape),
        dtype=np.float32,
        threads=threads,
        ours=partial(getattr(fastnn, f"{name}_backward"), dy, y, axis=axis, out=np.empty_like(y)),
        check=lambda dx: harness.assert_within(dx, want, bound),
        numpy=lambda: getattr(numpy_baseline, f"{name}_backward")(dy, y, axis, np.empty_like(y)),
        torch=lambda: torch_peer.softmax_backward(threads, name, dy, y, axis),
        from_torch=torch_peer.arrays,
        nbytes=3 * y.nbytes,
    )


@pytest.mark.parametrize("size", [640, 256 << 10], ids=["640", "256K"])
@pytest.mark.parametrize("name", ["mse", "l1", "huber", "hinge", "bce_with_logits"])
def test_elementwise_loss(compare, rng, threads, name, size):
    y = normal(rng, size)
    t = normal(rng, size)
    if name == "hinge":
        t = np.sign(t)
    elif name == "bce_with_logits":
        t = fastnn.sigmoid(t)
    want = getattr(reference, name)(y, t)
    bound = 16 * EPS * (1 + np.abs(y) + np.abs(t)) ** 2

    compare(
        op=name,
        shape=f"{size:,}",
        dtype=np.float32,
        threads=threads,
        ours=partial(getattr(fastnn, name), y, t, out=np.empty_like(y)),
        # the peers sum in float32, pairwise or in vectors
        check=check_loss(want, 64 * bound.mean(), bound / size),
        numpy=lambda: getattr(numpy_baseline, name)(y, t, np.empty_like(y)),
        torch=lambda: torch_peer.loss(threads, name, y, t),
        from_torch=torch_peer.loss_arrays,
        nbytes=3 * y.nbytes,
    )
