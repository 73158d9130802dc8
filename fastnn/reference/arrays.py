"""What the functions of the reference take and return."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]
Pair: TypeAlias = int | tuple[int, int]
Padding: TypeAlias = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]
Shape: TypeAlias = tuple[int, ...]


def f64(x: ArrayLike) -> Array:
    return np.asarray(x, dtype=np.float64)
