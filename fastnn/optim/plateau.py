"""A schedule that follows a measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastnn.optim.optimizer import Optimizer
from fastnn.optim.schedule import integer, matching, number

if TYPE_CHECKING:
    from fastnn._core import Array


class ReduceLROnPlateau:
    """Multiply the learning rates by a factor when a metric has stopped improving.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups' learning rates are changed.
    mode : {"min", "max"}
        Whether the metric is to fall (default) or to rise.
    factor : float
        Less than 1; default 0.1.
    patience : int
        How many steps without improvement are let pass; default 10.
    threshold : float
        What counts as an improvement: a metric below ``best * (1 - threshold)`` ("rel") or
        ``best - threshold`` ("abs"), above ``best * (1 + threshold)`` or ``best + threshold`` for
        "max"; default 1e-4.
    threshold_mode : {"rel", "abs"}
        Default "rel".
    cooldown : int
        Steps after a reduction in which none is counted as bad; default 0.
    min_lr : float
        No rate is reduced below it; default 0.
    eps : float
        Smaller changes of a rate are not made; default 1e-8.

    Notes
    -----
    These are PyTorch's rules and defaults. A NaN is never an improvement.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{name}: expected an Optimizer, got {type(optimizer).__name__}")
        if mode not in ("min", "max"):
            raise ValueError(f"{name}: mode must be 'min' or 'max', not {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"{name}: threshold_mode must be 'rel' or 'abs', not {threshold_mode!r}"
            )
        self.optimizer = optimizer
        self.mode, self.threshold_mode = mode, threshold_mode
        self.factor = number(name, "factor", factor)
        if self.factor >= 1:
            raise ValueError(f"{name}: factor must be less than 1, got {factor}")
        self.patience = integer(name, "patience", patience, 0)
        self.threshold = number(name, "threshold", threshold)
        self.cooldown = integer(name, "cooldown", cooldown, 0)
        self.min_lr = number(name, "min_lr", min_lr)
        self.eps = number(name, "eps", eps)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_steps = 0
        self.cooldown_left = 0

    def _improves(self, metric: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "abs":
            return sign * metric > sign * (self.best + sign * self.threshold)
        return sign * metric > sign * self.best * (1 + sign * self.threshold)

    def step(self, metric: float) -> None:
        """Take note of a metric, and reduce the learning rates if it is time."""
        metric = float(metric)
        if self._improves(metric):
            self.best, self.num_bad_steps = metric, 0
        else:
            self.num_bad_steps += 1
        if self.cooldown_left > 0:
            self.cooldown_left -= 1
            self.num_bad_steps = 0
        if self.num_bad_steps > self.patience:
            for group in self.optimizer.param_groups:
                rate = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - rate > self.eps:
                    group["lr"] = rate
            self.cooldown_left, self.num_bad_steps = self.cooldown, 0

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Array]:
        """Return what the next steps depend on, less the arguments, as arrays by name.

        The learning rates are in the optimizer's state.
        """
        return {
            "best": np.array(self.best, np.float64),
            "num_bad_steps": np.array(self.num_bad_steps, np.int64),
            "cooldown_left": np.array(self.cooldown_left, np.int64),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises
        ------
        TypeError, ValueError
            If names, shapes or dtypes do not fit. Nothing has been changed then.
        """
        arrays = matching("ReduceLROnPlateau.load_state_dict", self.state_dict(), state)
        self.best = float(arrays["best"])
        self.num_bad_steps = int(arrays["num_bad_steps"])
        self.cooldown_left = int(arrays["cooldown_left"])
