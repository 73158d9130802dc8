"""Transforms without chance, and several as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn.data.transforms.sample import check_images

if TYPE_CHECKING:
    from fastnn._core import Array


class Normalize:
    """``(x - mean) / std``.

    Parameters
    ----------
    mean, std : float or sequence of float
        One, or one for each channel; std not 0.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and self.std.all()):
            raise ValueError(f"Normalize: mean and std must be finite, std not 0: {mean}, {std}")

    def __call__(self, x: Array, rng: np.random.Generator | None = None) -> Array:
        check_images("Normalize", x)
        result: Array = (x - self.mean.astype(x.dtype)) / self.std.astype(x.dtype)
        return result


class Compose:
    """Transforms one after the other, drawing from one generator.

    Parameters
    ----------
    *transforms : callable
        ``t(x, rng) -> x``.
    """

    def __init__(self, *transforms: Callable[[Array, np.random.Generator], Array]) -> None:
        for transform in transforms:
            if not callable(transform):
                kind = type(transform).__name__
                raise TypeError(f"Compose: a transform is a function of (x, rng), not {kind}")
        self.transforms = transforms

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        for transform in self.transforms:
            x = transform(x, rng)
        return x
