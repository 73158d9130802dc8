"""``fastnn train``."""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _core, data, optim, training
from fastnn.cli.catalog import build_model, load_data, save_model
from fastnn.cli.errors import UserError, user_errors
from fastnn.cli.evaluate import print_result
from fastnn.cli.progress import EpochDisplay, StopOnInterrupt
from fastnn.io import atomic_write

if TYPE_CHECKING:
    from fastnn.nn import Sequential


class Recipe(NamedTuple):
    """How to train."""

    epochs: int
    batch_size: int
    lr: float
    momentum: float


RECIPES = {
    ("lenet5", "digits"): Recipe(12, 32, 0.02, 0.9),
    ("lenet5", "mnist"): Recipe(3, 64, 0.02, 0.9),
    ("mlp", "digits"): Recipe(15, 32, 0.05, 0.9),
    ("mlp", "mnist"): Recipe(5, 64, 0.05, 0.9),
}


class Run(NamedTuple):
    """What a run works on."""

    model: Sequential
    optimizer: optim.SGD
    batches: data.Batches
    test: data.Split
    recipe: Recipe
    history: dict[str, Any]


def run(arguments: argparse.Namespace) -> int:
    """Train a model, print its results, save them."""
    with user_errors():
        state = _prepare(arguments)
        if arguments.out is not None:
            _check_writable(arguments.out)
    print(
        f"{arguments.model}, {state.model.num_parameters():,} parameters, on {arguments.data}: "
        f"{state.batches.num_examples:,} training and {len(state.test.x):,} test images, "
        f"{_core.get_num_threads()} threads, seed {arguments.seed}",
        file=sys.stderr,
    )
    with StopOnInterrupt() as interrupt:
        try:
            result = _train(state, interrupt)
        except FloatingPointError as error:
            raise UserError(f"{error}; a smaller --lr may help", status=1) from error
    if arguments.out is not None:
        with user_errors():
            saved = _save(arguments.out, state, result)
        print(f"saved in {arguments.out}: {', '.join(saved)}", file=sys.stderr)
    print_result(state.test.y, result.logits)
    return 130 if state.history["interrupted"] else 0


def _prepare(arguments: argparse.Namespace) -> Run:
    """Check everything that can be wrong before the first step."""
    default = RECIPES[arguments.model, arguments.data]
    recipe = Recipe(
        *(
            value if (given := getattr(arguments, name)) is None else given
            for name, value in default._asdict().items()
        )
    )
    train, test = load_data(arguments.data, arguments.data_dir)
    if arguments.threads:
        _core.set_num_threads(arguments.threads)
    weights_rng, order_rng = np.random.default_rng(arguments.seed).spawn(2)
    model = build_model(arguments.model, weights_rng)
    optimizer = optim.SGD(model, recipe.lr, momentum=recipe.momentum)
    batches = data.batches(train.x, train.y, recipe.batch_size, shuffle=True, rng=order_rng)
    history = {
        "fastnn": _core.__version__,
        "model": arguments.model,
        "data": arguments.data,
        "seed": arguments.seed,
        "recipe": recipe._asdict(),
        "parameters": model.num_parameters(),
        "interrupted": False,
    }
    return Run(model, optimizer, batches, test, recipe, history)


def _train(state: Run, interrupt: StopOnInterrupt) -> training.Evaluation:
    """Run the epochs and return the last evaluation; fills in the history."""
    model, optimizer, batches, test, recipe, history = state
    schedule = training.linear_decay(recipe.lr, recipe.epochs * len(batches))
    history["epochs"] = []
    for epoch in range(1, recipe.epochs + 1):
        with EpochDisplay(epoch, recipe.epochs, batches.num_examples) as display:

            def on_batch(progress: training.Progress, display: EpochDisplay = display) -> bool:
                display.update(progress)
                return interrupt.requested

            done = training.train_epoch(
                model, optimizer, batches, schedule=schedule, on_batch=on_batch
            )
        result = training.evaluate(model, *test)
        if not math.isfinite(result.loss):
            raise FloatingPointError(f"the test loss is {result.loss} after epoch {epoch}")
        history["epochs"].append(
            {
                "epoch": epoch,
                "examples": done.examples,
                "loss": done.loss,
                "accuracy": done.accuracy,
                "test_loss": result.loss,
                "test_accuracy": result.accuracy,
                "seconds": done.seconds,
                "images_per_second": done.examples_per_second,
            }
        )
        display.summary(done, result)
        if done.stopped:
            history["interrupted"] = True
            break
    history["test_loss"] = result.loss
    history["test_accuracy"] = result.accuracy
    matrix = training.confusion_matrix(test.y, result.logits.argmax(1), result.logits.shape[1])
    history["confusion_matrix"] = matrix.tolist()
    return result


def _check_writable(directory: str) -> None:
    """Make the output directory, and see now whether files can be made in it."""
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


def _save(directory: str, state: Run, result: training.Evaluation) -> list[str]:
    """Write all files and return their names."""
    saved = ["model.npz", "history.json"]
    summary = {key: value for key, value in state.history.items() if key != "epochs"}
    save_model(os.path.join(directory, "model.npz"), state.model, summary)
    with atomic_write(os.path.join(directory, "history.json")) as file:
        file.write(json.dumps(state.history, indent=1, allow_nan=False).encode() + b"\n")
    if importlib.util.find_spec("matplotlib") is None:
        print("no pictures: matplotlib is not installed", file=sys.stderr)
        return saved
    from fastnn import plots

    plots.plot_curves(state.history, os.path.join(directory, "curves.png"))
    title = f"{state.history['model']} on {state.history['data']}: "
    plots.plot_mistakes(
        *state.test, result.logits, os.path.join(directory, "mistakes.png"), title=title
    )
    return [*saved, "curves.png", "mistakes.png"]
