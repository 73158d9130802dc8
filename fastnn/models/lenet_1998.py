"""The LeNets as published: LeNet-1, and LeNet-5 of 1998 with its codes and its loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, init
from fastnn.models.digit_codes import DIGIT_CODES
from fastnn.models.lenet import LENET5_CONNECTIONS
from fastnn.models.sign_targets import SignTargets, check_labels
from fastnn.nn import RBF, Conv2d, Flatten, Linear, Module, ScaledTanh, Sequential, Subsample2d
from fastnn.nn.checks import float_dtype, positive
from fastnn.nn.module import Backward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from fastnn._core import Array
    from fastnn.init import RNG

MNIST_PIXELS = ((0 - 0.1307) / 0.3081, (1 - 0.1307) / 0.3081)
"""Background and ink as `fastnn.data.load_mnist` returns them."""

_INPUTS_OF_H3 = [[0], [1], *[[0, 1]] * 4, [2], [3], *[[2, 3]] * 4]

LENET1_CONNECTIONS = np.array([[h2 in inputs for h2 in range(4)] for inputs in _INPUTS_OF_H3])
"""(12, 4): which maps of the first subsampling layer each map of LeNet-1's second convolution sees:
in either half one map sees the one, one the other, and four see both. The order is ours."""
LENET1_CONNECTIONS.flags.writeable = False


class PixelRange(Module):
    """Pixels mapped to -0.1 for background and 1.175 for ink, with background around.

    LeCun, Bottou, Bengio and Haffner 1998, section II.B: "the background level (white) corresponds
    to a value of -0.1 and the foreground (black) to 1.175", in images of 32 x 32.

    Parameters
    ----------
    pixels : (float, float)
        What background and ink are in x.
    padding : int
        Pixels of background to add on every side; default 0.

    Raises
    ------
    TypeError, ValueError
        If `pixels` are not two different finite numbers.
    """

    def __init__(self, pixels: Sequence[float], padding: int = 0) -> None:
        try:
            background, ink = (float(value) for value in pixels)
        except (TypeError, ValueError):
            raise TypeError(f"PixelRange: pixels must be two numbers, got {pixels!r}") from None
        if not math.isfinite(ink - background) or ink == background:
            raise ValueError(f"PixelRange: pixels must be finite and different, got {pixels!r}")
        self.background, self.ink, self.padding = background, ink, padding
        self._gain = 1.275 / (ink - background)

    def __call__(self, x: Array) -> Array:
        """Return y (N, H + 2 padding, W + 2 padding, C) for x (N, H, W, C)."""
        p = self.padding
        if x.ndim != 4:
            raise ValueError(f"PixelRange: x must be (N, H, W, C), got shape {x.shape}")
        gain, offset, white = (
            np.array(value, x.dtype)
            for value in (self._gain, -0.1 - self.background * self._gain, -0.1)
        )
        inside = _core.add(_core.mul(x, gain), offset)
        y = _core.empty((x.shape[0], *self.output_shape(x.shape[1:])), x.dtype)
        _core.assign(y, np.broadcast_to(white, y.shape))
        _core.assign(y[:, p : p + x.shape[1], p : p + x.shape[2]], inside)
        return y

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y and backward; the closure holds no array."""
        p, (height, width) = self.padding, x.shape[1:3]

        def backward(dy: Array) -> Array:
            # forward was y = gain x + constant inside
            inside = dy[:, p : p + height, p : p + width]
            return _core.mul(inside, np.array(self._gain, dy.dtype))

        return self(x), backward

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape (H, W, C) of an image after padding."""
        return shape[0] + 2 * self.padding, shape[1] + 2 * self.padding, *shape[2:]

    def __repr__(self) -> str:
        """Return the constructor call."""
        padding = f", padding={self.padding}" if self.padding else ""
        return f"PixelRange(({self.background:g}, {self.ink:g}){padding})"


def map_loss(penalties: Array, labels: Array, j: float = 0.1) -> tuple[float, Array]:
    """Return LeNet-5's loss and its gradient (LeCun et al. 1998, section II.C, equation 9).

    With penalties y, shape (N, C), and D the label of each row::

        loss = mean over n of (y[n,D] + log(exp(-j) + sum over c of exp(-y[n,c])))

    It pulls the penalty of the right class down and pushes those of the others up, the less the
    larger they are: the constant is a class "none of them", of penalty j.

    Parameters
    ----------
    penalties : ndarray
        y, shape (N, C), float32 or float64, as the layer `nn.RBF` returns them.
    labels : ndarray
        Shape (N,), integers in [0, C).
    j : float
        The paper says only that it is positive; default 0.1.

    Returns
    -------
    loss : float
    gradient : ndarray
        Shape (N, C).

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, labels are no integers or out of range, or j is not finite.
    """
    if penalties.ndim != 2:
        raise ValueError(f"map_loss: penalties must have shape (N, C), not {penalties.shape}")
    j = _finite("map_loss", j)
    labels = check_labels("map_loss", labels, penalties.shape)
    # the loss is softmax with cross-entropy over -y and -j; by no product with an identity, which
    # would make NaN of an infinite penalty
    (n, classes), dtype = penalties.shape, penalties.dtype
    minus = np.full(1, -1, dtype)
    logits = _core.empty((n, classes + 1), dtype)
    _core.assign(logits, np.broadcast_to(np.full(1, -j, dtype), logits.shape))
    _core.assign(logits[:, :classes], _core.mul(penalties, minus))
    loss, dlogits = _core.softmax_cross_entropy(logits, labels, ignore_index=None)
    return loss, _core.mul(dlogits[:, :classes], minus)


class LeNet5(Sequential):
    """Layers in order that end in penalties; the smallest decides."""

    j: float = 0.1

    def loss(self, outputs: Array, labels: Array) -> tuple[float, Array]:
        """Return `map_loss` of the penalties (N, C), and its gradient."""
        return map_loss(outputs, labels, self.j)

    def classify(self, outputs: Array) -> Array:
        """Return the classes (N,) of the smallest penalties (N, C)."""
        classes: Array = outputs.argmin(1)
        return classes

    def predict(self, x: Array) -> Array:
        """Return the classes (N,) of the images (N, 28, 28, 1)."""
        return self.classify(self(x))


def lenet5_1998(
    num_classes: int = 10,
    *,
    j: float = 0.1,
    pixels: Sequence[float] = MNIST_PIXELS,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> LeNet5:
    """Return LeNet-5 as published, for images (N, 28, 28, 1): 60,000 parameters.

    The paper's (LeCun, Bottou, Bengio and Haffner 1998, section II.B): images of 32 x 32 from -0.1
    to 1.175; C1, S2, C3 by table I, S4, C5, F6, with 1.7159 tanh(2/3 a) after each; subsampling
    with a trainable coefficient and bias; RBF units with fixed codes; `map_loss`. There are
    340,908 connections. Weights start uniform within 2.4 / fan_in.

    Ours: biases start at 0 and subsampling as the mean; the pixels of the codes are drawn anew
    after figure 3; the value of j. The paper trains by stochastic diagonal Levenberg-Marquardt,
    which is not here; plain SGD wants learning rates of about 0.001 at momentum 0.9.

    Parameters
    ----------
    num_classes : int
        From 1 to 10: there are codes of the digits only.
    j : float
        See `map_loss`.
    pixels : (float, float)
        Background and ink of the images; default: those of `fastnn.data.load_mnist`.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of the initial weights, as `numpy.random.default_rng` takes it.
    dtype : dtype
        float32 (default) or float64.

    Returns
    -------
    LeNet5
        Its outputs are penalties; its ``loss`` and ``classify`` belong to it. Its backward returns
        None; where the gradient of the image is wanted, set ``model[1].input_grad = True``.

    Raises
    ------
    TypeError, ValueError
        If an option is of another kind or out of range.
    """
    positive("lenet5_1998", num_classes=num_classes)
    if num_classes > len(DIGIT_CODES):
        raise ValueError(
            f"lenet5_1998: num_classes must be at most 10, got {num_classes}: "
            "there are codes of the digits only"
        )
    dtype = float_dtype("lenet5_1998", dtype)
    options = _options(rng, dtype)
    model = LeNet5(
        PixelRange(pixels, padding=2),
        Conv2d(1, 6, 5, **options),  # C1: (N, 28, 28, 6)
        ScaledTanh(),
        Subsample2d(6, dtype=dtype),  # S2: (N, 14, 14, 6)
        ScaledTanh(),
        _partial(LENET5_CONNECTIONS, options),  # C3: (N, 10, 10, 16)
        ScaledTanh(),
        Subsample2d(16, dtype=dtype),  # S4: (N, 5, 5, 16)
        ScaledTanh(),
        Conv2d(16, 120, 5, **options),  # C5: (N, 1, 1, 120)
        ScaledTanh(),
        Flatten(),
        Linear(120, 84, **options),  # F6
        ScaledTanh(),
        RBF(DIGIT_CODES[:num_classes].astype(dtype)),
    )
    model.j = _finite("lenet5_1998", j)
    model[1].input_grad = False
    return model


def lenet1(
    num_classes: int = 10,
    *,
    pixels: Sequence[float] = MNIST_PIXELS,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> SignTargets:
    """Return LeNet-1 for images (N, 28, 28, 1): 2,578 parameters, 98,442 connections.

    The paper's (LeCun et al. 1990, "Handwritten digit recognition with a back-propagation
    network"; LeCun et al. 1998, section III.C.6): convolution to 4 maps, subsampling, convolution
    to 12 maps that see one or two of them, subsampling, 10 units. The two counts are published and
    fix the number of kernels in the second convolution at 20.

    Ours: which maps are connected (`LENET1_CONNECTIONS`); squashing and loss, taken from LeNet-5's
    paper; digits as they come, where the paper scaled them to fit 16 x 16.

    Parameters
    ----------
    num_classes : int
        Number of outputs; default 10.
    pixels, rng, dtype
        As those of `lenet5_1998`.

    Returns
    -------
    SignTargets
        Its ``loss`` and ``classify`` belong to it. Its backward returns None; where the gradient
        of the image is wanted, set ``model[1].input_grad = True``.

    Raises
    ------
    TypeError, ValueError
        If an option is of another kind or out of range.
    """
    positive("lenet1", num_classes=num_classes)
    dtype = float_dtype("lenet1", dtype)
    options = _options(rng, dtype)
    model = SignTargets(
        PixelRange(pixels),
        Conv2d(1, 4, 5, **options),  # (N, 24, 24, 4)
        ScaledTanh(),
        Subsample2d(4, dtype=dtype),  # (N, 12, 12, 4)
        ScaledTanh(),
        _partial(LENET1_CONNECTIONS, options),  # (N, 8, 8, 12)
        ScaledTanh(),
        Subsample2d(12, dtype=dtype),  # (N, 4, 4, 12)
        ScaledTanh(),
        Flatten(),
        Linear(192, num_classes, **options),
        ScaledTanh(),
    )
    model[1].input_grad = False
    return model


def _finite(caller: str, j: float) -> float:
    try:
        value = float(j)
    except (TypeError, ValueError):
        raise TypeError(f"{caller}: j must be a number, not {type(j).__name__}") from None
    if not math.isfinite(value):
        raise ValueError(f"{caller}: j must be finite, got {j}")
    return value


def _options(rng: RNG, dtype: DTypeLike) -> dict[str, Any]:
    return {"weight_init": _by_fan_in, "rng": np.random.default_rng(rng), "dtype": dtype}


def _by_fan_in(shape: Sequence[int], *, rng: RNG = None, dtype: DTypeLike = np.float32) -> Array:
    """Return values uniform in +-2.4 / fan_in: LeCun et al. 1998, appendix A."""
    return init.uniform(shape, 2.4 / init.fans(shape)[0], rng=rng, dtype=dtype)


def _partial(connections: Array, options: dict[str, Any]) -> Conv2d:
    """Return a 5 x 5 convolution whose maps see some inputs, which are the fan-in of each."""
    maps, channels = connections.shape
    share = connections.mean(1)[:, None, None, None]

    def weight_init(shape: Sequence[int], *, rng: RNG, dtype: DTypeLike) -> Array:
        w: Array = _by_fan_in(shape, rng=rng, dtype=np.float64) / share
        return w.astype(dtype)

    given = options | {"weight_init": weight_init}
    return Conv2d(channels, maps, 5, connections=connections, **given)
