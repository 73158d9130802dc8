"""Transforms that move whole pixels."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

from fastnn.data.transforms.sample import Fill, check_images, number, pad

if TYPE_CHECKING:
    from fastnn._core import Array


class Shift:
    """Move each image by whole pixels, rows and columns each uniform in [-pixels, pixels].

    Parameters
    ----------
    pixels : int
        At least 0.
    fill : float, sequence of float or None
        What comes in: a value, one for each channel, or (None, the default) the border repeated.
    """

    def __init__(self, pixels: int, *, fill: Fill = None) -> None:
        self.pixels, self.fill = _whole(type(self).__name__, "pixels", pixels), fill

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        check_images(type(self).__name__, x)
        n, h, w, c = x.shape
        count = 2 * self.pixels + 1
        top, left = rng.integers(0, count, (2, n))
        if not x.size:
            return x
        padded = pad(x, self.pixels, self.pixels, self.fill)
        s = padded.strides
        windows = np.lib.stride_tricks.as_strided(
            padded, (n, count, count, h, w, c), (s[0], s[1], s[2], *s[1:]), writeable=False
        )
        moved: Array = windows[np.arange(n), top, left]
        return moved


class PadCrop(Shift):
    """Cut an image of the same size from the image with a border, anywhere.

    The augmentation of CIFAR in K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image
    recognition, CVPR 2016, section 4.2, where 4 pixels are padded on each side. It is `Shift` with
    another `fill`.

    Parameters
    ----------
    pixels : int
        Width of the border; default 4.
    fill : float, sequence of float or None
        Its value; default 0, the mean of normalised images.
    """

    def __init__(self, pixels: int = 4, *, fill: Fill = 0.0) -> None:
        super().__init__(pixels, fill=fill)


class HorizontalFlip:
    """Exchange left and right of each image with some probability.

    Parameters
    ----------
    probability : float
        In [0, 1], default 0.5.
    """

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = number("HorizontalFlip", "probability", probability)
        if self.probability > 1:
            raise ValueError(f"HorizontalFlip: probability must be at most 1, got {probability}")

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        check_images("HorizontalFlip", x)
        chosen = np.flatnonzero(rng.random(len(x)) < self.probability)
        flipped: Array = x.copy()
        flipped[chosen] = x[chosen, :, ::-1]
        return flipped


def _whole(function: str, name: str, value: int) -> int:
    try:
        value = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{function}: {name} must be an integer, not {kind}") from None
    if value < 0:
        raise ValueError(f"{function}: {name} must be at least 0, got {value}")
    return value
