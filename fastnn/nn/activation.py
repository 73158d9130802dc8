"""Activation layers. Each backward needs only the output, so x can be freed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _core
from fastnn.nn.module import Backward, Module

if TYPE_CHECKING:
    from fastnn._core import Array


class ReLU(Module):
    """``y = max(x, 0)``, any shape; the gradient at 0 is 0."""

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.relu(x)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds y."""
        y = _core.relu(x)
        return y, lambda dy: _core.relu_backward(dy, y)  # dx = dy where y > 0

    def __repr__(self) -> str:
        """Return the constructor call."""
        return "ReLU()"


class Sigmoid(Module):
    """``y = 1 / (1 + exp(-x))``, any shape."""

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.sigmoid(x)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds y."""
        y = _core.sigmoid(x)
        return y, lambda dy: _core.sigmoid_backward(dy, y)  # dx = dy y (1 - y)

    def __repr__(self) -> str:
        """Return the constructor call."""
        return "Sigmoid()"


class Tanh(Module):
    """``y = tanh(x)``, any shape."""

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.tanh(x)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds y."""
        y = _core.tanh(x)
        return y, lambda dy: _core.tanh_backward(dy, y)  # dx = dy (1 - y^2)

    def __repr__(self) -> str:
        """Return the constructor call."""
        return "Tanh()"


class ScaledTanh(Module):
    """``y = 1.7159 tanh(2x/3)``, any shape: f(+-1) = +-1 (LeCun et al. 1998, appendix A)."""

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.scaled_tanh(x)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds y."""
        y = _core.scaled_tanh(x)
        return y, lambda dy: _core.scaled_tanh_backward(dy, y)  # dx = dy 2/3 (a - y^2/a)

    def __repr__(self) -> str:
        """Return the constructor call."""
        return "ScaledTanh()"


class Softmax(Module):
    """``y = exp(x) / sum(exp(x))`` over an axis, by default the last.

    To train a classifier, end the model in logits and use `fastnn.softmax_cross_entropy`, which is
    faster and more accurate than this layer followed by a logarithm.
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.softmax(x, axis=self.axis)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds y."""
        y = _core.softmax(x, axis=self.axis)
        return y, lambda dy: _core.softmax_backward(dy, y, axis=self.axis)  # y (dy - sum(dy y))

    def __repr__(self) -> str:
        """Return the constructor call."""
        return "Softmax()" if self.axis == -1 else f"Softmax(axis={self.axis})"


class LogSoftmax(Module):
    """``y = x - log(sum(exp(x)))`` over an axis, by default the last: what `fastnn.nll` takes."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.log_softmax(x, axis=self.axis)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds y."""
        y = _core.log_softmax(x, axis=self.axis)
        return y, lambda dy: _core.log_softmax_backward(dy, y, axis=self.axis)

    def __repr__(self) -> str:
        """Return the constructor call."""
        return "LogSoftmax()" if self.axis == -1 else f"LogSoftmax(axis={self.axis})"
