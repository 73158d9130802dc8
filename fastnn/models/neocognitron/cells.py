"""S-cells, which extract features, with their inhibitory V-cells; C-cells, which blur them.

Images are (N, H, W, planes), receptive fields (planes of S-cells, size, size, planes of input).
The equations are those of K. Fukushima: Neocognitron for handwritten digit recognition.
Neurocomputing 51 (2003), where not said otherwise; the names of the forms are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from fastnn import _core

if TYPE_CHECKING:
    from fastnn._core import Array

Form: TypeAlias = Literal["1980", "2003", "subtractive"]
FORMS: tuple[Form, ...] = ("1980", "2003", "subtractive")


def distances(size: int) -> Array:
    """Return the squared distances (size, size) of the taps of a window from its centre.

    The centre of a window of even width lies between taps: the half pixel by which the layers of
    the network of 2003 are staggered.
    """
    steps = np.arange(size) - (size - 1) / 2
    return np.asarray(steps**2 + steps[:, None] ** 2)


def s_window(size: int, radius: float, gamma: float) -> Array:
    """Return c, the weights of a V-cell: ``gamma**(r**2 / radius**2)`` where r <= radius, else 0.

    Parameters
    ----------
    size : int
        Width of the window.
    radius : float
        Of the receptive field, a disc.
    gamma : float
        What c falls to at the radius.

    Returns
    -------
    ndarray
        Shape (size, size), float64.
    """
    r2 = distances(size)
    return np.where(r2 <= radius**2, gamma ** (r2 / radius**2), 0.0)


def blur_window(
    size: int, radius: float, strength: float, gamma: float, surround: float | None = None
) -> Array:
    """Return d, the weights of a C-cell, with an inhibitory surround where one is asked for.

    Parameters
    ----------
    size : int
        Width of the window.
    radius : float
        Of the excitatory centre, where ``d = strength * gamma**(r**2 / radius**2)``.
    strength, gamma : float
        The weight at the centre, and what it falls to at the radius, as a factor.
    surround : float, optional
        Outer radius of the inhibition, whose sum equals that of the excitation (2003). Its weights
        are equal: a choice of ours.

    Returns
    -------
    ndarray
        Shape (size, size), float64.
    """
    r2 = distances(size)
    centre = strength * s_window(size, radius, gamma)
    if surround is None:
        return np.asarray(centre)
    ring = (r2 > radius**2) & (r2 <= surround**2)
    return np.asarray(centre - ring * (centre.sum() / max(np.count_nonzero(ring), 1)))


def padding(size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding with which a window of this width leaves the size of an image."""
    return ((size - 1) // 2, size // 2), ((size - 1) // 2, size // 2)


def v_cells(x: Array, c: Array) -> Array:
    """Return the V-cells (N, H, W, 1): ``v(n) = sqrt(sum over k, i of c(i) x(n + i, k)**2)``.

    Parameters
    ----------
    x : ndarray
        Shape (N, H, W, C), float32 or float64: what the S-cells see.
    c : ndarray
        Shape (size, size), as `s_window` returns it.
    """
    energy = np.einsum("nhwc,nhwc->nhw", x, x)[..., None]
    w = np.ascontiguousarray(c[None, :, :, None], dtype=x.dtype)
    squares = _core.conv2d(energy, w, padding=padding(len(c)))
    return np.asarray(np.sqrt(np.maximum(squares, 0, out=squares), out=squares))


def inhibitory_weights(a: Array, c: Array) -> Array:
    """Return b, ``b(k) = sqrt(sum of a(i, ., k)**2 / c(i))``: then e <= b v (Cauchy-Schwarz).

    Parameters
    ----------
    a : ndarray
        Shape (K, size, size, C): 0 where c is 0.
    c : ndarray
        Shape (size, size).

    Returns
    -------
    ndarray
        Shape (K,), of a's type.
    """
    inverse = np.divide(1, c, out=np.zeros_like(c), where=c > 0).astype(a.dtype)
    return np.asarray(np.sqrt(np.einsum("kijc,kijc,ij->k", a, a, inverse)))


def s_response(e: Array, bv: Array, theta: float, form: Form = "2003") -> Array:
    """Return the response of S-cells to their excitation e and inhibition b v.

    Of phi(x) = max(x, 0), and with r = theta / (1 - theta)::

        2003         u = r phi[(1 + e) / (1 + theta b v) - 1]          (and 1988, with its r)
        1980         u = r phi[(1 + e) / (1 + 2 theta b v) - 1]
        subtractive  u = phi[e - theta b v] / (1 - theta)              (2011)

    With s = e / (b v), which is a cosine, u is 0 if and only if s <= theta (2 theta in 1980, whose
    b is half as large), and the form of 2003 tends to (s - theta) / (1 - theta) as b v grows.

    Parameters
    ----------
    e, bv : ndarray
        Of shapes that broadcast.
    theta : float
        In (0, 1).
    form : {"2003", "1980", "subtractive"}
        Which equation. The scale of the subtractive one is ours.

    Raises
    ------
    ValueError
        If `theta` or `form` is none of these.
    """
    if not 0 < theta < 1:
        raise ValueError(f"s_response: theta must be in (0, 1), got {theta}")
    if form not in FORMS:
        raise ValueError(f"s_response: form must be one of {', '.join(FORMS)}, got {form!r}")
    inhibition = bv * (2 * theta if form == "1980" else theta)
    u = np.maximum(e - inhibition, 0)
    if form == "subtractive":
        u *= 1 / (1 - theta)
    else:  # (1 + e) / (1 + i) - 1 = (e - i) / (1 + i), without the cancellation
        inhibition += 1
        u /= inhibition
        u *= theta / (1 - theta)
    return np.asarray(u)


def s_cells(
    x: Array,
    a: Array,
    b: Array,
    c: Array,
    theta: float,
    form: Form = "2003",
    v: Array | None = None,
) -> Array:
    """Return the responses (N, H, W, K) of planes of S-cells, as large as the image.

    Parameters
    ----------
    x : ndarray
        Shape (N, H, W, C), float32 or float64, not negative.
    a : ndarray
        Shape (K, size, size, C), of x's type: the excitatory weights.
    b : ndarray
        Shape (K,): the inhibitory weights.
    c : ndarray
        Shape (size, size): the weights of the V-cells.
    theta, form
        As in `s_response`.
    v : ndarray, optional
        The V-cells, where they are known already.
    """
    v = v_cells(x, c) if v is None else v
    e = _core.conv2d(x, np.ascontiguousarray(a), padding=padding(len(c)))
    return s_response(e, v * b, theta, form)


def c_cells(
    u: Array, d: Array, stride: int = 2, *, alpha: float = 1.0, lateral: bool = False
) -> Array:
    """Return the C-cells: S-cells blurred, thinned and saturated.

    ``u_C = psi[sum over i of d(i) u(n + i, k)]``, psi(x) = phi(x) / (alpha + phi(x)): alpha is 1 in
    1988 and 2003. The network of 1980 divides by the mean over the planes first, `lateral`::

        u_C = psi[(1 + sum over i of d(i) u(n + i, k)) / (1 + v_S(n)) - 1]

    Parameters
    ----------
    u : ndarray
        Shape (N, H, W, K), float32 or float64.
    d : ndarray
        Shape (size, size), as `blur_window` returns it.
    stride : int
        Default 2, as in 2003.
    alpha : float
        Of psi.
    lateral : bool
        Whether planes inhibit each other.

    Returns
    -------
    ndarray
        Shape (N, ceil(H / stride), ceil(W / stride), K); in [0, 1).
    """
    planes = u.shape[-1]
    w = np.ascontiguousarray(np.broadcast_to(d[None, :, :, None], (planes, *d.shape, 1)), u.dtype)
    x = _core.conv2d(u, w, stride=stride, padding=padding(len(d)), groups=planes)
    if lateral:
        v = x.mean(axis=-1, keepdims=True)
        x -= v
        x /= 1 + v
    np.maximum(x, 0, out=x)
    x /= x + x.dtype.type(alpha)
    return x
