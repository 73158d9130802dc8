"""Outputs, classes and figures of a trained model."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastnn.nn import Module
from fastnn.training.step import Fallback, Loss, are_labels, classes_of, draws, loss_of

if TYPE_CHECKING:
    from fastnn._core import Array


_RECORDED = 16  # batches that outweigh a recording, some ms


def outputs(model: Module, x: Array, *, batch_size: int = 256) -> Array:
    """Return the model's outputs for all rows of `x`, computed in batches.

    Parameters
    ----------
    model : Module
        Maps (N, ...) to (N, ...).
    x : ndarray
        Shape (N, ...).
    batch_size : int
        Rows at a time, at least 1; default 256. It bounds the memory and does not change the
        result.

    Returns
    -------
    ndarray
        Shape (N, ...), the concatenated outputs.

    Raises
    ------
    TypeError, ValueError
        If `batch_size` is no integer or less than 1.
    """
    batch_size = _checked_batch_size("outputs", batch_size)
    if len(x) <= batch_size:
        return model(x)
    run: Callable[[Array], Array] = model
    worthwhile = len(x) >= _RECORDED * batch_size
    if worthwhile and isinstance(model, Module) and not any(map(draws, model.modules())):
        run = Fallback(model.__call__)
    whole = len(x) - len(x) % batch_size
    parts = [run(x[i : i + batch_size]) for i in range(0, whole, batch_size)]
    if whole < len(x):
        parts.append(model(x[whole:]))  # another shape would be another recording
    return np.concatenate(parts)


def predict(model: Module, x: Array, *, batch_size: int = 256) -> Array:
    """Return the class of every row of `x`.

    That is what the model's own ``predict(x)`` says, where it has one; else the index of the
    largest output.

    Parameters
    ----------
    model : Module
        A classifier.
    x : ndarray
        Shape (N, ...).
    batch_size : int
        Rows at a time, at least 1; default 256. It bounds the memory and does not change the
        result.

    Returns
    -------
    ndarray
        Shape (N,), integers.

    Raises
    ------
    TypeError, ValueError
        If `batch_size` is no integer or less than 1.
    """
    batch_size = _checked_batch_size("predict", batch_size)
    own = getattr(model, "predict", None)
    if own is None:
        return classes_of(model, x, outputs(model, x, batch_size=batch_size))
    parts = [own(x[i : i + batch_size]) for i in range(0, max(len(x), 1), batch_size)]
    return np.concatenate(parts)


class Evaluation(NamedTuple):
    """Result of `evaluate`."""

    loss: float
    """Mean loss; NaN of models that have none."""
    accuracy: float
    """Fraction classified correctly; 0 where the targets are no labels."""
    outputs: Array
    """(N, ...): what the model returned; logits for most. (N, 0) of models without a loss."""
    predictions: Array
    """(N,): the class of each row."""


def evaluate(
    model: Module, x: Array, labels: Array, *, loss: Loss | None = None, batch_size: int = 256
) -> Evaluation:
    """Return loss, accuracy, outputs and predictions of a classifier.

    Parameters
    ----------
    model : Module
        Returns logits (N, C), or outputs that its own ``loss``, and ``classify(outputs)`` or
        ``predict(x)`` are for. Of one that learns by a method ``fit``, only ``predict`` is used.
    x : ndarray
        Shape (N, ...), N at least 1.
    labels : ndarray
        Shape (N,), integers in [0, C).
    loss : callable, optional
        As in `fit`.
    batch_size : int
        Rows at a time; default 256.

    Returns
    -------
    Evaluation

    Raises
    ------
    TypeError, ValueError
        If lengths differ, a label is out of range, or there is nothing to evaluate.

    Examples
    --------
    >>> train, test = fastnn.data.load_digits()
    >>> fastnn.evaluate(fastnn.models.lenet5(rng=0), *test).predictions.shape
    (359,)
    """
    if len(x) != len(labels):
        raise ValueError(f"evaluate: x has {len(x)} rows, labels has {len(labels)}")
    if learns_by_itself(model):
        value, y = math.nan, np.empty((len(x), 0))
        predictions = predict(model, x, batch_size=batch_size)
    else:
        y = outputs(model, x, batch_size=batch_size)
        value, _ = loss_of(model, loss)(y, labels)
        known = hasattr(model, "classify") or not hasattr(model, "predict")
        predictions = classes_of(model, x, y) if known else predict(model, x, batch_size=batch_size)
    accuracy = float(np.mean(predictions == labels)) if are_labels(labels) else 0.0
    return Evaluation(value, accuracy, y, predictions)


def learns_by_itself(model: Module) -> bool:
    """Return whether a model is trained by its own ``fit(x, labels)``, without gradients."""
    return callable(getattr(model, "fit", None))


def confusion_matrix(labels: Array, predictions: Array, num_classes: int | None = None) -> Array:
    """Count how often each class was taken for which.

    Parameters
    ----------
    labels, predictions : ndarray
        Shape (N,), integers of at least 0.
    num_classes : int, optional
        C; default: one more than the largest value.

    Returns
    -------
    ndarray
        Shape (C, C), int64: row = label, column = prediction.

    Raises
    ------
    TypeError
        If an array does not hold integers.
    ValueError
        If shapes differ or a value is out of range.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    for name, array in (("labels", labels), ("predictions", predictions)):
        if array.dtype.kind not in "iu":
            raise TypeError(f"confusion_matrix: {name} must hold integers, not {array.dtype}")
    if labels.ndim != 1 or labels.shape != predictions.shape:
        raise ValueError(
            "confusion_matrix: labels and predictions must be 1-D and of one length, "
            f"got {labels.shape} and {predictions.shape}"
        )
    both = np.concatenate([labels, predictions]).astype(np.int64)
    largest = int(both.max(initial=-1))
    size = largest + 1 if num_classes is None else operator.index(num_classes)
    if both.min(initial=0) < 0 or largest >= size:
        raise ValueError(f"confusion_matrix: values must be in [0, {size})")
    cells = np.bincount(both[: len(labels)] * size + both[len(labels) :], minlength=size * size)
    return cells.reshape(size, size)


def _checked_batch_size(caller: str, batch_size: int) -> int:
    batch_size = operator.index(batch_size)
    if batch_size < 1:
        raise ValueError(f"{caller}: batch_size must be at least 1, got {batch_size}")
    return batch_size
