"""Optimizers: one step."""

from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, f64


def sgd_step(
    w: ArrayLike, dw: ArrayLike, v: ArrayLike | None, hyper: ArrayLike, *, nesterov: bool = False
) -> tuple[Array, Array | None]:
    """One step of gradient descent: the new (w, v), which the compiled kernel writes in place.

    With hyper = (lr, momentum, weight_decay): g = dw + weight_decay*w; v = momentum*v + g;
    w -= lr * (g + momentum*v if nesterov else v). With v None there is no momentum: w -= lr*g.
    """
    lr, momentum, weight_decay = f64(hyper)
    w = f64(w)
    g = f64(dw) + weight_decay * w
    if v is None:
        return w - lr * g, None
    new_v = momentum * f64(v) + g
    return w - lr * (g + momentum * new_v if nesterov else new_v), new_v
