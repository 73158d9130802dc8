"""Dictionaries of arrays that Python pickled, read as data: nothing in the file can be run.

The instructions of the file are looked through first: those that lists, dicts and arrays do not
need are errors. Then `pickle` follows them, with stand-ins of this module for the few names of
NumPy that an array needs; every other name is an error.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

_NEEDED = """
    PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4
    BINFLOAT FLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE
    BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_DICT EMPTY_LIST EMPTY_TUPLE DICT LIST TUPLE TUPLE1
    TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET
    LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD
"""
OPCODES = frozenset(_NEEDED.split())


class _Dtype:
    """In place of ``numpy.dtype``."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.code = state[1] + self.code


class _Array:
    """In place of ``numpy.ndarray``, as ``_reconstruct`` makes it."""

    def __init__(self, *_: Any) -> None:
        self.value: np.ndarray[Any, Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, contents = state
        if not re.fullmatch("[<>]?[uif][1248]", dtype.code):
            raise ValueError(f"an array of elements of type {dtype.code!r}")
        elements = np.dtype(dtype.code)
        if isinstance(contents, str):  # bytes of Python 2
            contents = contents.encode("latin-1")
        if min(shape, default=0) < 0 or math.prod(shape) * elements.itemsize != len(contents):
            raise ValueError(f"an array of shape {shape} from {len(contents)} bytes")
        array = np.frombuffer(contents, elements)
        self.value = array.reshape(shape, order="F" if fortran else "C")


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """In place of ``_codecs.encode``, which makes bytes in pickles of protocols 0 to 2."""
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin-1")


def _ndarray() -> None:
    """In place of ``numpy.ndarray``, which is an argument and never called."""
    raise ValueError("it calls numpy.ndarray")


class _Name:
    """What a name in the file becomes: one object each time, for the file can change its state."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


class _Unpickler(pickle.Unpickler):
    NAMES: ClassVar[dict[tuple[str, str], Callable[..., Any]]] = {
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy", "ndarray"): _ndarray,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.NAMES:
            raise ValueError(f"it asks for {module}.{name}, which no array needs")
        return _Name(self.NAMES[module, name])


def read_pickled(contents: bytes, path: str) -> dict[str, Any]:
    """Return a pickled dict of arrays, lists, numbers and strings (those of Python 2 as latin-1).

    Parameters
    ----------
    contents : bytes
        Of a pickle of protocol 0 to 5, without buffers outside it.
    path : str
        For messages.

    Raises
    ------
    ValueError
        If it is damaged, or asks for anything but NumPy arrays of numbers. The message names the
        file.
    """
    try:
        _check(contents)
        result = _Unpickler(io.BytesIO(contents), encoding="latin-1").load()
        return {
            key.decode("latin-1") if isinstance(key, bytes) else key: (
                value.value if isinstance(value, _Array) else value
            )
            for key, value in result.items()
        }
    except Exception as error:  # a damaged program can fail anywhere
        raise ValueError(f"{path}: not a pickled dict of arrays ({error})") from error


def _check(contents: bytes) -> None:
    """Raise where there is an instruction that is not needed, or one that wants much memory."""
    end = 0
    for opcode, argument, position in pickletools.genops(contents):
        if opcode.name not in OPCODES:
            raise ValueError(f"instruction {opcode.name}, which no array needs")
        # pickle makes room for a memo of this many entries
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) >= len(contents):
            raise ValueError(f"entry {argument} of the memo in {len(contents)} bytes")
        end = (position or 0) + 1
    if end != len(contents):
        raise ValueError(f"{len(contents) - end} bytes after its end")
