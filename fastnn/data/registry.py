"""Data sets by name."""

from __future__ import annotations

import os
from typing import NamedTuple

from fastnn.data.dataset import Dataset
from fastnn.data.digits import load_digits
from fastnn.data.mnist import load_mnist
from fastnn.names import suggest

_FIGURES = tuple("0123456789")
_CLOTHES = (
    *("T-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)


class DatasetInfo(NamedTuple):
    """What is known about a data set before it is read."""

    name: str
    image_shape: tuple[int, int, int]
    """(H, W, C)."""
    num_classes: int
    classes: tuple[str, ...]
    """Their names."""
    description: str


_DATA = {
    info.name: info
    for info in (
        DatasetInfo("digits", (28, 28, 1), 10, _FIGURES, "1,797 handwritten digits, built in"),
        DatasetInfo("mnist", (28, 28, 1), 10, _FIGURES, "70,000 handwritten digits"),
        DatasetInfo("fashion-mnist", (28, 28, 1), 10, _CLOTHES, "70,000 pictures of clothes"),
    )
}


def load(
    name: str, *, directory: str | os.PathLike[str] | None = None, download: bool = False
) -> Dataset:
    """Return a data set by name.

    Parameters
    ----------
    name : str
        One of `names`.
    directory : path-like, optional
        Where its files are, or a folder of the data set's name in which they are; default: the
        environment variable FASTNN_DATA.
    download : bool
        Whether files may be fetched; there is nothing yet that can be.

    Raises
    ------
    ValueError
        For an unknown name, with the closest one that is valid; if there is no directory, or a
        file is damaged.
    OSError
        If a file is missing.
    """
    info(name)
    if name == "digits":
        return load_digits()
    directory = directory or os.environ.get("FASTNN_DATA")
    if not directory:
        raise ValueError(f"{name} needs a directory or the environment variable FASTNN_DATA")
    below = os.path.join(directory, name)
    directory = below if os.path.isdir(below) else directory
    if name == "mnist":
        return load_mnist(directory)
    return load_mnist(directory, mean=0.2860, std=0.3530)


def names() -> tuple[str, ...]:
    """Return the names of all data sets."""
    return tuple(_DATA)


def info(name: str) -> DatasetInfo:
    """Return what is known about a data set.

    Raises
    ------
    ValueError
        For an unknown name, with the closest one that is valid.
    """
    if name not in names():
        raise ValueError(suggest("data set", name, _DATA))
    return _DATA[name]
