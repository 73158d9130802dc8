"""Elementwise kernels with broadcasting, and sums, in plain NumPy."""

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, f64


def _sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    lead = x.ndim - len(shape)
    axes = tuple(i for i in range(x.ndim) if i < lead or shape[i - lead] != x.shape[i])
    return np.asarray(x.sum(axis=axes)).reshape(shape)


def add(a: ArrayLike, b: ArrayLike) -> Array:
    return np.asarray(f64(a) + f64(b))


def add_backward(
    dy: ArrayLike, a_shape: tuple[int, ...], b_shape: tuple[int, ...]
) -> tuple[Array, Array]:
    return _sum_to(f64(dy), a_shape), _sum_to(f64(dy), b_shape)


def mul(a: ArrayLike, b: ArrayLike) -> Array:
    return np.asarray(f64(a) * f64(b))


def mul_backward(dy: ArrayLike, a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    return (
        _sum_to(np.asarray(f64(dy) * f64(b)), np.shape(a)),
        _sum_to(np.asarray(f64(dy) * f64(a)), np.shape(b)),
    )


def add_relu(a: ArrayLike, b: ArrayLike) -> Array:
    return np.maximum(f64(a) + f64(b), 0)


def column_sum(x: ArrayLike) -> Array:
    x = f64(x)
    return np.asarray(x.sum(axis=tuple(range(x.ndim - 1))))


def row_sum(x: ArrayLike) -> Array:
    return np.asarray(f64(x).sum(axis=-1))


def l2_norm(x: ArrayLike) -> Array:
    return np.asarray(np.sqrt((f64(x) ** 2).sum(axis=-1)))


def l2_norm_backward(dy: ArrayLike, x: ArrayLike, y: ArrayLike) -> Array:
    y = f64(y)
    ratio = np.where(y == 0, 0, f64(dy) / np.where(y == 0, 1, y))
    return np.asarray(f64(x) * ratio[..., None])


def prelu(x: ArrayLike, w: ArrayLike) -> Array:
    x = f64(x)
    return np.where(x > 0, x, f64(w) * x)


def prelu_backward(dy: ArrayLike, x: ArrayLike, w: ArrayLike) -> tuple[Array, Array]:
    dy, x = f64(dy), f64(x)
    dx = np.where(x > 0, dy, f64(w) * dy)
    return dx, _sum_to(np.where(x > 0, 0, x * dy), np.shape(w))
