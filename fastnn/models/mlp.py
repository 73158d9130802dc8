"""The multilayer perceptron."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import init
from fastnn.models.outputs import MeanSquaredClassifier
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


def mlp_squared(
    sizes: Sequence[int], *, rng: RNG = None, dtype: DTypeLike = np.float32
) -> MeanSquaredClassifier:
    """Return a perceptron of the 1990s: scaled tanh everywhere, trained by mean squared error.

    LeCun et al. 1998, section III.C.2, compares 784-300-10 and 784-1000-10; weights as there
    (appendix A): uniform in +-2.4 / fan_in.

    Parameters are those of `mlp`.

    Returns
    -------
    MeanSquaredClassifier
        Its outputs are between -1.7159 and 1.7159, +1 for the right class.
    """
    rng = np.random.default_rng(rng)

    def weights(shape: Sequence[int], **options: Any) -> Any:
        return init.uniform(shape, 2.4 / shape[-1], **options)

    layers: list[Module] = [Flatten()]
    for features, units in itertools.pairwise(sizes):
        layers.append(Linear(features, units, weight_init=weights, rng=rng, dtype=dtype))
        layers.append(ScaledTanh())
    layers[1].input_grad = False
    return MeanSquaredClassifier(*layers)
