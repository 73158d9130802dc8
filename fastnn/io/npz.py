"""Arrays in NumPy's npz format, without pickled objects. Equal contents give equal bytes."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.io.atomic import atomic_write

if TYPE_CHECKING:
    from fastnn._core import Array

METADATA = "__metadata__"


def save_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Array],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write named arrays, and metadata as JSON, to an npz file.

    Parameters
    ----------
    path : path-like
        The file; replaced if it exists.
    arrays : mapping of str to array
        No object arrays.
    metadata : mapping, optional
        Anything that JSON can express.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        For object arrays, and for an array named ``__metadata__``.
    """
    if METADATA in arrays:
        raise ValueError(f"save_arrays: the name {METADATA} is taken by the metadata")
    entries = dict(arrays)
    if metadata is not None:
        entries[METADATA] = np.array(json.dumps(dict(metadata)))
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in entries.items():
            info = zipfile.ZipInfo(f"{name}.npy")  # no time stamp: equal arrays give equal files
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def load_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Returns
    -------
    arrays : dict of str to array
    metadata : dict
        Empty if none was saved.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not an npz file, is damaged, or holds pickled objects.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                arrays = {
                    name.removesuffix(".npy"): _read_array(archive, name)
                    for name in archive.namelist()
                }
            metadata = json.loads(str(arrays.pop(METADATA, "{}")))
        except Exception as error:  # a damaged archive can raise almost anything
            raise ValueError(f"{path}: not a readable npz file ({error})") from error
    if not isinstance(metadata, dict):
        raise ValueError(f"{path}: the metadata are not a JSON object")
    return arrays, metadata


def _read_array(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as entry:
        array: Array = np.lib.format.read_array(entry, allow_pickle=False)
        entry.read()  # to the end, where the checksum is compared
    return array
