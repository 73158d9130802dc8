"""What may happen during a run besides training."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastnn.io import atomic_write, save_arrays
from fastnn.names import suggest
from fastnn.optim.schedule import integer, number
from fastnn.training.history import Epoch

if TYPE_CHECKING:
    from fastnn.training.run import Run

WEIGHTS_FORMAT = "fastnn weights 1"


class Callback:
    """Base class: `fit` calls the methods that a subclass defines.

    Each gets the `Run`, and may end it by ``run.stop(reason)``. What a callback needs to go on
    after a resumption is its `state_dict`: a dict of arrays and of what JSON can express.
    """

    def on_start(self, run: Run) -> None:
        """Before the first step, after a checkpoint has been restored."""

    def on_batch(self, run: Run) -> None:
        """After every step."""

    def on_epoch(self, run: Run) -> None:
        """After every whole epoch and its validation; the last row of the history is its."""

    def on_end(self, run: Run) -> None:
        """At the end, also after an exception."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the callback needs to go on."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""


class Monitor(Callback):
    """Base class: watches a column of the history.

    Parameters
    ----------
    metric : str
        Name of a column; default "validation_loss".
    min_delta : float
        By how much a value must be better than the best one to count; default 0. A loss is better
        when it is smaller, an accuracy when it is larger.
    """

    def __init__(self, metric: str = "validation_loss", min_delta: float = 0.0) -> None:
        name = type(self).__name__
        columns = [c for c in Epoch._fields if c.endswith(("loss", "accuracy"))]
        if metric not in columns:
            raise ValueError(f"{name}: {suggest('metric', metric, columns)}")
        self.metric = metric
        self.min_delta = number(name, "min_delta", min_delta)
        self.best: float | None = None
        self.best_epoch = 0

    def on_start(self, run: Run) -> None:
        """Check that the metric will be there, and begin anew if the run does."""
        if self.metric.startswith("validation") and run.validation is None:
            raise ValueError(
                f"{type(self).__name__}: there is no {self.metric}: fit got no validation data"
            )
        if not run.history.epochs:
            self.best, self.best_epoch = None, 0

    def improved(self, run: Run) -> bool:
        """Take note of the last epoch, and return whether it is the best so far."""
        row = run.history.epochs[-1]
        value = getattr(row, self.metric)
        if math.isnan(value):
            return False
        sign = 1 if self.metric.endswith("accuracy") else -1
        if self.best is not None and not sign * (value - self.best) > self.min_delta:
            return False
        self.best, self.best_epoch = value, row.epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and its epoch."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore them."""
        self.best, self.best_epoch = state["best"], int(state["best_epoch"])


class EarlyStopping(Monitor):
    """End a run when a metric has not improved for some epochs.

    Parameters
    ----------
    metric, min_delta
        See `Monitor`.
    patience : int
        How many epochs without improvement end the run, at least 1; default 5.
    restore_best : bool
        Whether the model gets the weights of its best epoch back in the end; default False.
    """

    def __init__(
        self,
        metric: str = "validation_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = False,
    ) -> None:
        super().__init__(metric, min_delta)
        self.patience = integer("EarlyStopping", "patience", patience, 1)
        self.restore_best = restore_best
        self.waited = 0
        self._weights: dict[str, Any] | None = None

    def on_start(self, run: Run) -> None:
        """Do not begin an epoch more if the run had been stopped."""
        super().on_start(run)
        if not run.history.epochs:
            self.waited, self._weights = 0, None
        self._check(run)

    def on_epoch(self, run: Run) -> None:
        """Count, and stop when it is time."""
        if self.improved(run):
            self.waited = 0
            self._weights = run.model.state_dict() if self.restore_best else None
        else:
            self.waited += 1
        self._check(run)

    def _check(self, run: Run) -> None:
        if self.waited >= self.patience:
            run.stop(f"{self.metric} has not improved since epoch {self.best_epoch}")

    def on_end(self, run: Run) -> None:
        """Give the model its best weights back."""
        if self._weights is not None:
            run.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the counts, and the weights that may be restored."""
        return {**super().state_dict(), "waited": self.waited, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore them."""
        super().load_state_dict(state)
        self.waited, self._weights = int(state["waited"]), state["weights"]


class BestCheckpoint(Monitor):
    """Write the weights to a file whenever a metric has improved.

    The file is that of `fastnn.io.save_arrays`, with the model's `state_dict`, and with "epoch" and
    the metric among the metadata.

    Parameters
    ----------
    path : path-like
        The file; replaced if it exists.
    metric, min_delta
        See `Monitor`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        metric: str = "validation_loss",
        *,
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(metric, min_delta)
        self.path = os.fspath(path)

    def on_epoch(self, run: Run) -> None:
        """Save if the epoch was the best."""
        if self.improved(run):
            metadata = {
                "format": WEIGHTS_FORMAT,
                "epoch": self.best_epoch,
                self.metric: self.best,
            }
            save_arrays(self.path, run.model.state_dict(), metadata)


class HistoryFile(Callback):
    """Write the history to a file after every epoch, as CSV or JSON.

    Parameters
    ----------
    path : path-like
        Ends in ``.csv`` or ``.json``. The file always holds the whole history of the run.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        if not self.path.endswith((".csv", ".json")):
            raise ValueError(f"HistoryFile: path must end in .csv or .json, got {self.path!r}")

    def on_epoch(self, run: Run) -> None:
        """Write the file."""
        if self.path.endswith(".json"):
            text = json.dumps(run.history.to_dict(), indent=1) + "\n"
        else:
            lines = io.StringIO()
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerows([Epoch._fields, *run.history.epochs])
            text = lines.getvalue()
        with atomic_write(self.path) as file:
            file.write(text.encode())
