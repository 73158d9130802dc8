"""The idx file format, in which MNIST and its relatives are distributed."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastnn._core import Array

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | os.PathLike[str]) -> Array:
    """Read an idx file, plain or compressed with gzip.

    The format: two zero bytes, a code of the element type, the number of axes, each extent as a
    big-endian uint32, then the elements in C order, big-endian.

    Parameters
    ----------
    path : path-like
        The file. Whether it is compressed is seen from its contents, not from its name.

    Returns
    -------
    ndarray
        In native byte order, writable.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the header is wrong, the length is not exactly what the header says, or the compressed
        data are truncated or damaged. The message names the file.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        contents = file.read()
    if contents.startswith(GZIP_MAGIC):
        try:
            contents = gzip.decompress(contents)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file ({error})") from error
    try:
        return _parse(contents)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parse(contents: bytes) -> Array:
    if len(contents) < 4:
        raise ValueError(f"not an idx file: only {len(contents)} bytes")
    zero, code, ndim = struct.unpack_from(">HBB", contents)
    if zero:
        raise ValueError(f"not an idx file: it starts with {contents[:4].hex(' ')}")
    if code not in DTYPES:
        raise ValueError(f"unknown idx element type 0x{code:02x}")
    header = 4 + 4 * ndim
    if ndim == 0 or len(contents) < header:
        raise ValueError(f"idx header with {ndim} axes in a file of {len(contents)} bytes")
    shape = struct.unpack_from(f">{ndim}I", contents, 4)
    dtype = np.dtype(DTYPES[code])
    expected = header + math.prod(shape) * dtype.itemsize
    if len(contents) != expected:
        raise ValueError(
            f"{len(contents)} bytes, but the header (shape {shape}, {dtype.name}) "
            f"calls for {expected}"
        )
    array = np.frombuffer(contents, dtype, offset=header).reshape(shape)
    return array.astype(dtype.newbyteorder("="))
