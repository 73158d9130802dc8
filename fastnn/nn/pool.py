"""Pooling layers over NHWC images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _core
from fastnn.nn.checks import pair
from fastnn.nn.module import Backward, Module

if TYPE_CHECKING:
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

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1.
    """

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Padding = 0) -> None:
        self.kernel_size = pair("MaxPool2d", "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("MaxPool2d", "stride", stride)
        self.padding = padding

    def __call__(self, x: Array) -> Array:
        """Return y (N, OH, OW, C) for x (N, H, W, C)."""
        return _core.max_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds one byte per output: where the maximum was."""
        y, indices = _core.max_pool2d(
            x, self.kernel_size, stride=self.stride, padding=self.padding, return_indices=True
        )
        x_shape = x.shape

        def backward(dy: Array) -> Array:
            # forward was y = x[argmax of the window], so dx there gets dy, elsewhere 0
            return _core.max_pool2d_backward(
                dy, indices, x_shape, self.kernel_size, stride=self.stride, padding=self.padding
            )

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        return f"MaxPool2d({_describe(self.kernel_size, self.stride, self.padding)})"


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
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = pair("AvgPool2d", "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair("AvgPool2d", "stride", stride)
        self.padding = padding
        self.count_include_pad = count_include_pad

    def __call__(self, x: Array) -> Array:
        """Return y (N, OH, OW, C) for x (N, H, W, C)."""
        return _core.avg_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
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
                count_include_pad=self.count_include_pad,
            )

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call, defaults left out."""
        text = _describe(self.kernel_size, self.stride, self.padding)
        no_pad = "" if self.count_include_pad else ", count_include_pad=False"
        return f"AvgPool2d({text}{no_pad})"


def _describe(kernel_size: tuple[int, int], stride: tuple[int, int], padding: Padding) -> str:
    def short(value: tuple[int, int]) -> str:
        return str(value[0] if value[0] == value[1] else value)

    text = short(kernel_size)
    if stride != kernel_size:
        text += f", stride={short(stride)}"
    return text if padding == 0 else f"{text}, padding={padding}"
