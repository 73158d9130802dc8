"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastnn import _core
from fastnn.optim.group import Group, checked
from fastnn.optim.optimizer import Optimizer, Source, shared

if TYPE_CHECKING:
    from fastnn._core import Array


class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011, figure 1, with a diagonal matrix).

    For each parameter w with gradient dw, in step t = 1, 2, ...::

        g = dw + weight_decay * w
        v = v + g**2                              # v starts at initial_accumulator_value
        w = w - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(v) + eps)

    Parameters
    ----------
    source : Module, iterable of Parameter, or iterable of mapping
        What to optimize, or groups of it; see `SGD`.
    lr : float
        Learning rate, at least 0; default 0.01.
    lr_decay : float
        At least 0; default 0.
    eps : float
        At least 0; default 1e-10.
    weight_decay : float
        L2 penalty, at least 0; default 0.
    initial_accumulator_value : float
        At least 0; default 0. The same for all groups.

    Raises
    ------
    TypeError
        If `source` holds anything but parameters, their dtypes differ, or a number is none.
    ValueError
        If there is no parameter, one occurs twice, a group has an unknown key, or a number is out
        of range.

    Notes
    -----
    A parameter that got no gradient since the last step counts as one with gradient zero.
    """

    hyper = ("lr", "lr_decay", "eps", "weight_decay", "step")
    lr_decay = shared("lr_decay", "How fast the learning rate falls.")
    eps = shared("eps", "What is added to the root.")

    def __init__(
        self,
        source: Source,
        lr: float = 1e-2,
        *,
        lr_decay: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
    ) -> None:
        start = checked(self.name, "initial_accumulator_value", initial_accumulator_value)
        options: dict[str, Any] = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(source, options)
        for group in self.param_groups:
            group.buffers["v"].fill(start)

    def buffers_of(self, values: Mapping[str, float], flags: Mapping[str, bool]) -> tuple[str, ...]:
        """The sum of the squares."""
        return ("v",)

    def update(self, data: Array, grad: Array, group: Group) -> None:
        """Call the kernel for one group."""
        _core.adagrad_step(data, grad, group.buffers["v"], group.hyper)
