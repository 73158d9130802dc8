"""Depthwise convolution in NumPy, as fast as it gets: a filter per channel, tap after tap.

x (N, H, W, C), w (C, KH, KW, 1), y (N, OH, OW, C); the same padding on all sides. Like
numpy_baseline.py, each function returns candidates: all rows of the batch at once, or as many rows
of an image as stay in the L2 cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from numpy_baseline import Array, Contestants

CACHED = 1 << 18  # bytes of the outputs of a block of rows


class Blocks(NamedTuple):
    """How the outputs are cut: `images` and `rows` of a block."""

    images: int
    rows: int

    def slices(self, y: Array) -> Iterator[tuple[slice, slice]]:
        """Yield (images, rows) of every block."""
        for n in range(0, y.shape[0], self.images):
            for i in range(0, y.shape[1], self.rows):
                yield slice(n, n + self.images), slice(i, min(i + self.rows, y.shape[1]))


def _blocks(y: Array) -> dict[str, Blocks]:
    rows = max(1, CACHED // y[0, 0].nbytes)
    return {
        "taps": Blocks(*y.shape[:2]),
        f"taps, {min(rows, y.shape[1])} rows at a time": Blocks(1, min(rows, y.shape[1])),
    }


def _seen(padded: Array, y: Array, block: tuple[slice, slice], tap: Any, stride: int) -> Array:
    """What a tap sees from the outputs of a block."""
    images, rows = block
    kh, kw = tap
    top, bottom = rows.start * stride + kh, (rows.stop - 1) * stride + kh + 1
    right = (y.shape[2] - 1) * stride + kw + 1
    return padded[images, top:bottom:stride, kw:right:stride]


def _pad(x: Array, padded: Array, padding: int) -> None:
    if padding:
        padded[:, padding:-padding, padding:-padding] = x
    else:
        padded[...] = x


def _frame(x_shape: Any, padding: int, dtype: Any) -> Array:
    n, h, w, c = x_shape
    return np.zeros((n, h + 2 * padding, w + 2 * padding, c), dtype)


def forward(x: Array, w: Array, b: Array, stride: int, padding: int, y_shape: Any) -> Contestants:
    """y of the convolution."""
    y = np.empty(y_shape, x.dtype)
    padded = _frame(x.shape, padding, x.dtype)
    return {
        name: partial(_forward, blocks, x, w, b, stride, padding, padded, y)
        for name, blocks in _blocks(y).items()
    }


def _forward(
    blocks: Blocks,
    x: Array,
    w: Array,
    b: Array,
    stride: int,
    padding: int,
    padded: Array,
    y: Array,
) -> Array:
    _pad(x, padded, padding)
    taps = np.ascontiguousarray(w[..., 0].transpose(1, 2, 0))
    for block in blocks.slices(y):
        out = y[block]
        part = np.empty_like(out)
        out[...] = b
        for tap in np.ndindex(taps.shape[:2]):
            np.multiply(_seen(padded, y, block, tap, stride), taps[tap], out=part)
            out += part
    return y


def backward_input(dy: Array, w: Array, stride: int, padding: int, x_shape: Any) -> Contestants:
    """dx, scattered tap by tap."""
    framed = _frame(x_shape, padding, dy.dtype)
    return {
        name: partial(_backward_input, blocks, dy, w, stride, padding, framed)
        for name, blocks in _blocks(dy).items()
    }


def _backward_input(
    blocks: Blocks, dy: Array, w: Array, stride: int, padding: int, framed: Array
) -> Array:
    framed[...] = 0
    taps = np.ascontiguousarray(w[..., 0].transpose(1, 2, 0))
    for block in blocks.slices(dy):
        mine = dy[block]
        part = np.empty_like(mine)
        for tap in np.ndindex(taps.shape[:2]):
            np.multiply(mine, taps[tap], out=part)
            seen = _seen(framed, dy, block, tap, stride)
            seen += part
    h, width = framed.shape[1] - padding, framed.shape[2] - padding
    return framed[:, padding:h, padding:width]


def backward_weight(dy: Array, x: Array, stride: int, padding: int, w_shape: Any) -> Contestants:
    """dw, a sum per tap."""
    padded = _frame(x.shape, padding, x.dtype)
    return {
        name: partial(_backward_weight, blocks, dy, x, stride, padding, padded, w_shape)
        for name, blocks in _blocks(dy).items()
    }


def _backward_weight(
    blocks: Blocks, dy: Array, x: Array, stride: int, padding: int, padded: Array, w_shape: Any
) -> Array:
    _pad(x, padded, padding)
    dw = np.zeros(w_shape, x.dtype)
    for block in blocks.slices(dy):
        mine = dy[block]
        for kh, kw in np.ndindex(w_shape[1:3]):
            seen = _seen(padded, dy, block, (kh, kw), stride)
            dw[:, kh, kw, 0] += np.einsum("nijc,nijc->c", mine, seen)
    return dw
