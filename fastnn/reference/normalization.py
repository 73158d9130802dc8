"""Normalisation. Images have their channels last; weight None stands for 1, bias None for 0."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.activations import activate
from fastnn.reference.arrays import Array, Shape, f64

Stats = tuple[Array, Array, Array]


def _affine(xhat: Array, weight: ArrayLike | None, bias: ArrayLike | None) -> Array:
    if weight is not None:
        xhat = xhat * f64(weight)
    return xhat if bias is None else xhat + f64(bias)


def _moments(x: Array, axes: Shape, eps: float) -> tuple[Array, Array, Array]:
    """Mean, variance and 1 / sqrt(variance + eps), the axes kept; 0 and 0 of no elements.

    The mean of what is left of x is added to the mean: far from 0, a sum rounds coarsely.
    """
    count = max(1, int(np.prod([x.shape[i] for i in axes])))
    mean = x.sum(axes, keepdims=True) / count
    mean = mean + (x - mean).sum(axes, keepdims=True) / count
    variance = ((x - mean) ** 2).sum(axes, keepdims=True) / count
    with np.errstate(divide="ignore"):
        inv_std: Array = 1 / np.sqrt(variance + eps)
    return mean, variance, inv_std


def _input_gradient(g: Array, xhat: Array, inv_std: Array, axes: Shape) -> Array:
    """dx of xhat = (x - mean) * inv_std, where mean and inv_std are taken over the axes."""
    count = max(1, int(np.prod([g.shape[i] for i in axes])))
    mean = g.sum(axes, keepdims=True) / count
    slope = (g * xhat).sum(axes, keepdims=True) / count
    return f64(inv_std * (g - mean - xhat * slope))


def batch_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    running_mean: Any = None,
    running_var: Any = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
    return_stats: bool = False,
    batches: Any = None,
) -> Array | Stats:
    """y = (x - mean) / sqrt(var + eps) * weight + bias over all axes but the last.

    In training the running statistics, if any, are updated in place.
    """
    x = f64(x)
    axes = tuple(range(x.ndim - 1))
    if not training:
        inv_std = 1 / np.sqrt(f64(running_var) + eps)
        return activate(_affine((x - f64(running_mean)) * inv_std, weight, bias), activation)
    mean, variance, inv_std = _moments(x, axes, eps)
    count = x[..., :1].size
    if batches is not None:
        momentum = 1 / (int(batches) + 1)
    if running_mean is not None and count > 1:
        running_mean += momentum * (mean.ravel() - running_mean)
        running_var += momentum * (variance.ravel() * count / (count - 1) - running_var)
    y = activate(_affine((x - mean) * inv_std, weight, bias), activation)
    return (y, mean.ravel(), inv_std.ravel()) if return_stats else y


def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    inv_std: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    y: ArrayLike | None = None,
) -> Stats:
    """Return (dx, dweight, dbias); dy counts where y > 0."""
    dy, inv_std = f64(dy), f64(inv_std)
    if y is not None:
        dy = np.where(f64(y) <= 0, 0.0, dy)
    axes = tuple(range(dy.ndim - 1))
    xhat = (f64(x) - f64(mean)) * inv_std
    dx = _input_gradient(_affine(dy, weight, None), xhat, inv_std, axes)
    return dx, (dy * xhat).sum(axes), dy.sum(axes)


def _groups(shape: Shape, num_groups: int) -> Shape:
    pixels = int(np.prod(shape[1:-1]))
    return shape[0], pixels, num_groups, shape[-1] // num_groups


def group_norm(
    x: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    eps: float = 1e-5,
    return_stats: bool = False,
) -> Array | Stats:
    """y = (x - mean) / sqrt(var + eps) * weight + bias over an image's pixels and a group."""
    x = f64(x)
    groups = x.reshape(_groups(x.shape, num_groups))
    mean, _, inv_std = _moments(groups, (1, 3), eps)
    y = _affine(((groups - mean) * inv_std).reshape(x.shape), weight, bias)
    return (y, mean[:, 0, :, 0], inv_std[:, 0, :, 0]) if return_stats else y


