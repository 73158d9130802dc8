"""Adadelta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastnn import _core
from fastnn.optim.group import Group
from fastnn.optim.optimizer import Optimizer, Source, shared

if TYPE_CHECKING:
    from fastnn._core import Array


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012, algorithm 1).

    For each parameter w with gradient dw::

        g = dw + weight_decay * w
        v = rho * v + (1 - rho) * g**2            # v, d start at 0
        s = sqrt(d + eps) / sqrt(v + eps) * g
        d = rho * d + (1 - rho) * s**2
        w = w - lr * s

    Parameters
    ----------
    source : Module, iterable of Parameter, or iterable of mapping
        What to optimize, or groups of it; see `SGD`.
    lr : float
        Factor of the steps, at least 0; default 1.
    rho : float
        At least 0 and less than 1; default 0.9.
    eps : float
        At least 0; default 1e-6.
    weight_decay : float
        L2 penalty, at least 0; default 0.

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

    hyper = ("lr", "rho", "eps", "weight_decay")
    rho = shared("rho", "Share of the past in the means.")
    eps = shared("eps", "What is added under the roots.")

    def __init__(
        self,
        source: Source,
        lr: float = 1.0,
        *,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        options = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}
        super().__init__(source, options)

    def buffers_of(self, values: Mapping[str, float], flags: Mapping[str, bool]) -> tuple[str, ...]:
        """The means of the squared gradients and of the squared steps."""
        return ("v", "d")

    def update(self, data: Array, grad: Array, group: Group) -> None:
        """Call the kernel for one group."""
        _core.adadelta_step(data, grad, group.buffers["v"], group.buffers["d"], group.hyper)
