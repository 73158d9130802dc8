"""LeNet-5 in its modern form, and Caffe's LeNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import init
from fastnn.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn.init import RNG


_INPUTS_OF_C3 = [
    *([0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]),
    *([0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5]),
    *([0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5]),
]

LENET5_CONNECTIONS = np.array([[s2 in inputs for s2 in range(6)] for inputs in _INPUTS_OF_C3])
"""(16, 6): which maps of S2 each map of C3 sees in LeNet-5 as published (LeCun et al. 1998, table
I), 60 of 96. For ``Conv2d(6, 16, 5, connections=LENET5_CONNECTIONS)``."""
LENET5_CONNECTIONS.flags.writeable = False


def lenet5(num_classes: int = 10, *, rng: RNG = None, dtype: DTypeLike = np.float32) -> Sequential:
    """Return LeNet-5 with ReLU, max pooling and logits, for images (N, 28, 28, 1).

    The layers are those of LeCun, Bottou, Bengio and Haffner 1998, section II.B; the activations,
    the pooling and the fully connected C3 are those in which the network is used today. The 28 x 28
    image is padded by 2, which makes the paper's 32 x 32. With 10 classes there are 61,706
    parameters.

    Parameters
    ----------
    num_classes : int
        Number of outputs; default 10.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it. They are normal with
        the variance of He et al. 2015; biases are 0.
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
        If `num_classes` is no integer or less than 1, or the dtype is another.
    """
    rng = np.random.default_rng(rng)
    model = Sequential(
        Conv2d(1, 6, 5, padding=2, rng=rng, dtype=dtype),  # C1: (N, 28, 28, 6)
        ReLU(),
        MaxPool2d(2),  # S2: (N, 14, 14, 6)
        Conv2d(6, 16, 5, rng=rng, dtype=dtype),  # C3: (N, 10, 10, 16)
        ReLU(),
        MaxPool2d(2),  # S4: (N, 5, 5, 16)
        Flatten(),
        Linear(400, 120, rng=rng, dtype=dtype),  # C5
        ReLU(),
        Linear(120, 84, rng=rng, dtype=dtype),  # F6
        ReLU(),
        Linear(84, num_classes, rng=rng, dtype=dtype),
    )
    model[0].input_grad = False
    return model


def lenet_caffe(
    num_classes: int = 10, *, rng: RNG = None, dtype: DTypeLike = np.float32
) -> Sequential:
    """Return the LeNet of Caffe's MNIST example, for images (N, 28, 28, 1).

    Caffe's (Jia et al. 2014, examples/mnist/lenet_train_test.prototxt): 20 and 50 maps, max
    pooling, no activation but the ReLU after the 500 hidden units, weights by Glorot and Bengio
    2010, which Caffe calls "xavier" and scales by fan_in alone. With 10 classes there are 431,080
    parameters.

    Parameters
    ----------
    num_classes, rng, dtype
        As those of `lenet5`.

    Returns
    -------
    Sequential
        It ends in logits. Its backward returns None, as that of `lenet5`.

    Raises
    ------
    TypeError, ValueError
        If `num_classes` is no integer or less than 1, or the dtype is another.
    """
    options: dict[str, Any] = {"weight_init": init.lecun_uniform, "dtype": dtype}
    options["rng"] = np.random.default_rng(rng)
    model = Sequential(
        Conv2d(1, 20, 5, **options),  # (N, 24, 24, 20)
        MaxPool2d(2),  # (N, 12, 12, 20)
        Conv2d(20, 50, 5, **options),  # (N, 8, 8, 50)
        MaxPool2d(2),  # (N, 4, 4, 50)
        Flatten(),
        Linear(800, 500, **options),
        ReLU(),
        Linear(500, num_classes, **options),
    )
    model[0].input_grad = False
    return model
