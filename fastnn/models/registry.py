"""Models by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastnn.models.lenet import caffe_lenet, lenet5
from fastnn.models.lenet_historical import lenet1, lenet5_1998
from fastnn.models.mlp import mlp, mlp_squared
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


def _mlp(*hidden: int, squared: bool = False) -> Callable[..., Module]:
    """Return a factory of perceptrons with these hidden layers."""

    def make(
        num_classes: int = 10, input_shape: Sequence[int] = (28, 28, 1), **options: Any
    ) -> Module:
        sizes = (math.prod(input_shape), *hidden, num_classes)
        return mlp_squared(sizes, **options) if squared else mlp(sizes, **options)

    return make


def _vgg(configuration: str, batch_norm: bool) -> Callable[..., Module]:
    """Return a factory of VGG networks, by default for CIFAR's images."""

    def make(
        num_classes: int | None = None, input_shape: Sequence[int] = (32, 32, 3), **options: Any
    ) -> Module:
        return vgg(
            configuration,
            num_classes=num_classes,
            input_shape=input_shape,
            batch_norm=batch_norm,
            **options,
        )

    return make


_IMAGE = (28, 28, 1)
_VGGS = {"vgg11": "A", "vgg11-lrn": "A-LRN", "vgg13": "B", "vgg16": "D", "vgg16-c": "C"}
_VGGS["vgg19"] = "E"

_MODELS = {
    model.name: model
    for model in (
        ModelInfo("mlp", _mlp(128), _IMAGE, 10, "cross_entropy", "perceptron 784-128-10, ReLU"),
        ModelInfo(
            *("mlp-300", _mlp(300, squared=True), _IMAGE, 10, "mse"),
            "perceptron 784-300-10 of LeCun et al. 1998, scaled tanh, mean squared error",
        ),
        ModelInfo(
            *("mlp-800", _mlp(800), _IMAGE, 10, "cross_entropy"),
            "perceptron 784-800-10 of Simard et al. 2003, here with ReLU",
        ),
        ModelInfo("lenet1", lenet1, _IMAGE, 10, "mse", "LeNet-1 of 1990, mean squared error"),
        ModelInfo(
            *("lenet5-1998", lenet5_1998, _IMAGE, 10, "map"),
            "LeNet-5 as published: partial C3, trainable subsampling, RBF outputs",
        ),
        ModelInfo("lenet5", lenet5, _IMAGE, 10, "cross_entropy", "LeNet-5 as used today"),
        ModelInfo("lenet-caffe", caffe_lenet, _IMAGE, 10, "cross_entropy", "Caffe's LeNet"),
        *(
            ModelInfo(
                name + ("-bn" if norm else ""),
                _vgg(configuration, norm),
                (32, 32, 3),
                10,
                "cross_entropy",
                f"VGG, configuration {configuration}" + (", with batch norm" if norm else ""),
            )
            for norm in (False, True)
            for name, configuration in _VGGS.items()
        ),
    )
}
