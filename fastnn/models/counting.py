"""Connections, multiplications and shapes of a model, from its layers: nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fastnn.nn import (
    RBF,
    AvgPool2d,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    Module,
    Sequential,
    Subsample2d,
)


class LayerCounts(NamedTuple):
    """What one layer does to one input."""

    name: str
    """Dotted path, as in `Module.named_parameters`."""
    layer: Module
    shape: tuple[int, ...]
    """Of its output, without the batch."""
    parameters: int
    """Trainable elements, without weights that stay 0."""
    connections: int
    """Inputs and biases that outputs read, summed over the outputs: as LeCun et al. 1998 count."""
    macs: int
    """Multiplications of an input or a sum with a weight."""


def count_layers(model: Module, input_shape: Sequence[int]) -> list[LayerCounts]:
    """Return the counts of all layers, in the order in which they are applied.

    Parameters
    ----------
    model : Module
        A layer, or a `Sequential` of layers and of further `Sequential`.
    input_shape : sequence of int
        Of one input, without the batch: (H, W, C) of an image.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1, or the input does not fit the layers.
    """
    shape = tuple(input_shape)
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"count_layers: input_shape must be positive integers, got {shape}")
    rows = []
    for name, layer in _leaves("", model):
        try:
            after, connections, macs = _count(layer, shape)
        except (ValueError, IndexError) as error:
            raise ValueError(
                f"count_layers: {name or 'the model'}, {layer!r}, cannot take shape {shape}"
            ) from error
        rows.append(LayerCounts(name, layer, after, layer.num_parameters(), connections, macs))
        shape = after
    return rows


def count_connections(model: Module, input_shape: Sequence[int]) -> int:
    """Return the number of connections, as LeCun et al. 1998 (section II.B) count them.

    Every output of a layer with weights is connected to the inputs it reads and to its bias. Of a
    subsampling layer that are the pixels of a window and a bias. Arguments as `count_layers`.

    Examples
    --------
    >>> fastnn.models.count_connections(fastnn.models.lenet5_1998(rng=0), (28, 28, 1))
    340908
    """
    return sum(row.connections for row in count_layers(model, input_shape))


def count_macs(model: Module, input_shape: Sequence[int]) -> int:
    """Return the number of multiply-accumulates of one input's forward pass.

    Those of convolutions, linear and RBF layers, and one for each output of a subsampling layer;
    pooling, normalisation and activations count as nothing. Arguments as `count_layers`.
    """
    return sum(row.macs for row in count_layers(model, input_shape))


def summary(model: Module, input_shape: Sequence[int]) -> str:
    """Return a table of the layers: shape of the output, parameters, connections, MACs.

    Arguments as `count_layers`.

    Examples
    --------
    >>> print(fastnn.models.summary(fastnn.models.mlp((4, 3, 2), rng=0), (2, 2, 1)))
    layer            output  parameters  connections  MACs
    0  Flatten()          4           0            0     0
    1  Linear(4, 3)       3          15           15    12
    2  ReLU()             3           0            0     0
    3  Linear(3, 2)       2           8            8     6
    total                            23           23    18
    """
    rows = count_layers(model, input_shape)
    width = max((len(row.name) for row in rows), default=0)
    cells: list[tuple[str, ...]] = [("layer", "output", "parameters", "connections", "MACs")]
    totals = [0, 0, 0]
    for row in rows:
        numbers = (row.parameters, row.connections, row.macs)
        totals = [a + b for a, b in zip(totals, numbers, strict=True)]
        label = f"{row.name:{width}}  {row.layer!r}".strip()
        cells.append((label, "x".join(map(str, row.shape)), *(f"{n:,}" for n in numbers)))
    cells.append(("total", "", *(f"{n:,}" for n in totals)))
    widths = [max(len(line[i]) for line in cells) for i in range(5)]
    return "\n".join(
        f"{line[0]:{widths[0]}}"
        + "".join(f"  {cell:>{size}}" for cell, size in zip(line[1:], widths[1:], strict=True))
        for line in cells
    )


def _leaves(path: str, module: Module) -> Iterator[tuple[str, Module]]:
    """Yield (name, layer) in the order in which they are applied."""
    if not isinstance(module, Sequential):
        yield path, module
        return
    for name, layer in module._members():
        yield from _leaves(f"{path}.{name}" if path else name, layer)


def _count(layer: Module, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    """Return the shape of the output, connections and MACs."""
    if isinstance(layer, Conv2d):
        return _count_conv2d(layer, shape)
    if isinstance(layer, Linear | RBF):
        weight, bias = (
            (layer.weight, layer.bias) if isinstance(layer, Linear) else (layer.centers, None)
        )
        outputs, inputs = weight.shape
        _require(shape[-1] == inputs)
        rows = math.prod(shape[:-1])
        macs = rows * outputs * inputs
        return (*shape[:-1], outputs), macs + (rows * outputs if bias is not None else 0), macs
    if isinstance(layer, MaxPool2d | AvgPool2d | Subsample2d):
        return _count_pool(layer, shape)
    if isinstance(layer, Flatten):
        return (math.prod(shape),), 0, 0
    if isinstance(layer, GlobalAvgPool2d):
        return shape[-1:], 0, 0
    own = getattr(layer, "output_shape", None)
    return (shape if own is None else own(shape)), 0, 0


def _count_conv2d(layer: Conv2d, shape: tuple[int, ...]) -> tuple[tuple[int, ...], int, int]:
    out_channels, *kernel, group_channels = layer.weight.shape
    height, width, channels = shape
    _require(channels == group_channels * layer.geometry["groups"])
    (above, below), (left, right) = _sides(layer.geometry["padding"])
    steps = zip(
        (height + above + below, width + left + right),
        kernel,
        layer.geometry["stride"],
        layer.geometry["dilation"],
        strict=True,
    )
    sizes = tuple((size - d * (k - 1) - 1) // s + 1 for size, k, s, d in steps)
    _require(min(sizes) > 0)
    weights = layer.weight.size - layer._num_constants()
    biases = 0 if layer.bias is None else out_channels
    pixels = math.prod(sizes)
    return (*sizes, out_channels), pixels * (weights + biases), pixels * weights


def _count_pool(
    layer: MaxPool2d | AvgPool2d | Subsample2d, shape: tuple[int, ...]
) -> tuple[tuple[int, ...], int, int]:
    height, width, channels = shape
    trainable = isinstance(layer, Subsample2d)
    padding = ((0, 0), (0, 0)) if isinstance(layer, Subsample2d) else _sides(layer.padding)
    round_up = not isinstance(layer, Subsample2d) and layer.ceil_mode
    sizes = tuple(
        _windows(size, *around, kernel, stride, round_up)
        for size, around, kernel, stride in zip(
            (height, width), padding, layer.kernel_size, layer.stride, strict=True
        )
    )
    _require(min(sizes) > 0)
    outputs = math.prod(sizes) * channels if trainable else 0
    return (*sizes, channels), outputs * (math.prod(layer.kernel_size) + 1), outputs


def _windows(size: int, before: int, after: int, kernel: int, stride: int, round_up: bool) -> int:
    """Return the number of windows; rounded up, the last one must not start in the padding."""
    rest = size + before + after - kernel
    if not round_up:
        return rest // stride + 1
    count = -(-rest // stride) + 1
    return count - 1 if (count - 1) * stride >= size + before else count


def _sides(padding: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    rows, columns = padding if isinstance(padding, tuple | list) else (padding, padding)
    above, below = rows if isinstance(rows, tuple | list) else (rows, rows)
    left, right = columns if isinstance(columns, tuple | list) else (columns, columns)
    return (above, below), (left, right)


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError
