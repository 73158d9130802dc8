"""Activations, of any shape; each backward takes the output y."""

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, f64


def relu(x: ArrayLike) -> Array:
    """y = max(x, 0); relu(nan) = nan and relu(-0.0) = 0.0."""
    x = f64(x)
    return np.where(x <= 0, 0.0, x)


def relu_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = 0 where y <= 0, else dy."""
    return np.where(f64(y) <= 0, 0.0, f64(dy))


def sigmoid(x: ArrayLike) -> Array:
    """y = 1 / (1 + exp(-x)), through exp(-abs(x)), which cannot overflow."""
    x = f64(x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * y * (1 - y)."""
    y = f64(y)
    return f64(dy) * y * (1.0 - y)


def tanh(x: ArrayLike) -> Array:
    """y = tanh(x)."""
    return np.tanh(f64(x))


def tanh_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * (1 - y*y)."""
    y = f64(y)
    return f64(dy) * (1.0 - y * y)


def scaled_tanh(x: ArrayLike) -> Array:
    """y = 1.7159 * tanh(2/3 * x): LeCun et al. 1998, "Efficient BackProp", section 4.4."""
    return 1.7159 * np.tanh(2.0 / 3.0 * f64(x))


def scaled_tanh_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * 2/3 * (1.7159 - y*y / 1.7159)."""
    y = f64(y)
    return f64(dy) * 2.0 / 3.0 * (1.7159 - y * y / 1.7159)


def activate(x: Array, activation: str | None) -> Array:
    functions = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh, "scaled_tanh": scaled_tanh}
    return functions[activation](x) if activation else x
