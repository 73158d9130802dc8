"""Argument checks that several layers share."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._core import Array


def positive(caller: str, **values: Any) -> None:
    """Raise unless every value is an integer of at least 1."""
    for name, value in values.items():
        try:
            value = operator.index(value)
        except TypeError:
            kind = type(value).__name__
            raise TypeError(f"{caller}: {name} must be an integer, not {kind}") from None
        if value < 1:
            raise ValueError(f"{caller}: {name} must be at least 1, got {value}")


def pair(caller: str, name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """Return `value`, an integer or a pair of them, as (height, width)."""
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2:
        raise ValueError(f"{caller}: {name} must be an integer or a pair, got {value!r}")
    try:
        height, width = (operator.index(v) for v in both)
    except TypeError:
        raise TypeError(
            f"{caller}: {name} must be an integer or a pair of integers, got {value!r}"
        ) from None
    if min(height, width) < minimum:
        raise ValueError(f"{caller}: {name} must be at least {minimum}, got {value!r}")
    return height, width


def divided(caller: str, groups: int, *, in_channels: int, out_channels: int) -> None:
    """Raise unless `groups` divides both."""
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"{caller}: groups={groups} must divide in_channels={in_channels} "
            f"and out_channels={out_channels}"
        )


def float_dtype(caller: str, dtype: DTypeLike) -> np.dtype[np.floating]:
    """Return `dtype` as float32 or float64."""
    result: np.dtype[Any] = np.dtype(dtype)
    if result not in (np.float32, np.float64):
        raise TypeError(f"{caller}: dtype must be float32 or float64, not {result}")
    return result


def check_dy(layer: object, dy: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise unless `dy` has the shape and dtype of the layer's output.

    Layers with parameters call this before they touch a gradient: the kernels check too, but one
    of them may have run by then.
    """
    caller = f"{type(layer).__name__}.backward"
    if not hasattr(dy, "shape") or not hasattr(dy, "dtype"):
        raise TypeError(f"{caller}: dy must be an array, not {type(dy).__name__}")
    if dy.dtype != dtype:
        raise TypeError(f"{caller}: dy has dtype {dy.dtype}, expected {dtype}")
    if dy.shape != shape:
        raise ValueError(f"{caller}: dy has shape {dy.shape}, expected {shape}, the shape of y")
