"""Adam, AdamW and AMSGrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from fastnn import _core
from fastnn.optim.group import Group
from fastnn.optim.optimizer import Optimizer, Source, shared

if TYPE_CHECKING:
    from fastnn._core import Array


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), on request AMSGrad (Reddi et al. 2018).

    For each parameter w with gradient dw, in step t = 1, 2, ...::

        g = dw + weight_decay * w
        m = beta1 * m + (1 - beta1) * g           # m, v start at 0
        v = beta2 * v + (1 - beta2) * g**2
        u = max(u, v) if amsgrad else v
        w = w - lr * m / (1 - beta1**t) / (sqrt(u / (1 - beta2**t)) + eps)

    Parameters
    ----------
    source : Module, iterable of Parameter, or iterable of mapping
        What to optimize, or groups of it; see `SGD`.
    lr : float
        Learning rate, at least 0; default 0.001.
    betas : pair of float
        (beta1, beta2), each at least 0 and less than 1; default (0.9, 0.999).
    eps : float
        At least 0; default 1e-8.
    weight_decay : float
        L2 penalty, at least 0; default 0.
    amsgrad : bool
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

    hyper = ("lr", "beta1", "beta2", "eps", "weight_decay", "step")
    decoupled: ClassVar[bool] = False
    eps = shared("eps", "What is added to the root.")
    betas = shared("betas", "The pair (beta1, beta2).")

    def __init__(
        self,
        source: Source,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
        }
        super().__init__(source, options)

    def buffers_of(self, values: Mapping[str, float], flags: Mapping[str, bool]) -> tuple[str, ...]:
        """Two means and, with amsgrad, the maximum."""
        return ("m", "v", "vmax") if flags["amsgrad"] else ("m", "v")

    def update(self, data: Array, grad: Array, group: Group) -> None:
        """Call the kernel for one group."""
        b = group.buffers
        _core.adam_step(
            data, grad, b["m"], b["v"], b.get("vmax"), group.hyper, decoupled=self.decoupled
        )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    As `Adam`, but the gradient is not changed, g = dw, and instead::

        w = w - lr * weight_decay * w

    before the last line. The default of `weight_decay` is 0.01.
    """

    decoupled = True

    def __init__(
        self,
        source: Source,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(
            source, lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
        )
