"""VGG: Simonyan & Zisserman, Very deep convolutional networks, ICLR 2015 (arXiv:1409.1556)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

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

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn.init import RNG

POOL, LRN, POINTWISE = "pool", "lrn", 1

CONFIGURATIONS: dict[str, tuple[tuple[int | str | tuple[int, int], ...], ...]] = {
    "A": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "A-LRN": ((64, LRN), (128,), (256, 256), (512, 512), (512, 512)),
    "B": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "C": (
        *((64, 64), (128, 128), (256, 256, (256, POINTWISE))),
        *((512, 512, (512, POINTWISE)), (512, 512, (512, POINTWISE))),
    ),
    "D": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "E": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}
"""Table 1 of the paper: the channels of each convolution, in groups that end in max pooling. They
are 3 x 3 but for the pairs, which name their size."""

HIDDEN = 4096  # units of the two hidden fully connected layers


class Layer(NamedTuple):
    """A layer with weights, before it is made."""

    kind: str
    """"conv" or "linear"."""
    inputs: int
    outputs: int
    taps: int
    """Of a filter."""
    pixels: int
    """Of its output."""

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.outputs * (self.inputs * self.taps + 1)

    @property
    def macs(self) -> int:
        """Multiplications of one image."""
        return self.pixels * self.outputs * self.inputs * self.taps


def vgg_layers(
    configuration: str, size: int = 224, num_classes: int = 1000, width: float = 1.0
) -> Iterator[Layer]:
    """Yield the layers with weights, without making them.

    Parameters are those of `vgg`. ``sum(layer.parameters for layer in vgg_layers("D"))`` is
    138,357,544.
    """
    channels, side = 3, size
    for group in CONFIGURATIONS[configuration]:
        for item in group:
            if item == LRN:
                continue
            outputs, taps = item if isinstance(item, tuple) else (item, 3)
            outputs = _scaled(int(outputs), width)
            yield Layer("conv", channels, outputs, taps * taps, side * side)
            channels = outputs
        side //= 2
    features = channels * side * side
    for units in _hidden(size, width):
        yield Layer("linear", features, units, 1, 1)
        features = units
    yield Layer("linear", features, num_classes, 1, 1)


def vgg(
    configuration: str = "D",
    *,
    num_classes: int | None = None,
    input_shape: Sequence[int] = (224, 224, 3),
    batch_norm: bool = False,
    width: float = 1.0,
    dropout: float = 0.5,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Return a VGG network that ends in logits.

    Parameters
    ----------
    configuration : {"A", "A-LRN", "B", "C", "D", "E"}
        Column of the paper's table 1; A, B, D and E are also known as VGG-11, 13, 16 and 19.
    num_classes : int, optional
        Default: 1000 for images of 224, else 10.
    input_shape : (H, W, 3)
        Square, the side a multiple of 32. Images of 224 and more get the paper's three fully
        connected layers, 4096-4096-classes, with dropout; smaller ones a single layer from the
        last features, as is usual for CIFAR-10 (ours, not the paper's).
    batch_norm : bool
        Batch norm after every convolution (not the paper's); default False.
    width : float
        Factor of all channels and hidden units (ours); default 1.
    dropout : float
        Of the two hidden layers; default 0.5 (section 3.1).
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it. They are normal with
        the variance of He et al. 2015, which trains all depths from scratch (the paper started the
        deep ones from A); biases are 0.
    dtype : dtype
        float32 (default) or float64.

    Returns
    -------
    Sequential
        Its backward returns None: the gradient with respect to the image is not computed. Where it
        is wanted, set ``model[0].input_grad = True``.

    Raises
    ------
    TypeError, ValueError
        If the configuration is unknown, the image is not square or its side no multiple of 32, or
        a number is out of range.
    """
    if configuration not in CONFIGURATIONS:
        raise ValueError(
            f"vgg: configuration must be one of {', '.join(CONFIGURATIONS)}, got {configuration!r}"
        )
    size = _side(input_shape)
    if not (isinstance(width, int | float) and 0 < width < math.inf):
        raise ValueError(f"vgg: width must be a number above 0, got {width!r}")
    if num_classes is None:
        num_classes = 1000 if size >= 224 else 10
    rng = np.random.default_rng(rng)
    layers: list[Module] = []
    channels = 3
    for group in CONFIGURATIONS[configuration]:
        for item in group:
            if item == LRN:
                # AlexNet's parameters (Krizhevsky et al. 2012, section 3.3), as section 2.3 says
                layers.append(LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0))
                continue
            outputs, taps = item if isinstance(item, tuple) else (item, 3)
            outputs = _scaled(int(outputs), width)
            conv = Conv2d(channels, outputs, taps, padding=taps // 2, rng=rng, dtype=dtype)
            layers.append(conv)
            layers.append(
                BatchNorm2d(outputs, activation="relu", dtype=dtype) if batch_norm else ReLU()
            )
            channels = outputs
        layers.append(MaxPool2d(2))
    layers.append(Flatten())
    features = channels * (size // 32) ** 2
    for units in _hidden(size, width):
        layers += [Linear(features, units, rng=rng, dtype=dtype), ReLU(), Dropout(dropout, rng=rng)]
        features = units
    layers.append(
        Linear(features, num_classes, weight_init=init.lecun_normal, rng=rng, dtype=dtype)
    )
    layers[0].input_grad = False
    return Sequential(*layers)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _hidden(size: int, width: float) -> tuple[int, ...]:
    return (_scaled(HIDDEN, width),) * 2 if size >= 224 else ()


def _side(input_shape: Sequence[int]) -> int:
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 3 or shape[0] % 32 or not shape[0]:
        raise ValueError(
            f"vgg: input_shape must be (H, H, 3), H a multiple of 32, got {tuple(input_shape)}"
        )
    return int(shape[0])
