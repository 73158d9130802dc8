"""The base of all layers and models: what forward and backward promise, and the walk over parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fastnn import _core
from fastnn.nn.buffer import Buffer
from fastnn.nn.parameter import Parameter, copy_exact

if TYPE_CHECKING:
    from fastnn._core import Array

Backward: TypeAlias = "Callable[[Array], Array | None]"
"""``dx = backward(dy)``: from the gradient of the output to that of the input."""


class Module(ABC):
    """Base class of layers and models.

    ``y = layer(x)`` infers and keeps nothing. ``y, backward = layer.forward(x)`` trains:
    ``dx = backward(dy)`` writes the gradients of the layer's parameters and returns that of `x`.
    `backward` is a closure over what this one call needs, so a layer may be used several times
    before any of the closures runs, and dropping the closure frees the memory.

    A layer of one's own defines `forward`, and its gradient directly under it:

    >>> class Scale(Module):
    ...     def __init__(self, features):
    ...         self.gain = Parameter(np.ones(features, np.float32))
    ...
    ...     def forward(self, x):  # x, y (N, features)
    ...         def backward(dy):
    ...             with self.gain.grad_target() as (grad, accumulate):
    ...                 np.add((dy * x).sum(0), grad if accumulate else 0, out=grad)
    ...             return dy * self.gain.data
    ...
    ...         return x * self.gain.data, backward

    Parameters, buffers and modules that are attributes (also in lists and tuples) are found in the
    order of their definition; nothing needs to be registered. `fastnn.gradcheck` checks the
    gradient.

    Attributes
    ----------
    input_grad : bool
        Default True. Set it to False on a `Linear` or `Conv2d` whose input needs no gradient, such
        as the first layer of a model: backward then saves the work, returns None, and whatever
        comes before it in a `Sequential` receives no gradient.
    """

    input_grad: bool = True

    def __setattr__(self, name: str, value: object) -> None:
        """Set an attribute; compiled functions look again at what they refer to."""
        if name in vars(self):
            _core.note_change()
        super().__setattr__(name, value)

    @abstractmethod
    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return the output and the function that propagates its gradient back."""

    def __call__(self, x: Array) -> Array:
        """Return the output. Layers override this where inference is cheaper than training."""
        return self.forward(x)[0]

    def _members(self) -> Iterator[tuple[str, Parameter | Buffer | Module]]:
        """Yield the parameters, buffers and modules directly below, in order of definition."""
        for name, value in vars(self).items():
            if isinstance(value, Parameter | Buffer | Module):
                yield name, value
            elif isinstance(value, list | tuple):
                for i, item in enumerate(value):
                    if isinstance(item, Parameter | Buffer | Module):
                        yield f"{name}.{i}", item

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once, parents first."""
        return (part for _, part in _walk("", self, set()) if isinstance(part, Module))

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield (name, parameter), each parameter once, in order of definition.

        Names are dotted paths as in PyTorch, for instance ``"0.weight"`` or ``"encoder.2.bias"``.
        A parameter that is used in several places has the name of the first.
        """
        return ((name, p) for name, p in _walk("", self, set()) if isinstance(p, Parameter))

    def parameters(self) -> Iterator[Parameter]:
        """Yield all parameters, each once, in order of definition."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Yield (name, buffer): the state that is not trained, named as parameters are."""
        return ((name, b) for name, b in _walk("", self, set()) if isinstance(b, Buffer))

    def num_parameters(self) -> int:
        """Return the number of trainable elements: without weights that stay 0."""
        constant = sum(module._num_constants() for module in self.modules())
        return sum(p.size for p in self.parameters()) - constant

    def _num_constants(self) -> int:
        """Return how many elements of this module's own parameters no step can change."""
        return 0

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers by name, in order of definition."""
        return {name: part.data.copy() for name, part in self._state().items()}

    def _state(self) -> dict[str, Parameter | Buffer]:
        return {name: p for name, p in _walk("", self, set()) if not isinstance(p, Module)}

    def load_state_dict(self, state: Mapping[str, Array], strict: bool = True) -> None:
        """Copy the arrays of `state` into the parameters and buffers of the same names.

        Parameters
        ----------
        state : mapping of str to array
            As `state_dict` returns it. Dtypes are not converted.
        strict : bool
            If true (default), the names must match exactly; else names that only one side has are
            ignored.

        Raises
        ------
        ValueError
            For missing or unexpected names and for shapes that differ.
        TypeError
            For dtypes that differ.

        In all these cases nothing has been changed.
        """
        own = self._state()
        if strict:
            compare_names(f"{type(self).__name__}.load_state_dict", own, state)
        arrays = {name: np.asarray(state[name]) for name in own if name in state}
        shapes = [
            f"{name} (expected {own[name].shape}, got {array.shape})"
            for name, array in arrays.items()
            if array.shape != own[name].shape
        ]
        if shapes:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: shapes differ: {', '.join(shapes)}"
            )
        for name, array in arrays.items():
            if array.dtype != own[name].dtype:
                raise TypeError(
                    f"{type(self).__name__}.load_state_dict: {name} has dtype {array.dtype}, "
                    f"expected {own[name].dtype}"
                )
        for name, array in arrays.items():
            copy_exact(name, array, own[name].data)

    def __repr__(self) -> str:
        """Return a table of the parts with their parameters, and the total."""
        rows = list(_rows("", self, set()))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            f"{part:{widths[0]}}  {shapes:{widths[1]}}  {count:>{widths[2]}}".rstrip()
            for part, shapes, count in rows
        ]
        return "\n".join([*lines, f"{self.num_parameters():,} parameters"])


def _walk(
    prefix: str, module: Module, seen: set[int]
) -> Iterator[tuple[str, Parameter | Buffer | Module]]:
    """Yield `module` and everything below it with dotted names, each object once."""
    seen.add(id(module))
    yield prefix, module
    for name, member in module._members():
        path = f"{prefix}.{name}" if prefix else name
        if id(member) in seen:
            continue
        if isinstance(member, Module):
            yield from _walk(path, member, seen)
        else:
            seen.add(id(member))
            yield path, member


def _rows(name: str, module: Module, seen: set[int]) -> Iterator[tuple[str, str, str]]:
    """Yield (name and kind, shapes, parameter count) for `module` and all modules below it."""
    members = list(module._members())
    own = [(key, p) for key, p in members if isinstance(p, Parameter) and id(p) not in seen]
    below = [(key, m) for key, m in members if isinstance(m, Module)]
    seen.update(id(p) for _, p in own)
    generic = type(module).__repr__ is Module.__repr__
    kind = type(module).__name__ if generic else repr(module)
    shapes = ", ".join(f"{key} {p.shape}" for key, p in own)
    count = f"{sum(p.size for _, p in own) - module._num_constants():,}" if own else ""
    yield f"{name}  {kind}" if name else kind, shapes, count
    digits = len(str(len(below) - 1))
    for key, part in below:
        name = key.rjust(digits) if key.isdigit() else key
        for label, shapes, count in _rows(name, part, seen):
            yield f"  {label}", shapes, count


def compare_names(caller: str, expected: Mapping[str, object], got: Mapping[str, object]) -> None:
    """Raise ValueError naming the keys that only one of two mappings has."""
    missing = [name for name in expected if name not in got]
    unexpected = [str(name) for name in got if name not in expected]
    problems = [
        f"{what} {', '.join(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if problems:
        raise ValueError(f"{caller}: {'; '.join(problems)}")
