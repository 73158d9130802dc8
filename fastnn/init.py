"""Initial values for weights.

Every function returns a new array. Its shape is that of a linear weight (out, in) or of a
convolution weight OHWI (out, kernel height, kernel width, in). Values are drawn in float64 and
then rounded, so a seed gives the same weights in float32 and float64.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import DTypeLike

    from fastnn._core import Array

RNG: TypeAlias = (
    "int | np.integer[Any] | np.random.SeedSequence | np.random.BitGenerator"
    " | np.random.Generator | None"
)
"""Whatever `numpy.random.default_rng` takes as a seed (SPEC 7); None is fresh entropy."""

Initializer: TypeAlias = "Callable[..., Array]"
"""A function of this module, or one like them: ``initializer(shape, rng=..., dtype=...)``."""


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Return (fan_in, fan_out): the number of inputs of an output, and of outputs of an input.

    Parameters
    ----------
    shape : sequence of int
        (out, in), or OHWI with any number of kernel axes.

    Raises
    ------
    ValueError
        If there are fewer than two axes.
    """
    if len(shape) < 2:
        raise ValueError(f"init: a weight has at least two axes, got shape {tuple(shape)}")
    taps = math.prod(shape[1:-1])
    return taps * shape[-1], taps * shape[0]


def uniform(
    shape: Sequence[int], bound: float, *, rng: RNG = None, dtype: DTypeLike = np.float32
) -> Array:
    """Return values uniform in [-bound, bound)."""
    return np.random.default_rng(rng).uniform(-bound, bound, tuple(shape)).astype(dtype)


def normal(
    shape: Sequence[int], std: float, *, rng: RNG = None, dtype: DTypeLike = np.float32
) -> Array:
    """Return normally distributed values of mean 0 and standard deviation `std`."""
    return (np.random.default_rng(rng).standard_normal(tuple(shape)) * std).astype(dtype)


def glorot_uniform(
    shape: Sequence[int], *, rng: RNG = None, dtype: DTypeLike = np.float32
) -> Array:
    """Return values uniform in +-sqrt(6 / (fan_in + fan_out)): Glorot & Bengio 2010, eq. 16.

    For tanh and other activations that are linear around 0.
    """
    return uniform(shape, math.sqrt(6 / sum(fans(shape))), rng=rng, dtype=dtype)


def glorot_normal(shape: Sequence[int], *, rng: RNG = None, dtype: DTypeLike = np.float32) -> Array:
    """Return normal values of variance 2 / (fan_in + fan_out): Glorot & Bengio 2010, eq. 12."""
    return normal(shape, math.sqrt(2 / sum(fans(shape))), rng=rng, dtype=dtype)


def he_uniform(shape: Sequence[int], *, rng: RNG = None, dtype: DTypeLike = np.float32) -> Array:
    """Return values uniform in +-sqrt(6 / fan_in): the variance of He et al. 2015, eq. 10."""
    return uniform(shape, math.sqrt(6 / fans(shape)[0]), rng=rng, dtype=dtype)


def he_normal(shape: Sequence[int], *, rng: RNG = None, dtype: DTypeLike = np.float32) -> Array:
    """Return normal values of variance 2 / fan_in: He et al. 2015, eq. 10. For ReLU."""
    return normal(shape, math.sqrt(2 / fans(shape)[0]), rng=rng, dtype=dtype)


def lecun_uniform(shape: Sequence[int], *, rng: RNG = None, dtype: DTypeLike = np.float32) -> Array:
    """Return values uniform in +-sqrt(3 / fan_in): the variance of LeCun et al. 1998, sec. 4.6."""
    return uniform(shape, math.sqrt(3 / fans(shape)[0]), rng=rng, dtype=dtype)


def lecun_normal(shape: Sequence[int], *, rng: RNG = None, dtype: DTypeLike = np.float32) -> Array:
    """Return normal values of variance 1 / fan_in: LeCun et al. 1998 (Efficient BackProp), 4.6.

    For the scaled tanh.
    """
    return normal(shape, math.sqrt(1 / fans(shape)[0]), rng=rng, dtype=dtype)
