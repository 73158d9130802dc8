"""Data sets of one's own: NumPy archives and folders of images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn import io
from fastnn.data.cifar import normalize_pixels
from fastnn.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from fastnn._core import Array

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def load_npz(
    path: str | os.PathLike[str],
    *,
    num_classes: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Dataset:
    """Read a NumPy archive of images and labels.

    Parameters
    ----------
    path : path-like
        Holds ``x_train``, ``y_train``, ``x_test`` and ``y_test``: images uint8 or floating, (N, H,
        W), (N, H, W, C) or, with 1 or 3 channels, (N, C, H, W); labels integers (N,) or (N, 1).
    num_classes : int, optional
        Labels must be less; default: the largest label of the training images plus 1.
    mean, std : sequence of float, optional
        One for each channel: pixels of uint8 become ``(pixel / 255 - mean) / std``; default 0 and
        1. Floating images are taken as they are.

    Returns
    -------
    Dataset
        ``(x_train, y_train), (x_test, y_test)``: images (N, H, W, C) float32, labels (N,) int64.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, holds pickled objects, or arrays that are no such data set. The message
        names the file.
    """
    path = os.fspath(path)
    arrays, _ = io.load_arrays(path)
    splits: list[Split] = []
    for name in ("train", "test"):
        for key in (f"x_{name}", f"y_{name}"):
            if key not in arrays:
                raise ValueError(f"{path}: there is no array {key}")
        x, y = arrays[f"x_{name}"], arrays[f"y_{name}"]
        if y.dtype.kind not in "iu" or y.shape not in ((len(x),), (len(x), 1)) or not len(x):
            raise ValueError(f"{path}: labels {y.dtype} {y.shape} for images {x.shape}")
        y = y.reshape(-1)
        limit = num_classes or int(splits[0].y.max() if splits else y.max()) + 1
        if y.min() < 0 or y.max() >= limit:
            wrong = y.min() if y.min() < 0 else y.max()
            raise ValueError(f"{path}: label {wrong}, expected 0 to {limit - 1}")
        splits.append(Split(_images(x, path, mean, std), y.astype(np.int64)))
    return Dataset(*splits)


def _images(
    x: Array, path: str, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Array:
    if x.ndim == 3:
        x = x[..., np.newaxis]
    elif x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3):
        x = x.transpose(0, 2, 3, 1)
    if x.ndim != 4 or not x.size or (x.dtype != np.uint8 and x.dtype.kind != "f"):
        raise ValueError(f"{path}: no images: {x.dtype} {x.shape}")
    if x.dtype != np.uint8:
        return np.ascontiguousarray(x, np.float32)
    mean = (0.0,) * x.shape[3] if mean is None else tuple(mean)
    std = (1.0,) * x.shape[3] if std is None else tuple(std)
    if not len(mean) == len(std) == x.shape[3]:
        raise ValueError(f"{path}: images {x.shape} have not {len(mean)} channels")
    return normalize_pixels(x, mean, std)


def load_folder(
    path: str | os.PathLike[str], size: tuple[int, int] | int | None = None, *, gray: bool = False
) -> tuple[Split, tuple[str, ...]]:
    """Read a folder of images with one sub-folder for each class; needs Pillow.

    Parameters
    ----------
    path : path-like
        The sub-folders, in the order of their names, are the classes; the images in them are read
        in the order of theirs.
    size : int or (int, int), optional
        Height and width to which images are resized (bilinear); default: all have the same size.
    gray : bool
        Whether to make one channel, not three (default).

    Returns
    -------
    split : Split
        Images (N, H, W, C) float32 in [0, 1], labels (N,) int64.
    classes : tuple of str
        The names of the sub-folders.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    OSError
        If the folder cannot be read.
    ValueError
        If there is no image, or one is damaged or has another size; the message names the file.
    """
    from PIL import Image

    path = os.fspath(path)
    if size is not None and not isinstance(size, tuple):
        size = (size, size)
    classes = tuple(sorted(entry.name for entry in os.scandir(path) if entry.is_dir()))
    images: list[Array] = []
    labels = []
    for label, name in enumerate(classes):
        for file in sorted(os.listdir(os.path.join(path, name))):
            if not file.lower().endswith(IMAGES):
                continue
            image_path = os.path.join(path, name, file)
            try:
                with Image.open(image_path) as opened:
                    image = opened.convert("L" if gray else "RGB")
                    if size is not None:
                        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
                    pixels = np.asarray(image).reshape(image.height, image.width, -1)
            except Exception as error:  # a damaged image can raise almost anything
                raise ValueError(f"{image_path}: not a readable image ({error})") from error
            if images and pixels.shape != images[0].shape:
                raise ValueError(
                    f"{image_path}: size {pixels.shape[:2]}, others have {images[0].shape[:2]}"
                )
            images.append(pixels)
            labels.append(label)
    if not images:
        raise ValueError(f"{path}: no sub-folder with images")
    x = np.stack(images).astype(np.float32)
    x /= 255
    return Split(x, np.array(labels, np.int64)), classes
