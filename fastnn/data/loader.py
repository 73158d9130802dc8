"""Mini-batches."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastnn._core import Array
    from fastnn.init import RNG


class Batches:
    """Pairs (x, y) of mini-batches; can be iterated over again and again. See `batches`."""

    def __init__(
        self,
        x: Array,
        y: Array,
        batch_size: int,
        *,
        shuffle: bool = False,
        rng: RNG = None,
        drop_last: bool = False,
    ) -> None:
        if len(x) != len(y):
            raise ValueError(f"batches: x has {len(x)} rows, y has {len(y)}")
        try:
            batch_size = operator.index(batch_size)
        except TypeError:
            kind = type(batch_size).__name__
            raise TypeError(f"batches: batch_size must be an integer, not {kind}") from None
        if batch_size < 1:
            raise ValueError(f"batches: batch_size must be at least 1, got {batch_size}")
        if rng is not None and not shuffle:
            raise ValueError("batches: rng has no effect without shuffle=True")
        self.x, self.y = x, y
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self._rng = np.random.default_rng(rng)

    @property
    def num_examples(self) -> int:
        """Number of examples that one pass yields."""
        n = len(self.x)
        return n - n % self.batch_size if self.drop_last else n

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return -(-self.num_examples // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Start a pass. With `shuffle`, every pass has a new order."""
        order = self._rng.permutation(len(self.x)) if self.shuffle else None
        for start in range(0, self.num_examples, self.batch_size):
            stop = min(start + self.batch_size, len(self.x))
            if order is None:
                yield self.x[start:stop], self.y[start:stop]
            else:
                rows = order[start:stop]
                yield self.x[rows], self.y[rows]


def batches(
    x: Array,
    y: Array,
    batch_size: int,
    *,
    shuffle: bool = False,
    rng: RNG = None,
    drop_last: bool = False,
) -> Batches:
    """Cut arrays into mini-batches.

    Parameters
    ----------
    x, y : ndarray
        Same length along the first axis.
    batch_size : int
        Rows of a batch, at least 1.
    shuffle : bool
        If true, every pass has a new random order and batches are copies. If false (default),
        batches are views in order.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the orders, as `numpy.random.default_rng` takes it: with the same seed, the first
        pass, the second pass, ... are the same in every run.
    drop_last : bool
        Whether to leave out a last batch that is not full; default False.

    Returns
    -------
    Batches
        Iterable over (x, y) as often as wanted; ``len()`` is the number of batches.

    Raises
    ------
    TypeError, ValueError
        If the lengths differ, `batch_size` is no integer or less than 1, or `rng` is given without
        `shuffle`.

    Examples
    --------
    >>> loader = batches(np.arange(5), np.arange(5), 2)
    >>> [x.tolist() for x, y in loader]
    [[0, 1], [2, 3], [4]]
    """
    return Batches(x, y, batch_size, shuffle=shuffle, rng=rng, drop_last=drop_last)
