"""What a function refers to: whether it is still what it was when the function was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
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
        the attributes of these.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._modules: dict[int, tuple[Module, dict[str, Any]]] = {}
        self._parameters: dict[int, tuple[Parameter, Any]] = {}
        self._flags: list[tuple[Any, dict[str, bool]]] = []
        for value in _reachable(function):
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


def _reachable(function: Callable[..., Any]) -> Iterator[Any]:
    owner = getattr(function, "__self__", None)
    if owner is not None:
        yield owner
        yield dict(getattr(owner, "__dict__", {}))
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
    yield from (names[name] for name in code.co_names if name in names)
    yield from getattr(function, "__defaults__", None) or ()
