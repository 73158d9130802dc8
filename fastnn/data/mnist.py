"""MNIST and data sets in the same files, such as Fashion-MNIST."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from fastnn.data.dataset import Dataset, Split
from fastnn.data.idx import read_idx

if TYPE_CHECKING:
    from fastnn._core import Array

NUM_CLASSES = 10


def load_mnist(
    directory: str | os.PathLike[str], *, mean: float = 0.1307, std: float = 0.3081
) -> Dataset:
    """Read the four idx files of MNIST, plain or gzip.

    Parameters
    ----------
    directory : path-like
        Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte``
        and ``t10k-labels-idx1-ubyte``, each with or without ``.gz``.
    mean, std : float
        Pixels become ``(pixel / 255 - mean) / std``. The defaults are those of MNIST's training
        images; those of Fashion-MNIST are 0.2860 and 0.3530.

    Returns
    -------
    Dataset
        ``(x_train, y_train), (x_test, y_test)``: images (N, 28, 28, 1) float32, labels (N,) int64.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is damaged or does not hold what its name says.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document
    recognition. Proc. IEEE 86 (1998).
    """
    directory = os.fspath(directory)
    # one rounding per pixel value, and no float64 copy of the images
    table = ((np.arange(256) / 255 - mean) / std).astype(np.float32)
    return Dataset(_read_split(directory, "train", table), _read_split(directory, "t10k", table))


def _read_split(directory: str, prefix: str, table: Array) -> Split:
    images_path = _find(directory, f"{prefix}-images-idx3-ubyte")
    labels_path = _find(directory, f"{prefix}-labels-idx1-ubyte")
    images = read_idx(images_path)
    labels = read_idx(labels_path)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"{images_path}: expected uint8 images (N, 28, 28), got {images.dtype} {images.shape}"
        )
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise ValueError(
            f"{labels_path}: expected uint8 labels (N,), got {labels.dtype} {labels.shape}"
        )
    if len(images) != len(labels):
        raise ValueError(f"{labels_path}: {len(labels)} labels for {len(images)} images")
    if not len(images):
        raise ValueError(f"{images_path}: no images")
    if labels.max() >= NUM_CLASSES:
        raise ValueError(f"{labels_path}: label {labels.max()}, expected 0 to {NUM_CLASSES - 1}")
    return Split(table[images][..., np.newaxis], labels.astype(np.int64))


def _find(directory: str, name: str) -> str:
    """Return the path of a file that may have been compressed."""
    for candidate in (name, f"{name}.gz"):
        path = os.path.join(directory, candidate)
        if os.path.exists(path):
            return path
    raise FileNotFoundError(f"{directory}: neither {name} nor {name}.gz is there")
