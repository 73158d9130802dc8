"""An array that belongs to a layer's state and is not trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn.nn.parameter import copy_exact

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from fastnn._core import Array


class Buffer:
    """State of a layer beside its parameters, such as running statistics or a counter.

    A module's `state_dict` holds it under the name of the attribute; optimizers do not see it. The
    array keeps its place in memory: assigning to `data` writes the values into it.

    Parameters
    ----------
    data : array_like
        Initial values. They are copied.
    dtype : dtype, optional
        Default: that of `data`.
    """

    __slots__ = ("_data",)

    def __init__(self, data: ArrayLike, dtype: DTypeLike | None = None) -> None:
        self._data: NDArray[np.generic] = np.array(data, dtype, order="C")

    @property
    def data(self) -> Array:
        """The values. Assigning copies into the existing array."""
        return self._data

    @data.setter
    def data(self, values: Array) -> None:
        copy_exact("Buffer.data", values, self._data)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `data`."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Element type of `data`."""
        return self._data.dtype

    def __repr__(self) -> str:
        """Return shape and dtype."""
        return f"Buffer(shape={self.shape}, dtype={self.dtype})"
