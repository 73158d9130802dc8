"""From a recording to a program."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _core
from fastnn.program import fusion
from fastnn.program.arena import Placement, place
from fastnn.program.bindings import Bindings
from fastnn.program.dead_code import remove_dead
from fastnn.program.graph import Buffer, Graph, Op
from fastnn.program.order import conflicts
from fastnn.program.record import Recording

PASSES = ("fusion", "dead_code", "in_place", "reuse")

CONSTANTS = (type(None), int, float, complex, str, bytes, np.ndarray, np.generic)

ABSOLUTE, ARENA = -2, -1  # where a pointer points, for _core.Program


class Plan:
    """A program and what it was made from.

    Attributes
    ----------
    program : Program
    name : str
        Of the function.
    ops : list of Op
    placement : Placement
    bindings : Bindings
    result : tuple
        What is returned, as `_Returned.template` describes it.
    has_checks : bool
        Whether labels are looked at before every run.
    """

    def __init__(
        self,
        name: str,
        program: Any,
        ops: list[Op],
        placement: Placement,
        bindings: Bindings,
        result: tuple[Any, ...],
        has_checks: bool,
    ) -> None:
        self.result = result
        self.has_checks = has_checks
        self.name = name
        self.program = program
        self.ops = ops
        self.placement = placement
        self.bindings = bindings

    def summary(self) -> str:
        """Return one line."""
        arguments = [f"{np.dtype(d).name}{list(shape)}" for d, shape, *_ in self.program.inputs]
        arguments += [repr(value) for _, value in self.program.statics]
        return (
            f"{self.name}({', '.join(arguments)}): {len(self.ops)} ops, "
            f"{self.placement.size:,} bytes of temporary results"
        )


def build(
    name: str,
    recording: Recording,
    flat: tuple[Any, ...],
    bindings: Bindings,
    disabled: frozenset[str],
) -> Plan:
    """Make a program.

    Parameters
    ----------
    name : str
    recording : Recording
    flat : tuple
        The arguments it was recorded with.
    bindings : Bindings
        As they were before.
    disabled : frozenset of str
        Passes to leave out.
    """
    graph = Graph(recording.recorder, [symbol for symbol, _ in recording.inputs])
    externals = _number_inputs(graph, recording)
    outputs: list[tuple[Any, tuple[int, ...]]] = []
    returned = _Returned(graph, recording, externals, outputs)
    result = returned.template(recording.result)
    ops = graph.ops
    if "dead_code" not in disabled:
        ops = remove_dead(ops)
    if "fusion" not in disabled:
        for fuse in fusion.PASSES:
            ops = fuse(ops)
    placement = place(ops, in_place="in_place" not in disabled, reuse="reuse" not in disabled)
    locate = _Locator(placement)
    waits = conflicts(ops, placement.offsets)
    steps = [
        (
            op.number,
            op.dtype,
            bytes(op.args),
            [(o.at, *locate(o.buffer, o.offset)) for o in op.operands],
            wait,
        )
        for op, wait in zip(ops, waits, strict=True)
    ]
    symbols = {position: symbol for symbol, position in recording.inputs}
    program = _core.Program(
        steps,
        placement.size,
        [
            _input(flat[position], symbol, position, externals.get(id(symbol)), ops)
            for symbol, position in recording.inputs
        ],
        [(i, value) for i, value in enumerate(flat) if i not in symbols],
        outputs,
        returned.final(result, locate),
        [(*locate(buffer, at), *rest) for buffer, at, *rest in graph.checks],
        recording.flags,
        (list(recording.recorder.captured.values()), recording.result),
    )
    return Plan(name, program, ops, placement, bindings, result, bool(graph.checks))


def _input(
    array: Any, symbol: Any, position: int, buffer: Buffer | None, ops: list[Op]
) -> tuple[Any, ...]:
    """Return what `_core.Program` wants to know of an argument."""
    dtype = np.dtype(array.dtype)
    written = any(buffer is written for op in ops for written in op.writes())
    return dtype, array.shape, position, symbol.dtype != dtype, written


def _number_inputs(graph: Graph, recording: Recording) -> dict[int, Buffer]:
    """Give the inputs' buffers their numbers; returns them by the id of the symbol."""
    by_address = {buffer.address: buffer for buffer in graph.buffers if buffer.kind == "input"}
    found = {}
    for i, (symbol, _) in enumerate(recording.inputs):
        buffer = by_address.get(_core.get_address(symbol))
        if buffer is not None:
            buffer.external = i
            found[id(symbol)] = buffer
    return found


