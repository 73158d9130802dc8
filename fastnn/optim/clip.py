"""Clipping of gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real

from fastnn import _core
from fastnn.nn import Module, Parameter
from fastnn.optim.flat import collect
from fastnn.optim.optimizer import Optimizer


def clip_grad_norm(
    source: Optimizer | Module | Iterable[Parameter],
    max_norm: float,
    *,
    norm_type: float = 2,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale the gradients down in place so that their norm is at most `max_norm`.

    ``grad *= min(1, max_norm / (norm + 1e-6))`` for all gradients, where norm is that of all of
    them as one vector (Pascanu et al. 2013, algorithm 1, with PyTorch's 1e-6).

    Parameters
    ----------
    source : Optimizer, Module or iterable of Parameter
        Whose gradients. Those that an optimizer has used already are not among them. With an
        optimizer, whose gradients lie in one buffer, it is a single pass.
    max_norm : float
        At least 0; infinity only computes the norm.
    norm_type : {2, 1, inf}
        Which norm; default 2.
    error_if_nonfinite : bool
        Raise if the norm is infinite or NaN; default False: gradients become NaN then, or 0 where
        they are finite and the norm is infinite.

    Returns
    -------
    float
        The norm before clipping, summed in double precision in a fixed order.

    Raises
    ------
    TypeError
        If `source` is none of these or `max_norm` is no number.
    ValueError
        If `max_norm` is negative or NaN, `norm_type` another, or there is no gradient.
    FloatingPointError
        See `error_if_nonfinite`; the gradients are as before.
    """
    if not isinstance(max_norm, Real):
        raise TypeError(f"clip_grad_norm: max_norm must be a number, not {type(max_norm).__name__}")
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm: max_norm must be at least 0, got {max_norm}")
    if norm_type not in (1, 2, math.inf):
        raise ValueError(f"clip_grad_norm: norm_type must be 1, 2 or infinity, not {norm_type!r}")
    if isinstance(source, Optimizer):
        grads = [source.flat_grad()]
    else:
        parameters = collect("clip_grad_norm", source)
        grads = [p.grad for p in parameters if p.has_fresh_grad and p.grad is not None]
        if not grads:
            raise ValueError("clip_grad_norm: no parameter has got a gradient since the last step")
    norms = _core.scratch((len(grads),))
    total = _core.scratch(())
    for i, grad in enumerate(grads):
        _core.vector_norm(grad, ord=norm_type, out=norms[i : i + 1])
    norm = _core.vector_norm(norms, ord=norm_type)
    _core.vector_norm(norms, ord=norm_type, out=total.reshape(1))
    if error_if_nonfinite and not math.isfinite(norm):
        raise FloatingPointError(f"clip_grad_norm: the norm of the gradients is {norm}")
    for grad in grads:
        _core.clip(grad, total.reshape(1), max_norm)
    return norm
