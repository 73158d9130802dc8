"""The handwritten digits that come with the package."""

from __future__ import annotations

import operator
import os
from typing import TYPE_CHECKING

import numpy as np

from fastnn.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from fastnn._core import Array

WHITE = 16  # a pixel is the number of ink pixels in a block of 4 x 4 of the scan


def load_digits(size: int = 28, *, normalize: bool = True) -> Dataset:
    """Return 1797 handwritten digits, 1438 to train and 359 to test.

    The images are 8 x 8 with values 0 to 16: the test file of the Optical Recognition of
    Handwritten Digits data set. One fifth of each class is the test split; it was drawn at random
    once and is stored with the images. So both splits have the same writers, and an accuracy here
    is higher than on the original split by writers.

    Parameters
    ----------
    size : int
        Height and width of the images, at least 8; default 28, the size of MNIST. Larger sizes
        than 8 are made by bilinear interpolation between pixel centres (half-pixel centres, edges
        repeated).
    normalize : bool
        If true (default), pixels are shifted and scaled so that those of the training images have
        mean 0 and standard deviation 1; else they are in [0, 1].

    Returns
    -------
    Dataset
        ``(x_train, y_train), (x_test, y_test)``: images (N, size, size, 1) float32, labels (N,)
        int64.

    Raises
    ------
    TypeError, ValueError
        If `size` is no integer or less than 8.

    References
    ----------
    E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning
    Repository, 1998. https://doi.org/10.24432/C50P49, CC BY 4.0.
    """
    size = operator.index(size)
    if size < 8:
        raise ValueError(f"load_digits: size must be at least 8, got {size}")
    with np.load(os.path.join(os.path.dirname(__file__), "digits.npz")) as file:
        images, labels, test = file["images"], file["labels"].astype(np.int64), file["test"]
    pixels = resize_bilinear(images / WHITE, (size, size))
    if normalize:
        pixels = (pixels - pixels[~test].mean()) / pixels[~test].std()
    x = pixels.astype(np.float32)[..., np.newaxis]
    return Dataset(Split(x[~test], labels[~test]), Split(x[test], labels[test]))


def resize_bilinear(images: Array, shape: tuple[int, int]) -> Array:
    """Return float64 images (N, H, W) at another size, by bilinear interpolation.

    Output pixel i has its centre at ``(i + 0.5) * H / OH - 0.5`` of the input; beyond the outermost
    centres the edge pixel is repeated. (This is ``align_corners=False`` without antialiasing.)
    """
    rows = _interpolation(images.shape[1], shape[0])
    columns = _interpolation(images.shape[2], shape[1])
    result: Array = rows @ images @ columns.T
    return result


def _interpolation(n: int, m: int) -> Array:
    """Return the (m, n) matrix that resamples n points to m."""
    centre = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
    weights: Array = np.maximum(1 - np.abs(centre[:, np.newaxis] - np.arange(n)), 0)
    return weights