class _Locator:
    """Where a buffer is, as `_core.Program` wants to know it."""

    def __init__(self, placement: Placement) -> None:
        self._offsets = placement.offsets

    def __call__(self, buffer: Buffer, offset: int) -> tuple[int, int]:
        if buffer.external is not None:
            return buffer.external, offset
        if buffer.in_arena:
            return ARENA, self._offsets.get(buffer, 0) + offset
        return ABSOLUTE, buffer.address + offset


class _Returned:
    """What a call returns, as `_core.Program` builds it."""

    def __init__(
        self,
        graph: Graph,
        recording: Recording,
        inputs: dict[int, Buffer],
        outputs: list[tuple[Any, tuple[int, ...]]],
    ) -> None:
        self._graph = graph
        self._recorder = recording.recorder
        self._positions = {
            buffer: recording.inputs[buffer.external][1]  # type: ignore[index]
            for buffer in inputs.values()
        }
        self._outputs = outputs
        self._first = len(recording.inputs)

    def template(self, item: Any) -> tuple[Any, ...]:
        """Return the description of a result, and make what is returned an output."""
        if type(item) in (tuple, list):
            kind = "tuple" if type(item) is tuple else "list"
            return kind, [self.template(part) for part in item]
        if type(item) is dict:
            return "dict", list(item), [self.template(part) for part in item.values()]
        if isinstance(item, CONSTANTS):
            return "constant", item
        if not isinstance(item, _core.Symbol):
            raise _core.RecordingError(
                f"compile: the function returns an object of type {type(item).__name__}; it can "
                "return arrays, numbers, strings and None, and tuples, lists and dicts of them"
            )
        if item.size == 0:
            return "empty", item.shape, item.dtype
        return self._of_symbol(item)

    def _of_symbol(self, symbol: Any) -> tuple[Any, ...]:
        address = _core.get_address(symbol)
        low = min(
            [
                address,
                *(
                    address + (n - 1) * s
                    for n, s in zip(symbol.shape, symbol.strides, strict=True)
                    if s < 0
                ),
            ]
        )
        buffer, _ = self._graph.locate(low)
        if self._recorder.is_number(symbol):
            buffer.kind = "number"
            return "number", buffer
        if buffer.kind == "number":
            raise TypeError("compile: a number and a view of it cannot both be returned")
        if buffer.kind == "temporary":
            buffer.kind = "output"
            buffer.external = self._first + len(self._outputs)
            self._outputs.append((buffer.dtype, buffer.shape))
        whole = address == buffer.address and symbol.shape == buffer.shape
        if whole and symbol.strides == _dense(buffer):
            if buffer.kind == "input":
                return "argument", self._positions[buffer]
            return "array", buffer.external
        at = address - buffer.address
        return "view", buffer.external, symbol.dtype, symbol.shape, at, symbol.strides

    def final(self, part: tuple[Any, ...], locate: _Locator) -> tuple[Any, ...]:
        """Return the description with addresses in place of buffers."""
        if part[0] == "number":
            return ("number", *locate(part[1], 0))
        if part[0] in ("tuple", "list"):
            return part[0], [self.final(item, locate) for item in part[1]]
        if part[0] == "dict":
            return "dict", part[1], [self.final(item, locate) for item in part[2]]
        return part


def _dense(buffer: Buffer) -> tuple[int, ...]:
    """Return the strides of a contiguous array of the buffer's shape."""
    strides, step = [], buffer.dtype.itemsize
    for size in reversed(buffer.shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