def group_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    inv_std: ArrayLike,
    weight: ArrayLike | None = None,
) -> Stats:
    """Return (dx, dweight, dbias)."""
    dy, mean, inv_std = f64(dy), f64(mean)[:, None, :, None], f64(inv_std)[:, None, :, None]
    groups = _groups(dy.shape, mean.shape[2])
    xhat = (f64(x).reshape(groups) - mean) * inv_std
    dx = _input_gradient(_affine(dy, weight, None).reshape(groups), xhat, inv_std, (1, 3))
    axes = tuple(range(dy.ndim - 1))
    return dx.reshape(dy.shape), (dy * xhat.reshape(dy.shape)).sum(axes), dy.sum(axes)


def _last(shape: int | Shape) -> Shape:
    return tuple(range(-(1 if isinstance(shape, int) else len(shape)), 0))


def layer_norm(
    x: ArrayLike,
    normalized_shape: int | Shape,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    eps: float = 1e-5,
    return_stats: bool = False,
) -> Array | Stats:
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last axes."""
    x, axes = f64(x), _last(normalized_shape)
    mean, _, inv_std = _moments(x, axes, eps)
    y = _affine((x - mean) * inv_std, weight, bias)
    return (y, mean.squeeze(axes), inv_std.squeeze(axes)) if return_stats else y


def layer_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    mean: ArrayLike,
    inv_std: ArrayLike,
    weight: ArrayLike | None = None,
) -> Stats:
    """Return (dx, dweight, dbias)."""
    dy, mean, inv_std = f64(dy), f64(mean), f64(inv_std)
    axes, rows = tuple(range(mean.ndim, dy.ndim)), tuple(range(mean.ndim))
    mean, inv_std = np.expand_dims(mean, axes), np.expand_dims(inv_std, axes)
    xhat = (f64(x) - mean) * inv_std
    dx = _input_gradient(_affine(dy, weight, None), xhat, inv_std, axes)
    return dx, (dy * xhat).sum(rows), dy.sum(rows)


def rms_norm(
    x: ArrayLike,
    normalized_shape: int | Shape,
    weight: ArrayLike | None = None,
    *,
    eps: float | None = None,
    return_stats: bool = False,
) -> Array | tuple[Array, Array]:
    """y = x / sqrt(mean of x**2 + eps) * weight over the last axes."""
    if eps is None:
        eps = float(np.finfo(np.asarray(x).dtype).eps)
    x, axes = f64(x), _last(normalized_shape)
    count = max(1, int(np.prod([x.shape[i] for i in axes])))
    with np.errstate(divide="ignore"):
        inv_rms = 1 / np.sqrt((x * x).sum(axes, keepdims=True) / count + eps)
    y = _affine(x * inv_rms, weight, None)
    return (y, inv_rms.squeeze(axes)) if return_stats else y


def rms_norm_backward(
    dy: ArrayLike, x: ArrayLike, inv_rms: ArrayLike, weight: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Return (dx, dweight)."""
    dy, inv_rms = f64(dy), f64(inv_rms)
    axes, rows = tuple(range(inv_rms.ndim, dy.ndim)), tuple(range(inv_rms.ndim))
    inv_rms = np.expand_dims(inv_rms, axes)
    xhat, g = f64(x) * inv_rms, _affine(dy, weight, None)
    count = max(1, int(np.prod([dy.shape[i] for i in axes])))
    dx = inv_rms * (g - xhat * ((g * xhat).sum(axes, keepdims=True) / count))
    return dx, (dy * xhat).sum(rows)


def _window_sums(x: Array, before: int, after: int) -> Array:
    """Sums over the channels c - before .. c + after that exist."""
    before, after = min(before, x.shape[-1]), min(after, x.shape[-1])
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, after)])
    total: Array = np.zeros_like(x)
    for i in range(before + after + 1):
        total += padded[..., i : i + x.shape[-1]]
    return total


def local_response_norm(
    x: ArrayLike, size: int, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """y[c] = x[c] * (k + alpha / size * sum of x[j]**2) ** -beta, j - c from -(size // 2) on."""
    x = f64(x)
    return x * (k + alpha / size * _window_sums(x * x, size // 2, (size - 1) // 2)) ** -beta


def local_response_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    size: int,
    *,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Array:
    """dx = dy * d**-beta - 2 alpha beta / size * x * sum of dy * x * d ** (-beta - 1)."""
    dy, x = f64(dy), f64(x)
    before, after = size // 2, (size - 1) // 2
    d = k + alpha / size * _window_sums(x * x, before, after)
    others = _window_sums(dy * x * d ** (-beta - 1), after, before)
    return dy * d**-beta - 2 * alpha * beta / size * x * others
