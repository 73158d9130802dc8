"""Weights of torchvision's VGG networks, in and out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.nn import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module, Sequential
from fastnn.nn.module import compare_names

if TYPE_CHECKING:
    from fastnn._core import Array


class _Entry(NamedTuple):
    """One array of torchvision's, and where it goes."""

    ours: str
    """Name in our state_dict."""
    kind: str
    """"conv", "first" (the linear layer after Flatten), or "plain"."""
    channels: int
    """Before Flatten, for "first"."""


def load_torchvision(model: Sequential, state_dict: Mapping[str, Any]) -> None:
    """Copy a state_dict of torchvision's VGG into ours.

    Filters go from OIHW to OHWI, and the columns of the first fully connected layer from the order
    (C, H, W) to (H, W, C).

    Parameters
    ----------
    model : Sequential
        From `vgg`, of the same configuration.
    state_dict : mapping of str to array
        As ``torchvision.models.vgg16().state_dict()`` returns it: tensors, or arrays of these.

    Raises
    ------
    ValueError
        For missing or unexpected names and for shapes that differ. Nothing has been changed then.
    """
    entries = _entries(model)
    compare_names("load_torchvision", entries, state_dict)
    own = model.state_dict()
    arrays = {}
    for name, entry in entries.items():
        target = own[entry.ours]
        array = np.asarray(state_dict[name])
        wanted = _theirs(target, entry).shape
        if array.shape != wanted:
            raise ValueError(f"load_torchvision: {name} has shape {array.shape}, expected {wanted}")
        arrays[entry.ours] = _ours(array, target.shape, entry).astype(target.dtype)
    model.load_state_dict(arrays, strict=False)  # dropout's state is no matter of torchvision's


def to_torchvision(model: Sequential) -> dict[str, Array]:
    """Return our weights under torchvision's names and in its layout: NumPy arrays.

    ``torch_model.load_state_dict({k: torch.from_numpy(v) for k, v in to_torchvision(m).items()})``.
    """
    own = model.state_dict()
    return {name: _theirs(own[entry.ours], entry) for name, entry in _entries(model).items()}


def _ours(array: Array, shape: tuple[int, ...], entry: _Entry) -> Array:
    if entry.kind == "conv":
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1))
    if entry.kind == "first":
        side = round((shape[1] / entry.channels) ** 0.5)
        images = array.reshape(-1, entry.channels, side, side)
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1)).reshape(shape)
    return array


def _theirs(array: Array, entry: _Entry) -> Array:
    if entry.kind == "conv":
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    if entry.kind == "first":
        side = round((array.shape[1] / entry.channels) ** 0.5)
        images = array.reshape(-1, side, side, entry.channels)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(array.shape)
    return array


def _entries(model: Sequential) -> dict[str, _Entry]:
    """Return torchvision's names with ours; its ReLU layers count although ours may be fused."""
    entries: dict[str, _Entry] = {}
    part, index, channels, flattened = "features", 0, 0, False
    for i, layer in enumerate(model):
        if isinstance(layer, Flatten):
            part, index, flattened = "classifier", 0, True
            continue
        if isinstance(layer, Conv2d):
            channels = layer.weight.shape[0]
        kind = "conv" if isinstance(layer, Conv2d) else "plain"
        for name in _arrays(layer):
            first = isinstance(layer, Linear) and flattened and name == "weight"
            whole = kind if name == "weight" else "plain"
            entries[f"{part}.{index}.{name}"] = _Entry(
                f"{i}.{name}", "first" if first else whole, channels
            )
        flattened = flattened and not isinstance(layer, Linear)
        index += _places(layer)
    return entries


def _arrays(layer: Module) -> Iterator[str]:
    return iter(layer.state_dict()) if not isinstance(layer, Dropout) else iter(())


def _places(layer: Module) -> int:
    """Return how many of torchvision's layers ours stands for."""
    fused = isinstance(layer, BatchNorm2d | MaxPool2d) and layer.activation is not None
    return 2 if fused else 1
