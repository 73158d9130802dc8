"""Normalisation and dropout in NumPy, forward and backward in place of arrays that exist."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Contestants = dict[str, Callable[[], Any]]


def _standardize(x: Array, axis: int, out: Array) -> Array:
    """Out = xhat; return 1 / sqrt(var + 1e-5)."""
    np.subtract(x, x.mean(axis, keepdims=True), out=out)
    square = np.einsum("ij,ij->j" if axis == 0 else "ij,ij->i", out, out)
    inv_std = 1 / np.sqrt(np.expand_dims(square, axis) / x.shape[axis] + x.dtype.type(1e-5))
    out *= inv_std
    return inv_std


def _differentiate(g: Array, xhat: Array, inv_std: Array, axis: int, out: Array) -> Array:
    """Out = inv_std (g - mean of g - xhat mean of g xhat); xhat is overwritten."""
    dot = np.einsum("ij,ij->j" if axis == 0 else "ij,ij->i", g, xhat)
    np.subtract(g, g.mean(axis, keepdims=True), out=out)
    xhat *= np.expand_dims(dot, axis) / g.dtype.type(g.shape[axis])
    out -= xhat
    out *= inv_std
    return out


def batch_norm_step(
    x: Array, dy: Array, weight: Array, bias: Array, y: Array, dx: Array
) -> Contestants:
    """Training forward and backward; x (P, C)."""
    xhat = np.empty_like(x)

    def step() -> Array:
        inv_std = _standardize(x, 0, xhat)
        np.multiply(xhat, weight, out=y)
        np.add(y, bias, out=y)
        np.einsum("ij,ij->j", dy, xhat)
        dy.sum(0)
        _differentiate(dy, xhat, inv_std, 0, dx)
        return np.multiply(dx, weight, out=dx)

    return {"two passes": step}


def layer_norm_step(
    x: Array, dy: Array, weight: Array, bias: Array, y: Array, dx: Array
) -> Contestants:
    """Forward and backward; x (N, I)."""
    xhat, g = np.empty_like(x), np.empty_like(x)

    def step() -> Array:
        inv_std = _standardize(x, 1, xhat)
        np.multiply(xhat, weight, out=y)
        np.add(y, bias, out=y)
        np.einsum("ij,ij->j", dy, xhat)
        dy.sum(0)
        np.multiply(dy, weight, out=g)
        return _differentiate(g, xhat, inv_std, 1, dx)

    return {"two passes": step}


def group_norm_step(x: Array, dy: Array, groups: int, y: Array, dx: Array) -> Contestants:
    """Forward and backward without weight and bias; x (N, P, C)."""
    n, p, c = x.shape
    split = (n, p, groups, c // groups)
    xs, dys, ys, dxs = (z.reshape(split) for z in (x, dy, y, dx))
    xhat = np.empty_like(xs)

    def step() -> Array:
        axes, count = (1, 3), x.dtype.type(p * c // groups)
        np.subtract(xs, xs.mean(axes, keepdims=True), out=xhat)
        square = np.einsum("npgc,npgc->ng", xhat, xhat)[:, None, :, None]
        inv_std = 1 / np.sqrt(square / count + x.dtype.type(1e-5))
        np.multiply(xhat, inv_std, out=xhat)
        np.copyto(ys, xhat)
        dot = np.einsum("npgc,npgc->ng", dys, xhat)[:, None, :, None]
        np.subtract(dys, dys.mean(axes, keepdims=True), out=dxs)
        np.multiply(xhat, dot / count, out=xhat)
        np.subtract(dxs, xhat, out=dxs)
        np.multiply(dxs, inv_std, out=dxs)
        return dx

    return {"two passes": step}


def local_response_norm(x: Array, size: int, out: Array) -> Contestants:
    """Forward with PyTorch's defaults; x (P, C)."""
    square, total = np.empty_like(x), np.empty_like(x)

    def run() -> Array:
        np.multiply(x, x, out=square)
        total[...] = square
        for step in range(1, size // 2 + 1):
            total[:, step:] += square[:, :-step]
        for step in range(1, (size - 1) // 2 + 1):
            total[:, :-step] += square[:, step:]
        np.multiply(total, x.dtype.type(1e-4 / size), out=total)
        np.add(total, 1, out=total)
        np.sqrt(total, out=square)
        np.sqrt(square, out=total)
        np.multiply(square, total, out=square)
        return np.divide(x, square, out=out)

    return {"shifted sums, two roots": run}


def dropout(x: Array, p: float, out: Array) -> Contestants:
    """Forward, other elements dropped, with the fastest of NumPy's generators."""
    scale = x.dtype.type(1 / (1 - p))

    def run(rng: np.random.Generator) -> Array:
        kept = rng.random(x.shape, np.float32) >= p
        np.multiply(x, scale, out=out)
        return np.multiply(out, kept, out=out)

    kinds = (np.random.SFC64, np.random.PCG64DXSM)
    return {kind.__name__: partial(run, np.random.Generator(kind(1))) for kind in kinds}
