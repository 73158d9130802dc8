"""Data sets by name."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from fastnn.data import cifar, download
from fastnn.data.dataset import Dataset
from fastnn.data.digits import load_digits
from fastnn.data.files import load_npz
from fastnn.data.mnist import load_mnist
from fastnn.names import suggest

FIGURES = tuple("0123456789")
CLOTHES = (
    *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
THINGS = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_MORE = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
    crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house
    kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
    mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
    shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table
    tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm
"""
MORE_THINGS = tuple(_MORE.split())


class DatasetInfo(NamedTuple):
    """What is known about a data set before it is read."""

    name: str
    image_shape: tuple[int, int, int]
    """(H, W, C)."""
    num_classes: int
    classes: tuple[str, ...]
    """Their names, by label."""
    description: str


_DATA = {
    info.name: info
    for info in (
        DatasetInfo("digits", (28, 28, 1), 10, FIGURES, "1,797 handwritten digits, built in"),
        DatasetInfo("mnist", (28, 28, 1), 10, FIGURES, "70,000 handwritten digits"),
        DatasetInfo("fashion-mnist", (28, 28, 1), 10, CLOTHES, "70,000 pictures of clothes"),
        DatasetInfo("cifar10", (32, 32, 3), 10, THINGS, "60,000 photographs of 10 kinds of things"),
        DatasetInfo("cifar100", (32, 32, 3), 100, MORE_THINGS, "60,000 photographs, 100 kinds"),
    )
}


def load(
    name: str, *, directory: str | os.PathLike[str] | None = None, download: bool = False
) -> Dataset:
    """Return a data set by name, its images normalised as its own loader says.

    Parameters
    ----------
    name : str
        One of `names`.
    directory : path-like, optional
        Where its files are, or a folder of the data set's name in which they are; default: the
        environment variable FASTNN_DATA, else the folder of downloads, ``~/.cache/fastnn``. For
        CIFAR it may also hold one npz file as `load_npz` reads it, with "cifar10" or "cifar100" in
        its name.
    download : bool
        Whether to fetch missing files from public mirrors into a folder of the data set's name
        there (needs pooch); what arrives is checked by SHA-256, for Fashion-MNIST by MD5.

    Returns
    -------
    Dataset
        ``(x_train, y_train), (x_test, y_test)``: images (N, H, W, C) float32, labels (N,) int64.

    Raises
    ------
    ValueError
        For an unknown name, with the closest one that is valid; if a file is damaged or holds
        something else.
    OSError
        If a file is missing.
    ImportError
        If a download needs pooch.
    """
    info(name)
    if name == "digits":
        return load_digits()
    folder = os.fspath(directory or os.environ.get("FASTNN_DATA") or _cache_folder())
    below = os.path.join(folder, name)
    if download:
        try:
            return _read(name, below if os.path.isdir(below) else folder)
        except FileNotFoundError:
            _fetch(name, below)
    try:
        return _read(name, below if os.path.isdir(below) else folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; give a directory, set FASTNN_DATA, or ask for a download"
        ) from None


_cache_folder, _fetch = download.cache_folder, download.fetch  # load has an argument download


def _read(name: str, directory: str) -> Dataset:
    if name == "mnist":
        return load_mnist(directory)
    if name == "fashion-mnist":
        return load_mnist(directory, mean=0.2860, std=0.3530)
    layout = cifar.CIFAR10 if name == "cifar10" else cifar.CIFAR100
    found = os.listdir(directory) if os.path.isdir(directory) else []
    pattern = re.compile(rf".*{name}(\D.*)?\.npz")
    archives = [file for file in found if pattern.fullmatch(file)]
    try:
        return cifar.load_cifar(directory, layout.num_classes)
    except FileNotFoundError:
        if len(archives) != 1:
            raise
    path = os.path.join(directory, archives[0])
    dataset = load_npz(path, num_classes=layout.num_classes, mean=layout.mean, std=layout.std)
    if dataset.train.x.shape[1:] != (32, 32, 3) or dataset.test.x.shape[1:] != (32, 32, 3):
        raise ValueError(f"{path}: expected images (N, 32, 32, 3), got {dataset.train.x.shape}")
    return dataset


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
