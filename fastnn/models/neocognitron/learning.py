"""How planes and labelled vectors of the Neocognitron come to be, without gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core
from fastnn.models.neocognitron.cells import padding

if TYPE_CHECKING:
    from fastnn._core import Array


def add_if_silent(
    x: Array, c: Array, theta: float, radius: float, max_planes: int, cut: float = 0.4
) -> Array:
    """Return receptive fields (K, size, size, C), a new one wherever all others were silent.

    Fukushima, Neural Networks 40 (2013): no plane is ever changed. Per image, the place that sees
    most (less `cut` times the image's most, the seed-selecting plane of 2003), if no cell within
    `radius` responds at `theta`, becomes the seed of a plane with weights ``c(i) x(n + i, k)``.
    They are scaled to b = 1, a choice of ours.

    Parameters
    ----------
    x : ndarray
        Shape (N, H, W, C), not negative: what the stage sees.
    c : ndarray
        Shape (size, size).
    theta : float
        The threshold while learning: the larger, the more planes.
    radius : float
        Of the area in which cells compete.
    max_planes : int
        When to stop.
    cut : float
        Default 0.4, as in the paper of 2003.
    """
    n, height, width, channels = x.shape
    root = np.sqrt(c).astype(x.dtype)[:, :, None]
    fields = np.zeros((max_planes, c.size * channels), x.dtype)
    count = 0
    places = np.indices((height, width)).reshape(2, -1).T
    near = ((places[:, None] - places) ** 2).sum(axis=-1) <= radius**2
    for image in x if n else ():
        padded = np.pad(image, (*padding(len(c)), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, c.shape, (0, 1))
        patches = (windows.transpose(0, 1, 3, 4, 2) * root).reshape(len(places), -1)
        v = np.sqrt(np.einsum("pi,pi->p", patches, patches))
        seeds = np.maximum(v - cut * v.max(), 0)
        patches /= np.where(v > 0, v, 1)[:, None]
        if count:
            active = (_core.gemm(patches, fields[:count], trans_b=True) > theta).any(axis=1)
            seeds[near[active].any(axis=0)] = 0
        while count < max_planes and seeds.max() > 0:
            seed = seeds.argmax()
            fields[count] = patches[seed]
            seeds[near[patches @ fields[count] > theta].any(axis=0)] = 0
            seeds[seed] = 0
            count += 1
    return np.asarray(fields[:count].reshape(count, *c.shape, channels) * root)
