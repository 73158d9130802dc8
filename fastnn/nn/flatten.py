"""From images to vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastnn.nn.module import Backward, Module

if TYPE_CHECKING:
    from fastnn._core import Array


class Flatten(Module):
    """All axes but the first become one: (N, H, W, C) to (N, H * W * C), without a copy."""

    def __call__(self, x: Array) -> Array:
        """Return y (N, F) for x (N, ...)."""
        # not reshape(N, -1), which fails for an empty batch
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds no array."""
        x_shape = x.shape
        return self(x), lambda dy: dy.reshape(x_shape)

    def __repr__(self) -> str:
        """Return the constructor call."""
        return "Flatten()"
