"""Residual blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _core
from fastnn.nn.module import Backward, Module
from fastnn.nn.sequential import Sequential

if TYPE_CHECKING:
    from fastnn._core import Array


class Residual(Module):
    """``y = relu(shortcut(x) + branch(x))``, the sum and ReLU in one pass.

    He, Zhang, Ren and Sun, Deep residual learning, CVPR 2016, figure 2.

    Parameters
    ----------
    *layers : Module
        The branch, one after another.
    shortcut : Module, optional
        Default: x itself.

    Raises
    ------
    TypeError
        If an argument is not a Module.
    """

    def __init__(self, *layers: Module, shortcut: Module | None = None) -> None:
        self.branch = Sequential(*layers)
        self.shortcut = None if shortcut is None else Sequential(shortcut)

    def __call__(self, x: Array) -> Array:
        """Return y."""
        return _core.add_relu(x if self.shortcut is None else self.shortcut(x), self.branch(x))

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds y."""
        branch, branch_backward = self.branch.forward(x)
        if self.shortcut is None:
            around, shortcut_backward = x, None
        else:
            around, shortcut_backward = self.shortcut.forward(x)
        y = _core.add_relu(around, branch)

        def backward(dy: Array) -> Array | None:
            # forward was y = relu(around + branch): both get the gradient of the sum
            dsum = _core.relu_backward(dy, y)
            dbranch = branch_backward(dsum)
            daround = dsum if shortcut_backward is None else shortcut_backward(dsum)
            if dbranch is None or daround is None:
                return dbranch if daround is None else daround
            return _core.add(daround, dbranch)

        return y, backward
