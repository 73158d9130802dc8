"""Pooling layers over NHWC images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from fastnn import _core
from fastnn.nn.checks import check_dy, float_dtype, pair, positive
from fastnn.nn.module import Backward, Module
from fastnn.nn.parameter import Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._core import Array, Padding, Pair


class MaxPool2d(Module):
    """Maximum over windows.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of the window, together at most 255 elements.
    stride : int or (int, int), optional
        Default: `kernel_size`, so that windows do not overlap.
    padding : int, (int, int) or ((int, int), (int, int))
        Default 0; less than the window on every side. Padding never wins the maximum.
    ceil_mode : bool
        Round the output's size up, as in PyTorch; default False.
    activation : None or "relu"
        ``"relu"`` is a `ReLU` before or after this layer, in the same pass forward and backward.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1, or the activation is another.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Padding = 0,
        *,
        ceil_mode: bool = False,
        activation: Literal["relu"] | None = None,
    ) -> None:
        if activation not in (None, "relu"):
            raise ValueError(f"MaxPool2d: activation must be None or 'relu', not {activation!r}")
        self.kernel_size = pair("MaxPool2d", "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("MaxPool2d", "stride", stride)
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.activation: Literal["relu"] | None = activation

    def __call__(self, x: Array) -> Array:
        """Return y (N, OH, OW, C) for x (N, H, W, C)."""
        return _core.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            activation=self.activation,
        )

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds one byte per output: where the maximum was."""
        y, indices = _core.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            activation=self.activation,
            return_indices=True,
        )
        x_shape = x.shape

        def backward(dy: Array) -> Array:
            # forward was y = x[argmax of the window], so dx there gets dy, elsewhere 0;
            # the indices say as well where ReLU cut y off
            return _core.max_pool2d_backward(
                dy,
                indices,
                x_shape,
                self.kernel_size,
                stride=self.stride,
                padding=self.padding,
                ceil_mode=self.ceil_mode,
            )

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        text = _describe(self.kernel_size, self.stride, self.padding, self.ceil_mode)
        relu = f", activation={self.activation!r}" if self.activation else ""
        return f"MaxPool2d({text}{relu})"


class AvgPool2d(Module):
    """Mean over windows.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of the window.
    stride : int or (int, int), optional
        Default: `kernel_size`, so that windows do not overlap.
    padding : int, (int, int) or ((int, int), (int, int))
        Default 0; less than the window on every side.
    ceil_mode : bool
        Round the output's size up, as in PyTorch; default False.
    count_include_pad : bool
        Whether padding counts as zeros in the mean (default, as in PyTorch) or not at all.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1.
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Padding = 0,
        *,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = pair("AvgPool2d", "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("AvgPool2d", "stride", stride)
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def __call__(self, x: Array) -> Array:
        """Return y (N, OH, OW, C) for x (N, H, W, C)."""
        return _core.avg_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds no array."""
        y = self(x)
        x_shape = x.shape

        def backward(dy: Array) -> Array:
            # forward was y = sum of the window / its count, so every x in it gets dy / count
            return _core.avg_pool2d_backward(
                dy,
                x_shape,
                self.kernel_size,
                stride=self.stride,
                padding=self.padding,
                ceil_mode=self.ceil_mode,
                count_include_pad=self.count_include_pad,
            )

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        text = _describe(self.kernel_size, self.stride, self.padding, self.ceil_mode)
        no_pad = "" if self.count_include_pad else ", count_include_pad=False"
        return f"AvgPool2d({text}{no_pad})"


class GlobalAvgPool2d(Module):
    """Mean of each channel over all pixels: (N, H, W, C) to (N, C)."""

    def __call__(self, x: Array) -> Array:
        """Return y (N, C) for x (N, H, W, C)."""
        return _core.global_avg_pool2d(x)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds no array."""
        x_shape = x.shape
        # forward is y = sum of x / (H W), so every pixel gets dy / (H W)
        return self(x), lambda dy: _core.global_avg_pool2d_backward(dy, x_shape)

    def __repr__(self) -> str:
        """Return the constructor call."""
        return "GlobalAvgPool2d()"


class Subsample2d(Module):
    """``y = coefficient * sum of the window + bias``, both trainable, one per channel.

    Layers S2 and S4 of LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998, section II.B), where a
    squashing function follows. It starts as the mean: the coefficient is 1 / (KH * KW), the bias 0.

    Parameters
    ----------
    channels : int
        C.
    kernel_size : int or (int, int)
        Height and width of the window; default 2.
    stride : int or (int, int), optional
        Default: `kernel_size`, so that windows do not overlap.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    coefficient, bias : Parameter
        Shape (C,).

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1, or the dtype is another.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Pair = 2,
        stride: Pair | None = None,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        positive("Subsample2d", channels=channels)
        dtype = float_dtype("Subsample2d", dtype)
        self.kernel_size = pair("Subsample2d", "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("Subsample2d", "stride", stride)
        taps = self.kernel_size[0] * self.kernel_size[1]
        self.coefficient = Parameter(np.full(channels, 1 / taps, dtype))
        self.bias = Parameter(np.zeros(channels, dtype))

    def __call__(self, x: Array) -> Array:
        """Return y (N, OH, OW, C) for x (N, H, W, C)."""
        return _core.subsample2d(
            x, self.coefficient.data, self.bias.data, self.kernel_size, stride=self.stride
        )

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds x."""
        a, b = self.coefficient, self.bias
        size, stride = self.kernel_size, self.stride
        y = self(x)
        y_shape = y.shape

        def backward(dy: Array) -> Array | None:
            # forward was y = a s + b, s the sum of the window, so da = sum of dy s, db = sum of dy,
            # and every x of the window gets a dy
            check_dy(self, dy, y_shape, a.dtype)
            with a.grad_target() as (da, add):
                _core.subsample2d_backward_coefficient(
                    dy, x, size, stride=stride, accumulate=add, out=da
                )
            with b.grad_target() as (db, add):
                _core.bias_backward(dy, accumulate=add, out=db)
            if not self.input_grad:
                return None
            return _core.subsample2d_backward_input(dy, a.data, x.shape, size, stride=stride)

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        text = _describe(self.kernel_size, self.stride, 0, False)
        return f"Subsample2d({self.coefficient.size}, {text})"


def _describe(
    kernel_size: tuple[int, int], stride: tuple[int, int], padding: Padding, ceil_mode: bool
) -> str:
    def short(value: tuple[int, int]) -> str:
        return str(value[0] if value[0] == value[1] else value)

    text = short(kernel_size)
    if stride != kernel_size:
        text += f", stride={short(stride)}"
    if padding != 0:
        text += f", padding={padding}"
    return f"{text}, ceil_mode=True" if ceil_mode else text
