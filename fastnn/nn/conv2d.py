"""The two-dimensional convolution layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, init
from fastnn.nn.checks import check_dy, divided, float_dtype, pair, positive
from fastnn.nn.module import Backward, Module
from fastnn.nn.parameter import Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._core import Array, Padding, Pair
    from fastnn.init import RNG, Initializer


class Conv2d(Module):
    """Cross-correlation of NHWC images with OHWI filters, plus a bias.

    Parameters
    ----------
    in_channels, out_channels : int
        I and O.
    kernel_size : int or (int, int)
        KH and KW.
    stride, dilation : int or (int, int)
        Default 1.
    padding : int, (int, int) or ((int, int), (int, int))
        Zeros around the image: everywhere, (height, width), or ((top, bottom), (left, right)).
    groups : int
        Default 1. Channels are cut into this many groups that do not see one another.
    bias : bool
        Whether there is a bias; default True.
    connections : array of bool, (O, I // groups), optional
        Which inputs an output sees, as in C3 of LeNet-5 (LeCun et al. 1998, table I; it is
        `fastnn.models.LENET5_CONNECTIONS`). Where it is False, weights start at 0 and their
        gradient is 0, so that they stay 0 whatever the optimizer. Default: all.
    weight_init : callable
        From `fastnn.init`; default `he_normal`, for ReLU. Biases start at 0.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter
        w, shape (O, KH, KW, I // groups).
    bias : Parameter or None
        b, shape (O,).
    connections : ndarray of bool or None
        In the shape of w.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or out of range, `groups` does not divide the channels,
        `connections` are not booleans or have another shape, or the dtype is another.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        connections: Array | None = None,
        weight_init: Initializer = init.he_normal,
        rng: RNG = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        positive("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        divided("Conv2d", groups, in_channels=in_channels, out_channels=out_channels)
        dtype = float_dtype("Conv2d", dtype)
        shape = (out_channels, *pair("Conv2d", "kernel_size", kernel_size), in_channels // groups)
        self.geometry: dict[str, Any] = {
            "stride": pair("Conv2d", "stride", stride),
            "padding": padding,
            "dilation": pair("Conv2d", "dilation", dilation),
            "groups": groups,
        }
        self.weight = Parameter(weight_init(shape, rng=rng, dtype=dtype))
        self.connections: Array | None = None
        if connections is not None:
            self.connections = _parse_connections(connections, shape)
            np.copyto(self.weight.data, 0, where=~self.connections)
        self.bias = Parameter(np.zeros(out_channels, dtype)) if bias else None

    def __call__(self, x: Array) -> Array:
        """Return y (N, OH, OW, O) for x (N, H, W, I)."""
        b = None if self.bias is None else self.bias.data
        return _core.conv2d(x, self.weight.data, b, **self.geometry)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y (N, OH, OW, O) and backward for x (N, H, W, I); the closure holds x."""
        w, b = self.weight, self.bias
        y = self(x)
        y_shape = y.shape

        def backward(dy: Array) -> Array | None:
            # forward was y[n,p] = b + sum over taps t of w[:,t] x[n,p+t], so
            # dw[:,t] = sum over n, p of dy[n,p] x[n,p+t], and dx is dy scattered through w
            check_dy(self, dy, y_shape, w.dtype)
            with w.grad_target() as (dw, add):
                _core.conv2d_backward_weight(
                    dy, x, dw.shape, accumulate=add, out=dw, **self.geometry
                )
                if self.connections is not None:  # w is constant elsewhere
                    _core.assign(dw, dw, mask=self.connections)
            if b is not None:
                with b.grad_target() as (db, add):
                    _core.bias_backward(dy, accumulate=add, out=db)
            if not self.input_grad:
                return None
            return _core.conv2d_backward_input(dy, w.data, x.shape, **self.geometry)

        return y, backward

    def _num_constants(self) -> int:
        return 0 if self.connections is None else int(np.count_nonzero(~self.connections))

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        out_channels, kernel_height, kernel_width, group_channels = self.weight.shape
        text = geometry_text((kernel_height, kernel_width), self.geometry)
        if self.connections is not None:
            text += ", connections=..."
        no_bias = ", bias=False" if self.bias is None else ""
        in_channels = group_channels * self.geometry["groups"]
        return f"Conv2d({in_channels}, {out_channels}{text}{no_bias})"


def geometry_text(kernel_size: tuple[int, int], geometry: dict[str, Any]) -> str:
    """Return these arguments of a constructor call, defaults left out."""
    default = {"output_padding": (0, 0), "stride": (1, 1), "padding": 0}
    default |= {"dilation": (1, 1), "groups": 1}
    return "".join(
        f", {name}={value[0] if _square(value) else value}"
        for name, value in {"kernel_size": kernel_size, **geometry}.items()
        if value != default.get(name)
    )


def _parse_connections(connections: Array, shape: tuple[int, ...]) -> Array:
    """Return where there is a connection, in the shape of the weights."""
    table = np.asarray(connections)
    if table.dtype != np.bool_:
        raise TypeError(f"Conv2d: connections must be booleans, not {table.dtype}")
    if table.shape != (shape[0], shape[3]):
        raise ValueError(
            f"Conv2d: connections must have shape {(shape[0], shape[3])} (out_channels, "
            f"in_channels // groups), not {table.shape}"
        )
    return np.broadcast_to(table[:, None, None, :], shape).copy()


def _square(value: Any) -> bool:
    return isinstance(value, tuple) and value[0] == value[1] and isinstance(value[0], int)
