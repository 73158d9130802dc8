"""Optimizers: one step. What the compiled kernels write in place is returned here."""

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, f64


def sgd_step(
    w: ArrayLike, dw: ArrayLike, v: ArrayLike | None, hyper: ArrayLike, *, nesterov: bool = False
) -> tuple[Array, Array | None]:
    """One step of gradient descent: the new (w, v).

    With hyper = (lr, momentum, weight_decay[, dampening, step]): g = dw + weight_decay*w;
    v = momentum*v + (1 - dampening if step > 1 else 1)*g; w -= lr * (g + momentum*v if nesterov
    else v). With v None there is no momentum: w -= lr*g.
    """
    lr, momentum, weight_decay, dampening, step = [*f64(hyper), 0, 1][:5]
    w = f64(w)
    g = f64(dw) + weight_decay * w
    if v is None:
        return w - lr * g, None
    new_v = momentum * f64(v) + (1 - dampening if step > 1 else 1) * g
    return w - lr * (g + momentum * new_v if nesterov else new_v), new_v


def adam_step(
    w: ArrayLike,
    dw: ArrayLike,
    m: ArrayLike,
    v: ArrayLike,
    vmax: ArrayLike | None,
    hyper: ArrayLike,
    *,
    decoupled: bool = False,
) -> tuple[Array, Array, Array, Array | None]:
    """One step of Adam, AdamW (decoupled) or AMSGrad (with vmax): the new (w, m, v, vmax).

    With hyper = (lr, beta1, beta2, eps, weight_decay, step): g = dw + weight_decay*w, or
    w -= lr*weight_decay*w where decoupled; m = beta1*m + (1 - beta1)*g;
    v = beta2*v + (1 - beta2)*g**2;
    w -= lr/(1 - beta1**step) * m / (sqrt((vmax or v)/(1 - beta2**step)) + eps).
    """
    lr, beta1, beta2, eps, weight_decay, step = f64(hyper)
    g = f64(dw) if decoupled else f64(dw) + weight_decay * f64(w)
    keep = 1 - lr * weight_decay if decoupled else 1
    new_m = f64(m) + (1 - beta1) * (g - f64(m))
    new_v = beta2 * f64(v) + (1 - beta2) * g**2
    largest = new_v if vmax is None else np.maximum(f64(vmax), new_v)
    root = np.sqrt(largest / (1 - beta2**step))
    new_w = keep * f64(w) - lr / (1 - beta1**step) * new_m / (root + eps)
    return new_w, new_m, new_v, None if vmax is None else largest


def rmsprop_step(
    w: ArrayLike,
    dw: ArrayLike,
    v: ArrayLike,
    mean: ArrayLike | None,
    b: ArrayLike | None,
    hyper: ArrayLike,
) -> tuple[Array, Array, Array | None, Array | None]:
    """One step of RMSprop, centered where mean is given: the new (w, v, mean, b).

    With hyper = (lr, alpha, eps, weight_decay, momentum): g = dw + weight_decay*w;
    v = alpha*v + (1 - alpha)*g**2; mean = alpha*mean + (1 - alpha)*g;
    s = g / (sqrt(v - mean**2) + eps); b = momentum*b + s; w -= lr*b, or lr*s with b None.
    """
    lr, alpha, eps, weight_decay, momentum = f64(hyper)
    w = f64(w)
    g = f64(dw) + weight_decay * w
    new_v = alpha * f64(v) + (1 - alpha) * g**2
    new_mean, variance = None, new_v
    if mean is not None:
        new_mean = f64(mean) + (1 - alpha) * (g - f64(mean))
        variance = np.maximum(new_v - new_mean**2, 0)
    step = g / (np.sqrt(variance) + eps)
    if b is None:
        return w - lr * step, new_v, new_mean, None
    new_b = momentum * f64(b) + step
    return w - lr * new_b, new_v, new_mean, new_b


def adagrad_step(
    w: ArrayLike, dw: ArrayLike, v: ArrayLike, hyper: ArrayLike
) -> tuple[Array, Array]:
    """One step of Adagrad: the new (w, v).

    With hyper = (lr, lr_decay, eps, weight_decay, step): g = dw + weight_decay*w; v += g**2;
    w -= lr/(1 + (step - 1)*lr_decay) * g / (sqrt(v) + eps).
    """
    lr, lr_decay, eps, weight_decay, step = f64(hyper)
    w = f64(w)
    g = f64(dw) + weight_decay * w
    new_v = f64(v) + g**2
    return w - lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(new_v) + eps), new_v


def adadelta_step(
    w: ArrayLike, dw: ArrayLike, v: ArrayLike, d: ArrayLike, hyper: ArrayLike
) -> tuple[Array, Array, Array]:
    """One step of Adadelta: the new (w, v, d).

    With hyper = (lr, rho, eps, weight_decay): g = dw + weight_decay*w;
    v = rho*v + (1 - rho)*g**2; s = sqrt(d + eps)/sqrt(v + eps) * g; d = rho*d + (1 - rho)*s**2;
    w -= lr*s.
    """
    lr, rho, eps, weight_decay = f64(hyper)
    w = f64(w)
    g = f64(dw) + weight_decay * w
    new_v = rho * f64(v) + (1 - rho) * g**2
    step = np.sqrt(f64(d) + eps) / np.sqrt(new_v + eps) * g
    return w - lr * step, new_v, rho * f64(d) + (1 - rho) * step**2


def vector_norm(x: ArrayLike, *, ord: float = 2) -> float:
    """Return the 1-norm, 2-norm or maximum norm of all elements; 0 if there is none."""
    size = np.abs(f64(x))
    if ord == 1:
        return float(size.sum())
    return float(np.sqrt((size**2).sum()) if ord == 2 else size.max(initial=0))
