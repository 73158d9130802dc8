"""Pooling and its gradients."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.reference.arrays import Array, Padding, Pair, Shape, f64
from fastnn.reference.windows import crop, pad, taps


def max_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    return_indices: bool = False,
) -> Any:
    """y, or (y, indices): the largest value of each window, x (N, H, W, C) -> (N, OH, OW, C).

    The index, kh*KW + kw as uint8, is that of the first NaN of the window in row-major order, else
    of the first maximum. Padding does not take part; ``stride`` is ``kernel_size`` unless given.
    """
    padded, inside = pad(x, padding, -np.inf), pad(np.ones(np.shape(x)), padding)
    windows, pixels = (  # (KH*KW, N, OH, OW, C)
        np.stack([seen for _, _, seen in taps(z, kernel_size, stride)]) for z in (padded, inside)
    )
    best = (windows == windows.max(axis=0)) | np.isnan(windows)
    indices = (best & (pixels == 1)).argmax(axis=0)  # the first that is true
    y = np.take_along_axis(windows, indices[None], axis=0)[0]
    return (y, indices.astype(np.uint8)) if return_indices else y


def max_pool2d_backward(
    dy: ArrayLike,
    indices: NDArray[np.uint8],
    x_shape: Shape,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
) -> Array:
    """dx of ``max_pool2d``: dy and indices (N, OH, OW, C) -> (N, H, W, C).

    Forward was y = x[index], so now dx[index] += dy.
    """
    dx = pad(np.zeros(x_shape), padding)
    for tap, (_, _, seen) in enumerate(taps(dx, kernel_size, stride)):
        seen += np.where(indices == tap, f64(dy), 0.0)
    return crop(dx, padding)


def avg_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window: x (N, H, W, C) -> (N, OH, OW, C); padding is 0.

    The divisor is KH*KW, or the number of pixels inside the image without count_include_pad.
    """
    total = sum(seen for _, _, seen in taps(pad(x, padding), kernel_size, stride))
    return total / _divisor(np.shape(x), kernel_size, stride, padding, count_include_pad)


def avg_pool2d_backward(
    dy: ArrayLike,
    x_shape: Shape,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Array:
    """dx of ``avg_pool2d``: dy (N, OH, OW, C) -> (N, H, W, C).

    Forward was y += x[tap] / divisor, so now dx[tap] += dy / divisor.
    """
    share = f64(dy) / _divisor(x_shape, kernel_size, stride, padding, count_include_pad)
    dx = pad(np.zeros(x_shape), padding)
    for _, _, seen in taps(dx, kernel_size, stride):
        seen += share
    return crop(dx, padding)


def _divisor(
    x_shape: Shape, kernel_size: Pair, stride: Pair | None, padding: Padding, include_pad: bool
) -> Array:
    """What each window's sum is divided by: (1, OH, OW, 1)."""
    inside = np.ones((1, x_shape[1], x_shape[2], 1))
    counted = pad(inside, padding, 1.0 if include_pad else 0.0)
    return np.asarray(sum(seen for _, _, seen in taps(counted, kernel_size, stride)))
