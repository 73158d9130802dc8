"""Running a function on symbols."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn import _core


class Recording(NamedTuple):
    """What a function did with its arguments.

    Attributes
    ----------
    recorder : Recorder
    inputs : list of (Symbol, int)
        With the number of the argument among the flattened ones.
    result : object
        What the function returned.
    flags : list of (Parameter, before, after)
        Whether the gradient was fresh and written.
    """

    recorder: Any
    inputs: list[tuple[Any, int]]
    result: Any
    flags: list[tuple[Any, tuple[bool, bool], tuple[bool, bool]]]


def record(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Recording:
    """Run a function with symbols in place of arrays.

    Parameters that it touches have afterwards the flags that they had before.
    """
    recorder = _core.Recorder(code_of(function))
    inputs: list[tuple[Any, int]] = []
    count = 0

    def substitute(item: Any) -> Any:
        nonlocal count
        if type(item) in (tuple, list):
            return type(item)(map(substitute, item))
        if type(item) is dict:
            return {key: substitute(value) for key, value in item.items()}
        count += 1
        if not isinstance(item, np.ndarray):
            return item
        if type(item) is not np.ndarray:
            raise TypeError(f"compile: arrays must be NumPy's own, not {type(item).__name__}")
        # labels of any integer type are read as int64
        dtype = np.int64 if item.dtype.kind in "iu" and item.dtype != np.uint8 else item.dtype
        symbol = recorder.symbol(item.shape, dtype)
        inputs.append((symbol, count - 1))
        return symbol

    args, kwargs = substitute((args, kwargs))
    try:
        with recorder:
            result = function(*args, **kwargs)
        touched = recorder.parameters.values()
        flags = [(p, before, (p._fresh, p._written)) for p, before in touched]
    finally:
        for p, before in recorder.parameters.values():
            p._fresh, p._written = before
    return Recording(recorder, inputs, result, flags)


def code_of(function: Callable[..., Any]) -> Any:
    """Return the code whose lines messages name.

    Raises
    ------
    TypeError
        If it is none of Python's.
    """
    f: Any = function
    while isinstance(f, functools.partial) or hasattr(f, "__wrapped__"):
        f = f.func if isinstance(f, functools.partial) else f.__wrapped__
    f = getattr(f, "__func__", f)
    if not hasattr(f, "__code__"):
        f = type(f).__call__
    try:
        return f.__code__
    except AttributeError:
        raise TypeError(f"compile: expected a function of Python, got {function!r}") from None
