"""LeNet-1 and LeNet-5 as published: trainable subsampling, partial connections, scaled tanh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core, init
from fastnn.models.lenet import LENET5_CONNECTIONS
from fastnn.models.outputs import RBF, MeanSquaredClassifier, PenaltyClassifier
from fastnn.nn import Conv2d, Flatten, Linear, Module, ScaledTanh, Subsample2d
from fastnn.nn.module import Backward

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from fastnn._core import Array
    from fastnn.init import RNG

LENET1_CONNECTIONS = np.zeros((12, 4), bool)
"""(12, 4): which maps of the first subsampling layer each map of C3 sees in LeNet-1: in each half
one map from the first alone, one from the second alone, four from both. 20 of 48; this fixes the
published number of parameters (the order of the maps is ours)."""
for _half in range(2):
    for _map, _seen in enumerate([(0,), (1,), *[(0, 1)] * 4]):
        LENET1_CONNECTIONS[6 * _half + _map, [2 * _half + _s for _s in _seen]] = True
LENET1_CONNECTIONS.flags.writeable = False

_DIGITS = (
    "..###.. .#...#. #.....# #.....# #.....# #.....# "
    "#.....# #.....# #.....# .#...#. ..###.. .......",
    "...#... ..##... .#.#... ...#... ...#... ...#... "
    "...#... ...#... ...#... ...#... .#####. .......",
    ".#####. #.....# ......# ......# .....#. ....#.. "
    "...#... ..#.... .#..... #...... ####### .......",
    ".#####. #.....# ......# ......# .....#. ..###.. "
    ".....#. ......# ......# #.....# .#####. .......",
    ".....#. ....##. ...#.#. ..#..#. .#...#. #....#. "
    "####### .....#. .....#. .....#. .....#. .......",
    "####### #...... #...... #...... #.###.. ##...#. "
    "......# ......# ......# #.....# .#####. .......",
    "..####. .#..... #...... #...... #.####. ##....# "
    "#.....# #.....# #.....# #.....# .#####. .......",
    "####### ......# .....#. .....#. ....#.. ....#.. "
    "...#... ...#... ..#.... ..#.... ..#.... .......",
    ".#####. #.....# #.....# #.....# .#####. #.....# "
    "#.....# #.....# #.....# #.....# .#####. .......",
    ".#####. #.....# #.....# #.....# #....## .####.# "
    "......# ......# ......# .....#. .####.. .......",
)

DIGIT_CODES = np.array(
    [[1 if pixel == "#" else -1 for pixel in rows.replace(" ", "")] for rows in _DIGITS], np.int8
)
"""(10, 84): pictures of the ten digits of 7 x 12 pixels, +1 and -1: the centres of the output units
of LeNet-5. They are drawn after the idea of figure 3 of the paper; the pixels are ours."""
DIGIT_CODES.flags.writeable = False


class Frame(Module):
    """Grey values to another scale, and a frame of the background around the image.

    ``y = scale * x + shift``; around it, `width` pixels of `background`.

    Parameters
    ----------
    width : int
    scale, shift, background : float
    dtype : dtype
        float32 (default) or float64.
    """

    input_grad = False

    def __init__(
        self,
        width: int,
        scale: float,
        shift: float,
        background: float,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.width, self.scale, self.shift = width, scale, shift
        self._background = np.array(background, np.dtype(dtype))
        self._factor = np.array([[scale]], np.dtype(dtype))
        self._offset = np.array([shift], np.dtype(dtype))

    def __call__(self, x: Array) -> Array:
        """Return y (N, H + 2 width, W + 2 width, C) for x (N, H, W, C)."""
        n, height, width, channels = x.shape
        w = self.width
        y = _core.empty((n, height + 2 * w, width + 2 * w, channels), x.dtype)
        _core.assign(y, np.broadcast_to(self._background, y.shape))
        scaled = _core.linear(x.reshape(x.size, 1), self._factor, self._offset).reshape(x.shape)
        _core.assign(y[:, w : w + height, w : w + width], scaled)
        return y

    def forward(self, x: Array) -> tuple[Array, Backward]:
        """Return y, and a backward that returns None: it is for images, before the first layer."""
        return self(x), lambda dy: None

    def __repr__(self) -> str:
        """Return width and scale."""
        return f"Frame({self.width}, scale={self.scale:g}, shift={self.shift:g})"


def lecun1989(shape: Sequence[int], *, rng: RNG = None, dtype: DTypeLike = np.float32) -> Array:
    """Return values uniform in +-2.4 / fan_in: LeCun et al. 1989 (zip code), section 4.3."""
    return init.uniform(shape, 2.4 / init.fans(shape)[0], rng=rng, dtype=dtype)


def lenet1(
    num_classes: int = 10, *, rng: RNG = None, dtype: DTypeLike = np.float32
) -> MeanSquaredClassifier:
    """Return LeNet-1, for images (N, 28, 28, 1): 2,578 parameters, 98,442 connections.

    LeCun et al. 1990, "Handwritten digit recognition with a back-propagation network", compared in
    LeCun et al. 1998, section III.C. Two convolutions, each followed by trainable subsampling, and
    one layer of outputs, all squashed by the scaled tanh; trained by mean squared error.

    Parameters are those of `lenet5`.

    Returns
    -------
    MeanSquaredClassifier
        Its outputs are between -1.7159 and 1.7159, +1 for the right class.
    """
    rng = np.random.default_rng(rng)
    model = MeanSquaredClassifier(
        Conv2d(1, 4, 5, weight_init=lecun1989, rng=rng, dtype=dtype),  # (N, 24, 24, 4)
        ScaledTanh(),
        Subsample2d(4, 2, dtype=dtype),  # (N, 12, 12, 4)
        ScaledTanh(),
        Conv2d(
            *(4, 12, 5),
            connections=LENET1_CONNECTIONS,
            weight_init=lecun1989,
            rng=rng,
            dtype=dtype,
        ),  # (N, 8, 8, 12)
        ScaledTanh(),
        Subsample2d(12, 2, dtype=dtype),  # (N, 4, 4, 12)
        ScaledTanh(),
        Flatten(),
        Linear(192, num_classes, weight_init=lecun1989, rng=rng, dtype=dtype),
        ScaledTanh(),
    )
    model[0].input_grad = False
    return model


def lenet5_1998(
    num_classes: int = 10,
    *,
    scale: tuple[float, float] = (0.39283, 0.06665),
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> PenaltyClassifier:
    """Return LeNet-5 as published, for images (N, 28, 28, 1).

    LeCun, Bottou, Bengio and Haffner 1998, section II.B: 60,000 trainable parameters and 340,908
    connections, counted as the paper does (`num_parameters`, `count_connections`). C1, C3 (with
    the connections of table I) and C5 are convolutions, S2 and S4 trainable subsampling, F6 fully
    connected; all are squashed by the scaled tanh. The outputs are RBF units around pictures of the
    digits; the loss is the maximum a posteriori criterion (see `PenaltyClassifier`).

    Parameters
    ----------
    num_classes : int
        At most 10, the number of pictures; default 10.
    scale : (float, float)
        Factor and offset that take the images to -0.1 for the background and 1.175 for the ink
        (section II.B). The default is for images normalised as `fastnn.data` does it.
    rng, dtype
        As for `lenet5`. Weights are uniform in +-2.4 / fan_in.

    Returns
    -------
    PenaltyClassifier
        Its outputs are penalties: the smallest is that of the class.

    Raises
    ------
    ValueError
        If `num_classes` is not from 1 to 10.
    """
    if not 1 <= num_classes <= len(DIGIT_CODES):
        raise ValueError(f"lenet5_1998: num_classes must be from 1 to 10, got {num_classes}")
    rng = np.random.default_rng(rng)

    def conv(inputs: int, outputs: int, connections: Array | None = None) -> Conv2d:
        return Conv2d(
            *(inputs, outputs, 5),
            connections=connections,
            weight_init=lecun1989,
            rng=rng,
            dtype=dtype,
        )

    model = PenaltyClassifier(
        Frame(2, *scale, -0.1, dtype=dtype),  # (N, 32, 32, 1)
        conv(1, 6),  # C1: (N, 28, 28, 6)
        ScaledTanh(),
        Subsample2d(6, 2, dtype=dtype),  # S2: (N, 14, 14, 6)
        ScaledTanh(),
        conv(6, 16, LENET5_CONNECTIONS),  # C3: (N, 10, 10, 16)
        ScaledTanh(),
        Subsample2d(16, 2, dtype=dtype),  # S4: (N, 5, 5, 16)
        ScaledTanh(),
        conv(16, 120),  # C5: (N, 1, 1, 120)
        ScaledTanh(),
        Flatten(),
        Linear(120, 84, weight_init=lecun1989, rng=rng, dtype=dtype),  # F6
        ScaledTanh(),
        RBF(DIGIT_CODES[:num_classes], dtype=dtype),
    )
    model[1].input_grad = False
    return model
