"""Layers one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, overload

from fastnn.nn.module import Backward, Module

if TYPE_CHECKING:
    from fastnn._core import Array


class Sequential(Module):
    """Apply layers in order.

    Parameters
    ----------
    *layers : Module
        The layers; they can be reached by index, and a slice is a `Sequential` of the same layers.

    Raises
    ------
    TypeError
        If an argument is not a Module.

    Examples
    --------
    >>> from fastnn.nn import Linear, ReLU
    >>> model = Sequential(Linear(784, 128, rng=0), ReLU(), Linear(128, 10, rng=1))
    >>> print(model)
    Sequential
      0  Linear(784, 128)  weight (128, 784), bias (128,)  100,480
      1  ReLU()
      2  Linear(128, 10)   weight (10, 128), bias (10,)      1,290
    101,770 parameters
    """

    def __init__(self, *layers: Module) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential: layer {i} is a {type(layer).__name__}, not a Module")
        self.layers = layers

    def __call__(self, x: Array) -> Array:
        """Return the output of the last layer."""
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return the output of the last layer, and backward through all of them."""
        steps: list[Backward] = []
        for layer in self.layers:
            x, step = layer.forward(x)
            steps.append(step)

        def backward(dy: Array) -> Array | None:
            gradient: Array | None = dy
            for step in reversed(steps):
                if gradient is None:  # a layer with input_grad = False: nothing below needs one
                    return None
                gradient = step(gradient)
            return gradient

        return x, backward

    def _members(self) -> Iterator[tuple[str, Module]]:
        return ((str(i), layer) for i, layer in enumerate(self.layers))

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.layers)

    def __iter__(self) -> Iterator[Module]:
        """Iterate over the layers."""
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        """Return a layer, or for a slice a `Sequential` that shares the layers."""
        if isinstance(index, slice):
            return Sequential(*self.layers[index])
        return self.layers[index]
