"""Weights in the safetensors format, which other frameworks read.

A file is the length of the header (8 bytes), the header (JSON: for each tensor its dtype, shape and
place), and the tensors' bytes, all little endian.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.io.atomic import atomic_write

if TYPE_CHECKING:
    from fastnn._core import Array

METADATA = "__metadata__"
DTYPES = {
    "BOOL": np.dtype("?"),
    **{f"U{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"I{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"F{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
}
LARGEST_HEADER = 100_000_000  # the format's own limit


def save_safetensors(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Array],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named arrays to a safetensors file.

    Parameters
    ----------
    path : path-like
        The file; replaced if it exists.
    arrays : mapping of str to array
        Booleans, integers and floats of 16, 32 or 64 bits; for instance a model's `state_dict`.
    metadata : mapping of str to str, optional
        The format has only strings here.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError
        For an array of another dtype, and for metadata that are not strings.
    ValueError
        For an array named ``__metadata__``.

    References
    ----------
    https://github.com/huggingface/safetensors#format
    """
    kinds = {dtype: kind for kind, dtype in DTYPES.items()}
    header: dict[str, Any] = {}
    if metadata is not None:
        if not all(isinstance(text, str) for item in metadata.items() for text in item):
            raise TypeError("save_safetensors: metadata must map strings to strings")
        header[METADATA] = dict(metadata)
    parts, end = [], 0
    # larger elements first: then each tensor is aligned to its own
    for name, value in sorted(arrays.items(), key=lambda item: -np.asarray(item[1]).dtype.itemsize):
        array = np.asarray(value)
        dtype = array.dtype.newbyteorder("<")
        if name == METADATA:
            raise ValueError(f"save_safetensors: the name {METADATA} is taken by the metadata")
        if dtype not in kinds:
            raise TypeError(f"save_safetensors: {name} has dtype {array.dtype}")
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": kinds[dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
        parts.append(array.astype(dtype, copy=False))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in parts:
            file.write(array.tobytes())


def load_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a safetensors file.

    Returns
    -------
    arrays : dict of str to array
        In the order of the header.
    metadata : dict of str to str
        Empty if there are none.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is damaged, or holds a dtype that NumPy has not, such as bfloat16.

    Notes
    -----
    The format has no checksum: a flipped bit in a tensor goes unnoticed. `save_arrays` has one.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        whole = file.read()
    try:
        (length,) = struct.unpack_from("<Q", whole)
        if length > min(LARGEST_HEADER, len(whole) - 8):
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(whole[8 : 8 + length].decode())
        metadata = header.pop(METADATA, {})
        if not all(isinstance(text, str) for item in metadata.items() for text in item):
            raise ValueError("the metadata are not strings")
        body = memoryview(whole)[8 + length :]
        _check_extents(header, len(body))
        arrays = {name: _tensor(name, entry, body) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise ValueError(f"{path}: not a readable safetensors file ({error})") from error
    return arrays, metadata


def _check_extents(header: Mapping[str, Any], size: int) -> None:
    """Check that the tensors cover the body exactly, as the format demands."""
    end = 0
    for start, stop in sorted(entry["data_offsets"] for entry in header.values()):
        if start != end or stop < start:
            raise ValueError("tensors overlap or leave gaps")
        end = stop
    if end != size:
        raise ValueError(f"tensors of {end} bytes in a body of {size}")


def _tensor(name: str, entry: Mapping[str, Any], body: memoryview) -> Array:
    dtype, shape = DTYPES.get(entry["dtype"]), entry["shape"]
    if dtype is None:
        raise ValueError(f"{name} has dtype {entry['dtype']}, which NumPy has not")
    start, stop = entry["data_offsets"]
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"{name} has shape {shape}")
    if math.prod(shape) * dtype.itemsize != stop - start:
        raise ValueError(f"{name} of shape {shape} has {stop - start} bytes")
    array = np.frombuffer(body[start:stop], dtype).reshape(shape)
    native: Array = array.astype(dtype.newbyteorder("="))  # a copy, aligned
    return native
