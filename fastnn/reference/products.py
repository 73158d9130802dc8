"""Products of matrices."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.reference.activations import activate
from fastnn.reference.arrays import Array, f64


def gemm(
    a: ArrayLike,
    b: ArrayLike,
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    c: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    mask: ArrayLike | None = None,
    mask_out: NDArray[np.bool_] | None = None,
) -> Array:
    """y = act(beta*c + alpha * a @ b + bias): a (M, K), b (K, N), c (M, N) -> (M, N).

    With trans_a, a is (K, M); with trans_b, b is (N, K). c is not read where beta = 0. bias is
    (N,) or (1, N), one per column, or (M, 1), one per row. Then mask_out (M, N) is set to y != 0,
    and y to 0 where mask (M, N) is False: the gradient of a relu whose mask_out it was.
    """
    left = f64(a).T if trans_a else f64(a)
    right = f64(b).T if trans_b else f64(b)
    y: Array = alpha * left @ right
    if beta != 0 and c is not None:
        y = beta * f64(c) + y
    y = activate(y if bias is None else y + f64(bias), activation)
    if mask_out is not None:
        mask_out[...] = y != 0
    return y if mask is None else np.where(mask, y, 0.0)


def pack(w: ArrayLike, *, trans_b: bool = True) -> Array:
    """A copy of w, (O, I), or (K, N) without trans_b: for `linear` and for the b of `gemm`."""
    return np.array(w, dtype=np.float64)


def matmul(a: ArrayLike, b: ArrayLike) -> Array:
    """y = a @ b, matrix by matrix, the axes before them broadcast: (..., M, K), (..., K, N).

    An array of one axis is a row on the left, a column on the right; y lacks that axis.
    """
    return np.asarray(np.matmul(f64(a), f64(b)))


def linear(
    x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None, *, activation: str | None = None
) -> Array:
    """y = act(x @ w.T + b): x (..., I), w (O, I), b (O,) -> (..., O)."""
    y: Array = f64(x) @ f64(w).T
    return activate(y if b is None else y + f64(b), activation)


def bias_backward(dy: ArrayLike) -> Array:
    """Return db = the sum of dy over all axes but the last: dy (..., O) -> (O,)."""
    dy = f64(dy)
    return np.asarray(dy.sum(axis=tuple(range(dy.ndim - 1))))
