"""Pooling and its gradients."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.reference.activations import activate, relu
from fastnn.reference.arrays import Array, Padding, Pair, Shape, f64
from fastnn.reference.windows import crop, pad, pair, sides, taps

NONE = 255  # the index of a window that chose no pixel


def max_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    activation: str | None = None,
    return_indices: bool = False,
) -> Any:
    """y, or (y, indices): the largest value of each window, x (N, H, W, C) -> (N, OH, OW, C).

    The index, kh*KW + kw as uint8, is that of the first NaN of the window in row-major order, else
    of the first maximum. Padding does not take part; ``stride`` is ``kernel_size`` unless given.
    ``ceil_mode`` is PyTorch's: see ``_frame``. With activation "relu" y is relu(y), and the index
    is 255 where the maximum is not above 0.
    """
    padding = _frame(np.shape(x), kernel_size, stride, padding, ceil_mode)
    padded, inside = pad(x, padding, -np.inf), pad(np.ones(np.shape(x)), padding)
    windows, pixels = (  # (KH*KW, N, OH, OW, C)
        np.stack([seen for _, _, seen in taps(z, kernel_size, stride)]) for z in (padded, inside)
    )
    best = (windows == windows.max(axis=0)) | np.isnan(windows)
    indices = (best & (pixels == 1)).argmax(axis=0)  # the first that is true
    y = np.take_along_axis(windows, indices[None], axis=0)[0]
    if activation == "relu":
        indices, y = np.where(y <= 0, NONE, indices), relu(y)
    return (y, indices.astype(np.uint8)) if return_indices else y


def max_pool2d_backward(
    dy: ArrayLike,
    indices: NDArray[np.uint8],
    x_shape: Shape,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
) -> Array:
    """dx of ``max_pool2d``: dy and indices (N, OH, OW, C) -> (N, H, W, C).

    Forward was y = x[index], so now dx[index] += dy; where the index is 255, y = 0 and dy is lost.
    """
    padding = _frame(x_shape, kernel_size, stride, padding, ceil_mode)
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
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window: x (N, H, W, C) -> (N, OH, OW, C); padding is 0.

    The divisor is the number of taps inside the padded image, or inside the image without
    count_include_pad. ``ceil_mode`` is PyTorch's: see ``_frame``.
    """
    frame = _frame(np.shape(x), kernel_size, stride, padding, ceil_mode)
    total = sum(seen for _, _, seen in taps(pad(x, frame), kernel_size, stride))
    return total / _divisor(np.shape(x), kernel_size, stride, padding, frame, count_include_pad)


def avg_pool2d_backward(
    dy: ArrayLike,
    x_shape: Shape,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """dx of ``avg_pool2d``: dy (N, OH, OW, C) -> (N, H, W, C).

    Forward was y += x[tap] / divisor, so now dx[tap] += dy / divisor.
    """
    frame = _frame(x_shape, kernel_size, stride, padding, ceil_mode)
    share = f64(dy) / _divisor(x_shape, kernel_size, stride, padding, frame, count_include_pad)
    dx = pad(np.zeros(x_shape), frame)
    for _, _, seen in taps(dx, kernel_size, stride):
        seen += share
    return crop(dx, frame)


def global_avg_pool2d(x: ArrayLike) -> Array:
    """The mean over all pixels: x (N, H, W, C) -> (N, C)."""
    return np.asarray(f64(x).mean(axis=(1, 2)))


def global_avg_pool2d_backward(dy: ArrayLike, x_shape: Shape) -> Array:
    """dx of ``global_avg_pool2d``: dy (N, C) -> (N, H, W, C), dx = dy / (H*W)."""
    share = f64(dy)[:, None, None, :] / (x_shape[1] * x_shape[2])
    return np.broadcast_to(share, x_shape).copy()


def subsample2d(
    x: ArrayLike,
    coefficient: ArrayLike,
    bias: ArrayLike,
    kernel_size: Pair = 2,
    *,
    stride: Pair | None = None,
    activation: str | None = None,
) -> Array:
    """y = activation(coefficient[c] * the sum of each window + bias[c]).

    LeCun, Bottou, Bengio and Haffner 1998, section II.B; x (N, H, W, C), coefficient and bias (C,).
    """
    total = sum(seen for _, _, seen in taps(f64(x), kernel_size, stride))
    return activate(f64(coefficient) * total + f64(bias), activation)


def subsample2d_backward_input(
    dy: ArrayLike,
    coefficient: ArrayLike,
    x_shape: Shape,
    kernel_size: Pair = 2,
    *,
    stride: Pair | None = None,
) -> Array:
    """dx of ``subsample2d`` without activation.

    Forward was y += coefficient * x[tap], so now dx[tap] += coefficient * dy.
    """
    dx = np.zeros(x_shape)
    for _, _, seen in taps(dx, kernel_size, stride):
        seen += f64(coefficient) * f64(dy)
    return dx


def subsample2d_backward_coefficient(
    dy: ArrayLike, x: ArrayLike, kernel_size: Pair = 2, *, stride: Pair | None = None
) -> Array:
    """dcoefficient (C,) of ``subsample2d`` without activation: the sum of dy * the window's sum."""
    total = sum(seen for _, _, seen in taps(f64(x), kernel_size, stride))
    return np.asarray((f64(dy) * total).sum(axis=(0, 1, 2)))


def _frame(
    x_shape: Shape, kernel_size: Pair, stride: Pair | None, padding: Padding, ceil_mode: bool
) -> Padding:
    """The padding, with ceil_mode extended at the bottom and on the right to what windows reach.

    The number of windows is then rounded up, but the last must start inside the image or the
    padding before it.
    """
    if not ceil_mode:
        return padding
    steps = pair(kernel_size if stride is None else stride)
    frame = []
    for size, k, step, (before, after) in zip(
        x_shape[1:3], pair(kernel_size), steps, sides(padding), strict=True
    ):
        windows = -(-(size + before + after - k) // step) + 1
        if (windows - 1) * step >= size + before:
            windows -= 1
        reach = (windows - 1) * step + k
        frame.append((before, max(after, reach - size - before)))
    return frame[0], frame[1]


def _divisor(
    x_shape: Shape,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Padding,
    frame: Padding,
    include_pad: bool,
) -> Array:
    """What each window's sum is divided by: (1, OH, OW, 1)."""
    inside = np.ones((1, x_shape[1], x_shape[2], 1))
    counted = pad(inside, padding, 1.0 if include_pad else 0.0)
    (_, bottom), (_, right) = sides(padding)
    (_, reach_h), (_, reach_w) = sides(frame)
    counted = pad(counted, ((0, reach_h - bottom), (0, reach_w - right)))
    return np.asarray(sum(seen for _, _, seen in taps(counted, kernel_size, stride)))
