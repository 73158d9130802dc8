"""The VGG networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastnn import init
from fastnn.nn import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    Module,
    ReLU,
    Sequential,
)
from fastnn.nn.checks import float_dtype, positive

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn.init import RNG, Initializer

# Table 1 of the paper: five groups of convolutions, each of which ends in max pooling.
_CHANNELS = (64, 128, 256, 512, 512)
_DEPTHS = {
    "A": (1, 1, 2, 2, 2),
    "A-LRN": (1, 1, 2, 2, 2),
    "B": (2, 2, 2, 2, 2),
    "C": (2, 2, 3, 3, 3),
    "D": (2, 2, 3, 3, 3),
    "E": (2, 2, 4, 4, 4),
}
VGG_CONFIGURATIONS = tuple(_DEPTHS)
"""Columns of the paper's table 1: A is vgg11, B vgg13, D vgg16, E vgg19."""


class Numbered(Sequential):
    """Layers whose names are given numbers, not their positions.

    A layer that does the work of two has two places in PyTorch's networks; so the parameters here
    have the names that they have there.
    """

    def __init__(self, layers: Sequence[tuple[int, Module]]) -> None:
        super().__init__(*(layer for _, layer in layers))
        self.numbers = tuple(number for number, _ in layers)

    def _members(self) -> Iterator[tuple[str, Module]]:
        return ((str(i), layer) for i, layer in zip(self.numbers, self.layers, strict=True))


class VGG(Sequential):
    """Features, flattened, and a classifier: what `vgg` returns.

    Names of parameters and buffers are those of torchvision's models, without its dropout, and
    with ours. See `load_torchvision`.
    """

    def __init__(self, features: Numbered, classifier: Numbered) -> None:
        super().__init__(features, Flatten(), classifier)
        self.features, self.classifier = features, classifier

    def _members(self) -> Iterator[tuple[str, Module]]:
        names = ("features", "flatten", "classifier")
        return zip(names, self.layers, strict=True)


def vgg(
    configuration: str,
    num_classes: int = 1000,
    input_shape: Sequence[int] = (224, 224, 3),
    *,
    batch_norm: bool = False,
    width: float = 1.0,
    hidden: Sequence[int] | None = None,
    dropout: float = 0.5,
    weight_init: Initializer = init.he_normal,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> VGG:
    """Return a VGG network, which ends in logits.

    The paper's (Simonyan and Zisserman 2015, section 2.1 and table 1): convolutions 3 x 3 padded
    by 1, in C also 1 x 1, each with ReLU; maximum over 2 x 2 after each of the five groups; two
    hidden layers of 4096 units with ReLU and dropout, and the output. In A-LRN, local response
    normalisation as in Krizhevsky et al. 2012 follows the first ReLU.

    Ours, as is common today: batch normalisation between convolution and ReLU, which the paper
    had not; initial weights by He et al. 2015 (the paper: normal with variance 0.01, from a
    trained A); images smaller than 224 x 224, by default without hidden layers; `width`.

    Parameters
    ----------
    configuration : {"A", "A-LRN", "B", "C", "D", "E"}
        Column of table 1.
    num_classes : int
        Number of outputs; default 1000.
    input_shape : (int, int, int)
        (H, W, C) of the images, H and W at least 32; default (224, 224, 3).
    batch_norm : bool
        Whether there is batch normalisation; default False.
    width : float
        Factor on all channels and on the default hidden units, which are rounded to integers of
        at least 1; default 1.
    hidden : sequence of int, optional
        Units of the hidden layers. Default: two of 4096 for images from 224 x 224 on, else none.
    dropout : float
        Probability, in [0, 1), after each hidden layer; default 0.5. With 0 there is none.
    weight_init : callable
        From `fastnn.init`; default `he_normal`.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights and of dropout's seed.
    dtype : dtype
        float32 (default) or float64.

    Returns
    -------
    VGG
        Its backward returns None; where the gradient of the image is wanted, set
        ``model.features[0].input_grad = True``.

    Raises
    ------
    TypeError, ValueError
        If the configuration is another, or an option is of another kind or out of range.

    Examples
    --------
    >>> vgg("D", 10, (32, 32, 3), batch_norm=True, rng=0).num_parameters()
    14728266
    """
    height, width_of_image, channels = _check(configuration, input_shape, width)
    positive("vgg", num_classes=num_classes)
    options: dict[str, Any] = {"weight_init": weight_init, "dtype": float_dtype("vgg", dtype)}
    options["rng"] = np.random.default_rng(rng)
    features = _features(configuration, channels, width, batch_norm, options)
    if hidden is None:
        large = min(height, width_of_image) >= 224
        hidden = [_scaled(4096, width)] * 2 if large else []
    inputs = (height // 32) * (width_of_image // 32) * _scaled(_CHANNELS[-1], width)
    return VGG(features, _classifier([inputs, *hidden, num_classes], dropout, options))


def _check(configuration: str, input_shape: Sequence[int], width: float) -> tuple[int, int, int]:
    if configuration not in _DEPTHS:
        valid = ", ".join(_DEPTHS)
        raise ValueError(f"vgg: configuration must be one of {valid}, got {configuration!r}")
    shape = tuple(input_shape)
    if len(shape) != 3:
        raise ValueError(f"vgg: input_shape must be (H, W, C), got {shape}")
    height, width_of_image, channels = shape
    positive("vgg", height=height, width=width_of_image, channels=channels)
    if min(height, width_of_image) < 32:
        raise ValueError(f"vgg: images must be at least 32 x 32, got input_shape {shape}")
    if not (isinstance(width, int | float) and 0 < width < math.inf):
        raise ValueError(f"vgg: width must be a positive number, got {width!r}")
    return height, width_of_image, channels


def _features(
    configuration: str, inputs: int, width: float, batch_norm: bool, options: dict[str, Any]
) -> Numbered:
    """Return the five groups, numbered as PyTorch's layers are."""
    layers: list[tuple[int, Module]] = []
    number = 0
    for group, depth in enumerate(_DEPTHS[configuration]):
        units = _scaled(_CHANNELS[group], width)
        normalised = configuration == "A-LRN" and group == 0
        for i in range(depth):
            kernel = 1 if configuration == "C" and i == 2 else 3
            layers.append((number, Conv2d(inputs, units, kernel, padding=kernel // 2, **options)))
            number += 1
            if batch_norm:
                norm = BatchNorm2d(units, activation="relu", dtype=options["dtype"])
                layers.append((number, norm))
                number += 1
            elif i < depth - 1 or normalised:  # else it is part of the pooling layer
                layers.append((number, ReLU()))
            number += 1
            inputs = units
        if normalised:
            # alpha is not divided by the size in the paper that it is from
            layers.append((number, LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)))
            number += 1
        fused: Literal["relu"] | None = None if batch_norm or normalised else "relu"
        layers.append((number, MaxPool2d(2, activation=fused)))
        number += 1
    layers[0][1].input_grad = False
    return Numbered(layers)


def _classifier(sizes: Sequence[int], dropout: float, options: dict[str, Any]) -> Numbered:
    """Return the fully connected layers, numbered as if each but the last had dropout."""
    layers: list[tuple[int, Module]] = []
    for i, (inputs, units) in enumerate(itertools.pairwise(sizes)):
        if i:
            layers.append((3 * i - 2, ReLU()))
            if dropout:
                layers.append((3 * i - 1, Dropout(dropout, rng=options["rng"])))
        layers.append((3 * i, Linear(inputs, units, **options)))
    return Numbered(layers)


def _scaled(units: int, width: float) -> int:
    return max(1, round(units * width))
