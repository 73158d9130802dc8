"""Losses, each with its gradient: (loss, gradient), the loss an array for reduction "none"."""

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, f64
from fastnn.reference.softmax import log_softmax

Loss = float | Array


def _reduce(losses: Array, gradients: Array, reduction: str, divisor: float) -> tuple[Loss, Array]:
    """Return what a loss returns, of every element's or row's loss and the gradients of their sum.

    A mean is their sum over the divisor.
    """
    if reduction == "none":
        return losses, gradients
    if reduction == "sum":
        return float(losses.sum()), gradients
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(losses.sum() / np.float64(divisor)), np.where(
            gradients == 0, 0.0, gradients / np.float64(divisor)
        )


def _one_hot(labels: ArrayLike, C: int) -> Array:
    """(N, C) with 1 at the labels; a row of zeros for a label that is no class."""
    return f64(np.arange(C) == np.asarray(labels)[:, None])


def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_smoothing: float = 0.0,
    weight: ArrayLike | None = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
) -> tuple[Loss, Array]:
    """(loss, dlogits): logits (N, C), labels (N,) in [0, C), or probabilities (N, C).

    losses[n] = -sum over c of q[n,c] * log_softmax(logits)[n,c], and
    dlogits[n] = sum(q[n]) * softmax(logits)[n] - q[n], with
    q[n,c] = weight[c] * ((1 - s) * t[n,c] + s / C), s = label_smoothing and t the probabilities or
    onehot(labels); 0 * log 0 is 0. The mean is over N, or over the sum of weight[labels[n]] of the
    rows not ignored.
    """
    logits, labels = f64(logits), np.asarray(labels)
    N, C = logits.shape
    w = np.ones(C) if weight is None else f64(weight)
    target, kept, divisor = f64(labels), np.ones(N, bool), float(N)
    if labels.ndim == 1:
        kept = np.ones(N, bool) if ignore_index is None else labels != ignore_index
        target, divisor = _one_hot(labels, C), float(w[labels[kept]].sum())
    q = w * ((1.0 - label_smoothing) * target + label_smoothing / C)
    log_p = log_softmax(logits)
    losses = -(q * np.where(q == 0, np.where(np.isnan(log_p), log_p, 0.0), log_p)).sum(axis=1)
    gradients = q.sum(axis=1, keepdims=True) * np.exp(log_p) - q
    losses, gradients = np.where(kept, losses, 0.0), np.where(kept[:, None], gradients, 0.0)
    return _reduce(losses, gradients, reduction, divisor)


def nll(
    log_probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int | None = -100,
    reduction: str = "mean",
) -> tuple[Loss, Array]:
    """(loss, gradient) of losses[n] = -weight[labels[n]] * log_probabilities[n, labels[n]].

    The mean is over the sum of weight[labels[n]] of the rows not ignored.
    """
    log_p, labels = f64(log_probabilities), np.asarray(labels)
    N, C = log_p.shape
    w = np.ones(C) if weight is None else f64(weight)
    kept = np.ones(N, bool) if ignore_index is None else labels != ignore_index
    rows, classes = np.flatnonzero(kept), labels[kept]
    losses, gradients = np.zeros(N), np.zeros((N, C))
    losses[rows] = -w[classes] * log_p[rows, classes]
    gradients[rows, classes] = -w[classes]
    return _reduce(losses, gradients, reduction, float(w[classes].sum()))


def multi_margin(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> tuple[Loss, Array]:
    """(loss, dscores): scores (N, C), labels (N,) in [0, C).

    losses[n] = weight[y] / C * sum over c != y of max(0, margin - scores[n,y] + scores[n,c])**p
    with y = labels[n].
    """
    scores, labels = f64(scores), np.asarray(labels)
    N, C = scores.shape
    factor = np.ones(N) if weight is None else f64(weight)[labels]
    onehot = _one_hot(labels, C)
    chosen = scores[np.arange(N), labels]
    m = np.maximum(0.0, margin - chosen[:, None] + scores) * (1.0 - onehot)
    gradients = factor[:, None] / C * p * np.where(m > 0, m ** (p - 1), m)
    gradients -= onehot * gradients.sum(axis=1, keepdims=True)
    return _reduce(factor / C * (m**p).sum(axis=1), gradients, reduction, float(N))


def mse(y: ArrayLike, t: ArrayLike, *, reduction: str = "mean") -> tuple[Loss, Array]:
    """(loss, dy) of (y - t)**2; y and t of one shape."""
    d = f64(y) - f64(t)
    return _reduce(d**2, 2.0 * d, reduction, d.size)


def l1(y: ArrayLike, t: ArrayLike, *, reduction: str = "mean") -> tuple[Loss, Array]:
    """(loss, dy) of abs(y - t); y and t of one shape."""
    d = f64(y) - f64(t)
    return _reduce(np.abs(d), np.sign(d), reduction, d.size)


def huber(
    y: ArrayLike, t: ArrayLike, *, delta: float = 1.0, reduction: str = "mean"
) -> tuple[Loss, Array]:
    """(loss, dy) of d**2 / 2 up to abs(d) = delta, then delta * (abs(d) - delta / 2); d = y - t."""
    d = f64(y) - f64(t)
    losses = np.where(np.abs(d) > delta, delta * (np.abs(d) - delta / 2), d**2 / 2)
    return _reduce(losses, np.clip(d, -delta, delta), reduction, d.size)


def hinge(
    y: ArrayLike, t: ArrayLike, *, margin: float = 1.0, reduction: str = "mean"
) -> tuple[Loss, Array]:
    """(loss, dy) of max(0, margin - t * y), t being -1 or +1; y and t of one shape."""
    y, t = f64(y), f64(t)
    m = margin - t * y
    gradients = np.where(np.isnan(m), m, np.where(m > 0, -t, 0.0))
    return _reduce(np.maximum(m, 0.0), gradients, reduction, m.size)


def bce_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> tuple[Loss, Array]:
    """(loss, dlogits) of weight * (pos_weight * t * softplus(-x) + (1 - t) * softplus(x)).

    The derivative is weight * ((1 - t) * sigmoid(x) - pos_weight * t * sigmoid(-x)).
    """
    x, t = f64(logits), f64(targets)
    w = f64(1.0 if weight is None else weight)
    on, off = t * f64(1.0 if pos_weight is None else pos_weight), 1.0 - t
    losses = w * (on * np.logaddexp(0.0, -x) + off * np.logaddexp(0.0, x))
    e = np.exp(-np.abs(x))
    up, down = np.where(x > 0, 1.0, e) / (1.0 + e), np.where(x > 0, e, 1.0) / (1.0 + e)
    return _reduce(losses, w * (off * up - on * down), reduction, x.size)
