"""The contrast layer of the Neocognitron of 2003, and the edges which its first stage knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core
from fastnn.models.neocognitron.cells import distances, padding

if TYPE_CHECKING:
    from fastnn._core import Array


def contrast_kernel(size: int, radius: float, centre: float, gamma: float = 0.05) -> Array:
    """Return g, the difference of two Gaussians that finds contrast (Fukushima 2003).

    ``g(r) ~ centre**-2 gamma**(r**2 / centre**2) - radius**-2 gamma**(r**2 / radius**2)`` where
    r <= radius, its positive values scaled to the sum 1 and its negative ones to -1.

    Parameters
    ----------
    size : int
        Width of the window.
    radius, centre : float
        A and A_o. The paper's network has 3.3 and 1.5 at 65 x 65 pixels.
    gamma : float
        Default 0.05, the paper's.

    Returns
    -------
    ndarray
        Shape (size, size), float64; its sum is 0.
    """
    r2 = distances(size)
    g = gamma ** (r2 / centre**2) / centre**2 - gamma ** (r2 / radius**2) / radius**2
    g = np.where(r2 <= radius**2, g, 0.0)
    return np.asarray(np.where(g > 0, g / g[g > 0].sum(), -g / g[g < 0].sum()))


def contrast(x: Array, g: Array) -> Array:
    """Return the layer U_G (N, H, W, 2): on-centre ``phi[g * x]`` and off-centre ``phi[-g * x]``.

    Parameters
    ----------
    x : ndarray
        Shape (N, H, W, 1), float32 or float64.
    g : ndarray
        Shape (size, size), as `contrast_kernel` returns it.
    """
    w = np.stack([g, -g])[..., None].astype(x.dtype)
    return _core.conv2d(x, w, padding=padding(len(g)), activation="relu")


def edge_patterns(g: Array, size: int, count: int = 16) -> Array:
    """Return what U_G shows around the middle of straight edges of all directions.

    The first stage of 2003 learns 16 edges, 22.5 degrees apart, each presented once at the centre;
    that is, its weights are these patterns times c. How an edge is drawn, as a step whose border
    pixels are grey by the part that is covered, is ours.

    Parameters
    ----------
    g : ndarray
        The kernel of the contrast layer.
    size : int
        Width of the receptive fields of the first stage.
    count : int
        How many directions.

    Returns
    -------
    ndarray
        Shape (count, size, size, 2), float64.
    """
    margin = len(g) - 1
    width = size + margin
    steps = np.arange(width) - (width - 1) / 2
    angles = 2 * np.pi * np.arange(count) / count
    depth = np.cos(angles)[:, None, None] * steps + np.sin(angles)[:, None, None] * steps[:, None]
    w = np.stack([g, -g])[..., None]
    return _core.conv2d(np.clip(depth + 0.5, 0, 1)[..., None], w, activation="relu")


def edge_weights(g: Array, c: Array, count: int = 16) -> Array:
    """Return the excitatory weights a (count, size, size, 2) of a first stage that knows edges."""
    return edge_patterns(g, len(c), count) * c[:, :, None]
