"""Embedding in plain NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.reference.arrays import Array, f64

Integers = NDArray[np.integer]


def embedding(weight: ArrayLike, indices: Integers) -> Array:
    """Return ``weight[indices]``."""
    result: Array = f64(weight)[indices]
    return result


def embedding_backward(
    dy: Array, indices: Integers, num_embeddings: int, *, padding_index: int | None = None
) -> Array:
    """Return the sums of the dy of each row."""
    dw = np.zeros((num_embeddings, dy.shape[-1]))
    np.add.at(dw, indices, f64(dy))
    if padding_index is not None:
        dw[padding_index] = 0
    return dw
