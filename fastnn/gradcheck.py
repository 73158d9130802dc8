"""Check a layer's gradients against central differences."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastnn._core import Array
    from fastnn.init import RNG
    from fastnn.nn import Module, Parameter


class GradcheckError(AssertionError):
    """A gradient differs from the central difference."""


def gradcheck(
    layer: Module,
    x: Array,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    max_entries: int = 1000,
    rng: RNG = 0,
) -> bool:
    """Compare the gradients of ``layer.forward(x)`` with central differences.

    For random dy, the gradient of ``sum(dy * layer.forward(x)[0])`` with respect to `x` and to
    every parameter must agree with ``(f(z + eps) - f(z - eps)) / (2 eps)`` in every entry z that is
    checked. A second backward pass must add the same amount to the gradients of the parameters.

    Parameters
    ----------
    layer : Module
        All parameters float64.
    x : ndarray
        Input, float64. Keep away from points where the layer has no derivative, such as 0 for a
        ReLU or ties in a max pool.
    eps : float
        Half the step; default 1e-6.
    atol, rtol : float
        Differences up to ``atol + rtol * abs(central difference)`` pass; default 1e-5 and 1e-3, as
        in PyTorch.
    max_entries : int
        Entries of each array to check; where there are more, that many are chosen at random.
    rng : None, int, SeedSequence, BitGenerator or Generator
        Source of dy and of the choice of entries; default 0.

    Returns
    -------
    bool
        True. The layer is copied first, so its parameters, gradients and buffers stay as they are.
        Buffers are put back before each forward pass.

    Raises
    ------
    GradcheckError
        If a gradient is wrong. The message names the worst entry.
    TypeError
        If `x` or a parameter is not float64.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> layer = fastnn.nn.Linear(3, 2, rng=rng, dtype=np.float64)
    >>> gradcheck(layer, rng.standard_normal((5, 3)))
    True
    """
    name = type(layer).__name__
    layer = copy.deepcopy(layer)  # the caller's parameters and gradients stay as they are
    x = np.array(x)
    parameters = {f"{name}.{key}": p for key, p in layer.named_parameters()}
    arrays = {"x": x} | {label: p.data for label, p in parameters.items()}
    for label, array in arrays.items():
        if array.dtype != np.float64:
            raise TypeError(
                f"gradcheck: {label} must be float64, not {array.dtype} (layers take dtype=)"
            )
    rng = np.random.default_rng(rng)
    dy = rng.standard_normal(layer(x).shape)
    state = [(b, b.data.copy()) for _, b in layer.named_buffers()]

    def restart() -> None:
        for buffer, data in state:
            buffer.data[...] = data

    gradients = _gradients(name, layer, x, dy, parameters, restart)

    def value() -> float:
        restart()  # what a layer draws at random is the same each time
        return float(np.sum(dy * layer.forward(x)[0]))

    for label, gradient in gradients.items():
        entries = np.arange(gradient.size)
        if gradient.size > max_entries:
            entries = rng.choice(gradient.size, max_entries, replace=False)
        numeric = np.array([_difference(value, arrays[label], i, eps) for i in entries.tolist()])
        indices = np.unravel_index(entries, gradient.shape)
        _compare(label, indices, gradient[indices], numeric, atol + rtol * np.abs(numeric))
    return True


def _gradients(
    name: str,
    layer: Module,
    x: Array,
    dy: Array,
    parameters: Mapping[str, Parameter],
    restart: Callable[[], None],
) -> dict[str, Array]:
    """Return the gradients to check by label, after checking that a second pass adds."""
    for p in parameters.values():
        p.grad = None
    _, backward = layer.forward(x)
    dx = backward(dy)
    once = {label: p.grad.copy() for label, p in parameters.items() if p.grad is not None}
    if len(once) < len(parameters):
        silent = ", ".join(label for label in parameters if label not in once)
        raise GradcheckError(f"gradcheck: backward gives no gradient to {silent}")
    restart()
    _, backward = layer.forward(x)
    backward(dy)
    for label, gradient in once.items():
        twice = parameters[label].grad
        if twice is None or not np.allclose(
            twice, 2 * gradient, rtol=1e-9, atol=1e-12, equal_nan=True
        ):
            raise GradcheckError(
                f"gradcheck: {label}: a second backward pass does not add to the gradient"
            )
    if dx is None:  # input_grad = False
        return once
    if dx.shape != x.shape:
        raise GradcheckError(f"gradcheck: {name}: dx has shape {dx.shape}, x has {x.shape}")
    return {"x": dx, **once}


def _difference(value: Callable[[], float], array: Array, i: int, eps: float) -> float:
    """Return the central difference of value() in element i of `array`, which is restored."""
    flat = array.reshape(-1)  # a view: parameters and the copy of x are contiguous
    old = flat[i]
    flat[i] = old + eps
    above = value()
    flat[i] = old - eps
    below = value()
    flat[i] = old
    return (above - below) / (2 * eps)


def _compare(
    label: str, indices: tuple[Array, ...], analytic: Array, numeric: Array, allowed: Array
) -> None:
    """Raise GradcheckError naming the worst entry if any differs by more than allowed."""
    difference = np.abs(analytic - numeric)
    wrong = ~(difference <= allowed)  # so that NaN is wrong
    if not wrong.any():
        return
    worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference - allowed)))
    entry = ", ".join(str(axis[worst]) for axis in indices)
    raise GradcheckError(
        f"gradcheck: {label}[{entry}]: backward gives {analytic[worst]:.9g}, the central "
        f"difference is {numeric[worst]:.9g} (allowed difference {allowed[worst]:.2g}); "
        f"{wrong.sum()} of {wrong.size} checked entries are wrong"
    )
