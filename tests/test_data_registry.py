"""Data sets by name."""

import gzip
import re
import struct

import numpy as np
import pytest

from fastnn import data
from fastnn.data import download


def write_idx(path, array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype("u1").tobytes()))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of data sets, in FASTNN_DATA, with a small one in MNIST's files."""
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for prefix, n in (("train", 6), ("t10k", 4)):
        pixels = rng.integers(0, 256, (n, 28, 28))
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", pixels)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", np.arange(n))
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    return tmp_path


def test_every_name_has_an_info():
    assert {"digits", "mnist", "fashion-mnist"} <= set(data.names())
    for name in data.names():
        info = data.info(name)
        assert info.name == name
        assert len(info.classes) == len(set(info.classes)) == info.num_classes
        assert len(info.image_shape) == 3
        assert info.description


def test_digits_is_load_digits():
    train, test = data.load("digits")
    assert np.array_equal(train.x, data.load_digits().train.x)
    assert train.x.shape[1:] == data.info("digits").image_shape
    assert test.y.max() == 9


@pytest.mark.parametrize("where", ["environment", "parent", "itself"])
def test_directories(root, where):
    directory = {"environment": None, "parent": root, "itself": root / "fashion-mnist"}[where]
    train, test = data.load("fashion-mnist", directory=directory)
    want = data.load_mnist(root / "fashion-mnist", mean=0.2860, std=0.3530)
    assert np.array_equal(train.x, want.train.x)
    assert np.array_equal(test.x, want.test.x)
    assert train.y.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("function", [data.load, data.info])
def test_unknown_name(function):
    with pytest.raises(ValueError, match="unknown data set 'minst'; did you mean 'mnist'"):
        function("minst")


def test_every_download_has_checksums():
    assert set(download.FILES) == set(data.names()) - {"digits"}
    for mirrors, files in download.FILES.values():
        assert all(mirror.endswith("/") for mirror in mirrors)
        assert files
        for checksum in files.values():
            assert re.fullmatch("[0-9a-f]{64}|md5:[0-9a-f]{32}", checksum)


def test_class_names():
    assert data.info("cifar10").classes[3] == "cat"
    assert [data.info("cifar100").classes[i] for i in (0, 19, 50, 99)] == [
        *("apple", "cattle", "mouse", "worm")
    ]
