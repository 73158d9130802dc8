"""`fit`: arguments checked, a run made of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastnn import optim
from fastnn.io import remove_leftovers
from fastnn.nn import Module
from fastnn.optim.schedule import integer, number
from fastnn.training.callbacks import Callback
from fastnn.training.history import History
from fastnn.training.progress import ProgressDisplay
from fastnn.training.run import Run
from fastnn.training.step import Loss, loss_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._core import Array
    from fastnn.data import Batches
    from fastnn.init import RNG


def fit(
    model: Module,
    train: tuple[Array, Array] | Batches,
    validation: tuple[Array, Array] | None = None,
    *,
    loss: Loss | None = None,
    optimizer: optim.Optimizer | None = None,
    epochs: int = 1,
    batch_size: int = 64,
    schedule: optim.Schedule | optim.ReduceLROnPlateau | None = None,
    schedule_per: Literal["batch", "epoch"] = "batch",
    callbacks: Sequence[Callback] = (),
    clip_norm: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    rng: RNG = None,
    transform: Callable[..., Array] | None = None,
    progress: bool = True,
    compile: bool = True,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : Module
        Returns logits (N, C); or anything, with a loss that is for it. Methods of its own are used
        if it has them: ``loss(outputs, labels)``, and ``classify(outputs)`` where the largest
        output is not the answer.
    train : pair of ndarray, or Batches
        (x, targets), which are shuffled anew for every epoch; or batches made by
        `fastnn.data.batches`.
    validation : pair of ndarray, optional
        (x, targets) to evaluate the model on after every epoch.
    loss : callable, optional
        ``loss(outputs, targets)`` returns the mean over the batch and its gradient, as the losses
        of this package do. Default: the model's method ``loss`` if it has one, else
        `fastnn.softmax_cross_entropy`.
    optimizer : Optimizer, optional
        Of the model's parameters; default ``Adam(model)``.
    epochs : int
        How many there are to be, those before a resumption included; default 1.
    batch_size : int
        Default 64. It has no effect where `train` is a Batches; nor may `rng` and `transform`
        be given then.
    schedule : Schedule or ReduceLROnPlateau, optional
        Stepped after every batch or epoch. `ReduceLROnPlateau` is stepped after epochs, with the
        validation loss, or the training loss without such.
    schedule_per : {"batch", "epoch"}
        Default "batch".
    callbacks : sequence of Callback
        Such as `fastnn.training.EarlyStopping`. They are called in order.
    clip_norm : float, optional
        Largest norm of the gradients of all parameters; see `fastnn.optim.clip_grad_norm`.
    checkpoint : path-like, optional
        A file to save the run in: after every epoch, and at its end. It is replaced at once or not
        at all.
    checkpoint_every : int, optional
        Save after every so many batches instead of every epoch.
    resume : bool
        If true, go on from the file `checkpoint` if there is one, else start. Called again with
        the same arguments, a run that was interrupted, in whatever way, ends with the bits of one
        that was not. Default False.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the orders of the examples and of the random numbers of `transform`.
    transform : callable, optional
        Changes the images of a batch: ``transform(x, rng)``, such as those of
        `fastnn.data.transforms`.
    progress : bool
        Show the progress on stderr: a bar if tqdm is installed and stderr is a terminal, and a
        line after each epoch. Default True.
    compile : bool
        Run the training step by `fastnn.compile`; default True. Results are the same, but for
        layers and losses of one's own that compute with NumPy what does not depend on their
        arguments: that is computed once. A step that cannot be recorded runs as it is, after a
        RuntimeWarning.

    Returns
    -------
    History
        A row for each epoch, those before a resumption included.

    Raises
    ------
    TypeError, ValueError
        If arguments do not fit together, if the data do not fit the model, or, naming the file,
        if the checkpoint is damaged or of another run.
    FloatingPointError
        If a loss is infinite or NaN. The step is not made then.
    OSError
        If a file cannot be read or written.

    Examples
    --------
    >>> train, test = fastnn.data.load_digits()
    >>> model = fastnn.models.lenet5(rng=0)
    >>> optimizer = fastnn.optim.SGD(model, lr=0.02, momentum=0.9)
    >>> history = fastnn.fit(model, train, test, optimizer=optimizer, epochs=2, rng=0)
    >>> history["validation_accuracy"][-1] > 0.85
    True
    """
    if not isinstance(model, Module):
        raise TypeError(f"fit: model must be a Module, not {type(model).__name__}")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            kind = type(callback).__name__
            raise TypeError(f"fit: callbacks must be of class Callback, not {kind}")
    batches = _batches(train, batch_size, rng, transform)
    optimizer = optim.Adam(model) if optimizer is None else optimizer
    epochs = integer("fit", "epochs", epochs, 0)
    if schedule_per not in ("batch", "epoch"):
        raise ValueError(f"fit: schedule_per must be 'batch' or 'epoch', not {schedule_per!r}")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("fit: the schedule is for another optimizer")
    if validation is not None:
        validation = _pair("validation", validation)
    run = Run(
        model,
        batches,
        validation,
        loss=loss_of(model, loss),
        optimizer=optimizer,
        epochs=epochs,
        schedule=schedule,
        schedule_per=schedule_per,
        callbacks=[*callbacks, *([ProgressDisplay()] if progress else [])],
        clip_norm=None if clip_norm is None else number("fit", "clip_norm", clip_norm),
        compile=compile,
    )
    if checkpoint is None:
        if resume or checkpoint_every is not None:
            raise ValueError("fit: resume and checkpoint_every need a checkpoint")
        return run.execute()
    run.checkpoint = os.fspath(checkpoint)
    if checkpoint_every is not None:
        run.checkpoint_every = integer("fit", "checkpoint_every", checkpoint_every, 1)
    folder = os.path.dirname(os.path.abspath(run.checkpoint))
    if not os.path.isdir(folder):  # better now than after an epoch
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
    remove_leftovers(run.checkpoint)
    if resume and os.path.exists(run.checkpoint):
        run.load(run.checkpoint)
    return run.execute()


def _batches(train: Any, batch_size: int, rng: RNG, transform: Any) -> Batches:
    from fastnn import data

    if isinstance(train, data.Batches):
        for name, value in (("rng", rng), ("transform", transform)):
            if value is not None:
                raise ValueError(f"fit: {name} has no effect where train is a Batches")
        return train
    x, y = _pair("train", train)
    if not len(x):
        raise ValueError("fit: there are no training examples")
    return data.batches(x, y, batch_size, shuffle=True, rng=rng, transform=transform)


def _pair(name: str, value: Any) -> tuple[Array, Array]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        kind = type(value).__name__
        raise TypeError(f"fit: {name} must be a pair of arrays (x, targets), not {kind}")
    x, y = value
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        kinds = f"{type(x).__name__} and {type(y).__name__}"
        raise TypeError(f"fit: {name} must be a pair of arrays (x, targets), not of {kinds}")
    if len(x) != len(y):
        raise ValueError(f"fit: {name} has {len(x)} rows of x and {len(y)} targets")
    return x, y
