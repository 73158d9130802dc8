"""Activations, of any shape; each backward takes the output y, or x where y does not suffice."""

import math

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.arrays import Array, f64


def relu(x: ArrayLike) -> Array:
    """y = max(x, 0); relu(nan) = nan and relu(-0.0) = 0.0."""
    x = f64(x)
    return np.where(x <= 0, 0.0, x)


def relu_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = 0 where y <= 0, else dy."""
    return np.where(f64(y) <= 0, 0.0, f64(dy))


def sigmoid(x: ArrayLike) -> Array:
    """y = 1 / (1 + exp(-x)), through exp(-abs(x)), which cannot overflow."""
    x = f64(x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * y * (1 - y)."""
    y = f64(y)
    return f64(dy) * y * (1.0 - y)


def tanh(x: ArrayLike) -> Array:
    """y = tanh(x)."""
    return np.tanh(f64(x))


def tanh_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * (1 - y*y)."""
    y = f64(y)
    return f64(dy) * (1.0 - y * y)


def scaled_tanh(x: ArrayLike) -> Array:
    """y = 1.7159 * tanh(2/3 * x): LeCun et al. 1998, "Efficient BackProp", section 4.4."""
    return 1.7159 * np.tanh(2.0 / 3.0 * f64(x))


def scaled_tanh_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * 2/3 * (1.7159 - y*y / 1.7159)."""
    y = f64(y)
    return f64(dy) * 2.0 / 3.0 * (1.7159 - y * y / 1.7159)


def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Array:
    """y = x where x > 0, else negative_slope * x."""
    x = f64(x)
    return np.where(x > 0, x, negative_slope * x)


def leaky_relu_backward(dy: ArrayLike, y: ArrayLike, negative_slope: float = 0.01) -> Array:
    """dx = dy * negative_slope where y <= 0, else dy."""
    return np.where(f64(y) <= 0, negative_slope * f64(dy), f64(dy))


def hard_sigmoid(x: ArrayLike) -> Array:
    """y = min(max(x + 3, 0), 6) / 6."""
    return np.clip(f64(x) + 3, 0, 6) / 6


def hard_sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy / 6 where 0 < y < 1, else 0."""
    return np.where((f64(y) <= 0) | (f64(y) >= 1), 0.0, f64(dy) / 6)


def hard_swish(x: ArrayLike) -> Array:
    """y = x * min(max(x + 3, 0), 6) / 6."""
    x = np.maximum(f64(x), -3)
    return f64(x * (np.clip(x + 3, 0, 6) / 6))


def hard_swish_backward(dy: ArrayLike, x: ArrayLike) -> Array:
    """dx = 0 where x <= -3, dy where x >= 3, else dy * (x/3 + 1/2)."""
    x = f64(x)
    return np.where(x <= -3, 0.0, f64(dy) * np.where(x >= 3, 1.0, x / 3 + 0.5))


def hard_tanh(x: ArrayLike, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """y = min(max(x, min_val), max_val)."""
    return np.clip(f64(x), min_val, max_val)


def hard_tanh_backward(
    dy: ArrayLike, y: ArrayLike, min_val: float = -1.0, max_val: float = 1.0
) -> Array:
    """dx = dy where min_val < y < max_val, else 0."""
    return np.where((f64(y) <= min_val) | (f64(y) >= max_val), 0.0, f64(dy))


def relu6(x: ArrayLike) -> Array:
    """y = min(max(x, 0), 6)."""
    return hard_tanh(x, 0, 6)


def relu6_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy where 0 < y < 6, else 0."""
    return hard_tanh_backward(dy, y, 0, 6)


def threshold(x: ArrayLike, threshold: float, value: float) -> Array:
    """y = x where x > threshold, else value."""
    return np.where(f64(x) <= threshold, value, f64(x))


def threshold_backward(dy: ArrayLike, x: ArrayLike, threshold: float, value: float) -> Array:
    """dx = dy where x > threshold, else 0."""
    return np.where(f64(x) <= threshold, 0.0, f64(dy))


def softsign(x: ArrayLike) -> Array:
    """y = x / (1 + |x|)."""
    x = f64(x)
    finite = np.where(np.isinf(x), 0.0, x)
    return np.where(np.isinf(x), np.sign(x), finite / (1 + np.abs(finite)))


def softsign_backward(dy: ArrayLike, x: ArrayLike) -> Array:
    """dx = dy / (1 + |x|)^2."""
    return f64(f64(dy) / (1 + np.abs(f64(x))) ** 2)


