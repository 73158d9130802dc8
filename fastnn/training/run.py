"""The loop of a training run."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastnn.optim import ReduceLROnPlateau, Schedule
from fastnn.training.callbacks import Callback
from fastnn.training.checkpoint import load_checkpoint, save_checkpoint
from fastnn.training.evaluation import Evaluation, evaluate
from fastnn.training.history import Epoch, History, Progress
from fastnn.training.memory import keep_freed_memory
from fastnn.training.step import Loss, make_step

if TYPE_CHECKING:
    from fastnn._core import Array
    from fastnn.data import Batches
    from fastnn.nn import Module
    from fastnn.optim import Optimizer


class Run:
    """A run of `fit`, as callbacks see it. Its attributes are for reading.

    Attributes
    ----------
    model, optimizer, schedule, batches, validation, callbacks
        What `fit` was given or has made.
    stateful : list of Callback
        Those that have a state.
    epochs : int
        How many there are to be.
    epoch : int
        Number of the epoch under way, or of the last one between two, from 1.
    batch : int
        Batches trained on in this epoch.
    progress : Progress
        Of this epoch.
    history : History
        The whole epochs.
    evaluation : Evaluation or None
        Of the validation data after the last whole epoch.
    stopped : str
        Why the run is to end early; empty if it is not.
    """

    def __init__(
        self,
        model: Module,
        batches: Batches,
        validation: tuple[Array, Array] | None,
        *,
        loss: Loss,
        optimizer: Optimizer,
        epochs: int,
        schedule: Schedule | ReduceLROnPlateau | None,
        schedule_per: str,
        callbacks: Sequence[Callback],
        clip_norm: float | None,
        compile: bool,
    ) -> None:
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.batches = batches
        self.validation, self.loss, self.epochs = validation, loss, epochs
        self.schedule_per, self.clip_norm = schedule_per, clip_norm
        self.callbacks = tuple(callbacks)
        self.stateful = [c for c in callbacks if type(c).state_dict is not Callback.state_dict]
        self.epoch, self.batch = 0, 0
        self.progress, self.history = Progress(), History()
        self.evaluation: Evaluation | None = None
        self.stopped = ""
        self.checkpoint: str | None = None
        self.checkpoint_every: int | None = None
        self._step = make_step(model, loss, optimizer, clip_norm, compile)
        # the methods that do something: most callbacks have nothing to do after a batch
        self._on_batch = [
            c.on_batch for c in self.callbacks if type(c).on_batch is not Callback.on_batch
        ]

    def stop(self, reason: str) -> None:
        """End the run after this batch or epoch.

        Parameters
        ----------
        reason : str
            Goes into the history.
        """
        self.stopped = self.stopped or reason or "stopped"

    def load(self, path: str) -> None:
        """Go on from a checkpoint."""
        load_checkpoint(path, self)

    def execute(self) -> History:
        """Train until the last epoch or until a callback has stopped the run."""
        keep_freed_memory()
        try:
            for callback in self.callbacks:
                callback.on_start(self)
            while not self.stopped and (self.batch or self.epoch < self.epochs):
                self._run_epoch()
            self.history.stopped = self.stopped
            self._save()
        finally:
            for callback in self.callbacks:
                callback.on_end(self)
        return self.history

    def _run_epoch(self) -> None:
        """Train for an epoch, or for what is left of it, and validate."""
        if not self.batch:
            self.epoch += 1
            self.progress = Progress(lr=self.optimizer.param_groups[0]["lr"])
        begin = time.perf_counter() - self.progress.seconds
        for x, targets in self.batches:
            self._train_on(x, targets, begin)
            if self.stopped and self.batch < len(self.batches):
                return
            self._save_within()
        self._finish_epoch()

    def _train_on(self, x: Array, targets: Array, begin: float) -> None:
        examples, total, correct, _, lr = self.progress
        try:
            loss, right = self._step(x, targets)
        except FloatingPointError as error:
            raise FloatingPointError(
                f"fit: {error} after {examples} examples of epoch {self.epoch}"
            ) from None
        if self.schedule_per == "batch" and isinstance(self.schedule, Schedule):
            self.schedule.step()
        n = len(x)
        seconds = time.perf_counter() - begin
        self.progress = Progress(examples + n, total + loss * n, correct + right, seconds, lr)
        self.batch += 1
        for on_batch in self._on_batch:
            on_batch(self)

    def _finish_epoch(self) -> None:
        progress = self.progress
        loss = accuracy = None
        if self.validation is not None:
            self.evaluation = evaluate(self.model, *self.validation, loss=self.loss)
            loss, accuracy = self.evaluation.loss, self.evaluation.accuracy
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"fit: the validation loss is {loss} after epoch {self.epoch}"
                )
        self.history.epochs.append(
            Epoch(
                self.epoch,
                progress.examples,
                progress.loss,
                progress.accuracy,
                loss,
                accuracy,
                progress.lr,
                progress.seconds,
            )
        )
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(progress.loss if loss is None else loss)
        elif self.schedule_per == "epoch" and self.schedule is not None:
            self.schedule.step()
        self.batch, self.progress = 0, Progress()
        for callback in self.callbacks:
            callback.on_epoch(self)
        every = self.checkpoint_every
        last = self.stopped or self.epoch == self.epochs  # will be saved by execute
        if not last and (every is None or self.epoch * len(self.batches) % every == 0):
            self._save()

    def _save_within(self) -> None:
        """Save within an epoch if it is time; at its end that waits for the validation."""
        every, length = self.checkpoint_every, len(self.batches)
        done = (self.epoch - 1) * length + self.batch
        if every is not None and self.batch < length and done % every == 0:
            self._save()

    def _save(self) -> None:
        if self.checkpoint is not None:
            save_checkpoint(self.checkpoint, self)
