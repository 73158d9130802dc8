"""The fully connected layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core, init
from fastnn.nn.checks import check_dy, float_dtype, positive
from fastnn.nn.module import Backward, Module
from fastnn.nn.parameter import Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._core import Array
    from fastnn.init import RNG, Initializer


class Linear(Module):
    """``y = x w^T + b`` over the last axis.

    Parameters
    ----------
    in_features, out_features : int
        I and O.
    bias : bool
        Whether there is a `b`; default True.
    weight_init : callable
        From `fastnn.init`; default `he_normal`, for ReLU. Biases start at 0.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter
        w, shape (O, I).
    bias : Parameter or None
        b, shape (O,).

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1, or the dtype is another.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        weight_init: Initializer = init.he_normal,
        rng: RNG = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        positive("Linear", in_features=in_features, out_features=out_features)
        dtype = float_dtype("Linear", dtype)
        self.weight = Parameter(weight_init((out_features, in_features), rng=rng, dtype=dtype))
        self.bias = Parameter(np.zeros(out_features, dtype)) if bias else None

    def __call__(self, x: Array) -> Array:
        """Return y (..., O) for x (..., I)."""
        return _core.linear(x, self.weight.data, None if self.bias is None else self.bias.data)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y (..., O) and backward for x (..., I); the closure holds x."""
        w, b = self.weight, self.bias
        y = self(x)
        y_shape = y.shape

        def backward(dy: Array) -> Array | None:
            # forward was y = x w^T + b, so dw = dy^T x, db = sum of dy, dx = dy w
            check_dy(self, dy, y_shape, w.dtype)
            rows = dy.reshape(-1, y_shape[-1])  # (M, O), M all leading axes
            inputs = x.reshape(-1, x.shape[-1])  # (M, I)
            with w.grad_target() as (dw, add):
                c = dw if add else None
                _core.gemm(rows, inputs, trans_a=True, beta=float(add), c=c, out=dw)
            if b is not None:
                with b.grad_target() as (db, add):
                    _core.bias_backward(dy, accumulate=add, out=db)
            return _core.gemm(rows, w.data).reshape(x.shape) if self.input_grad else None

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call."""
        out_features, in_features = self.weight.shape
        no_bias = ", bias=False" if self.bias is None else ""
        return f"Linear({in_features}, {out_features}{no_bias})"