def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """y = x where x > 0, else alpha * (exp(x) - 1)."""
    x = f64(x)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_backward(dy: ArrayLike, y: ArrayLike, alpha: float = 1.0) -> Array:
    """dx = dy where y > 0, else dy * (y + alpha)."""
    return f64(dy) * np.where(f64(y) > 0, 1.0, f64(y) + alpha)


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def selu(x: ArrayLike) -> Array:
    """y = scale * elu(x, alpha): Klambauer et al. 2017, equation 2."""
    return SELU_SCALE * elu(x, SELU_ALPHA)


def selu_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * scale where y > 0, else dy * (y + scale * alpha)."""
    slope = np.where(f64(y) > 0, SELU_SCALE, f64(y) + SELU_SCALE * SELU_ALPHA)
    return f64(dy) * slope


def celu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """y = x where x > 0, else alpha * (exp(x / alpha) - 1)."""
    x = f64(x)
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def celu_backward(dy: ArrayLike, y: ArrayLike, alpha: float = 1.0) -> Array:
    """dx = dy where y > 0, else dy * (y / alpha + 1)."""
    return f64(dy) * np.where(f64(y) > 0, 1.0, f64(y) / alpha + 1)


def exp(x: ArrayLike) -> Array:
    """y = exp(x)."""
    with np.errstate(over="ignore"):
        return np.exp(f64(x))


def exp_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * y."""
    return f64(dy) * f64(y)


def log(x: ArrayLike) -> Array:
    """y = log(x); -inf at 0, nan below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(f64(x))


def log_backward(dy: ArrayLike, x: ArrayLike) -> Array:
    """dx = dy / x."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return f64(dy) / f64(x)


def softplus(x: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """y = x where beta * x > threshold, else log(1 + exp(beta * x)) / beta."""
    z = beta * f64(x)
    curved = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    return np.where(z > threshold, f64(x), curved / beta)


def softplus_backward(
    dy: ArrayLike, y: ArrayLike, beta: float = 1.0, threshold: float = 20.0
) -> Array:
    """dx = dy where beta * y > threshold, else dy * (1 - exp(-beta * y))."""
    z = beta * f64(y)
    return f64(dy) * np.where(z > threshold, 1.0, -np.expm1(-z))


def log_sigmoid(x: ArrayLike) -> Array:
    """y = -log(1 + exp(-x))."""
    return -softplus(-f64(x), threshold=np.inf)


def log_sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * (1 - exp(y))."""
    return f64(dy) * -np.expm1(f64(y))


def silu(x: ArrayLike) -> Array:
    """y = x * sigmoid(x); 0 at -inf."""
    x = np.maximum(f64(x), -1e4)
    return x * sigmoid(x)


def silu_backward(dy: ArrayLike, x: ArrayLike) -> Array:
    """dx = dy * s * (1 + x * (1 - s)), s = sigmoid(x)."""
    x = np.clip(f64(x), -1e4, 1e4)
    s = sigmoid(x)
    return f64(dy) * (s + x * s * sigmoid(-x))


def mish(x: ArrayLike) -> Array:
    """y = x * tanh(log(1 + exp(x))); 0 at -inf."""
    x = np.maximum(f64(x), -1e4)
    return x * np.tanh(softplus(x, threshold=np.inf))


def mish_backward(dy: ArrayLike, x: ArrayLike) -> Array:
    """dx = dy * (t + x * (1 - t^2) * sigmoid(x)), t = tanh(log(1 + exp(x)))."""
    x = np.clip(f64(x), -1e4, 1e4)
    t = np.tanh(softplus(x, threshold=np.inf))
    return f64(f64(dy) * (t + x * (1 - t * t) * sigmoid(x)))


def _erfc(x: Array) -> Array:
    return f64(np.vectorize(math.erfc, otypes=[np.float64])(x))


def gelu(x: ArrayLike, approximate: str = "none") -> Array:
    """y = x * Phi(x), or x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))); 0 at -inf."""
    x = np.maximum(f64(x), -1e4)
    if approximate == "tanh":
        return x * sigmoid(2 * _gelu_argument(x))
    return x * (_erfc(-x * math.sqrt(0.5)) / 2)


def gelu_backward(dy: ArrayLike, x: ArrayLike, approximate: str = "none") -> Array:
    """dx = dy * (Phi(x) + x * Phi'(x)), or the derivative of the form by tanh."""
    x = np.clip(f64(x), -1e4, 1e4)
    if approximate == "tanh":
        s = sigmoid(2 * _gelu_argument(x))
        slope = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
        return f64(f64(dy) * (s + x * s * sigmoid(-2 * _gelu_argument(x)) * slope))
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return f64(f64(dy) * (_erfc(-x * math.sqrt(0.5)) / 2 + x * density))


def _gelu_argument(x: Array) -> Array:
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def activate(x: Array, activation: str | None) -> Array:
    functions = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh, "scaled_tanh": scaled_tanh}
    return functions[activation](x) if activation else x
