"""What the loaders return."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastnn._core import Array


class Split(NamedTuple):
    """Images and their labels."""

    x: Array
    """(N, H, W, C), float32."""
    y: Array
    """(N,), int64, in [0, number of classes)."""


class Dataset(NamedTuple):
    """A training and a test split: ``(x_train, y_train), (x_test, y_test) = load_...()``."""

    train: Split
    test: Split
