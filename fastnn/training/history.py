"""How a training run went."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from fastnn.names import suggest


class Progress(NamedTuple):
    """How an epoch went, so far or altogether."""

    examples: int = 0
    """Examples trained on."""
    total_loss: float = 0.0
    """Sum of their losses, each as it was when its batch came."""
    correct: int = 0
    """How many of them were classified correctly, likewise."""
    seconds: float = 0.0
    """Since the start of the epoch, without the time between a stop and its resumption."""
    lr: float = math.nan
    """Learning rate of the epoch's first step (of the first group of parameters)."""

    @property
    def loss(self) -> float:
        """Mean loss."""
        return self.total_loss / self.examples if self.examples else math.nan

    @property
    def accuracy(self) -> float:
        """Fraction classified correctly."""
        return self.correct / self.examples if self.examples else math.nan


class Epoch(NamedTuple):
    """A row of the history."""

    epoch: int
    """Number of the epoch, from 1."""
    examples: int
    """Examples trained on."""
    loss: float
    """Mean training loss, of each batch before its step."""
    accuracy: float
    """Fraction classified correctly, likewise; 0 where the targets are no labels."""
    validation_loss: float | None
    """Mean loss of the validation data after the epoch; None without such."""
    validation_accuracy: float | None
    """Fraction of them classified correctly."""
    lr: float
    """Learning rate of the first step (of the first group of parameters)."""
    seconds: float
    """Duration of the training, without the validation."""

    @property
    def examples_per_second(self) -> float:
        """Speed."""
        return self.examples / self.seconds if self.seconds > 0 else 0.0


class History:
    """The epochs of a run.

    ``history.epochs`` is the list of rows, ``history["loss"]`` a column.

    Attributes
    ----------
    epochs : list of Epoch
        Whole epochs only.
    stopped : str
        Why the run ended before its last epoch; empty if it did not.
    """

    def __init__(self, epochs: Iterable[Epoch] = (), stopped: str = "") -> None:
        self.epochs = list(epochs)
        self.stopped = stopped

    def __len__(self) -> int:
        """Return the number of epochs."""
        return len(self.epochs)

    def __getitem__(self, column: str) -> list[Any]:
        """Return a column, for instance ``history["validation_accuracy"]``.

        Raises
        ------
        KeyError
            For an unknown name.
        """
        if column not in Epoch._fields:
            raise KeyError(suggest("column", column, Epoch._fields))
        return [getattr(row, column) for row in self.epochs]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can express it."""
        return {"epochs": [row._asdict() for row in self.epochs], "stopped": self.stopped}

    def __repr__(self) -> str:
        """Return a table."""
        lines = []
        for row in self.epochs:
            line = f"epoch {row.epoch:3}  loss {row.loss:.4f}  accuracy {row.accuracy:7.2%}"
            if row.validation_loss is not None:
                line += f"  validation loss {row.validation_loss:.4f}"
                line += f"  validation accuracy {row.validation_accuracy:7.2%}"
            lines.append(line)
        return "\n".join([*lines, f"stopped: {self.stopped}" if self.stopped else ""]).rstrip()
