"""Activations in NumPy: each as few passes as there are ufuncs, at once or block by block."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from numpy_baseline import Array, Contestants, in_blocks

TWICE_SQRT_2_PI = 2 * math.sqrt(2 / math.pi)


def leaky_relu(x: Array, y: Array) -> None:
    """max(x, 0.01 x)."""
    np.multiply(x, np.float32(0.01), out=y)
    np.maximum(x, y, out=y)


def elu(x: Array, y: Array) -> None:
    """max(x, 0) + exp(min(x, 0)) - 1."""
    np.minimum(x, np.float32(0), out=y)
    np.expm1(y, out=y)
    np.maximum(x, y, out=y)


def _logistic(y: Array) -> None:
    """In place 1 / (1 + exp(-y)), y being -y already."""
    np.exp(y, out=y)
    np.add(y, np.float32(1), out=y)
    np.reciprocal(y, out=y)


def silu(x: Array, y: Array) -> None:
    """x / (1 + exp(-x))."""
    np.negative(x, out=y)
    np.exp(y, out=y)
    np.add(y, np.float32(1), out=y)
    np.divide(x, y, out=y)


def gelu(x: Array, y: Array) -> None:
    """The form by tanh, as x times a sigmoid."""
    np.multiply(x, x, out=y)
    np.multiply(y, np.float32(-0.044715 * TWICE_SQRT_2_PI), out=y)
    np.subtract(y, np.float32(TWICE_SQRT_2_PI), out=y)
    np.multiply(y, x, out=y)
    _logistic(y)
    np.multiply(x, y, out=y)


def softplus(x: Array, y: Array) -> None:
    """log(exp(0) + exp(x))."""
    np.logaddexp(x, np.float32(0), out=y)


def hard_swish(x: Array, y: Array) -> None:
    """x min(max(x + 3, 0), 6) / 6."""
    np.add(x, np.float32(3), out=y)
    np.clip(y, np.float32(0), np.float32(6), out=y)
    np.multiply(y, np.float32(1 / 6), out=y)
    np.multiply(y, x, out=y)


def softsign(x: Array, y: Array) -> None:
    """x / (1 + |x|)."""
    np.abs(x, out=y)
    np.add(y, np.float32(1), out=y)
    np.divide(x, y, out=y)


def exp(x: Array, y: Array) -> None:
    """The ufunc."""
    np.exp(x, out=y)


def log(x: Array, y: Array) -> None:
    """The ufunc."""
    np.log(x, out=y)


def contestants(run: Callable[[Array, Array], None], x: Array, out: Array) -> Contestants:
    """At once and in blocks."""
    return in_blocks(run, (x, out))
