"""Program files: inference without the function, or without Python. See docs/program_file.md."""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn.io import atomic_write
from fastnn.program.graph import OPS, Buffer

if TYPE_CHECKING:
    from fastnn._core import Array
    from fastnn.program.build import Plan

FORMAT = 1
MAX_ARRAYS = 64  # in and out, as in csrc/core/model.c
ALIGNMENT = 64
HEADER = struct.Struct("<8sIIQ8x")
TYPES = {"float32": 0, "float64": 1, "int64": 2, "uint8": 3}
ARENA, CONSTANT, INPUT, OUTPUT = range(4)


def save(plan: Plan, path: str | os.PathLike[str]) -> None:
    """Write a program for inference to a file.

    Raises
    ------
    ValueError
        If it changes arrays outside, has arguments that are no arrays, reads labels or weights
        packed for this machine, or returns anything but new arrays.
    OSError
        If the file cannot be written.
    """
    program = plan.program
    outputs = _outputs(plan)
    _check(plan)
    constants: dict[Buffer, int] = {}
    for op in plan.ops:
        for operand in op.operands:
            if operand.buffer.kind == "captured":
                constants.setdefault(operand.buffer, len(constants))
    places = {buffer: (CONSTANT, i) for buffer, i in constants.items()}
    places |= {buffer: (OUTPUT, i) for i, buffer in enumerate(outputs)}
    body = bytearray()
    body += _text(_core.__version__) + struct.pack("<I", struct.calcsize("P"))
    body += struct.pack("<II", len(program.inputs), len(outputs))
    for dtype, shape, *_ in program.inputs:
        body += _array_type(dtype, shape)
    for buffer in outputs:
        body += _array_type(buffer.dtype, buffer.shape)
    body += struct.pack("<Q", plan.placement.size)
    body += struct.pack("<I", len(constants))
    for buffer in constants:
        body += struct.pack("<Q", buffer.nbytes)
        body += bytes(-(HEADER.size + len(body)) % ALIGNMENT)
        body += _core.get_bytes(buffer.address, buffer.nbytes)
    body += _steps(plan, places)
    header = HEADER.pack(b"FNNPROG", FORMAT, zlib.crc32(body), len(body))
    with atomic_write(path) as file:
        file.write(header)
        file.write(body)


def load(path: str | os.PathLike[str]) -> SavedProgram:
    """Read a program that `CompiledFunction.save` wrote.

    Returns
    -------
    SavedProgram
        A function of the arrays that the saved one had as arguments, of the same shapes.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is damaged, or made by another version.
    """
    path = os.fspath(path)
    with open(path, "rb"):  # for the OSError
        pass
    return SavedProgram(_core.Model(path))


class SavedProgram:
    """What `load` returns.

    Attributes
    ----------
    inputs, outputs : list of (dtype, shape)
        What it is called with, and what it returns.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.inputs: list[tuple[np.dtype[Any], tuple[int, ...]]] = model.inputs
        self.outputs: list[tuple[np.dtype[Any], tuple[int, ...]]] = model.outputs

    def __call__(self, *arrays: Array) -> Array | tuple[Array, ...]:
        """Return the result, or a tuple of them where there are several."""
        results = self._model.run(arrays)
        return results[0] if len(results) == 1 else tuple(results)


def _check(plan: Plan) -> None:
    """Raise ValueError for programs that are more than a function of arrays."""
    program = plan.program
    if program.statics:
        raise ValueError(f"{plan.name}.save: arguments that are no arrays cannot be saved")
    if plan.has_checks:
        raise ValueError(f"{plan.name}.save: labels as arguments cannot be saved")
    if len(program.inputs) + len(program.outputs) > MAX_ARRAYS:
        raise ValueError(f"{plan.name}.save: at most {MAX_ARRAYS} arrays in and out can be saved")
    for dtype, shape, *_, converted, _written in program.inputs:
        if dtype.name not in TYPES or converted or len(shape) > 8:
            raise ValueError(f"{plan.name}.save: an argument of {dtype}{shape} cannot be saved")
    for op in plan.ops:
        if any(b.kind in ("captured", "input") for b in op.writes()):
            raise ValueError(
                f"{plan.name}.save: {op.name} (line {op.line}) changes an array outside; only "
                "inference can be saved"
            )
        if op.name == "gemm" and op["b_packed"]:
            raise ValueError(f"{plan.name}.save: packed weights are for this machine alone")


def _outputs(plan: Plan) -> list[Buffer]:
    """Return the buffers of what is returned, in order."""
    outputs: dict[int, Buffer] = {}
    for op in plan.ops:
        for buffer in op.writes():
            if buffer.kind == "output" and buffer.external is not None:
                outputs[buffer.external] = buffer
    kinds = {part[0] for part in _leaves(plan.result)}
    if kinds != {"array"} or len(outputs) != len(plan.program.outputs):
        raise ValueError(f"{plan.name}.save: only programs that return new arrays can be saved")
    return [outputs[part[1]] for part in _leaves(plan.result)]


def _leaves(part: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    if part[0] in ("tuple", "list"):
        return [leaf for item in part[1] for leaf in _leaves(item)]
    if part[0] == "dict":
        return [leaf for item in part[2] for leaf in _leaves(item)]
    return [part]


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode()


def _array_type(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<II{len(shape)}Q", TYPES[dtype.name], len(shape), *shape)


def _steps(plan: Plan, places: dict[Buffer, tuple[int, int]]) -> bytes:
    steps, pointers = bytearray(), bytearray()
    count = 0
    for i, op in enumerate(plan.ops):
        args = bytearray(op.args)
        for _, at, *_ in OPS[op.number][1]:
            args[at : at + struct.calcsize("P")] = bytes(struct.calcsize("P"))
        steps += _text(op.name) + struct.pack("<II", op.dtype, len(args)) + args
        for operand in op.operands:
            buffer, at = operand.buffer, operand.offset
            if buffer.in_arena:
                space, index, at = ARENA, 0, plan.placement.offsets[buffer] + at
            elif buffer.kind == "input":
                assert buffer.external is not None
                space, index = INPUT, buffer.external
            else:
                space, index = places[buffer]
            pointers += struct.pack("<IIIIQ", i, operand.at, space, index, at)
            count += 1
    return struct.pack("<II", len(plan.ops), count) + steps + pointers
