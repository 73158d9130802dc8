"""The two-dimensional transposed convolution layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, init
from fastnn.nn.checks import check_dy, divided, float_dtype, pair, positive
from fastnn.nn.conv2d import geometry_text
from fastnn.nn.module import Backward, Module
from fastnn.nn.parameter import Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._core import Array, Padding, Pair
    from fastnn.init import RNG, Initializer


class ConvTranspose2d(Module):
    """Transposed convolution of NHWC images, plus a bias: each pixel adds a multiple of a kernel.

    The gradient of `Conv2d` with respect to its input, as a layer: with a stride it enlarges
    images. See `fastnn.conv_transpose2d`.

    Parameters
    ----------
    in_channels, out_channels : int
        I and O.
    kernel_size : int or (int, int)
        KH and KW.
    stride, dilation : int or (int, int)
        Default 1.
    padding : int, (int, int) or ((int, int), (int, int))
        Taken off the result: everywhere, (height, width), or ((top, bottom), (left, right)).
    output_padding : int or (int, int)
        Rows and columns more, below and on the right; default 0.
    groups : int
        Default 1. Channels are cut into this many groups that do not see one another.
    bias : bool
        Whether there is a bias; default True.
    weight_init : callable
        From `fastnn.init`; default `he_normal`, for ReLU. It is asked for weights of the shape
        (O, KH, KW, I // groups): what an output sums up where stride is 1. Biases start at 0.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter
        w, shape (I, KH, KW, O // groups); PyTorch's is (I, O // groups, KH, KW).
    bias : Parameter or None
        b, shape (O,).

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or out of range, `groups` does not divide the channels,
        `output_padding` is not smaller than stride or dilation, or the dtype is another.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Padding = 0,
        output_padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        weight_init: Initializer = init.he_normal,
        rng: RNG = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        name = "ConvTranspose2d"
        positive(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        divided(name, groups, in_channels=in_channels, out_channels=out_channels)
        dtype = float_dtype(name, dtype)
        kernel = pair(name, "kernel_size", kernel_size)
        self.geometry: dict[str, Any] = {
            "stride": pair(name, "stride", stride),
            "padding": padding,
            "output_padding": pair(name, "output_padding", output_padding, minimum=0),
            "dilation": pair(name, "dilation", dilation),
            "groups": groups,
        }
        steps = zip(self.geometry["stride"], self.geometry["dilation"], strict=True)
        extra = self.geometry["output_padding"]
        if any(e >= max(step) for e, step in zip(extra, steps, strict=True)):
            raise ValueError(
                f"{name}: output_padding={output_padding!r} must be smaller than "
                f"stride={stride!r} or dilation={dilation!r}"
            )
        group_in, group_out = in_channels // groups, out_channels // groups
        filters = weight_init((out_channels, *kernel, group_in), rng=rng, dtype=dtype)
        filters = filters.reshape(groups, group_out, *kernel, group_in).swapaxes(1, 4)
        self.weight = Parameter(filters.reshape(in_channels, *kernel, group_out))
        self.bias = Parameter(np.zeros(out_channels, dtype)) if bias else None

    def __call__(self, x: Array) -> Array:
        """Return y (N, OH, OW, O) for x (N, H, W, I)."""
        b = None if self.bias is None else self.bias.data
        return _core.conv_transpose2d(x, self.weight.data, b, **self.geometry)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y (N, OH, OW, O) and backward for x (N, H, W, I); the closure holds x."""
        w, b = self.weight, self.bias
        y = self(x)
        y_shape = y.shape

        def backward(dy: Array) -> Array | None:
            # forward was y[n,p+t] += w[:,t] x[n,p] for all taps t, then + b, so
            # dw[:,t] = sum over n, p of x[n,p] dy[n,p+t] and
            # dx[n,p] = sum over t of w[:,t] dy[n,p+t]
            check_dy(self, dy, y_shape, w.dtype)
            with w.grad_target() as (dw, add):
                _core.conv_transpose2d_backward_weight(
                    dy, x, dw.shape, accumulate=add, out=dw, **self.geometry
                )
            if b is not None:
                with b.grad_target() as (db, add):
                    _core.bias_backward(dy, accumulate=add, out=db)
            if not self.input_grad:
                return None
            return _core.conv_transpose2d_backward_input(dy, w.data, **self.geometry)

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        in_channels, kernel_height, kernel_width, group_channels = self.weight.shape
        text = geometry_text((kernel_height, kernel_width), self.geometry)
        no_bias = ", bias=False" if self.bias is None else ""
        out_channels = group_channels * self.geometry["groups"]
        return f"ConvTranspose2d({in_channels}, {out_channels}{text}{no_bias})"
