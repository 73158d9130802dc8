"""Mini-batches."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn.data.prefetch import prefetched

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
        prefetch: int = 0,
    ) -> None:
        if len(x) != len(y):
            raise ValueError(f"batches: x has {len(x)} rows, y has {len(y)}")
        if transform is not None and not callable(transform):
            kind = type(transform).__name__
            raise TypeError(f"batches: transform must be a function of (x, rng), not {kind}")
        if rng is not None and not shuffle and transform is None:
            raise ValueError("batches: rng has no effect without shuffle=True or a transform")
        self.x, self.y = x, y
        self.batch_size = _integer("batch_size", batch_size, 1)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.transform = transform
        self.prefetch = _integer("prefetch", prefetch, 0)
        self._rng = np.random.default_rng(rng)
        # spawned: the orders are the same with and without a transform
        self._seed = 0 if transform is None else int(self._rng.spawn(1)[0].integers(2**63))
        self._epoch = 0
        self._batch: int | None = None  # the next of the pass; None between passes
        self._begin = self._rng.bit_generator.state  # when the pass began
        self._restored = False

    @property
    def num_examples(self) -> int:
        """Number of examples that one pass yields."""
        n = len(self.x)
        return n - n % self.batch_size if self.drop_last else n

    @property
    def epoch(self) -> int:
        """Number of passes before this one; during a pass, its number from 0."""
        return self._epoch

    def __len__(self) -> int:
        """Return the number of batches of one pass."""
        return -(-self.num_examples // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Start a pass. With `shuffle`, every pass has a new order.

        After `load_state_dict` it is the rest of the pass that was saved.
        """
        first = self._start()
        epoch = self._epoch
        order = self._rng.permutation(len(self.x)) if self.shuffle else None

        def work(i: int) -> tuple[Array, Array]:
            return self._cut(order, epoch, i)

        last = len(self)
        if self.prefetch and first < last:
            parts = prefetched(work, first, last, self.prefetch)
        else:
            parts = map(work, range(first, last))
        try:
            for i, part in enumerate(parts, first + 1):
                if self._epoch == epoch:  # else another pass has begun before the end of this
                    self._batch = i
                yield part
        finally:
            if self.prefetch and first < last:
                parts.close()  # type: ignore[attr-defined]
        if self._epoch == epoch:
            self._epoch, self._batch = epoch + 1, None

    def _start(self) -> int:
        """Begin a pass, or the rest of one, and return the number of its first batch."""
        if not self._restored:
            if self._batch is not None:  # the pass before was abandoned
                self._epoch += 1
            self._batch = 0
            self._begin = self._rng.bit_generator.state
        self._restored = False
        return self._batch or 0

    def _cut(self, order: Array | None, epoch: int, i: int) -> tuple[Array, Array]:
        """Return batch i of a pass."""
        rows = slice(i * self.batch_size, min((i + 1) * self.batch_size, len(self.x)))
        if order is None:
            x, y = self.x[rows], self.y[rows]
        else:
            x, y = _gather(self.x, order[rows]), _gather(self.y, order[rows])
        if self.transform is not None:
            seed = np.random.SeedSequence(self._seed, spawn_key=(epoch, i))
            x = self.transform(x, np.random.default_rng(seed))
            if len(x) != len(y):
                raise ValueError(f"batches: transform made {len(x)} images of {len(y)}")
        return x, y

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is, in a form that JSON can express.

        During a pass, this is behind the batch that was yielded last, whatever has been prefetched.
        """
        between = self._batch is None
        return {
            "epoch": self._epoch,
            "batch": self._batch or 0,
            "batch_size": self.batch_size,
            "num_examples": self.num_examples,
            "seed": self._seed,
            "generator": _plain(self._rng.bit_generator.state if between else self._begin),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go where `state_dict` was called: the next pass is the rest of that one.

        The rest has the same batches, bit for bit, if the loader has the same arrays and was made
        with the same arguments; the number of batches prefetched and the seed may differ.

        Parameters
        ----------
        state : mapping
            What `state_dict` returned.

        Raises
        ------
        TypeError, ValueError
            If the state is not that of such a loader; the loader is then as it was.
        """
        try:
            epoch, batch, seed = (int(state[key]) for key in ("epoch", "batch", "seed"))
            generator = state["generator"]
            for key in ("batch_size", "num_examples"):
                if state[key] != getattr(self, key):
                    raise ValueError(f"batches: {key} is {getattr(self, key)}, not {state[key]}")
        except KeyError as error:
            raise ValueError(f"batches: the state has no {error}") from None
        if not (0 <= batch <= len(self) and epoch >= 0 and seed >= 0):
            raise ValueError(f"batches: state at epoch {epoch}, batch {batch} of {len(self)}")
        before = self._rng.bit_generator.state
        try:
            self._rng.bit_generator.state = generator
        except Exception as error:  # NumPy's bit generators raise almost anything
            self._rng.bit_generator.state = before
            raise ValueError(f"batches: not a state of {before['bit_generator']}") from error
        self._begin = self._rng.bit_generator.state
        self._epoch, self._batch, self._seed = epoch, batch, seed
        self._restored = True


def _integer(name: str, value: int, least: int) -> int:
    try:
        value = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"batches: {name} must be an integer, not {kind}") from None
    if value < least:
        raise ValueError(f"batches: {name} must be at least {least}, got {value}")
    return value


def _gather(array: Array, rows: Array) -> Array:
    """Return a copy of some rows; `take` is a fifth faster than an index, but packs its array."""
    return array.take(rows, 0) if array.flags.c_contiguous else array[rows]


def _plain(state: Any) -> Any:
    """Return the state of a bit generator with lists for its arrays."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state


def batches(
    x: Array,
    y: Array,
    batch_size: int,
    *,
    shuffle: bool = False,
    rng: RNG = None,
    drop_last: bool = False,
    transform: Transform | None = None,
    prefetch: int = 0,
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
        pass, the second pass, ... are the same in every run. It is also the source of the seed of
        the transforms.
    drop_last : bool
        Whether to leave out a last batch that is not full; default False.
    transform : callable, optional
        ``transform(x, rng)`` returns other images for a batch, see `fastnn.data.transforms`. Its
        generator depends on the seed, the pass and the number of the batch alone. It must not
        change its argument in place: without `shuffle` that is a view of the data.
    prefetch : int
        Batches made ahead on one thread; default 0, none. With any number the batches are the
        same. An exception of `transform` is raised where its batch would have come, and a pass that
        is abandoned ends its thread.

    Returns
    -------
    Batches
        Iterable over (x, y) as often as wanted; ``len()`` is the number of batches, and
        ``state_dict()`` its position, from which ``load_state_dict`` goes on.

    Raises
    ------
    TypeError, ValueError
        If the lengths differ, `batch_size` is no integer or less than 1, `prefetch` is no integer
        or negative, `transform` is no function, or `rng` is given without `shuffle` or `transform`.

    Examples
    --------
    >>> loader = batches(np.arange(5), np.arange(5), 2)
    >>> [x.tolist() for x, y in loader]
    [[0, 1], [2, 3], [4]]
    """
    return Batches(
        x,
        y,
        batch_size,
        shuffle=shuffle,
        rng=rng,
        drop_last=drop_last,
        transform=transform,
        prefetch=prefetch,
    )
