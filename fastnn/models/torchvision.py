"""Weights from and to torchvision's VGG networks. Neither torch nor torchvision is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.models.vgg import VGG
from fastnn.nn import Conv2d, Linear
from fastnn.nn.module import compare_names

if TYPE_CHECKING:
    from fastnn._core import Array


def load_torchvision(model: VGG, state: Mapping[str, Any]) -> None:
    """Copy the weights of a torchvision VGG into a model of the same configuration.

    The names are the same. Convolution weights go from (O, I, KH, KW) to (O, KH, KW, I); the
    columns of the first classifier layer from the order (C, H, W), in which PyTorch flattens an
    image, to (H, W, C).

    Parameters
    ----------
    model : VGG
        For images of 224 x 224 with two hidden layers of 4096 units, if the weights are those that
        torchvision publishes. Others work as well if the sizes are the same.
    state : mapping of str to array
        ``state_dict()`` of the torch model; tensors on the CPU, or arrays. float32 becomes float64
        where the model is float64; the other way is refused.

    Raises
    ------
    ValueError
        For missing or unexpected names and for shapes that differ.
    TypeError
        For a model that is no VGG, and for dtypes that cannot be converted without loss.

    In all these cases nothing has been changed.
    """
    own = _own_state(model, "load_torchvision")
    compare_names("load_torchvision", own, state)
    pixels = _pixels(model)
    arrays = {}
    for name, array in own.items():
        given = np.asarray(state[name])
        if not np.can_cast(given.dtype, array.dtype):
            raise TypeError(
                f"load_torchvision: {name} has dtype {given.dtype}, expected {array.dtype}"
            )
        expected = _to_torch(name, array, pixels).shape
        if given.shape != expected:
            raise ValueError(
                f"load_torchvision: {name} has shape {given.shape}, expected {expected}"
            )
        arrays[name] = _from_torch(name, given, pixels).astype(array.dtype)
    model.load_state_dict(arrays, strict=False)


def to_torchvision(model: VGG) -> dict[str, Array]:
    """Return the weights as ``load_state_dict`` of the torchvision model takes them.

    The inverse of `load_torchvision`, exactly. The values are NumPy arrays: make tensors of them
    with ``{name: torch.from_numpy(array) for name, array in state.items()}``.

    Raises
    ------
    TypeError
        For a model that is no VGG.
    """
    own, pixels = _own_state(model, "to_torchvision"), _pixels(model)
    # not ascontiguousarray, which makes one-dimensional arrays of scalars
    return {name: np.array(_to_torch(name, a, pixels), order="C") for name, a in own.items()}


def _own_state(model: VGG, caller: str) -> dict[str, Array]:
    """Return the state that torchvision's model has too: all but dropout's."""
    if not isinstance(model, VGG):
        raise TypeError(f"{caller}: model must be a VGG, not {type(model).__name__}")
    state = model._state().items()
    return {name: part.data for name, part in state if not name.endswith((".seed", ".offset"))}


def _pixels(model: VGG) -> int:
    """Return H * W of the image that the classifier flattens."""
    convolutions = [layer for layer in model.features if isinstance(layer, Conv2d)]
    first = model.classifier[0]
    assert isinstance(first, Linear)
    return first.weight.shape[1] // convolutions[-1].weight.shape[0]


def _to_torch(name: str, array: Array, pixels: int) -> Array:
    if array.ndim == 4:
        return array.transpose(0, 3, 1, 2)
    if name == "classifier.0.weight":
        units, inputs = array.shape
        return array.reshape(units, pixels, -1).transpose(0, 2, 1).reshape(units, inputs)
    return array


def _from_torch(name: str, array: Array, pixels: int) -> Array:
    if array.ndim == 4:
        return array.transpose(0, 2, 3, 1)
    if name == "classifier.0.weight":
        units, inputs = array.shape
        return array.reshape(units, -1, pixels).transpose(0, 2, 1).reshape(units, inputs)
    return array
