"""The multilayer perceptron, and two that were published."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import init
from fastnn.models.sign_targets import SignTargets
from fastnn.nn import Flatten, Linear, Module, ReLU, ScaledTanh, Sequential, Sigmoid, Tanh

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn.init import RNG

ACTIVATIONS: dict[str, type[Module]] = {
    "relu": ReLU,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "scaled_tanh": ScaledTanh,
}


def mlp(
    sizes: Sequence[int],
    activation: str = "relu",
    *,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Return a multilayer perceptron that ends in logits.

    Parameters
    ----------
    sizes : sequence of int
        Features of the input, of each hidden layer, and of the output, for instance
        ``(784, 128, 10)``. Inputs of any shape (N, ...) with sizes[0] elements each are flattened.
    activation : {"relu", "sigmoid", "tanh", "scaled_tanh"}
        After every layer but the last.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it. They are normal
        with the variance of He et al. 2015 for ReLU, else of Glorot & Bengio 2010; biases are 0.
    dtype : dtype
        float32 (default) or float64.

    Returns
    -------
    Sequential
        Its backward returns None: the gradient with respect to the input is not computed. Where it
        is wanted, set ``model[1].input_grad = True``.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two sizes, one is no integer or less than 1, or the activation or
        the dtype is another.
    """
    if isinstance(sizes, str) or not isinstance(sizes, Sequence):
        raise TypeError(f"mlp: sizes must be a sequence of integers, got {sizes!r}")
    if len(sizes) < 2:
        raise ValueError(f"mlp: sizes needs at least an input and an output, got {tuple(sizes)}")
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"mlp: activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
        )
    rng = np.random.default_rng(rng)
    weights = init.he_normal if activation == "relu" else init.glorot_normal
    layers: list[Module] = [Flatten()]
    for i, (features, units) in enumerate(itertools.pairwise(sizes)):
        if i:
            layers.append(ACTIVATIONS[activation]())
        layers.append(Linear(features, units, weight_init=weights, rng=rng, dtype=dtype))
    layers[1].input_grad = False
    return Sequential(*layers)


def mlp_300(
    num_classes: int = 10,
    input_shape: Sequence[int] = (28, 28, 1),
    *,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> SignTargets:
    """Return 784-300-10 of scaled tanh units, trained by the squared error: 238,510 parameters.

    The paper's (LeCun, Bottou, Bengio and Haffner 1998, section III.C.3): one hidden layer of 300
    units, 4.7 % error on MNIST. The squashing function is that of its appendix A, also in the
    output layer, and targets are +1 and -1. Ours: weights start normal with variance 1 / fan_in
    ("Efficient BackProp", section 4.6), biases at 0.

    Parameters
    ----------
    num_classes : int
        Number of outputs; default 10.
    input_shape : sequence of int
        Of one input; it is flattened.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it.
    dtype : dtype
        float32 (default) or float64.

    Returns
    -------
    SignTargets
        Its ``loss`` and ``classify`` belong to it. Its backward returns None, as that of `mlp`.

    Raises
    ------
    TypeError, ValueError
        If a size is no integer or less than 1, or the dtype is another.
    """
    rng = np.random.default_rng(rng)
    options: dict[str, Any] = {"weight_init": init.lecun_normal, "rng": rng, "dtype": dtype}
    first = Linear(math.prod(input_shape), 300, **options)
    first.input_grad = False
    last = Linear(300, num_classes, **options)
    return SignTargets(Flatten(), first, ScaledTanh(), last, ScaledTanh())


def mlp_800(
    num_classes: int = 10,
    input_shape: Sequence[int] = (28, 28, 1),
    *,
    activation: str = "relu",
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> Sequential:
    """Return 784-800-10 with logits, for softmax with cross-entropy: 636,010 parameters.

    The paper's (Simard, Steinkraus and Platt 2003, table 1): one hidden layer of 800 units,
    cross-entropy, 1.6 % error on MNIST as it is and 0.7 % with elastic distortions. Ours: ReLU,
    where units of that time were sigmoidal, and the initial weights of `mlp`.

    Parameters
    ----------
    num_classes : int
        Number of outputs; default 10.
    input_shape : sequence of int
        Of one input; it is flattened.
    activation, rng, dtype
        As those of `mlp`.

    Raises
    ------
    TypeError, ValueError
        As `mlp` does.
    """
    sizes = (math.prod(input_shape), 800, num_classes)
    return mlp(sizes, activation, rng=rng, dtype=dtype)
