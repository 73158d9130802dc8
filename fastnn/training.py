"""Train and evaluate classifiers: the loops that every program writes."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastnn import _core

if TYPE_CHECKING:
    from fastnn._core import Array
    from fastnn.data import Batches
    from fastnn.nn import Module
    from fastnn.optim import Optimizer


class Progress(NamedTuple):
    """How an epoch went, so far or altogether."""

    examples: int
    """Examples trained on."""
    loss: float
    """Mean loss over them, each as it was when its batch came."""
    accuracy: float
    """Fraction of them that was classified correctly, likewise."""
    seconds: float
    """Since the start of the epoch."""
    stopped: bool = False
    """Whether `on_batch` has ended the epoch early."""

    @property
    def examples_per_second(self) -> float:
        """Speed."""
        return self.examples / self.seconds if self.seconds > 0 else 0.0


def train_epoch(
    model: Module,
    optimizer: Optimizer,
    batches: Batches,
    *,
    schedule: Callable[[], float] | None = None,
    on_batch: Callable[[Progress], bool] | None = None,
) -> Progress:
    """Train a classifier for one pass over the batches.

    Parameters
    ----------
    model : Module
        Returns logits (N, C).
    optimizer : Optimizer
        Of the model's parameters.
    batches : Batches
        Yields (x, labels); see `fastnn.data.batches`.
    schedule : callable, optional
        Called before every step; returns its learning rate.
    on_batch : callable, optional
        Called after every step with the progress so far. If it returns true, the epoch ends.

    Returns
    -------
    Progress
        Of the whole epoch.

    Raises
    ------
    FloatingPointError
        If a loss is infinite or NaN. The step is not made then.
    """
    examples, correct, total = 0, 0, 0.0
    start = time.perf_counter()
    progress = Progress(0, 0.0, 0.0, 0.0)
    for x, labels in batches:
        if schedule is not None:
            optimizer.lr = schedule()
        logits, backward = model.forward(x)
        loss, dlogits = _core.softmax_cross_entropy(logits, labels)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"train_epoch: the loss is {loss} after {examples} examples of this epoch"
            )
        backward(dlogits)
        del backward  # frees the activations before the next batch makes its own
        optimizer.step()
        examples += len(x)
        total += loss * len(x)
        correct += int(np.count_nonzero(logits.argmax(1) == labels))
        seconds = time.perf_counter() - start
        progress = Progress(examples, total / examples, correct / examples, seconds)
        if on_batch is not None and on_batch(progress):
            return progress._replace(stopped=True)
    return progress


def linear_decay(lr: float, steps: int) -> Callable[[], float]:
    """Return a schedule for `train_epoch` that goes from `lr` straight to 0 in `steps` steps.

    Step k, counted from 0, gets ``lr * (1 - k / steps)``; steps beyond the last get 0.
    """
    done = 0

    def schedule() -> float:
        nonlocal done
        rate = lr * max(0.0, 1 - done / steps)
        done += 1
        return rate

    return schedule


def predict(model: Module, x: Array, *, batch_size: int = 256) -> Array:
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
    ValueError
        If `batch_size` is less than 1.
    """
    batch_size = operator.index(batch_size)
    if batch_size < 1:
        raise ValueError(f"predict: batch_size must be at least 1, got {batch_size}")
    if len(x) <= batch_size:
        return model(x)
    return np.concatenate([model(x[i : i + batch_size]) for i in range(0, len(x), batch_size)])


class Evaluation(NamedTuple):
    """Result of `evaluate`."""

    loss: float
    """Mean cross-entropy."""
    accuracy: float
    """Fraction classified correctly."""
    logits: Array
    """(N, C)."""


def evaluate(model: Module, x: Array, labels: Array, *, batch_size: int = 256) -> Evaluation:
    """Return loss, accuracy and logits of a classifier.

    Parameters
    ----------
    model : Module
        Returns logits (N, C).
    x : ndarray
        Shape (N, ...), N at least 1.
    labels : ndarray
        Shape (N,), integers in [0, C).
    batch_size : int
        Rows at a time; default 256.

    Returns
    -------
    Evaluation

    Raises
    ------
    TypeError, ValueError
        If lengths differ, a label is out of range, or there is nothing to evaluate.
    """
    if len(x) != len(labels):
        raise ValueError(f"evaluate: x has {len(x)} rows, labels has {len(labels)}")
    logits = predict(model, x, batch_size=batch_size)
    loss, _ = _core.softmax_cross_entropy(logits, labels)
    return Evaluation(loss, float(np.mean(logits.argmax(1) == labels)), logits)


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
