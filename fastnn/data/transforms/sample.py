"""What the transforms share: borders, and images at points between pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from fastnn._core import Array

Fill: TypeAlias = "float | Sequence[float] | None"
"""The value beyond the border, or one for each channel; None: the nearest pixel's."""

BLOCK = 1 << 13
"""Points at a time: the arrays in between stay in the second-level cache."""


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
    inner = np.broadcast_shapes((1, 1), rows.shape[-2:], columns.shape[-2:])
    rows, columns = (np.broadcast_to(points, (len(x), *inner)) for points in (rows, columns))
    sampler = Sampler(x, inner, fill)
    for part in sampler.blocks():
        sampler.sample(part, rows[part], columns[part])
    return sampler.result


class Sampler:
    """Points between the pixels of images, some images at a time: `sample_bilinear` in steps.

    Parameters
    ----------
    x : ndarray, (N, H, W, C)
    shape : (int, int)
        Of the points of each image.
    fill : float, sequence of float or None
        As in `sample_bilinear`.
    """

    def __init__(self, x: Array, shape: tuple[int, int], fill: Fill) -> None:
        n, h, w, c = x.shape
        self.result = np.empty((n, *shape, c), x.dtype)
        points = shape[0] * shape[1]
        self.step = min(n, -(-BLOCK // max(1, points)))
        if not (x.size and points):
            self.step = 0
            return
        # one pixel before and two after: a point on the border beyond has a neighbour, of weight 0
        self.planes = np.ascontiguousarray(np.moveaxis(pad(x, 1, 2, fill), 3, 0)).reshape(c, n, -1)
        self.width, self.last = w + 3, (h + 1, w + 1)
        size, count = self.step * (h + 3) * (w + 3), self.step * points
        exact = np.float32 if x.dtype == np.float32 and size < 1 << 24 else np.float64
        self.image = np.arange(0, size, (h + 3) * (w + 3), dtype=exact).repeat(points)
        self.before = np.empty((2, count), exact)
        self.distance = np.empty((2, count), x.dtype)
        self.at = np.empty(count, np.intp)
        self.pixels = np.empty((3, count), x.dtype)

    def blocks(self) -> Iterator[slice]:
        """Yield the images of each step: what is computed for them stays in the caches."""
        if self.step:
            for i in range(0, len(self.result), self.step):
                yield slice(i, i + self.step)

    def sample(self, part: slice, rows: Array, columns: Array) -> None:
        """Write the results of one of the blocks; its points have the shape (step, OH, OW)."""
        self._locate(rows.reshape(-1), columns.reshape(-1))
        for channel, plane in enumerate(self.planes[:, part]):
            self._read(plane.reshape(-1), self.result[part, ..., channel])

    def _locate(self, rows: Array, columns: Array) -> None:
        """Find the pixel before each point, and how far behind it the point is."""
        count = len(rows)
        for axis, points in enumerate((rows, columns)):
            before, distance = self.before[axis, :count], self.distance[axis, :count]
            np.add(points, 1, out=distance)
            np.clip(distance, 0, self.last[axis], out=distance)
            np.floor(distance, out=before)
            np.subtract(distance, before, out=distance, casting="same_kind")
        i, j = self.before[:, :count]
        i *= self.width
        i += j
        i += self.image[:count]
        np.copyto(self.at[:count], i, casting="unsafe")

    def _read(self, pixels: Array, result: Array) -> None:
        """Interpolate between the four pixels around each point."""
        count = result.size
        at = self.at[:count]
        upper, lower, right = self.pixels[:, :count]
        down, aside = self.distance[:, :count]
        for left, start in ((upper, 0), (lower, self.width)):
            # clip: at does not leave the array, and other modes write a copy of `out`
            pixels[start:].take(at, out=left, mode="clip")
            pixels[start + 1 :].take(at, out=right, mode="clip")
            _lerp(left, right, aside)
        _lerp(upper, lower, down)
        result[...] = upper.reshape(result.shape)


def _lerp(first: Array, second: Array, distance: Array) -> None:
    """Move first towards second: not at all where the distance is 0, exactly; overwrites both."""
    second -= first
    second *= distance
    first += second
