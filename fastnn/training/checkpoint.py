"""A run in a file, so that it can go on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._core import __version__
from fastnn.io import load_arrays, save_arrays
from fastnn.training.history import Epoch, History, Progress

if TYPE_CHECKING:
    from fastnn._core import Array
    from fastnn.nn import Module
    from fastnn.training.run import Run

FORMAT = "fastnn checkpoint 1"
ARRAY = "__array__"


def save_checkpoint(path: str | os.PathLike[str], run: Run) -> None:
    """Write everything that the next steps depend on; the old file stays if that fails."""
    state = {
        "fastnn": __version__,
        "who": _identity(run),
        "model": run.model.state_dict(),
        "generators": {name: g.bit_generator.state for name, g in _generators(run.model).items()},
        "optimizer": run.optimizer.state_dict(),
        "schedule": None if run.schedule is None else run.schedule.state_dict(),
        "batches": run.batches.state_dict(),
        "epoch": run.epoch,
        "batch": run.batch,
        "progress": list(run.progress),
        "history": [list(row) for row in run.history.epochs],
        "callbacks": [callback.state_dict() for callback in run.stateful],
    }
    arrays: dict[str, Array] = {}
    tree = flatten(state, "", arrays)
    save_arrays(path, arrays, {"format": FORMAT, "state": tree})


def load_checkpoint(path: str | os.PathLike[str], run: Run) -> None:
    """Put a run where it was when the file was written.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        Naming the file, if it is damaged, no checkpoint, or that of another run.
    """
    path = os.fspath(path)
    arrays, metadata = load_arrays(path)
    found = metadata.get("format")
    if found != FORMAT:
        what = f"is of format {found!r}" if found else "is no checkpoint"
        raise ValueError(f"{path}: {what}; expected {FORMAT!r}")
    try:
        state = restore(metadata["state"], arrays)
        _compare(state["who"], _identity(run))
        _load(state, run)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{path}: not a readable checkpoint ({error!r})") from error


def _load(state: Mapping[str, Any], run: Run) -> None:
    run.model.load_state_dict(state["model"])
    for name, generator in _generators(run.model).items():
        generator.bit_generator.state = state["generators"][name]
    run.optimizer.load_state_dict(state["optimizer"])
    if run.schedule is not None:
        run.schedule.load_state_dict(state["schedule"])
    run.batches.load_state_dict(state["batches"])
    run.epoch, run.batch = int(state["epoch"]), int(state["batch"])
    run.progress = Progress(*state["progress"])
    run.history = History(Epoch(*row) for row in state["history"])
    for callback, own in zip(run.stateful, state["callbacks"], strict=True):
        callback.load_state_dict(own)


def _identity(run: Run) -> dict[str, Any]:
    """Return what must be the same for a run to be the same."""
    return {
        "model": repr(run.model),
        "optimizer": run.optimizer.name,
        "schedule": type(run.schedule).__name__,
        "schedule_per": run.schedule_per,
        "clip_norm": run.clip_norm,
        "training examples": run.batches.num_examples,
        "batches of an epoch": len(run.batches),
        "callbacks": [type(callback).__name__ for callback in run.stateful],
    }


def _compare(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if name not in found or found[name] == value:
            continue
        if name == "model":
            raise ValueError(f"the checkpoint is of another model:\n{found[name]}\nnot\n{value}")
        raise ValueError(f"the checkpoint is of another run: {name} {found[name]!r}, not {value!r}")


def _generators(model: Module) -> dict[str, np.random.Generator]:
    """Return the NumPy generators that a model's modules have as attributes."""
    return {
        f"{i}.{name}": value
        for i, module in enumerate(model.modules())
        for name, value in vars(module).items()
        if isinstance(value, np.random.Generator)
    }


def flatten(tree: Any, path: str, arrays: dict[str, Array]) -> Any:
    """Return a tree that JSON can express; arrays in it go to `arrays`, by their paths."""
    if isinstance(tree, np.ndarray):
        arrays[path] = tree
        return {ARRAY: path}
    if isinstance(tree, np.generic):
        return tree.item()
    if isinstance(tree, Mapping):
        return {str(key): flatten(value, f"{path}/{key}", arrays) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [flatten(value, f"{path}/{i}", arrays) for i, value in enumerate(tree)]
    return tree


def restore(tree: Any, arrays: Mapping[str, Array]) -> Any:
    """Return what `flatten` was given."""
    if isinstance(tree, dict):
        if tree.keys() == {ARRAY}:
            return arrays[tree[ARRAY]]
        return {key: restore(value, arrays) for key, value in tree.items()}
    if isinstance(tree, list):
        return [restore(value, arrays) for value in tree]
    return tree
