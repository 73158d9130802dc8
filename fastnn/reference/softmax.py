"""Softmax, its logarithm and the logarithm of its sum, over one axis, each with its gradient."""

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, f64


def softmax(x: ArrayLike, *, axis: int = -1) -> Array:
    """y = exp(x - max x) / sum exp(x - max x), along the axis."""
    x = f64(x)
    e = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def softmax_backward(dy: ArrayLike, y: ArrayLike, *, axis: int = -1) -> Array:
    """dx = y * (dy - sum dy*y), the sum along the axis."""
    dy, y = f64(dy), f64(y)
    return np.asarray(y * (dy - (dy * y).sum(axis=axis, keepdims=True)))


def log_softmax(x: ArrayLike, *, axis: int = -1) -> Array:
    """y = x - max x - log(sum exp(x - max x)), along the axis."""
    x = f64(x)
    shifted = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def log_softmax_backward(dy: ArrayLike, y: ArrayLike, *, axis: int = -1) -> Array:
    """dx = dy - exp(y) * sum dy, the sum along the axis."""
    dy = f64(dy)
    return np.asarray(dy - np.exp(f64(y)) * dy.sum(axis=axis, keepdims=True))


def logsumexp(x: ArrayLike, *, axis: int = -1, keepdims: bool = False) -> Array:
    """y = max x + log(sum exp(x - max x)), along the axis, an infinite max x replaced by 0."""
    x = f64(x)
    largest = x.max(axis=axis, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        y = largest + np.log(np.exp(x - largest).sum(axis=axis, keepdims=True))
    return np.asarray(y if keepdims else y.squeeze(axis))


def logsumexp_backward(
    dy: ArrayLike, x: ArrayLike, y: ArrayLike, *, axis: int = -1, keepdims: bool = False
) -> Array:
    """dx = dy * exp(x - y)."""
    dy, x, y = f64(dy), f64(x), f64(y)
    if not keepdims:
        dy, y = np.expand_dims(dy, axis), np.expand_dims(y, axis)
    return np.asarray(dy * np.exp(x - y))
