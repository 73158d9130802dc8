"""Counting as the papers do: connections, multiplications."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fastnn.models.outputs import RBF
from fastnn.nn import Conv2d, Linear, Module, Sequential, Subsample2d


class LayerCount(NamedTuple):
    """What one layer has."""

    layer: str
    output_shape: tuple[int, ...]
    """Of one image."""
    parameters: int
    """Trainable, less those of connections that are absent."""
    connections: int
    """LeCun's count: inputs of all units, biases included; of a subsampling unit its window and
    the bias."""
    macs: int
    """Multiplications of inputs with weights."""


def count_layers(model: Sequential, input_shape: Sequence[int]) -> list[LayerCount]:
    """Return a row for every layer of a model.

    Parameters
    ----------
    model : Sequential
        Of layers of fastnn. It is run on one image.
    input_shape : sequence of int
        Of one image, (H, W, C).
    """
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    x = np.zeros((1, *input_shape), dtype)
    rows = []
    for layer in model:
        x = layer(x)
        units = x.size
        fan, bias = _fan(layer)
        weights = fan * (units // x.shape[-1])
        rows.append(
            LayerCount(
                type(layer).__name__,
                x.shape[1:],
                layer.num_parameters(),
                weights + (units if bias else 0),
                weights,
            )
        )
    return rows


def count_connections(model: Sequential, input_shape: Sequence[int]) -> int:
    """Return the number of connections of one image (LeCun et al. 1998, section II.B)."""
    return sum(row.connections for row in count_layers(model, input_shape))


def count_macs(model: Sequential, input_shape: Sequence[int]) -> int:
    """Return the number of multiplications of inputs with weights, for one image."""
    return sum(row.macs for row in count_layers(model, input_shape))


def _fan(layer: Module) -> tuple[int, bool]:
    """Return the inputs of all units at one place, and whether units have a bias."""
    if isinstance(layer, Conv2d):
        absent = 0 if layer.connections is None else int((~layer.connections).sum())
        return layer.weight.size - absent, layer.bias is not None
    if isinstance(layer, Linear):
        return layer.weight.size, layer.bias is not None
    if isinstance(layer, Subsample2d):
        return layer.coefficient.size * math.prod(layer.kernel_size), True
    if isinstance(layer, RBF):
        return layer.centres.size, False
    return 0, False
