"""Data sets fetched from public mirrors, by pooch; known by their checksums."""

from __future__ import annotations

import os

CIFAR = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
FILES = {
    "mnist": (
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",  # noqa: E501
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",  # noqa: E501
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",  # noqa: E501
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",  # noqa: E501
        },
    ),
    "fashion-mnist": (
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        {  # its authors publish MD5
            "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "cifar10": (
        CIFAR,
        {
            "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",  # noqa: E501
        },
    ),
    "cifar100": (
        CIFAR,
        {
            "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",  # noqa: E501
        },
    ),
}


def cache_folder() -> str:
    """Return the folder of downloads, ``pooch.os_cache("fastnn")``."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "fastnn")


def fetch(name: str, directory: str) -> None:
    """Download the files of a data set that are not in a folder yet, with the right checksum.

    Raises
    ------
    ImportError
        If pooch is not installed.
    ValueError
        If what a mirror sends has another checksum.
    OSError
        If no mirror answers.
    """
    try:
        import pooch
    except ImportError:
        raise ImportError("downloads need pooch: pip install fastnn-kernels[data]") from None
    mirrors, files = FILES[name]
    for file, checksum in files.items():
        for i, mirror in enumerate(mirrors):
            try:
                pooch.retrieve(mirror + file, checksum, fname=file, path=directory)
                break
            except (OSError, ValueError):
                if i + 1 == len(mirrors):
                    raise
