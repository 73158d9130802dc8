"""What a function refers to: whether it is still what it was when the function was recorded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from fastnn.nn import Buffer, Module, Parameter
from fastnn.optim import Optimizer


class Bindings:
    """The modules and parameters that a function can reach by its names, and their attributes.

    Parameters
    ----------
    function : callable
        Looked at are its closure, the globals it names, its defaults, the object of a method, and
        the attributes of these; where these are functions, what they refer to as well.
    arguments : tuple
        Of its call.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...] = ()) -> None:
        self._modules: dict[int, tuple[Module, dict[str, Any]]] = {}
        self._parameters: dict[int, tuple[Parameter, Any]] = {}
        self._flags: list[tuple[Any, dict[str, bool]]] = []
        for value in [*arguments, *_reachable(function, set())]:
            self._add(value)

    def _add(self, value: Any, depth: int = 0) -> None:
        if isinstance(value, Optimizer):
            for group in value.param_groups:
                self._flags.append((group, dict(group.flags)))
            value = list(value.parameters)
        if isinstance(value, Module):
            for module in value.modules():
                self._modules[id(module)] = (module, dict(vars(module)))
            value = list(value.parameters())
        if isinstance(value, Parameter):
            self._parameters[id(value)] = (value, value.data)
        elif isinstance(value, list | tuple):
            for item in value:
                self._add(item, depth)
        elif isinstance(value, dict):
            self._add(list(value.values()), depth)
        elif depth == 0 and not isinstance(value, type | ModuleType | Callable):
            self._add(list(getattr(value, "__dict__", {}).values()), 1)

    def hold(self, name: str) -> bool:
        """Return whether nothing has changed.

        Raises
        ------
        ValueError
            If what has changed is where a parameter or a buffer is.
        """
        for module, before in self._modules.values():
            now = vars(module)
            for key in before.keys() | now.keys():
                old, new = before.get(key), now.get(key)
                if old is new:
                    continue
                if isinstance(old, Parameter | Buffer | np.ndarray):
                    raise ValueError(
                        f"{name}: {key} of {type(module).__name__} was bound anew after {name} had "
                        f"been recorded; write into it (x.data[...] = ...), or call {name}.clear()"
                    )
                return False
        for parameter, data in self._parameters.values():
            if parameter.data is not data:
                raise ValueError(
                    f"{name}: an optimizer made after {name} had been recorded has moved a "
                    f"parameter of shape {parameter.shape}; call {name}.clear()"
                )
        return all(group.flags == flags for group, flags in self._flags)


def _reachable(function: Any, seen: set[int]) -> Iterator[Any]:
    """Yield what a function refers to, and what the functions among that do."""
    if id(function) in seen:
        return
    seen.add(id(function))
    for value in _referred(function):
        yield value
        if isinstance(value, _FUNCTIONS) and not _is_ours(value):
            yield from _reachable(value, seen)


def _referred(function: Any) -> Iterator[Any]:
    """Yield what a function itself refers to."""
    if isinstance(function, functools.partial):
        yield from (function.func, *function.args, *function.keywords.values())
        return
    owner = getattr(function, "__self__", None)
    if owner is not None:
        yield owner
        yield dict(getattr(owner, "__dict__", {}))
    if hasattr(function, "__wrapped__"):
        yield function.__wrapped__
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        yield function
        yield dict(getattr(function, "__dict__", {}))
        return
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not bound yet
            continue
    names = getattr(function, "__globals__", {})
    yield from (names[name] for name in _names(code) if name in names)
    yield from getattr(function, "__defaults__", None) or ()
    yield from (getattr(function, "__kwdefaults__", None) or {}).values()


_FUNCTIONS = (FunctionType, MethodType, functools.partial)


def _is_ours(function: Any) -> bool:
    """Whether it belongs to fastnn, whose functions refer to nobody's models."""
    return str(getattr(function, "__module__", "")).split(".")[0] == "fastnn"


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names in a function and in those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
