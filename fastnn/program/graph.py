"""What a recording becomes: ops and the buffers that they read and write."""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _core

if TYPE_CHECKING:
    import numpy as np

    from fastnn._core import Array

READ, READ_IN_PLACE, WRITE, UPDATE, ADDED, MOVED = range(6)  # roles, as in _core.get_ops()

OPS = _core.get_ops()
FIELDS = _core.get_fields()


class Buffer:
    """A piece of memory that ops read and write.

    Attributes
    ----------
    kind : {"temporary", "number", "input", "captured", "output"}
        Numbers are float64 scalars that the function returns, outputs the arrays.
    nbytes : int
    shape, dtype
        As the function sees it.
    external : int or None
        Number of an input or output among the arrays of a call.
    address : int
        Of what is captured; else where the memory of the symbol was.
    parts : dict of int to tuple
        Of what is captured, where arrays overlap: the shape of each by its offset.
    """

    def __init__(self, kind: str, array: Array) -> None:
        self.kind = kind
        self.nbytes: int = array.nbytes
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.address: int = _core.get_address(array)
        self.external: int | None = None
        self.parts: dict[int, tuple[int, ...]] = {}

    @property
    def in_arena(self) -> bool:
        """Whether the program has to find room for it."""
        return self.kind in ("temporary", "number")

    def __repr__(self) -> str:
        """Return kind, shape and dtype."""
        return f"Buffer({self.kind}, {self.shape}, {self.dtype})"


class Operand(NamedTuple):
    """A pointer in the args of an op."""

    name: str
    at: int
    """Offset in the args."""
    role: int
    buffer: Buffer
    offset: int
    """Bytes from the buffer's beginning."""

    @property
    def reads(self) -> bool:
        """Whether what was there before matters."""
        return self.role != WRITE

    @property
    def writes(self) -> bool:
        """Whether it is changed."""
        return self.role in (WRITE, UPDATE)


class Op:
    """One kernel call.

    Attributes
    ----------
    number, dtype : int
        As `_core` counts them.
    name : str
    args : bytearray
        The args struct; its pointers are the operands.
    operands : list of Operand
    line : int
        Of the user's function.
    fused : list of str
        Names of the ops that it has taken over.
    """

    def __init__(
        self, number: int, dtype: int, args: bytes, operands: list[Operand], line: int
    ) -> None:
        self.number = number
        self.dtype = dtype
        self.name: str = OPS[number][0]
        self.args = bytearray(args)
        self.operands = operands
        self.line = line
        self.fused: list[str] = []

    def operand(self, name: str) -> Operand | None:
        """Return the operand of that name; None where the pointer is NULL."""
        return next((o for o in self.operands if o.name == name), None)

    def point(self, name: str, target: Operand) -> None:
        """Let an operand be what another op's operand is, its role kept."""
        _, at, role, _ = next(entry for entry in OPS[self.number][1] if entry[0] == name)
        self.operands = [o for o in self.operands if o.name != name]
        self.operands.append(Operand(name, at, role, target.buffer, target.offset))

    def __getitem__(self, field: str) -> Any:
        """Return a field of the args."""
        at, kind = FIELDS[self.name][field]
        return struct.unpack_from(f"={kind}", self.args, at)[0]

    def __setitem__(self, field: str, value: Any) -> None:
        """Set a field of the args."""
        at, kind = FIELDS[self.name][field]
        struct.pack_into(f"={kind}", self.args, at, value)

    def reads(self) -> Iterator[Buffer]:
        """Yield what it reads."""
        return (o.buffer for o in self.operands if o.reads)

    def writes(self) -> Iterator[Buffer]:
        """Yield what it writes."""
        return (o.buffer for o in self.operands if o.writes)

    def __repr__(self) -> str:
        """Return name and operands."""
        return f"{self.name}({', '.join(f'{o.name}={o.buffer}' for o in self.operands)})"


class Graph:
    """The ops of a function, in order.

    Attributes
    ----------
    ops : list of Op
    buffers : list of Buffer
    checks : list of tuple
        Labels and indices: (buffer, offset, number, how many values are valid, the ignored one or
        None, name, what they are).
    """

    def __init__(self, recorder: Any, inputs: list[Any]) -> None:
        self.buffers = _buffers(recorder, inputs)
        self._starts = [buffer.address for buffer in self.buffers]
        self.ops = [
            Op(number, dtype, args, self._operands(number, args), line)
            for number, dtype, args, line in recorder.ops
        ]
        self.checks = [
            (*self.locate(_core.get_address(labels)), *rest)
            for labels, *rest in recorder.checks
            if labels.size > 0
        ]

    def _operands(self, number: int, args: bytes) -> list[Operand]:
        operands = []
        for name, at, role, flag in OPS[number][1]:
            (address,) = struct.unpack_from("P", args, at)
            if not address:
                continue
            if role in (ADDED, MOVED):
                role = UPDATE if args[flag] else WRITE if role == ADDED else READ
            operands.append(Operand(name, at, role, *self.locate(address)))
        return operands

    def locate(self, address: int) -> tuple[Buffer, int]:
        """Return the buffer that an address lies in, and how far."""
        i = bisect.bisect_right(self._starts, address) - 1
        if i >= 0 and address < self.buffers[i].address + max(self.buffers[i].nbytes, 1):
            return self.buffers[i], address - self.buffers[i].address
        raise TypeError(
            "compile: a kernel uses memory that is neither an argument, nor an array of the "
            "function's surroundings, nor a result"
        )


def _buffers(recorder: Any, inputs: list[Any]) -> list[Buffer]:
    """Return all buffers by ascending address; what is captured and overlaps is one."""
    own = {id(symbol) for symbol in inputs}
    buffers = [
        Buffer("input" if id(symbol) in own else "temporary", symbol) for symbol in recorder.symbols
    ]
    captured = [_extent(array) for array in recorder.captured.values()]
    captured.sort(key=lambda item: (item[0], item[1]))
    last: Buffer | None = None
    for low, high, array in captured:
        if last is None or low >= last.address + max(last.nbytes, 1):
            last = Buffer("captured", array)
            last.address, last.nbytes = low, high - low
            buffers.append(last)
        last.nbytes = max(last.nbytes, high - last.address)
        last.parts.setdefault(low - last.address, array.shape)
    return sorted(buffers, key=lambda buffer: buffer.address)


def _extent(array: Array) -> tuple[int, int, Array]:
    """Return the first address of an array, the one past its last, and the array."""
    low = high = _core.get_address(array)
    if array.size == 0:
        return low, low, array
    for size, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            low += (size - 1) * stride
        else:
            high += (size - 1) * stride
    return low, high + array.itemsize, array
