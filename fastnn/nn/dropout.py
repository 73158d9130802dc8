"""Dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core
from fastnn.nn.buffer import Buffer
from fastnn.nn.module import Backward, Module

if TYPE_CHECKING:
    from fastnn._core import Array
    from fastnn.init import RNG


class Dropout(Module):
    """In training, make elements 0 with probability p and multiply the others by 1 / (1 - p).

    Any shape. Inference changes nothing. Each forward pass draws on where the last one ended:
    `fastnn.dropout` tells how. Seed and position are part of the `state_dict`, so a training run
    that goes on from a file drops what it would have dropped.

    Parameters
    ----------
    p : float
        In [0, 1); default 0.5.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the seed, as `numpy.random.default_rng` takes it. Layers given the same integer
        drop the same elements: give a model's layers one Generator.

    Attributes
    ----------
    seed, offset : Buffer
        Key of the generator and number of the next element, uint64 scalars.

    Raises
    ------
    TypeError, ValueError
        If p is no number or is not in [0, 1).
    """

    def __init__(self, p: float = 0.5, *, rng: RNG = None) -> None:
        try:
            self.p = float(p)
        except (TypeError, ValueError):
            raise TypeError(f"Dropout: p must be a number, not {type(p).__name__}") from None
        if not 0 <= self.p < 1:
            raise ValueError(f"Dropout: p must be in [0, 1), got {p}")
        self.seed = Buffer(np.random.default_rng(rng).integers(2**64, dtype=np.uint64))
        self.offset = Buffer(0, np.uint64)

    def __call__(self, x: Array) -> Array:
        """Return x itself."""
        return x

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds no array."""
        p, seed = self.p, self.seed.data
        offset = _core.advance(self.offset.data, x.size, before=True)
        y = _core.dropout(x, p, seed=seed, offset=offset)
        # dx = dy / (1 - p) where x was kept, drawn again
        return y, lambda dy: _core.dropout_backward(dy, p, seed=seed, offset=offset)

    def __repr__(self) -> str:
        """Return the constructor call."""
        return f"Dropout({self.p:g})"
