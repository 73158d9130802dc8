"""Euclidean radial basis function units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core
from fastnn.nn.buffer import Buffer
from fastnn.nn.checks import check_dy
from fastnn.nn.module import Backward, Module
from fastnn.nn.parameter import Parameter

if TYPE_CHECKING:
    from fastnn._core import Array


class RBF(Module):
    """``y[n,o] = sum over i of (x[n,i] - centers[o,i])**2``: squared distances, not similarities.

    The output layer of LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, section II.B): a penalty
    for each class, the smallest of which decides. `fastnn.models.map_loss` is the loss for it.

    Parameters
    ----------
    centers : ndarray
        Shape (O, I), float32 or float64. They are copied.
    trainable : bool
        Whether they are a `Parameter`; default False, as in the paper, where they are fixed codes.

    Attributes
    ----------
    centers : Buffer or Parameter
        Shape (O, I).

    Raises
    ------
    TypeError, ValueError
        If the centers are not float32 or float64, or not two-dimensional.
    """

    def __init__(self, centers: Array, *, trainable: bool = False) -> None:
        centers = np.asarray(centers)
        if centers.dtype not in (np.float32, np.float64):
            raise TypeError(f"RBF: centers must be float32 or float64, not {centers.dtype}")
        if centers.ndim != 2:
            raise ValueError(f"RBF: centers must have shape (O, I), not {centers.shape}")
        self.centers: Buffer | Parameter = Parameter(centers) if trainable else Buffer(centers)

    def __call__(self, x: Array) -> Array:
        """Return y (N, O) for x (N, I)."""
        w = self.centers.data
        if not hasattr(x, "ndim") or x.dtype != w.dtype:
            found = getattr(x, "dtype", type(x).__name__)
            raise TypeError(f"RBF: x must be an array of {w.dtype}, not {found}")
        if x.ndim != 2 or x.shape[1] != w.shape[1]:
            raise ValueError(f"RBF: x must have shape (N, {w.shape[1]}), not {x.shape}")
        # not |x|^2 - 2 x w + |w|^2, which loses what is near a center
        # not -w, which a program would keep as it was while it was recorded
        minus_w = _core.mul(w, np.full(1, -1, w.dtype))
        difference = _core.add(x.reshape(len(x), 1, w.shape[1]), minus_w)
        return _core.row_sum(_core.mul(difference, difference))

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y (N, O) and backward for x (N, I); the closure holds x."""
        centers, w = self.centers, self.centers.data
        y = self(x)
        y_shape = y.shape

        def backward(dy: Array) -> Array | None:
            # forward was y = sum of (x - w)^2, so dx = 2 sum over o of dy (x - w), and dw is minus
            # the same summed over n
            check_dy(self, dy, y_shape, w.dtype)
            if isinstance(centers, Parameter):
                sums = _core.mul(w, _core.column_sum(dy).reshape(len(w), 1))
                dw = _core.gemm(dy, x, trans_a=True, alpha=-2.0, beta=2.0, c=sums)
                with centers.grad_target() as (grad, add):
                    _core.assign(grad, dw, accumulate=add)
            if not self.input_grad:
                return None
            sums = _core.mul(x, _core.row_sum(dy).reshape(len(x), 1))
            return _core.gemm(dy, w, alpha=-2.0, beta=2.0, c=sums)

        return y, backward

    def __repr__(self) -> str:
        """Return kind, inputs and outputs."""
        outputs, inputs = self.centers.shape
        trainable = ", trainable=True" if isinstance(self.centers, Parameter) else ""
        return f"RBF({inputs}, {outputs}{trainable})"
