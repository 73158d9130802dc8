"""Embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core, init
from fastnn.nn.checks import check_dy, float_dtype, positive
from fastnn.nn.module import Backward, Module
from fastnn.nn.parameter import Parameter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._core import Array
    from fastnn.init import RNG


class Embedding(Module):
    """``y[..., :] = weight[x[...], :]``: a trainable vector for each of a number of things.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        V and D.
    padding_idx : int, optional
        A row that starts at 0 and gets no gradient.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it: normal, of standard
        deviation 1, as in PyTorch.
    dtype : dtype
        float32 (default) or float64.

    Attributes
    ----------
    weight : Parameter
        Shape (V, D).

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1, `padding_idx` is no row, or the dtype is another.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        padding_idx: int | None = None,
        rng: RNG = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        dtype = float_dtype("Embedding", dtype)
        if padding_idx is not None and not 0 <= padding_idx < num_embeddings:
            raise ValueError(
                f"Embedding: padding_idx must be from 0 to {num_embeddings - 1}, got {padding_idx}"
            )
        self.padding_idx = padding_idx
        self.weight = Parameter(
            init.normal((num_embeddings, embedding_dim), 1, rng=rng, dtype=dtype)
        )
        if padding_idx is not None:
            self.weight.data[padding_idx] = 0

    def __call__(self, x: Array) -> Array:
        """Return y (..., D) for integers x (...)."""
        return _core.embedding(self.weight.data, x)

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y (..., D) and a backward that returns None: integers have no gradient."""
        w = self.weight
        y = self(x)
        y_shape = y.shape

        def backward(dy: Array) -> None:
            # forward was y[n] = w[x[n]], so dw[v] = sum of dy[n] where x[n] = v
            check_dy(self, dy, y_shape, w.dtype)
            with w.grad_target() as (dw, add):
                _core.embedding_backward(
                    dy, x, dw.shape[0], padding_index=self.padding_idx, accumulate=add, out=dw
                )

        return y, backward

    def __repr__(self) -> str:
        """Return the constructor call."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return "Embedding({}, {}{})".format(*self.weight.shape, padding)
