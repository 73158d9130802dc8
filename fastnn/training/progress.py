"""How a run is shown on a terminal or in a log."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from fastnn.training.callbacks import Callback

if TYPE_CHECKING:
    from fastnn.training.run import Run


class ProgressDisplay(Callback):
    """A tqdm bar on a terminal if tqdm is installed, and a line after each epoch, on stderr.

    Parameters
    ----------
    validation : str
        What the validation data are called; default "validation".
    """

    def __init__(self, validation: str = "validation") -> None:
        self.validation = validation
        self._tqdm: Any = None
        self._bar: Any = None
        self._bar_epoch = 0

    def on_start(self, run: Run) -> None:
        """See whether there can be a bar."""
        if sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None:
            self._tqdm = importlib.import_module("tqdm").tqdm

    def on_batch(self, run: Run) -> None:
        """Move the bar."""
        if self._tqdm is None:
            return
        if self._bar_epoch != run.epoch:
            self._close()
            self._bar_epoch = run.epoch
            self._bar = self._tqdm(
                total=run.batches.num_examples,
                desc=self._name(run, run.epoch),
                unit=" images",
                unit_scale=True,
                leave=False,
            )
        progress = run.progress
        self._bar.set_postfix_str(
            f"loss {progress.loss:.4f}, accuracy {progress.accuracy:.2%}", refresh=False
        )
        self._bar.update(progress.examples - self._bar.n)
        if progress.examples == self._bar.total:  # however short the epoch was
            self._bar.refresh()

    def on_epoch(self, run: Run) -> None:
        """Print the line of the epoch."""
        self._close()
        row = run.history.epochs[-1]
        line = f"{self._name(run, row.epoch)}  loss {row.loss:.4f}  accuracy {row.accuracy:7.2%}"
        if row.validation_loss is not None:
            line += f"  {self.validation} loss {row.validation_loss:.4f}"
            line += f"  {self.validation} accuracy {row.validation_accuracy:7.2%}"
        print(f"{line}  {row.examples_per_second:9,.0f} images/s", file=sys.stderr)

    def on_end(self, run: Run) -> None:
        """Take the bar away, and say where the run was stopped."""
        self._close()
        if not run.stopped:
            return
        line = f"{self._name(run, run.epoch)}  stopped"
        if run.progress.examples:
            line += f" after {run.progress.examples:,} of {run.batches.num_examples:,} images"
        print(f"{line} ({run.stopped})", file=sys.stderr)

    @staticmethod
    def _name(run: Run, epoch: int) -> str:
        return f"epoch {epoch:{len(str(run.epochs))}}/{run.epochs}"

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar, self._bar_epoch = None, 0
