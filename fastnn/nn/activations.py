"""More activation layers: each is a kernel and its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn.nn.module import Backward, Module

if TYPE_CHECKING:
    from fastnn._core import Array


class Activation(Module):
    """``y = f(x)``, any shape: what the layers below share.

    A subclass names the kernel, and says whether its backward takes y or x: the closure holds it.
    """

    kernel: str
    keeps_x = False

    def __init__(self, **options: Any) -> None:
        self.options = options
        self(np.zeros(1, np.float32))  # refuses bad options here, not at the first step

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return self._run("", x)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward."""
        y = self._run("", x)
        kept = x if self.keeps_x else y
        return y, lambda dy: self._run("_backward", dy, kept)

    def __repr__(self) -> str:
        """Return the constructor call."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({shown})"

    def _run(self, suffix: str, *arrays: Array) -> Array:
        result: Array = getattr(_core, self.kernel + suffix)(*arrays, **self.options)
        return result


class LeakyReLU(Activation):
    """``y = x`` where ``x > 0``, else ``negative_slope * x``."""

    kernel = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__(negative_slope=negative_slope)


class ELU(Activation):
    """``y = x`` where ``x > 0``, else ``alpha * (exp(x) - 1)``."""

    kernel = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class SELU(Activation):
    """``y = 1.0507... * elu(x, 1.6732...)``: see `fastnn.selu`."""

    kernel = "selu"


class CELU(Activation):
    """``y = x`` where ``x > 0``, else ``alpha * (exp(x / alpha) - 1)``."""

    kernel = "celu"

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha=alpha)


class GELU(Activation):
    """``y = x * Phi(x)``; approximate "tanh" for the form by tanh: see `fastnn.gelu`."""

    kernel = "gelu"
    keeps_x = True

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class SiLU(Activation):
    """``y = x * sigmoid(x)``."""

    kernel = "silu"
    keeps_x = True


class Mish(Activation):
    """``y = x * tanh(log(1 + exp(x)))``."""

    kernel = "mish"
    keeps_x = True


class Softplus(Activation):
    """``y = log(1 + exp(beta * x)) / beta``, and x where ``beta * x > threshold``."""

    kernel = "softplus"

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(beta=beta, threshold=threshold)


class Softsign(Activation):
    """``y = x / (1 + abs(x))``."""

    kernel = "softsign"
    keeps_x = True


class LogSigmoid(Activation):
    """``y = -log(1 + exp(-x))``."""

    kernel = "log_sigmoid"


class Hardsigmoid(Activation):
    """``y = min(max(x + 3, 0), 6) / 6``."""

    kernel = "hard_sigmoid"


class Hardswish(Activation):
    """``y = x * min(max(x + 3, 0), 6) / 6``."""

    kernel = "hard_swish"
    keeps_x = True


class Hardtanh(Activation):
    """``y = min(max(x, min_val), max_val)``."""

    kernel = "hard_tanh"

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__(min_val=min_val, max_val=max_val)


class ReLU6(Activation):
    """``y = min(max(x, 0), 6)``."""

    kernel = "relu6"


class Threshold(Activation):
    """``y = x`` where ``x > threshold``, else value."""

    kernel = "threshold"
    keeps_x = True

    def __init__(self, threshold: float, value: float) -> None:
        super().__init__(threshold=threshold, value=value)
