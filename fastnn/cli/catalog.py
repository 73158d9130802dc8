"""Models and data by name, and model files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import data, io, models
from fastnn.cli.errors import UserError
from fastnn.names import suggest

if TYPE_CHECKING:
    from fastnn.data import Dataset, DatasetInfo
    from fastnn.init import RNG
    from fastnn.nn import Module

FORMAT = "fastnn model 2"
MODEL_FILE = "model.npz"


def build_model(name: str, info: DatasetInfo, rng: RNG) -> tuple[Module, dict[str, Any]]:
    """Return a new model for the images and classes of a data set, and the options it took.

    Raises
    ------
    UserError
        If there is no such model, or it cannot take these images.
    """
    expected = models.info(name)
    options: dict[str, Any] = {}
    if expected.num_classes != info.num_classes:
        options["num_classes"] = info.num_classes
    if tuple(expected.input_shape) != tuple(info.image_shape):
        options["input_shape"] = tuple(info.image_shape)
    try:
        return models.create(name, rng=rng, **options), options
    except (TypeError, ValueError) as error:
        if "input_shape" not in options:
            raise
        raise UserError(
            f"{name} takes images of {shape(expected.input_shape)}, those of {info.name} have "
            f"{shape(info.image_shape)} ({error})"
        ) from error


def shape(sizes: tuple[int, ...]) -> str:
    """Return a shape as people write it."""
    return "x".join(map(str, sizes))


def load_data(name: str, directory: str | None, download: bool = False) -> Dataset:
    """Return a data set by name."""
    return data.load(name, directory=directory, download=download)


def save_model(path: str, model: Module, metadata: dict[str, Any]) -> None:
    """Write a model file; metadata need "model", "options" and "data"."""
    io.save_arrays(path, model.state_dict(), {"format": FORMAT, **metadata})


def load_model(path: str) -> tuple[Module, dict[str, Any]]:
    """Read a model file, or that in a directory of ``fastnn train --out``."""
    if os.path.isdir(path) and os.path.exists(os.path.join(path, MODEL_FILE)):
        path = os.path.join(path, MODEL_FILE)
    arrays, metadata = io.load_arrays(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path}: not a model file of 'fastnn train'")
    try:
        _check_metadata(metadata)
        # any seed: the weights are replaced
        model = models.create(metadata["model"], rng=0, **metadata["options"])
        model.load_state_dict(arrays)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    return model, metadata


def _check_metadata(metadata: dict[str, Any]) -> None:
    """Raise ValueError if what `train` wrote beside the weights is not there."""
    kinds = {"model": str, "options": dict, "data": str, "image_shape": list, "classes": list}
    for key, kind in (kinds | {"pixels": dict}).items():
        if not isinstance(metadata.get(key), kind):
            raise ValueError(f"no valid {key!r} among the metadata")
    if metadata["data"] not in data.names():
        raise ValueError(suggest("data set", metadata["data"], data.names()))
    sizes, pixels = metadata["image_shape"], metadata["pixels"]
    if len(sizes) != 3 or any(type(n) is not int or n < 1 for n in sizes):
        raise ValueError(f"image_shape {sizes} is no shape (H, W, C)")
    for key in ("black", "white"):
        if np.shape(pixels.get(key)) != (sizes[2],):
            raise ValueError(f"{key!r} of the pixels is not a value for each channel")


def pixels_of(x: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return how the pixels of images (N, H, W, C) are coded, for `predict`.

    "black" and "white" are the smallest and the largest value of each channel, and "bright" tells
    whether backgrounds are: whether most pixels at the edges are nearer to white.
    """
    sample = x[:: max(1, len(x) // 1000)]
    black, white = x.min((0, 1, 2)), x.max((0, 1, 2))
    edges = np.concatenate([sample[:, 0], sample[:, -1], sample[:, :, 0], sample[:, :, -1]], 1)
    bright = np.mean(edges > (black + white) / 2) > 0.5
    return {"black": black.tolist(), "white": white.tolist(), "bright": bool(bright)}
