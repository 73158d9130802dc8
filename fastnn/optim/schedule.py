"""Schedules: how the learning rate changes from step to step."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.nn.module import compare_names
from fastnn.nn.parameter import copy_exact
from fastnn.optim.group import once_only
from fastnn.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from fastnn._core import Array


class Schedule:
    """Base class: the learning rate of each group is a function of how often `step` was called.

    Parameters
    ----------
    optimizer : Optimizer
        The learning rates that its groups have now are the base of the schedule. Those of step 0
        are set at once.

    Notes
    -----
    ``schedule.step()`` follows ``optimizer.step()``, after every batch or every epoch. Each rate is
    computed from the base and the count, not from the rate before, so no rounding accumulates.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{self.name}: expected an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.base_lrs = np.array([group["lr"] for group in optimizer.param_groups])
        self.count = 0
        self._write()

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self).__name__

    def rate(self, base_lr: float, count: int) -> float:
        """Return the learning rate after `count` steps of the schedule."""
        raise NotImplementedError

    def _write(self) -> None:
        rates = [self.rate(float(lr), self.count) for lr in self.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def step(self) -> None:
        """Set the learning rates of the next step."""
        once_only(f"{self.name}.step")
        self.count += 1
        self._write()

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Array]:
        """Return what the next steps depend on, less the arguments, as arrays by name."""
        return {"count": np.array(self.count, np.int64), "base_lrs": self.base_lrs.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, and set the learning rates.

        Raises
        ------
        TypeError, ValueError
            If names, shapes, dtypes or values do not fit. Nothing has been changed then.
        """
        arrays = matching(f"{self.name}.load_state_dict", self.state_dict(), state)
        base = arrays["base_lrs"]
        if arrays["count"] < 0 or not ((base >= 0) & (base < math.inf)).all():
            raise ValueError(
                f"{self.name}.load_state_dict: count and base_lrs must be finite and at least 0"
            )
        self.count, self.base_lrs = int(arrays["count"]), base
        self._write()

    def __repr__(self) -> str:
        """Return the count and the learning rates."""
        rates = ", ".join(f"{lr:g}" for lr in self.get_last_lr())
        return f"{self.name}(after {self.count} steps: lr {rates})"


class StepLR(Schedule):
    """``lr = base * gamma**floor(count / step_size)``; step_size at least 1, gamma 0.1."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = integer(self.name, "step_size", step_size, 1)
        self.gamma = number(self.name, "gamma", gamma)
        super().__init__(optimizer)

    def rate(self, base_lr: float, count: int) -> float:
        """Return the learning rate after `count` steps."""
        return float(base_lr * self.gamma ** (count // self.step_size))


class MultiStepLR(Schedule):
    """``lr = base * gamma**(how many milestones are at most count)``; gamma 0.1."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        self.milestones = tuple(integer(self.name, "milestones", m, 0) for m in milestones)
        self.gamma = number(self.name, "gamma", gamma)
        super().__init__(optimizer)

    def rate(self, base_lr: float, count: int) -> float:
        """Return the learning rate after `count` steps."""
        return float(base_lr * self.gamma ** sum(m <= count for m in self.milestones))


class ExponentialLR(Schedule):
    """``lr = base * gamma**count``."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = number(self.name, "gamma", gamma)
        super().__init__(optimizer)

    def rate(self, base_lr: float, count: int) -> float:
        """Return the learning rate after `count` steps."""
        return float(base_lr * self.gamma**count)


class LinearLR(Schedule):
    """From ``base * start_factor`` straight to ``base * end_factor`` in total_iters steps.

    Defaults: 1/3, 1, 5. With (1, 0, n) it falls to 0, as the command line's training does.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor = number(self.name, "start_factor", start_factor)
        self.end_factor = number(self.name, "end_factor", end_factor)
        self.total_iters = integer(self.name, "total_iters", total_iters, 1)
        super().__init__(optimizer)

    def rate(self, base_lr: float, count: int) -> float:
        """Return the learning rate after `count` steps."""
        part = min(count / self.total_iters, 1.0)
        return base_lr * (self.start_factor * (1 - part) + self.end_factor * part)


class CosineAnnealingLR(Schedule):
    """``lr = eta_min + (base - eta_min) * (1 + cos(pi * count / T_max)) / 2``.

    Loshchilov & Hutter 2017, equation 5, without restarts. T_max at least 1, eta_min 0. Beyond
    T_max the cosine goes on, as in PyTorch.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = integer(self.name, "T_max", T_max, 1)
        self.eta_min = number(self.name, "eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, base_lr: float, count: int) -> float:
        """Return the learning rate after `count` steps."""
        share = (1 + math.cos(math.pi * count / self.T_max)) / 2
        return self.eta_min + (base_lr - self.eta_min) * share


class InverseLR(Schedule):
    """``lr = base * (1 + gamma * count)**-power``: Caffe's policy "inv"; defaults 1e-4, 0.75."""

    def __init__(self, optimizer: Optimizer, gamma: float = 1e-4, power: float = 0.75) -> None:
        self.gamma = number(self.name, "gamma", gamma)
        self.power = number(self.name, "power", power)
        super().__init__(optimizer)

    def rate(self, base_lr: float, count: int) -> float:
        """Return the learning rate after `count` steps."""
        return float(base_lr * (1 + self.gamma * count) ** -self.power)


class LinearWarmup(Schedule):
    """Rise from ``base * start_factor`` to base in warmup_steps steps, then follow a schedule.

    Parameters
    ----------
    schedule : Schedule
        What comes after; its own count starts when the warm-up ends. It must not have been
        stepped, and is not to be stepped by anyone else.
    warmup_steps : int
        At least 0.
    start_factor : float
        From 0 to 1; default 0. In step k of the warm-up the factor is
        ``start_factor + (1 - start_factor) * k / warmup_steps``.
    """

    def __init__(self, schedule: Schedule, warmup_steps: int, start_factor: float = 0.0) -> None:
        if not isinstance(schedule, Schedule):
            raise TypeError(f"{self.name}: expected a Schedule, got {type(schedule).__name__}")
        if schedule.count:
            raise ValueError(f"{self.name}: the schedule has made {schedule.count} steps already")
        self.schedule = schedule
        self.warmup_steps = integer(self.name, "warmup_steps", warmup_steps, 0)
        self.start_factor = number(self.name, "start_factor", start_factor)
        if self.start_factor > 1:
            raise ValueError(f"{self.name}: start_factor must be at most 1, got {start_factor}")
        for group, lr in zip(schedule.optimizer.param_groups, schedule.base_lrs, strict=True):
            group["lr"] = float(lr)
        super().__init__(schedule.optimizer)

    def rate(self, base_lr: float, count: int) -> float:
        """Return the learning rate after `count` steps."""
        if count >= self.warmup_steps:
            return self.schedule.rate(base_lr, count - self.warmup_steps)
        return base_lr * (self.start_factor + (1 - self.start_factor) * count / self.warmup_steps)


def number(owner: str, name: str, value: float) -> float:
    """Return a finite float of at least 0, or raise."""
    if not isinstance(value, Real):
        raise TypeError(f"{owner}: {name} must be a number, not {type(value).__name__}")
    value = float(value)
    if not (0 <= value < math.inf):
        raise ValueError(f"{owner}: {name} must be finite and at least 0, got {value}")
    return value


def integer(owner: str, name: str, value: int, least: int) -> int:
    """Return an integer of at least `least`, or raise."""
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{owner}: {name} must be an integer, not {type(value).__name__}") from None
    if value < least:
        raise ValueError(f"{owner}: {name} must be at least {least}, got {value}")
    return value


def matching(caller: str, own: Mapping[str, Array], state: Mapping[str, Any]) -> dict[str, Array]:
    """Return copies of the arrays of a state with the names, shapes and dtypes of `own`."""
    compare_names(caller, own, state)
    arrays = {name: np.array(state[name]) for name in own}
    for name, array in arrays.items():
        copy_exact(f"{caller}: {name}", array, own[name].copy())
    return arrays
