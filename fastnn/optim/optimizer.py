"""What all optimizers share: groups, flat buffers, saving and restoring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _core
from fastnn.nn import Module, Parameter
from fastnn.nn.module import compare_names
from fastnn.nn.parameter import copy_exact
from fastnn.optim.flat import FlatParameters
from fastnn.optim.group import Group, betas, checked, parse_groups

if TYPE_CHECKING:
    from fastnn._core import Array

Source = Module | Iterable[Parameter] | Iterable[Mapping[str, Any]]


def shared(name: str, doc: str) -> Any:
    """Return a property: the hyper-parameter that all groups have; assigning sets it in all."""

    def read(self: Optimizer) -> float:
        values = [group[name] for group in self.param_groups]
        if any(value != values[0] for value in values):
            raise ValueError(f"{self.name}: {name} differs between groups; see param_groups")
        return values[0]  # type: ignore[no-any-return]

    def write(self: Optimizer, value: float) -> None:
        for group in self.param_groups:
            group[name] = value

    return property(read, write, doc=doc)


class Optimizer:
    """Base class: each optimizer names its hyper-parameters and its kernel.

    Parameters
    ----------
    source : Module, iterable of Parameter, or iterable of mapping
        What to optimize, or groups of it: ``{"params": ..., "lr": ...}`` with the options that
        differ from those given for all.
    options : mapping
        Hyper-parameters and flags that hold for all groups, checked here.

    Notes
    -----
    The parameters of a group lie side by side in one flat buffer, and so do the gradients; a step
    is one call of a kernel for each group. What the kernel reads as numbers is the array `hyper`
    of the group, and the number of steps made is in it where the formulae need it.
    """

    hyper: ClassVar[tuple[str, ...]]
    """Names of the numbers that the kernel reads, in its order."""

    lr = shared("lr", "Learning rate. Assign to it between steps to follow a schedule.")
    weight_decay = shared("weight_decay", "Weight decay, the factor of the penalty.")

    def __init__(self, source: Source, options: Mapping[str, Any]) -> None:
        parsed = parse_groups(self.name, source, options)
        groups = []
        for parameters, values in parsed:
            if "betas" in values:
                values |= betas(self.name, values.pop("betas"))
            values = self.prepare(values)
            groups.append(Group(self, self.hyper, parameters, values))
        for group in groups:
            names = self.buffers_of(group.values_of(), group.flags)
            group.buffers = dict.fromkeys(names, np.empty(0))
            self.check_values(group.values_of(), group.flags, group.buffers)
        self._flat = FlatParameters(self.name, [p for group in groups for p in group.parameters])
        self._groups = tuple(groups)
        self._place()
        for group, extent in zip(groups, self._extents, strict=True):
            for name in group.buffers:
                group.buffers[name] = self._flat.zeros(extent)

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self).__name__

    # What subclasses define.

    def prepare(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the numbers and flags of a group from its options."""
        return values

    def buffers_of(self, values: Mapping[str, float], flags: Mapping[str, bool]) -> tuple[str, ...]:
        """Return the names of the state that a group with these options needs."""
        raise NotImplementedError

    def check_values(
        self, values: Mapping[str, float], flags: Mapping[str, bool], buffers: Mapping[str, Array]
    ) -> None:
        """Raise ValueError where numbers, flags and state do not go together."""

    def update(self, data: Array, grad: Array, group: Group) -> None:
        """Call the kernel for one group."""
        raise NotImplementedError

    # What they inherit.

    def _place(self) -> None:
        """Note where in the flat buffers each group lies."""
        self._firsts = [0]
        for group in self._groups:
            self._firsts.append(self._firsts[-1] + len(group.parameters))
        self._extents = [
            self._flat.extent(a, b) for a, b in zip(self._firsts, self._firsts[1:], strict=False)
        ]
        self._parts = [(self._flat.data[e], self._flat.grad[e]) for e in self._extents]

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, less the views, which a copy must make anew."""
        return {name: value for name, value in vars(self).items() if name != "_parts"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes and make the views."""
        vars(self).update(state)
        self._place()

    def step(self) -> None:
        """Update the parameters in place, and use up the gradients.

        The next backward pass overwrites the gradients.

        Raises
        ------
        ValueError
            If no parameter has got a gradient since the last step, or if an optimizer made later
            has taken the parameters over.
        """
        self._flat.take_grads()
        for group, (data, grad) in zip(self._groups, self._parts, strict=True):
            if self.hyper[-1] == "step":
                _core.advance(group.hyper[-1:].reshape(()), 1)
            self.update(data, grad, group)

    def flat_grad(self) -> Array:
        """Return the gradients of all parameters as one array, to be changed before a step.

        Those of parameters that got none since the last step are zero.

        Raises
        ------
        ValueError
            As `step`.
        """
        self._flat.settle("flat_grad")
        return self._flat.grad

    @property
    def param_groups(self) -> tuple[Group, ...]:
        """The groups; one if the optimizer was made without."""
        return self._groups

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, in the order of the flat buffer."""
        return self._flat.parameters

    def _named_buffers(self) -> dict[str, Array]:
        """Return views of the state by name, ``m.0``, ``m.1``, ..., one for each parameter."""
        views: dict[str, Array] = {}
        for group, first in zip(self._groups, self._firsts, strict=False):
            last = first + len(group.parameters)
            for name, buffer in group.buffers.items():
                parts = self._flat.split(buffer, first, last)
                views |= {f"{name}.{first + i}": part for i, part in enumerate(parts)}
        return views

    def state_dict(self) -> dict[str, Array]:
        """Return copies of everything that the next steps depend on, as arrays by name.

        The names are those of the hyper-parameters and flags (arrays over the groups; scalars
        where there is one), the buffers' with the index of the parameter, ``m.0``, ``m.1``, ...,
        and ``optimizer`` and ``sizes``, by which the state of another optimizer or model is told.
        Restored together with the parameters, the run continues bit for bit.
        """
        one = len(self._groups) == 1
        state: dict[str, Array] = {
            "optimizer": np.array(self.name),
            "sizes": np.array([p.size for p in self.parameters], np.int64),
        }
        for name in self._scalars():
            values = np.array([group[name] for group in self._groups])
            state[name] = values.reshape(()) if one else values
        return state | {name: view.copy() for name, view in self._named_buffers().items()}

    def _scalars(self) -> tuple[str, ...]:
        """Return the names of the numbers and flags of a group."""
        return (*self.hyper, *self._groups[0].flags)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises
        ------
        TypeError, ValueError
            If names, shapes, dtypes or values do not fit. Nothing has been changed then.
        """
        caller = f"{self.name}.load_state_dict"
        own = self.state_dict()
        if str(state.get("optimizer", self.name)) != self.name:
            raise ValueError(f"{caller}: the state is that of {state['optimizer']}")
        sizes = np.array(state.get("sizes", own["sizes"]))
        if not np.array_equal(sizes, own["sizes"]):
            raise ValueError(
                f"{caller}: the state is that of another model: parameters of {sizes.tolist()} "
                f"elements, not {own['sizes'].tolist()}"
            )
        compare_names(caller, own, state)
        arrays = {name: np.array(state[name]) for name in own}
        for name, array in arrays.items():
            if name != "optimizer":
                copy_exact(f"{caller}: {name}", array, own[name])
        values = self._checked_values(caller, arrays)
        for group, (numbers, flags) in zip(self._groups, values, strict=True):
            group.hyper[:] = list(numbers.values())
            group.flags = flags
        _core.note_change()  # flags are part of what a compiled function has recorded
        for name, view in self._named_buffers().items():
            view[...] = arrays[name]

    def _checked_values(
        self, caller: str, arrays: Mapping[str, Array]
    ) -> list[tuple[dict[str, float], dict[str, bool]]]:
        """Return the numbers and flags of each group in a state, or raise."""
        result = []
        for i, group in enumerate(self._groups):
            row = {name: arrays[name].reshape(-1)[i].item() for name in self._scalars()}
            numbers = {name: checked(self.name, name, row[name]) for name in self.hyper}
            flags = {name: row[name] for name in group.flags}
            try:
                self.check_values(numbers, flags, group.buffers)
            except ValueError as error:
                raise ValueError(f"{caller}: {str(error).removeprefix(self.name + ': ')}") from None
            result.append((numbers, flags))
        return result

    def __repr__(self) -> str:
        """Return the hyper-parameters and the number of elements."""
        return f"{self.name}({' | '.join(map(repr, self._groups))})"
