"""Models and data by name, and model files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastnn import io, models
from fastnn.cli.errors import UserError

if TYPE_CHECKING:
    from fastnn.data import Dataset
    from fastnn.init import RNG
    from fastnn.nn import Sequential

MODELS = ("lenet5", "mlp")
DATA = ("digits", "mnist")
FORMAT = "fastnn model 1"


def build_model(name: str, rng: RNG) -> Sequential:
    """Return a new model for 28 x 28 images and ten classes."""
    if name == "lenet5":
        return models.lenet5(rng=rng)
    return models.mlp((784, 128, 10), rng=rng)


def load_data(name: str, directory: str | None) -> Dataset:
    """Return a data set by name."""
    from fastnn import data

    if name == "digits":
        return data.load_digits()
    directory = directory or os.environ.get("FASTNN_DATA")
    if not directory:
        raise UserError("mnist needs --data-dir DIR or the environment variable FASTNN_DATA")
    below = os.path.join(directory, "mnist")
    return data.load_mnist(below if os.path.isdir(below) else directory)


def save_model(path: str, model: Sequential, metadata: dict[str, Any]) -> None:
    """Write a model file; metadata need "model" and "data"."""
    io.save_arrays(path, model.state_dict(), {"format": FORMAT, **metadata})


def load_model(path: str) -> tuple[Sequential, dict[str, Any]]:
    """Read a model file."""
    arrays, metadata = io.load_arrays(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: not a model file of 'fastnn train'")
    for key, known in (("model", MODELS), ("data", DATA)):
        if metadata.get(key) not in known:
            raise ValueError(f"{path}: unknown {key} {metadata.get(key)!r}")
    model = build_model(metadata["model"], 0)
    try:
        model.load_state_dict(arrays)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return model, metadata
