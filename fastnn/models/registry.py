"""Models by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastnn.models.lenet import lenet5, lenet_caffe
from fastnn.models.lenet_1998 import lenet1, lenet5_1998
from fastnn.models.mlp import mlp, mlp_300, mlp_800
from fastnn.models.vgg import vgg
from fastnn.names import suggest

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn.init import RNG
    from fastnn.nn import Module


class ModelInfo(NamedTuple):
    """What is known about a model before it is made."""

    name: str
    factory: Callable[..., Module]
    """Called with ``rng=``, ``dtype=`` and the options."""
    input_shape: tuple[int, int, int]
    """(H, W, C) of the images it takes by default."""
    num_classes: int
    """By default."""
    loss: Literal["cross_entropy", "mse", "map"]
    description: str


def create(name: str, *, rng: RNG = None, dtype: DTypeLike = np.float32, **options: Any) -> Module:
    """Return a new model by name.

    Parameters
    ----------
    name : str
        One of `names`.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it.
    dtype : dtype
        float32 (default) or float64.
    **options
        Of the model: ``num_classes``, and where it can, ``input_shape``.

    Raises
    ------
    ValueError
        For an unknown name, with the closest one that is valid.
    TypeError
        For an option that the model has not.
    """
    return info(name).factory(rng=rng, dtype=dtype, **options)


def names() -> tuple[str, ...]:
    """Return the names of all models."""
    return tuple(_MODELS)


def info(name: str) -> ModelInfo:
    """Return what is known about a model.

    Raises
    ------
    ValueError
        For an unknown name, with the closest one that is valid.
    """
    if name not in names():
        raise ValueError(suggest("model", name, _MODELS))
    return _MODELS[name]


def _mlp(
    num_classes: int = 10,
    input_shape: Sequence[int] = (28, 28, 1),
    *,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> Module:
    return mlp((math.prod(input_shape), 128, num_classes), rng=rng, dtype=dtype)


def _lenet(
    name: str,
    factory: Callable[..., Module],
    loss: Literal["cross_entropy", "mse", "map"],
    description: str,
) -> ModelInfo:
    """Return what is known of a model for images of one size, which an option may confirm."""

    def make(*, input_shape: Sequence[int] = _DIGIT, **options: Any) -> Module:
        if tuple(input_shape) != _DIGIT:
            raise ValueError(
                f"{name}: input_shape must be {_DIGIT} (H, W, C), got {tuple(input_shape)}"
            )
        return factory(**options)

    return ModelInfo(name, make, _DIGIT, 10, loss, description)


def _vgg(name: str, configuration: str, batch_norm: bool) -> ModelInfo:
    def make(**options: Any) -> Module:
        return vgg(configuration, batch_norm=batch_norm, **options)

    norm = " with batch norm" if batch_norm else ""
    description = f"VGG {configuration}{norm} (Simonyan and Zisserman 2015)"
    return ModelInfo(name, make, (224, 224, 3), 1000, "cross_entropy", description)


_DIGIT = (28, 28, 1)

_LRN = "vgg11-lrn"

_VGGS = {
    "vgg11": "A",
    _LRN: "A-LRN",
    "vgg13": "B",
    "vgg16": "D",
    "vgg16-c": "C",
    "vgg19": "E",
}

_MODELS = {
    model.name: model
    for model in (
        ModelInfo("mlp", _mlp, _DIGIT, 10, "cross_entropy", "perceptron 784-128-10, ReLU"),
        ModelInfo("mlp-300", mlp_300, _DIGIT, 10, "mse", "784-300-10, tanh (LeCun et al. 1998)"),
        ModelInfo(
            "mlp-800", mlp_800, _DIGIT, 10, "cross_entropy", "784-800-10 (Simard et al. 2003)"
        ),
        _lenet("lenet1", lenet1, "mse", "LeNet-1 (LeCun et al. 1990): 2,578 parameters"),
        _lenet("lenet5-1998", lenet5_1998, "map", "LeNet-5 as published: RBF units, MAP loss"),
        _lenet("lenet5", lenet5, "cross_entropy", "LeNet-5 as used today: ReLU, max pooling"),
        _lenet("lenet-caffe", lenet_caffe, "cross_entropy", "LeNet of Caffe's MNIST example"),
        *(_vgg(name, letter, False) for name, letter in _VGGS.items()),
        *(_vgg(f"{name}-bn", letter, True) for name, letter in _VGGS.items() if name != _LRN),
    )
}
