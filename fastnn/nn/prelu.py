"""The rectifier with a trainable slope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core
from fastnn.nn.checks import check_dy, float_dtype, positive
from fastnn.nn.module import Backward, Module
from fastnn.nn.parameter import Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._core import Array


class PReLU(Module):
    """``y = x if x > 0 else w * x``, w trainable: He, Zhang, Ren and Sun 2015, section 2.1.

    Parameters
    ----------
    num_parameters : int
        1 (default): one slope for all; else one for each channel, the last axis of x.
    init : float
        Its first value; default 0.25.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter
        w, shape (num_parameters,).

    Raises
    ------
    TypeError, ValueError
        If `num_parameters` is no integer or less than 1, or the dtype is another.
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32
    ) -> None:
        positive("PReLU", num_parameters=num_parameters)
        self.weight = Parameter(np.full(num_parameters, init, float_dtype("PReLU", dtype)))

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.prelu(x, self.weight.data)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds x."""
        w = self.weight

        def backward(dy: Array) -> Array:
            # forward was y = x where x > 0, else w x
            check_dy(self, dy, x.shape, w.dtype)
            dx, dw = _core.prelu_backward(dy, x, w.data)
            with w.grad_target() as (grad, add):
                _core.assign(grad, dw, accumulate=add)
            return dx

        return self(x), backward

    def __repr__(self) -> str:
        """Return the constructor call."""
        return f"PReLU({self.weight.size})"
