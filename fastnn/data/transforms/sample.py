"""What the transforms share: borders, and images at points between pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from fastnn._core import Array

Fill: TypeAlias = "float | Sequence[float] | None"
"""The value beyond the border, or one for each channel; None: the nearest pixel's."""

BLOCK = 1 << 13
"""Elements of the result at a time: the arrays in between stay in the second-level cache."""


def check_images(function: str, x: Array) -> None:
    """Raise where x is no batch of images."""
    kind = getattr(x, "dtype", type(x).__name__)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"{function}: x must be float32 or float64, got {kind}")
    if x.ndim != 4:
        raise ValueError(f"{function}: x must have the shape (N, H, W, C), got {x.shape}")


def number(function: str, name: str, value: float, least: float = 0.0) -> float:
    """Return an argument as a finite float that is not less than it may be."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise TypeError(f"{function}: {name} must be a number, not {kind}") from None
    if not least <= result < np.inf:
        raise ValueError(f"{function}: {name} must be finite and at least {least:g}, got {value}")
    return result


def pad(x: Array, before: int, after: int, fill: Fill) -> Array:
    """Return images with a border, of some rows and columns before and after."""
    n, h, w, c = x.shape
    bottom, right = before + h, before + w
    padded = np.empty((n, bottom + after, right + after, c), x.dtype)
    if fill is not None:
        padded[...] = np.asarray(fill, x.dtype)
    padded[:, before:bottom, before:right] = x
    if fill is None:
        padded[:, before:bottom, :before] = x[:, :, :1]
        padded[:, before:bottom, right:] = x[:, :, -1:]
        padded[:, :before] = padded[:, before : before + 1]
        padded[:, bottom:] = padded[:, bottom - 1 : bottom]
    return padded


def sample_bilinear(x: Array, rows: Array, columns: Array, fill: Fill = None) -> Array:
    """Return images at points between their pixels, by bilinear interpolation.

    At whole numbers it is the pixel itself, exactly. Beyond the border the nearest pixel is
    repeated, or there is another pixel of the value `fill`.

    Parameters
    ----------
    x : ndarray, float32 or float64, (N, H, W, C)
    rows, columns : ndarray, broadcast to (N, OH, OW)
        The points, finite; pixel (i, j) is at (i, j).
    fill : float, sequence of float or None
        The value beyond the border, or one for each channel.

    Returns
    -------
    ndarray, (N, OH, OW, C)

    Raises
    ------
    TypeError, ValueError
        If x is no batch of images.
    """
    check_images("sample_bilinear", x)
    n, _, _, c = x.shape
    shape = np.broadcast_shapes((n, 1, 1), rows.shape, columns.shape)
    rows, columns = (
        np.broadcast_to(points, (n, *np.broadcast_shapes((1, 1), points.shape)[-2:]))
        for points in (rows, columns)
    )
    result = np.empty((*shape, c), x.dtype)
    if x.size and result.size:
        step = -(-BLOCK * n // result.size)
        for i in range(0, n, step):
            part = slice(i, i + step)
            result[part] = _sample(x[part], rows[part], columns[part], fill)
    return result


def _sample(x: Array, rows: Array, columns: Array, fill: Fill) -> Array:
    n, h, w, c = x.shape
    # one pixel before and two after: a point on the border beyond has a neighbour, of weight 0
    height, width = h + 3, w + 3
    pixels: Array = pad(x, 1, 2, fill).reshape((-1, c) if c > 1 else -1)  # single ones copy faster
    i, di = _split(rows, h, x.dtype)
    j, dj = _split(columns, w, x.dtype)
    image = np.arange(0, n * height * width, height * width)
    at = image[:, np.newaxis, np.newaxis] + (i * width + j)
    if c > 1:
        di, dj = di[..., np.newaxis], dj[..., np.newaxis]
    upper = _between(pixels, pixels[1:], at, dj)
    lower = _between(pixels[width:], pixels[width + 1 :], at, dj)
    return _lerp(upper, lower, di).reshape(*at.shape, c)


def _split(points: Array, size: int, dtype: np.dtype) -> tuple[Array, Array]:
    """Return the pixels before points in a padded axis, and the distances from them."""
    points = np.clip(np.add(points, 1, dtype=dtype), 0, size + 1)
    before = np.floor(points)
    points -= before
    return before.astype(np.int32), points


def _between(first: Array, second: Array, at: Array, distance: Array) -> Array:
    return _lerp(first.take(at, 0, mode="clip"), second.take(at, 0, mode="clip"), distance)


def _lerp(first: Array, second: Array, distance: Array) -> Array:
    """Return first where the distance is 0, exactly; overwrites both."""
    second -= first
    second *= distance
    first += second
    return first
