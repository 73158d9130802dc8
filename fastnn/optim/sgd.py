"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastnn import _core
from fastnn.optim.group import Group
from fastnn.optim.optimizer import Optimizer, Source, shared

if TYPE_CHECKING:
    from fastnn._core import Array


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, Nesterov momentum and weight decay.

    For each parameter w with gradient dw::

        g = dw + weight_decay * w
        v = momentum * v + (1 - dampening) * g    # v = g in the first step
        w = w - lr * (g + momentum * v)           if nesterov
        w = w - lr * v                            otherwise

    which is PyTorch's SGD (Sutskever et al. 2013 for Nesterov's form).

    Parameters
    ----------
    source : Module, iterable of Parameter, or iterable of mapping
        What to optimize, or groups of it, ``{"params": ..., "lr": ..., ...}``. The parameters move
        into one flat buffer, and so do their gradients; an earlier optimizer of the same
        parameters can no longer be used.
    lr : float
        Learning rate, at least 0; default 0.001.
    momentum : float
        At least 0 and less than 1; default 0, which needs no memory for v.
    weight_decay : float
        L2 penalty, at least 0; default 0.
    dampening : float
        At least 0; default 0.
    nesterov : bool
        Default False.

    Raises
    ------
    TypeError
        If `source` holds anything but parameters, their dtypes differ, or a number is none.
    ValueError
        If there is no parameter, one occurs twice, a group has an unknown key, a number is out of
        range, or `nesterov` is asked for without momentum or with dampening.

    Notes
    -----
    A parameter that got no gradient since the last step counts as one with gradient zero: it still
    moves by its momentum and weight decay. To keep parameters fixed, do not pass them.
    """

    hyper = ("lr", "momentum", "weight_decay", "dampening", "step")
    momentum = shared(
        "momentum", "Momentum. It can be changed, but an optimizer made without momentum stays so."
    )
    dampening = shared("dampening", "Dampening of the momentum.")

    def __init__(
        self,
        source: Source,
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "dampening": dampening,
            "nesterov": nesterov,
        }
        super().__init__(source, options)

    @property
    def nesterov(self) -> bool:
        """Whether the momentum is Nesterov's; of several groups, in any."""
        return any(group["nesterov"] for group in self.param_groups)

    def buffers_of(self, values: Mapping[str, float], flags: Mapping[str, bool]) -> tuple[str, ...]:
        """With momentum there is a velocity."""
        return ("velocity",) if values["momentum"] else ()

    def check_values(
        self, values: Mapping[str, float], flags: Mapping[str, bool], buffers: Mapping[str, Array]
    ) -> None:
        """Nesterov's form is for momentum without dampening, and momentum needs its buffer."""
        if flags["nesterov"] and (not values["momentum"] or values["dampening"]):
            raise ValueError("SGD: nesterov needs momentum > 0 and dampening 0")
        if values["momentum"] and not buffers:
            raise ValueError("SGD: made with momentum 0, which cannot be changed later")

    def update(self, data: Array, grad: Array, group: Group) -> None:
        """Call the kernel for one group."""
        velocity = group.buffers.get("velocity")
        _core.sgd_step(data, grad, velocity, group.hyper, nesterov=group.flags["nesterov"])
