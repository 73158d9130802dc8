"""CIFAR-10 and CIFAR-100 in the binary and the Python version, unpacked or not."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastnn.data.dataset import Dataset, Split
from fastnn.data.pickled import read_pickled

if TYPE_CHECKING:
    from fastnn._core import Array

PIXELS = 3 * 32 * 32


class _Layout(NamedTuple):
    train: tuple[str, ...]
    test: str
    label_bytes: int
    """In the binary version; the last one is the class."""
    label_key: str
    num_classes: int
    rows: tuple[int, int]
    """Images of a training file, of the test file."""
    folder: str
    archive: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# means and standard deviations of the training images' pixels / 255
CIFAR10 = _Layout(
    tuple(f"data_batch_{i}" for i in range(1, 6)),
    "test_batch",
    *(1, "labels", 10, (10000, 10000), "cifar-10-batches-{}", "cifar-10-{}.tar.gz"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
CIFAR100 = _Layout(
    ("train",),
    "test",
    *(2, "fine_labels", 100, (50000, 10000), "cifar-100-{}", "cifar-100-{}.tar.gz"),
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)


def load_cifar(directory: str | os.PathLike[str], num_classes: int = 10) -> Dataset:
    """Read CIFAR-10 or CIFAR-100.

    Of the Python version nothing is unpickled: its files are read as data, and one that asks for
    anything but arrays is an error. Archives are read without being unpacked.

    Parameters
    ----------
    directory : path-like
        Holds the files of the binary (``data_batch_1.bin`` ... or ``train.bin``, ``test.bin``) or
        the Python version (``data_batch_1`` ... or ``train``, ``test``), the folder in which the
        authors packed them, or their archive, such as ``cifar-10-python.tar.gz``.
    num_classes : int
        10 (default) or 100.

    Returns
    -------
    Dataset
        ``(x_train, y_train), (x_test, y_test)``: images (N, 32, 32, 3) float32, of which each
        channel is shifted and scaled by the training images' mean and standard deviation (0.4914,
        0.4822, 0.4465 and 0.2470, 0.2435, 0.2616; for CIFAR-100 0.5071, 0.4865, 0.4409 and 0.2673,
        0.2564, 0.2762), labels (N,) int64.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is damaged, holds something else, or asks to run code. The message names the file.

    References
    ----------
    A. Krizhevsky: Learning multiple layers of features from tiny images. 2009.
    https://www.cs.toronto.edu/~kriz/cifar.html
    """
    if num_classes not in (10, 100):
        raise ValueError(f"load_cifar: num_classes must be 10 or 100, got {num_classes}")
    layout = CIFAR10 if num_classes == 10 else CIFAR100
    files, binary = _files(os.fspath(directory), layout)
    read = _parse_binary if binary else _parse_pickled
    parts = [read(contents, path, layout) for path, contents in files]
    rows = [layout.rows[0]] * len(layout.train) + [layout.rows[1]]
    for (path, _), (_, labels), expected in zip(files, parts, rows, strict=True):
        if len(labels) != expected:  # such as a file cut between two images
            raise ValueError(f"{path}: {len(labels)} images, expected {expected}")
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True))
    train = Split(normalize_pixels(images, layout.mean, layout.std), labels)
    return Dataset(
        train, Split(normalize_pixels(parts[-1][0], layout.mean, layout.std), parts[-1][1])
    )


def normalize_pixels(images: Array, mean: tuple[float, ...], std: tuple[float, ...]) -> Array:
    """Return ``(uint8 images / 255 - mean) / std`` by channel, float32, rounded once."""
    x = np.empty(images.shape, np.float32)
    for c in range(images.shape[-1]):
        table = ((np.arange(256) / 255 - mean[c]) / std[c]).astype(np.float32)
        x[..., c] = table[images[..., c]]
    return x


def _files(directory: str, layout: _Layout) -> tuple[list[tuple[str, bytes]], bool]:
    """Return paths and contents, the test file last, and whether they are the binary version."""
    for folder_kind, kind, suffix in (("bin", "binary", ".bin"), ("py", "python", "")):
        binary = kind == "binary"
        names = [name + suffix for name in (*layout.train, layout.test)]
        inner = layout.folder.format(folder_kind if layout.num_classes == 10 else kind)
        for folder in (directory, os.path.join(directory, inner)):
            if os.path.isfile(os.path.join(folder, names[0])):
                files = []
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        files.append((os.path.join(folder, name), file.read()))
                return files, binary
        archive = os.path.join(directory, layout.archive.format(kind))
        if os.path.isfile(archive):
            return _members(archive, names), binary
    archive = layout.archive.format("python")
    raise FileNotFoundError(f"{directory}: neither {archive} nor its files are there")


def _members(path: str, names: list[str]) -> list[tuple[str, bytes]]:
    """Return the files of these names in an archive, whatever their folders."""
    with open(path, "rb") as file:
        packed = file.read()
    try:
        contents = gzip.decompress(packed)  # to the end, where the checksum is compared
        found = {}
        with tarfile.open(fileobj=io.BytesIO(contents), mode="r:") as archive:
            for member in archive:
                name = os.path.basename(member.name)
                if member.isreg() and name in names:
                    file_ = archive.extractfile(member)
                    assert file_ is not None
                    found[name] = file_.read()
    except Exception as error:  # a damaged archive can raise almost anything
        raise ValueError(f"{path}: not a readable tar.gz archive ({error})") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{path}: {missing[0]} is not in the archive")
    return [(f"{path}: {name}", found[name]) for name in names]


def _parse_binary(contents: bytes, path: str, layout: _Layout) -> tuple[Array, Array]:
    record = layout.label_bytes + PIXELS
    if not contents or len(contents) % record:
        raise ValueError(f"{path}: {len(contents)} bytes are not records of {record}")
    records = np.frombuffer(contents, np.uint8).reshape(-1, record)
    return _checked(
        records[:, layout.label_bytes :], records[:, layout.label_bytes - 1], path, layout
    )


def _parse_pickled(contents: bytes, path: str, layout: _Layout) -> tuple[Array, Array]:
    batch = read_pickled(contents, path)
    images, labels = batch.get("data"), batch.get(layout.label_key)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2:
        raise ValueError(f"{path}: 'data' is no array of uint8 with two axes")
    if images.shape[1] != PIXELS or not len(images):
        raise ValueError(f"{path}: expected images (N, {PIXELS}), got {images.shape}")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError(f"{path}: '{layout.label_key}' is no list of integers")
    if len(labels) != len(images):
        raise ValueError(f"{path}: {len(labels)} labels for {len(images)} images")
    wrong = [label for label in labels if not 0 <= label < layout.num_classes]
    if wrong:
        raise ValueError(f"{path}: label {wrong[0]}, expected 0 to {layout.num_classes - 1}")
    return _checked(images, np.array(labels), path, layout)


def _checked(images: Array, labels: Array, path: str, layout: _Layout) -> tuple[Array, Array]:
    if labels.max() >= layout.num_classes:
        raise ValueError(f"{path}: label {labels.max()}, expected 0 to {layout.num_classes - 1}")
    return images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels.astype(np.int64)
