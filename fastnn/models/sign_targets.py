"""Classifiers whose outputs are tanh units, trained against targets of +1 and -1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core
from fastnn.nn import Sequential

if TYPE_CHECKING:
    from fastnn._core import Array


class SignTargets(Sequential):
    """Layers in order, with the squared error that went with them until about 1998.

    The target is +1 for the unit of the right class and -1 for all others, which the scaled tanh
    reaches where it is not saturated (LeCun, Bottou, Orr and Mueller 1998, "Efficient BackProp",
    section 4.5).
    """

    def loss(self, outputs: Array, labels: Array) -> tuple[float, Array]:
        """Return E, and its gradient with respect to the outputs.

        ``E = mean over n of (1/2 * sum over c of (outputs[n,c] - targets[n,c])**2)``.

        Parameters
        ----------
        outputs : ndarray
            Shape (N, C).
        labels : ndarray
            Shape (N,), integers in [0, C).

        Raises
        ------
        TypeError, ValueError
            If the labels are no integers, too few, or out of range.
        """
        labels = check_labels(f"{type(self).__name__}.loss", labels, outputs.shape)
        # the mean over all elements times C / 2: the root of that factor goes into both sides
        factor = np.array(math.sqrt(outputs.shape[1] / 2), outputs.dtype)
        codes = factor * (2 * np.eye(outputs.shape[1], dtype=outputs.dtype) - 1)
        loss, dy = _core.mse(_core.mul(outputs, factor), _core.embedding(codes, labels))
        return loss, _core.mul(dy, factor)

    def classify(self, outputs: Array) -> Array:
        """Return the classes (N,) of the largest outputs (N, C)."""
        classes: Array = outputs.argmax(1)
        return classes

    def predict(self, x: Array) -> Array:
        """Return the classes (N,) of the inputs (N, ...)."""
        return self.classify(self(x))


def check_labels(caller: str, labels: Array, shape: tuple[int, ...]) -> Array:
    """Return labels that fit outputs of this shape, (N, C)."""
    if isinstance(labels, _core.Symbol):  # their values are looked at before every run
        _core.check_labels(caller, labels, *shape)
        return labels
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{caller}: labels must be integers, not {labels.dtype}")
    if labels.shape != shape[:1]:
        raise ValueError(f"{caller}: labels must have shape {shape[:1]}, not {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < shape[1]:
        raise ValueError(
            f"{caller}: labels must be in [0, {shape[1]}), got {labels.min()} to {labels.max()}"
        )
    return labels
