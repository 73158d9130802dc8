"""Mini-batches."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from fastnn._core import Array
    from fastnn.init import RNG

Transform: TypeAlias = "Callable[[Array, np.random.Generator], Array]"
"""``transform(x, rng)``: from the images of a batch to others."""


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
        transform: Transform | None = None,
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
        if rng is not None and not shuffle and transform is None:
            raise ValueError("batches: rng has no effect without shuffle=True or a transform")
        self.x, self.y = x, y
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.transform = transform
        self.epoch = 0
        self._rng = np.random.default_rng(rng)
        self._seed = 0 if transform is None else int(self._rng.spawn(1)[0].integers(2**63))
        self._begin = self._rng.bit_generator.state  # at the start of the pass
        self._next = 0  # batch of the pass
        self._restored = False

    @property
    def num_examples(self) -> int:
        """Number of examples that one pass yields."""
        n = len(self.x)
        return n - n % self.batch_size if self.drop_last else n

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return -(-self.num_examples // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Start a pass. With `shuffle`, every pass has a new order.

        After `load_state_dict` it is the rest of the pass that was saved.
        """
        if not self._restored:
            self._begin, self._next = self._rng.bit_generator.state, 0
        self._restored = False
        order = self._rng.permutation(len(self.x)) if self.shuffle else None
        for i in range(self._next, len(self)):
            rows = slice(i * self.batch_size, min((i + 1) * self.batch_size, len(self.x)))
            part = rows if order is None else order[rows]
            x, y = self.x[part], self.y[part]
            if self.transform is not None:
                x = self.transform(x, np.random.default_rng((self._seed, self.epoch, i)))
            self._next = i + 1
            yield x, y
        self.epoch += 1
        self._begin, self._next = self._rng.bit_generator.state, 0

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is, as JSON can express it."""
        return {
            "epoch": self.epoch,
            "batch": self._next,
            "generator": self._begin,
            "seed": self._seed,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go where `state_dict` was called: the next pass is the rest of that one.

        Raises
        ------
        TypeError, ValueError, KeyError
            If the state is none of this kind of loader.
        """
        batch, epoch, seed = int(state["batch"]), int(state["epoch"]), int(state["seed"])
        if not 0 <= batch <= len(self):
            raise ValueError(f"batches: the state is at batch {batch} of {len(self)}")
        self._rng.bit_generator.state = self._begin = state["generator"]
        self._next, self.epoch, self._seed = batch, epoch, seed
        self._restored = True


def batches(
    x: Array,
    y: Array,
    batch_size: int,
    *,
    shuffle: bool = False,
    rng: RNG = None,
    drop_last: bool = False,
    transform: Transform | None = None,
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
    transform : callable, optional
        ``transform(x, rng)`` returns the images of a batch, changed. The generator it gets depends
        on the seed, the pass and the batch alone.

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
    return Batches(
        x, y, batch_size, shuffle=shuffle, rng=rng, drop_last=drop_last, transform=transform
    )
