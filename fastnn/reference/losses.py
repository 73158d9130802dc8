"""Losses, each with its gradient."""

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, f64


def softmax(x: ArrayLike) -> Array:
    """y = exp(x - max x) / sum exp(x - max x), along the last axis: (..., C) -> (..., C)."""
    x = f64(x)
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def softmax_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = y * (dy - sum dy*y), the sum along the last axis: (..., C) -> (..., C)."""
    dy, y = f64(dy), f64(y)
    return np.asarray(y * (dy - (dy * y).sum(axis=-1, keepdims=True)))


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> tuple[float, Array]:
    """(loss, dlogits): logits (N, C), labels (N,) in [0, C).

    loss = mean over n of log sum exp(logits[n]) - logits[n, labels[n]], and
    dlogits = (softmax(logits) - onehot(labels)) / N.
    """
    logits, labels = f64(logits), np.asarray(labels)
    onehot = np.arange(logits.shape[1]) == labels[:, None]
    shifted = logits - logits.max(axis=1, keepdims=True)
    loss = (np.log(np.exp(shifted).sum(axis=1)) - shifted[onehot]).mean()
    return float(loss), (softmax(logits) - onehot) / len(labels)


def mse(y: ArrayLike, t: ArrayLike) -> tuple[float, Array]:
    """(loss, dy) with loss = mean((y - t)**2) and dy = 2 * (y - t) / size; y and t of one shape."""
    difference = f64(y) - f64(t)
    return float(np.mean(difference**2)), 2.0 * difference / difference.size
