"""Radial basis function units and the loss that belongs to them."""

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, f64


def rbf(x: ArrayLike, centers: ArrayLike) -> Array:
    """y[n,o] = sum over i of (x[n,i] - centers[o,i])**2: x (N, I), centers (O, I) -> (N, O)."""
    y: Array = ((f64(x)[:, None, :] - f64(centers)) ** 2).sum(axis=2)
    return y


def map_loss(penalties: ArrayLike, labels: ArrayLike, j: float = 0.1) -> tuple[float, Array]:
    """(loss, gradient): penalties y (N, C), labels (N,).

    loss = mean over n of (y[n,labels[n]] + log(exp(-j) + sum over c of exp(-y[n,c]))); with p the
    share of exp(-y[n,c]) in that sum, N * gradient = onehot(labels) - p.
    """
    y, labels = f64(penalties), np.asarray(labels)
    N, C = y.shape
    least = np.minimum(y.min(axis=1, initial=np.inf), j)[:, None]
    e = np.exp(least - y)
    total = np.exp(least - j) + e.sum(axis=1, keepdims=True)
    losses = y[np.arange(N), labels] - least[:, 0] + np.log(total[:, 0])
    onehot = f64(np.arange(C) == labels[:, None])
    return float(losses.sum() / N), (onehot - e / total) / N
