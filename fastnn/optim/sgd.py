"""Stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn.nn import Module, Parameter
from fastnn.nn.module import compare_names
from fastnn.nn.parameter import copy_exact
from fastnn.optim.flat import FlatParameters

if TYPE_CHECKING:
    from fastnn._core import Array

HYPER = ("lr", "momentum", "weight_decay")  # the order in which the kernel reads them


class SGD:
    """Stochastic gradient descent with momentum, Nesterov momentum and weight decay.

    For each parameter w with gradient dw::

        g = dw + weight_decay * w
        v = momentum * v + g                      # v starts at 0
        w = w - lr * (g + momentum * v)           if nesterov
        w = w - lr * v                            otherwise

    which is PyTorch's SGD with dampening 0 (Sutskever et al. 2013 for Nesterov's form).

    Parameters
    ----------
    source : Module or iterable of Parameter
        What to optimize. The parameters move into one flat buffer, and so do their gradients; an
        earlier optimizer of the same parameters can no longer be used.
    lr : float
        Learning rate, at least 0.
    momentum : float
        At least 0 and less than 1; default 0, which needs no memory for v.
    weight_decay : float
        L2 penalty, at least 0; default 0.
    nesterov : bool
        Default False.

    Raises
    ------
    TypeError
        If `source` holds anything but parameters, their dtypes differ, or a number is none.
    ValueError
        If there is no parameter, one occurs twice, a number is out of range, or `nesterov` is
        asked for without momentum.

    Notes
    -----
    A parameter that got no gradient since the last step counts as one with gradient zero: it still
    moves by its momentum and weight decay. To keep parameters fixed, do not pass them.
    """

    def __init__(
        self,
        source: Module | Iterable[Parameter],
        lr: float,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self._hyper = np.array(
            [
                _checked("lr", lr),
                _checked("momentum", momentum),
                _checked("weight_decay", weight_decay),
            ],
            np.float64,
        )
        if nesterov and momentum == 0:
            raise ValueError("SGD: nesterov needs momentum > 0")
        self.nesterov = bool(nesterov)
        self._flat = FlatParameters("SGD", source)
        self._velocity = self._flat.zeros() if momentum else None

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
        _core.sgd_step(
            self._flat.data, self._flat.grad, self._velocity, self._hyper, nesterov=self.nesterov
        )

    @property
    def lr(self) -> float:
        """Learning rate. Assign to it between steps to follow a schedule."""
        return float(self._hyper[0])

    @lr.setter
    def lr(self, value: float) -> None:
        self._hyper[0] = _checked("lr", value)

    @property
    def momentum(self) -> float:
        """Momentum. It can be changed, but an optimizer made without momentum stays so."""
        return float(self._hyper[1])

    @momentum.setter
    def momentum(self, value: float) -> None:
        value = _checked("momentum", value)
        if value and self._velocity is None:
            raise ValueError("SGD: made with momentum 0, which cannot be changed later")
        if not value and self.nesterov:
            raise ValueError("SGD: nesterov needs momentum > 0")
        self._hyper[1] = value

    @property
    def weight_decay(self) -> float:
        """L2 penalty."""
        return float(self._hyper[2])

    @weight_decay.setter
    def weight_decay(self, value: float) -> None:
        self._hyper[2] = _checked("weight_decay", value)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, in the order of the flat buffer."""
        return self._flat.parameters

    def state_dict(self) -> dict[str, Array]:
        """Return copies of everything that the next steps depend on, as arrays by name.

        The names are ``lr``, ``momentum``, ``weight_decay``, ``nesterov``, and with momentum
        ``velocity.0``, ``velocity.1``, ..., one for each parameter. Restored together with the
        parameters, the run continues bit for bit.
        """
        state: dict[str, Array] = {
            name: np.array(value) for name, value in zip(HYPER, self._hyper, strict=True)
        }
        state["nesterov"] = np.array(self.nesterov)
        if self._velocity is not None:
            parts = self._flat.split(self._velocity)
            state |= {f"velocity.{i}": part.copy() for i, part in enumerate(parts)}
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises
        ------
        TypeError, ValueError
            If names, shapes, dtypes or values do not fit. Nothing has been changed then.
        """
        own = self.state_dict()
        compare_names("SGD.load_state_dict", own, state)
        arrays = {name: np.array(state[name]) for name in own}
        for name, array in arrays.items():
            copy_exact(f"SGD.load_state_dict: {name}", array, own[name])
        hyper = [_checked(name, float(arrays[name])) for name in HYPER]
        nesterov = bool(arrays["nesterov"])
        if nesterov and not hyper[1]:
            raise ValueError("SGD.load_state_dict: nesterov needs momentum > 0")
        if hyper[1] and self._velocity is None:
            raise ValueError("SGD.load_state_dict: momentum without velocity")
        self._hyper[:] = hyper
        self.nesterov = nesterov
        if self._velocity is not None:
            for i, part in enumerate(self._flat.split(self._velocity)):
                part[...] = arrays[f"velocity.{i}"]

    def __repr__(self) -> str:
        """Return the hyper-parameters and the number of elements."""
        size = sum(p.size for p in self.parameters)
        return (
            f"SGD(lr={self.lr}, momentum={self.momentum}, weight_decay={self.weight_decay}, "
            f"nesterov={self.nesterov}; {size:,} parameters)"
        )


def _checked(name: str, value: float) -> float:
    """Return a hyper-parameter as float, or raise."""
    if not isinstance(value, Real):
        raise TypeError(f"SGD: {name} must be a number, not {type(value).__name__}")
    value = float(value)
    if not (0 <= value < math.inf):
        raise ValueError(f"SGD: {name} must be finite and at least 0, got {value}")
    if name == "momentum" and value >= 1:
        raise ValueError(f"SGD: momentum must be less than 1, got {value}")
    return value
