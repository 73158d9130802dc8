"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastnn import _core
from fastnn.optim.group import Group
from fastnn.optim.optimizer import Optimizer, Source, shared

if TYPE_CHECKING:
    from fastnn._core import Array


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012; centered: Graves 2013, equations 38 to 45).

    For each parameter w with gradient dw::

        g = dw + weight_decay * w
        v = alpha * v + (1 - alpha) * g**2        # v, mean, b start at 0
        mean = alpha * mean + (1 - alpha) * g     if centered, else 0
        b = momentum * b + g / (sqrt(v - mean**2) + eps)
        w = w - lr * b

    which are PyTorch's formulae.

    Parameters
    ----------
    source : Module, iterable of Parameter, or iterable of mapping
        What to optimize, or groups of it; see `SGD`.
    lr : float
        Learning rate, at least 0; default 0.01.
    alpha : float
        At least 0 and less than 1; default 0.99.
    eps : float
        At least 0; default 1e-8.
    weight_decay : float
        L2 penalty, at least 0; default 0.
    momentum : float
        At least 0 and less than 1; default 0, which needs no memory for b.
    centered : bool
        Default False.

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

    hyper = ("lr", "alpha", "eps", "weight_decay", "momentum")
    alpha = shared("alpha", "Share of the past in the means.")
    eps = shared("eps", "What is added to the root.")
    momentum = shared(
        "momentum", "Momentum. It can be changed, but an optimizer made without momentum stays so."
    )

    def __init__(
        self,
        source: Source,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        super().__init__(source, options)

    def buffers_of(self, values: Mapping[str, float], flags: Mapping[str, bool]) -> tuple[str, ...]:
        """The mean of the squares, and what centering and momentum need."""
        mean = ("mean",) if flags["centered"] else ()
        return ("v", *mean, "b") if values["momentum"] else ("v", *mean)

    def check_values(
        self, values: Mapping[str, float], flags: Mapping[str, bool], buffers: Mapping[str, Array]
    ) -> None:
        """Momentum needs its buffer."""
        if values["momentum"] and "b" not in buffers:
            raise ValueError("RMSprop: made with momentum 0, which cannot be changed later")

    def update(self, data: Array, grad: Array, group: Group) -> None:
        """Call the kernel for one group."""
        b = group.buffers
        _core.rmsprop_step(data, grad, b["v"], b.get("mean"), b.get("b"), group.hyper)
