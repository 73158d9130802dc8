"""Windows that slide over images: padding, taps, and their adjoints."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, Padding, Pair, f64


def pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def sides(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding as ((top, bottom), (left, right))."""
    height, width = (padding, padding) if isinstance(padding, int) else padding
    return pair(height), pair(width)


def pad(x: ArrayLike, padding: Padding, value: float = 0.0) -> Array:
    """x (N, H, W, C) with a frame of ``value``: (N, top+H+bottom, left+W+right, C)."""
    return np.pad(f64(x), ((0, 0), *sides(padding), (0, 0)), constant_values=value)


def crop(x: Array, padding: Padding) -> Array:
    """The adjoint of ``pad``: the frame is dropped."""
    (top, bottom), (left, right) = sides(padding)
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def taps(
    padded: Array, kernel_size: Pair, stride: Pair | None, dilation: Pair = 1
) -> Iterator[tuple[int, int, Array]]:
    """Yield (kh, kw, view): view (N, OH, OW, C) holds what tap (kh, kw) of every window sees.

    OH = (H - dilation*(KH - 1) - 1) // stride + 1 with H the padded height; likewise OW.
    ``stride`` is ``kernel_size`` where None.
    """
    (sh, sw), (dh, dw) = pair(kernel_size if stride is None else stride), pair(dilation)
    kernel_h, kernel_w = pair(kernel_size)
    span_h = padded.shape[1] - dh * (kernel_h - 1)  # rows that can start a window
    span_w = padded.shape[2] - dw * (kernel_w - 1)
    for kh in range(kernel_h):
        for kw in range(kernel_w):
            top, left = kh * dh, kw * dw
            yield kh, kw, padded[:, top : top + span_h : sh, left : left + span_w : sw]
