"""Groups of parameters that share hyper-parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn.nn import Module, Parameter

if TYPE_CHECKING:
    from fastnn._core import Array

BELOW_ONE = frozenset(("momentum", "beta1", "beta2", "alpha", "rho"))


class Group(MutableMapping[str, Any]):
    """The hyper-parameters of some parameters, as a mapping; those that are numbers can be set.

    ``group["lr"] = 0.1`` takes effect in the next step. ``group["params"]`` are the parameters,
    and ``group["betas"]``, where there are such, the pair of ``beta1`` and ``beta2``.

    Attributes
    ----------
    hyper : ndarray
        float64, what the kernel reads.
    flags : dict of str to bool
        The kernel's switches.
    buffers : dict of str to ndarray
        The state, one flat array each for the parameters of this group.
    """

    def __init__(
        self,
        owner: Any,
        names: tuple[str, ...],
        parameters: tuple[Parameter, ...],
        values: Mapping[str, Any],
    ) -> None:
        self._owner = owner
        self._names = names
        self.parameters = parameters
        self.hyper = np.zeros(len(names), np.float64)
        self.flags = {k: bool(v) for k, v in values.items() if k not in names}
        self.buffers: dict[str, Array] = {}
        for i, name in enumerate(names):
            if name in values:  # all but step
                self.hyper[i] = checked(owner.name, name, values[name])

    def values_of(self) -> dict[str, float]:
        """Return the numbers by name."""
        return dict(zip(self._names, map(float, self.hyper), strict=True))

    def __getitem__(self, key: str) -> Any:
        """Return a hyper-parameter, a flag, the step count or the parameters."""
        if key == "params":
            return self.parameters
        if key == "betas" and "beta1" in self._names:
            return self["beta1"], self["beta2"]
        if key in self.flags:
            return self.flags[key]
        if key not in self._names:
            raise KeyError(key)
        return float(self.hyper[self._names.index(key)])

    def __setitem__(self, key: str, value: Any) -> None:
        """Set a number; the parameters and what decides about buffers cannot be changed."""
        once_only(f"a change of {key!r}")
        if key == "betas" and "beta1" in self._names:
            changes = betas(self._owner.name, value)
        elif key in self._names and key != "step":
            changes = {key: value}
        else:
            raise ValueError(f"{self._owner.name}: {key!r} of a group cannot be changed")
        changes = {name: checked(self._owner.name, name, v) for name, v in changes.items()}
        self._owner.check_values(self.values_of() | changes, self.flags, self.buffers)
        for name, v in changes.items():
            self.hyper[self._names.index(name)] = v

    def __delitem__(self, key: str) -> None:
        """Refuse."""
        raise TypeError(f"{self._owner.name}: {key!r} of a group cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        """Yield the keys."""
        return iter(("params", *self._names, *self.flags))

    def __len__(self) -> int:
        """Return the number of keys."""
        return 1 + len(self._names) + len(self.flags)

    def __repr__(self) -> str:
        """Return the hyper-parameters and the number of elements."""
        values = [f"{name}={self[name]:g}" for name in self._names if name != "step"]
        values += [f"{name}={value}" for name, value in self.flags.items()]
        return f"{', '.join(values)}; {sum(p.size for p in self.parameters):,} parameters"


def once_only(what: str) -> None:
    """Raise TypeError in a function that is being recorded, whose replays would leave this out."""
    recorder = _core.get_recorder()
    if recorder is not None:
        raise recorder.refusal(f"{what}, which would happen only once,")


def checked(owner: str, name: str, value: float) -> float:
    """Return a hyper-parameter as float, or raise."""
    if not isinstance(value, Real):
        raise TypeError(f"{owner}: {name} must be a number, not {type(value).__name__}")
    value = float(value)
    if not (0 <= value < math.inf):
        raise ValueError(f"{owner}: {name} must be finite and at least 0, got {value}")
    if name in BELOW_ONE and value >= 1:
        raise ValueError(f"{owner}: {name} must be less than 1, got {value}")
    return value


def betas(owner: str, pair: Any) -> dict[str, Any]:
    """Return beta1 and beta2 by name."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{owner}: betas must be a pair of numbers, not {pair!r}")
    return {"beta1": pair[0], "beta2": pair[1]}


def parse_groups(
    owner: str, source: Any, defaults: Mapping[str, Any]
) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return the parameters and the options of each group.

    `source` is a Module, an iterable of parameters, or an iterable of mappings with "params" and
    options that replace `defaults`.
    """
    items = listed(owner, source)
    if not any(isinstance(item, Mapping) for item in items):
        return [(items, dict(defaults))]
    groups = []
    for i, item in enumerate(items):
        if not isinstance(item, Mapping) or "params" not in item:
            raise TypeError(f'{owner}: item {i} is not a mapping with "params", as the others are')
        unknown = [str(key) for key in item if key != "params" and key not in defaults]
        if unknown:
            raise ValueError(
                f"{owner}: group {i} has unknown keys {', '.join(unknown)}; valid are params, "
                f"{', '.join(defaults)}"
            )
        options = {key: value for key, value in item.items() if key != "params"}
        parameters = listed(owner, item["params"])
        if not parameters:
            raise ValueError(f"{owner}: group {i}: there are no parameters to optimize")
        groups.append((parameters, {**defaults, **options}))
    return groups


def listed(owner: str, source: Module | Parameter | Iterable[Any]) -> tuple[Any, ...]:
    """Return the parameters of a module, a parameter, or the items of an iterable."""
    if isinstance(source, Parameter):
        return (source,)
    try:
        return tuple(source.parameters() if isinstance(source, Module) else source)
    except TypeError:
        raise TypeError(
            f"{owner}: expected a Module or parameters, got {type(source).__name__}"
        ) from None
