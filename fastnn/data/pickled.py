"""Dictionaries of arrays that Python pickled, read as data: nothing in the file can be run.

A pickle is a program for a small machine. Here is that machine without the instructions that
import and call: the few names of NumPy that a pickled array needs stand for themselves, and every
other name is an error.
"""

from __future__ import annotations

import math
import pickletools
import re
from typing import Any

import numpy as np

ARRAY, DTYPE, ENCODE, CLASS = "array", "dtype", "encode", "class"
NAMES = {
    "numpy.core.multiarray _reconstruct": ARRAY,
    "numpy._core.multiarray _reconstruct": ARRAY,
    "numpy ndarray": CLASS,
    "numpy dtype": DTYPE,
    "_codecs encode": ENCODE,
}
PUSH = frozenset(
    (
        *("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT"),
        *("BINSTRING", "SHORT_BINSTRING", "STRING", "BINBYTES", "SHORT_BINBYTES"),
        *("BINUNICODE", "SHORT_BINUNICODE", "UNICODE"),
    )
)
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
NOTHING = frozenset(("PROTO", "FRAME", "STOP"))


class _Name:
    def __init__(self, name: str) -> None:
        if name not in NAMES:
            raise ValueError(f"it asks for {name.replace(' ', '.')}, which no array needs")
        self.kind = NAMES[name]


class _Pending:
    """An array or a type of elements before its state is known."""

    def __init__(self, kind: str, code: str = "") -> None:
        self.kind, self.code = kind, code
        self.array: Any = None

    def build(self, state: Any) -> None:
        if self.kind == DTYPE:
            if state[1] in ("<", ">"):
                self.code = state[1] + self.code
            return
        _, shape, dtype, fortran, contents = state
        if not re.fullmatch("[<>]?([uif][1248])", dtype.code):
            raise ValueError(f"array of elements of type {dtype.code!r}")
        elements = np.dtype(dtype.code)
        contents = contents if isinstance(contents, bytes) else contents.encode("latin-1")
        if min(shape, default=0) < 0 or math.prod(shape) * elements.itemsize != len(contents):
            raise ValueError(f"array of shape {shape} from {len(contents)} bytes")
        array = np.frombuffer(contents, elements)
        self.array = array.reshape(shape, order="F" if fortran else "C")


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Do one instruction."""
        stack = self.stack
        if name in PUSH:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[int(argument)])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self.take(len(stack) - int(name[-1]))))
        elif name in ("TUPLE", "LIST"):
            values = self.take(self.marks.pop())
            stack.append(tuple(values) if name == "TUPLE" else values)
        elif name in ("SETITEM", "SETITEMS", "DICT"):
            values = self.take(len(stack) - 2 if name == "SETITEM" else self.marks.pop())
            if name == "DICT":
                stack.append({})
            stack[-1].update(zip(values[::2], values[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            values = self.take(len(stack) - 1 if name == "APPEND" else self.marks.pop())
            stack[-1].extend(values)
        elif name not in NOTHING:
            self.construct(name, argument)

    def construct(self, name: str, argument: Any) -> None:
        """Do one of the instructions that import, call and set a state in other machines."""
        stack = self.stack
        if name == "GLOBAL":
            stack.append(_Name(argument))
        elif name == "STACK_GLOBAL":
            stack.append(_Name(" ".join(self.take(len(stack) - 2))))
        elif name == "REDUCE":
            called, arguments = self.take(len(stack) - 2)
            if called.kind == ENCODE:
                stack.append(arguments[0].encode("latin-1"))
            elif called.kind == ARRAY:
                stack.append(_Pending(ARRAY))
            elif called.kind == DTYPE:
                stack.append(_Pending(DTYPE, arguments[0]))
            else:
                raise ValueError("it calls a class")
        elif name == "BUILD":
            (state,) = self.take(len(stack) - 1)
            stack[-1].build(state)
        else:
            raise ValueError(f"instruction {name}, which no array needs")

    def take(self, start: int) -> list[Any]:
        """Remove what lies on the stack from there on."""
        if start < 0:
            raise ValueError("the stack is empty")
        values = self.stack[start:]
        del self.stack[start:]
        return values


def read_pickled(contents: bytes, path: str) -> dict[str, Any]:
    """Return a pickled dict of arrays, lists, numbers and strings (those of Python 2 as latin-1).

    Parameters
    ----------
    contents : bytes
        Of a pickle of protocol 0 to 4.
    path : str
        For messages.

    Raises
    ------
    ValueError
        If it is damaged, or asks for anything but NumPy arrays of numbers. The message names the
        file.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(contents):
            machine.step(opcode.name, argument)
        (result,) = machine.stack
        return {
            key.decode("latin-1") if isinstance(key, bytes) else key: (
                value.array if isinstance(value, _Pending) else value
            )
            for key, value in result.items()
        }
    except Exception as error:  # the damaged program of a machine can fail anywhere
        raise ValueError(f"{path}: not a pickled dict of arrays ({error})") from error
