"""Every kernel of fastnn again in plain NumPy float64: the specification and the tests' oracle.

The functions have the names and the arguments of the compiled kernels, less ``out=`` and
``accumulate=``. They convert floating-point inputs to float64 and return float64, modify no
argument but ``mask_out``, check nothing and do not look for speed. Layouts are those of the
kernels: images NHWC, convolution weights OHWI, linear weights (out, in).

Letters: ``N`` batch, ``I`` and ``O`` features in and out, ``H W C`` and ``OH OW O`` the image
before and after, ``KH KW`` the window, ``G`` groups.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[np.float64]
Pair: TypeAlias = int | tuple[int, int]
Padding: TypeAlias = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]
Shape: TypeAlias = tuple[int, ...]


def _f64(x: ArrayLike) -> Array:
    return np.asarray(x, dtype=np.float64)


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _sides(padding: Padding) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding as ((top, bottom), (left, right))."""
    height, width = (padding, padding) if isinstance(padding, int) else padding
    return _pair(height), _pair(width)


def _pad(x: ArrayLike, padding: Padding, value: float = 0.0) -> Array:
    """x (N, H, W, C) with a frame of ``value``: (N, top+H+bottom, left+W+right, C)."""
    return np.pad(_f64(x), ((0, 0), *_sides(padding), (0, 0)), constant_values=value)


def _crop(x: Array, padding: Padding) -> Array:
    """The adjoint of ``_pad``: the frame is dropped."""
    (top, bottom), (left, right) = _sides(padding)
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def _taps(
    padded: Array, kernel_size: Pair, stride: Pair | None, dilation: Pair = 1
) -> Iterator[tuple[int, int, Array]]:
    """Yield (kh, kw, view): view (N, OH, OW, C) holds what tap (kh, kw) of every window sees.

    OH = (H - dilation*(KH - 1) - 1) // stride + 1 with H the padded height; likewise OW.
    ``stride`` is ``kernel_size`` where None.
    """
    (sh, sw), (dh, dw) = _pair(kernel_size if stride is None else stride), _pair(dilation)
    kernel_h, kernel_w = _pair(kernel_size)
    span_h = padded.shape[1] - dh * (kernel_h - 1)  # rows that can start a window
    span_w = padded.shape[2] - dw * (kernel_w - 1)
    for kh in range(kernel_h):
        for kw in range(kernel_w):
            top, left = kh * dh, kw * dw
            yield kh, kw, padded[:, top : top + span_h : sh, left : left + span_w : sw]


# Products
def gemm(
    a: ArrayLike,
    b: ArrayLike,
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    c: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    mask: ArrayLike | None = None,
    mask_out: NDArray[np.bool_] | None = None,
) -> Array:
    """y = act(beta*c + alpha * a @ b + bias): a (M, K), b (K, N), c (M, N) -> (M, N).

    With trans_a, a is (K, M); with trans_b, b is (N, K). c is not read where beta = 0. bias is
    (N,) or (1, N), one per column, or (M, 1), one per row. Then mask_out (M, N) is set to y != 0,
    and y to 0 where mask (M, N) is False: the gradient of a relu whose mask_out it was.
    """
    left = _f64(a).T if trans_a else _f64(a)
    right = _f64(b).T if trans_b else _f64(b)
    y: Array = alpha * left @ right
    if beta != 0 and c is not None:
        y = beta * _f64(c) + y
    y = _activate(y if bias is None else y + _f64(bias), activation)
    if mask_out is not None:
        mask_out[...] = y != 0
    return y if mask is None else np.where(mask, y, 0.0)


def pack(w: ArrayLike, *, trans_b: bool = True) -> Array:
    """A copy of w, (O, I), or (K, N) without trans_b: for `linear` and for the b of `gemm`."""
    return np.array(w, dtype=np.float64)


def matmul(a: ArrayLike, b: ArrayLike) -> Array:
    """y = a @ b, matrix by matrix, the axes before them broadcast: (..., M, K), (..., K, N).

    An array of one axis is a row on the left, a column on the right; y lacks that axis.
    """
    return np.asarray(np.matmul(_f64(a), _f64(b)))


def linear(
    x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None, *, activation: str | None = None
) -> Array:
    """y = act(x @ w.T + b): x (..., I), w (O, I), b (O,) -> (..., O)."""
    y: Array = _f64(x) @ _f64(w).T
    return _activate(y if b is None else y + _f64(b), activation)


def bias_backward(dy: ArrayLike) -> Array:
    """Return db = the sum of dy over all axes but the last: dy (..., O) -> (O,)."""
    dy = _f64(dy)
    return np.asarray(dy.sum(axis=tuple(range(dy.ndim - 1))))


# Convolution
def conv2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Array:
    """Cross-correlation: x (N, H, W, C), w (O, KH, KW, C/G), b (O,) -> (N, OH, OW, O).

    y[n, i, j, o] = act(b[o] + sum over kh, kw, c of
    x[n, i*stride + kh*dilation - top, j*stride + kw*dilation - left, c] * w[o, kh, kw, c]),
    x being zero outside the image; output channel o sees the C/G input channels of its own group.
    """
    w = _f64(w)
    # Filters by group: (G, O/G, KH, KW, C/G)
    wg = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    y: Array = np.zeros(())
    for kh, kw, seen in _taps(_pad(x, padding), w.shape[1:3], stride, dilation):
        xg = seen.reshape(*seen.shape[:3], groups, wg.shape[4])
        y = y + np.einsum("nijgc,goc->nijgo", xg, wg[:, :, kh, kw])
    y = y.reshape(*y.shape[:3], w.shape[0])
    return _activate(y if b is None else y + _f64(b), activation)


def conv2d_backward_input(
    dy: ArrayLike,
    w: ArrayLike,
    x_shape: Shape,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """dx of ``conv2d``: dy (N, OH, OW, O), w (O, KH, KW, C/G) -> (N, H, W, C).

    Forward was y += x[tap] * w[tap], so now dx[tap] += dy * w[tap], summed over o.
    """
    dy, w = _f64(dy), _f64(w)
    wg = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    dyg = dy.reshape(*dy.shape[:3], groups, wg.shape[1])
    dx = _pad(np.zeros(x_shape), padding)
    for kh, kw, seen in _taps(dx, w.shape[1:3], stride, dilation):
        seen += np.einsum("nijgo,goc->nijgc", dyg, wg[:, :, kh, kw]).reshape(seen.shape)
    return _crop(dx, padding)


def conv2d_backward_weight(
    dy: ArrayLike,
    x: ArrayLike,
    w_shape: Shape,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """dw of ``conv2d``: dy (N, OH, OW, O), x (N, H, W, C) -> (O, KH, KW, C/G).

    Forward was y += x[tap] * w[tap], so now dw[tap] += dy * x[tap], summed over n, i and j.
    """
    dy = _f64(dy)
    o, kernel_h, kernel_w, c = w_shape
    dyg = dy.reshape(*dy.shape[:3], groups, o // groups)
    dw = np.zeros(w_shape)
    for kh, kw, seen in _taps(_pad(x, padding), (kernel_h, kernel_w), stride, dilation):
        xg = seen.reshape(*seen.shape[:3], groups, c)
        dw[:, kh, kw] = np.einsum("nijgo,nijgc->goc", dyg, xg).reshape(o, c)
    return dw


def im2col(
    x: ArrayLike, kernel_size: Pair, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1
) -> Array:
    """Patches as rows: x (N, H, W, C) -> (N*OH*OW, KH*KW*C), columns in the order (kh, kw, c)."""
    taps = _taps(_pad(x, padding), kernel_size, stride, dilation)
    cols = np.stack([seen for _, _, seen in taps], axis=3)  # (N, OH, OW, KH*KW, C)
    n, oh, ow, window, c = cols.shape
    return cols.reshape(n * oh * ow, window * c)


def col2im(
    cols: ArrayLike,
    x_shape: Shape,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
) -> Array:
    """The adjoint of ``im2col``: cols (N*OH*OW, KH*KW*C) -> (N, H, W, C), overlaps are added."""
    x = _pad(np.zeros(x_shape), padding)
    taps = _taps(x, kernel_size, stride, dilation)
    for tap, (_, _, seen) in enumerate(taps):
        columns = slice(tap * x_shape[3], (tap + 1) * x_shape[3])
        seen += _f64(cols)[:, columns].reshape(seen.shape)
    return _crop(x, padding)


# Pooling
def max_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    return_indices: bool = False,
) -> Any:
    """y, or (y, indices): the largest value of each window, x (N, H, W, C) -> (N, OH, OW, C).

    The index, kh*KW + kw as uint8, is that of the first NaN of the window in row-major order, else
    of the first maximum. Padding does not take part; ``stride`` is ``kernel_size`` unless given.
    """
    padded, inside = _pad(x, padding, -np.inf), _pad(np.ones(np.shape(x)), padding)
    windows, pixels = (  # (KH*KW, N, OH, OW, C)
        np.stack([seen for _, _, seen in _taps(z, kernel_size, stride)]) for z in (padded, inside)
    )
    best = (windows == windows.max(axis=0)) | np.isnan(windows)
    indices = (best & (pixels == 1)).argmax(axis=0)  # the first that is true
    y = np.take_along_axis(windows, indices[None], axis=0)[0]
    return (y, indices.astype(np.uint8)) if return_indices else y


def max_pool2d_backward(
    dy: ArrayLike,
    indices: NDArray[np.uint8],
    x_shape: Shape,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
) -> Array:
    """dx of ``max_pool2d``: dy and indices (N, OH, OW, C) -> (N, H, W, C).

    Forward was y = x[index], so now dx[index] += dy.
    """
    dx = _pad(np.zeros(x_shape), padding)
    for tap, (_, _, seen) in enumerate(_taps(dx, kernel_size, stride)):
        seen += np.where(indices == tap, _f64(dy), 0.0)
    return _crop(dx, padding)


def avg_pool2d(
    x: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window: x (N, H, W, C) -> (N, OH, OW, C); padding is 0.

    The divisor is KH*KW, or the number of pixels inside the image without count_include_pad.
    """
    total = sum(seen for _, _, seen in _taps(_pad(x, padding), kernel_size, stride))
    return total / _divisor(np.shape(x), kernel_size, stride, padding, count_include_pad)


def avg_pool2d_backward(
    dy: ArrayLike,
    x_shape: Shape,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Array:
    """dx of ``avg_pool2d``: dy (N, OH, OW, C) -> (N, H, W, C).

    Forward was y += x[tap] / divisor, so now dx[tap] += dy / divisor.
    """
    share = _f64(dy) / _divisor(x_shape, kernel_size, stride, padding, count_include_pad)
    dx = _pad(np.zeros(x_shape), padding)
    for _, _, seen in _taps(dx, kernel_size, stride):
        seen += share
    return _crop(dx, padding)


def _divisor(
    x_shape: Shape, kernel_size: Pair, stride: Pair | None, padding: Padding, include_pad: bool
) -> Array:
    """What each window's sum is divided by: (1, OH, OW, 1)."""
    inside = np.ones((1, x_shape[1], x_shape[2], 1))
    counted = _pad(inside, padding, 1.0 if include_pad else 0.0)
    return np.asarray(sum(seen for _, _, seen in _taps(counted, kernel_size, stride)))


# Activations, of any shape; each backward takes the output y
def relu(x: ArrayLike) -> Array:
    """y = max(x, 0); relu(nan) = nan and relu(-0.0) = 0.0."""
    x = _f64(x)
    return np.where(x <= 0, 0.0, x)


def relu_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = 0 where y <= 0, else dy."""
    return np.where(_f64(y) <= 0, 0.0, _f64(dy))


def sigmoid(x: ArrayLike) -> Array:
    """y = 1 / (1 + exp(-x)), through exp(-abs(x)), which cannot overflow."""
    x = _f64(x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def sigmoid_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * y * (1 - y)."""
    y = _f64(y)
    return _f64(dy) * y * (1.0 - y)


def tanh(x: ArrayLike) -> Array:
    """y = tanh(x)."""
    return np.tanh(_f64(x))


def tanh_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * (1 - y*y)."""
    y = _f64(y)
    return _f64(dy) * (1.0 - y * y)


def scaled_tanh(x: ArrayLike) -> Array:
    """y = 1.7159 * tanh(2/3 * x): LeCun et al. 1998, "Efficient BackProp", section 4.4."""
    return 1.7159 * np.tanh(2.0 / 3.0 * _f64(x))


def scaled_tanh_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = dy * 2/3 * (1.7159 - y*y / 1.7159)."""
    y = _f64(y)
    return _f64(dy) * 2.0 / 3.0 * (1.7159 - y * y / 1.7159)


def _activate(x: Array, activation: str | None) -> Array:
    functions = {"relu": relu, "sigmoid": sigmoid, "tanh": tanh, "scaled_tanh": scaled_tanh}
    return functions[activation](x) if activation else x


# Losses
def softmax(x: ArrayLike) -> Array:
    """y = exp(x - max x) / sum exp(x - max x), along the last axis: (..., C) -> (..., C)."""
    x = _f64(x)
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def softmax_backward(dy: ArrayLike, y: ArrayLike) -> Array:
    """dx = y * (dy - sum dy*y), the sum along the last axis: (..., C) -> (..., C)."""
    dy, y = _f64(dy), _f64(y)
    return np.asarray(y * (dy - (dy * y).sum(axis=-1, keepdims=True)))


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> tuple[float, Array]:
    """(loss, dlogits): logits (N, C), labels (N,) in [0, C).

    loss = mean over n of log sum exp(logits[n]) - logits[n, labels[n]], and
    dlogits = (softmax(logits) - onehot(labels)) / N.
    """
    logits, labels = _f64(logits), np.asarray(labels)
    onehot = np.arange(logits.shape[1]) == labels[:, None]
    shifted = logits - logits.max(axis=1, keepdims=True)
    loss = (np.log(np.exp(shifted).sum(axis=1)) - shifted[onehot]).mean()
    return float(loss), (softmax(logits) - onehot) / len(labels)


def mse(y: ArrayLike, t: ArrayLike) -> tuple[float, Array]:
    """(loss, dy) with loss = mean((y - t)**2) and dy = 2 * (y - t) / size; y and t of one shape."""
    difference = _f64(y) - _f64(t)
    return float(np.mean(difference**2)), 2.0 * difference / difference.size


# Optimizers
def sgd_step(
    w: ArrayLike, dw: ArrayLike, v: ArrayLike | None, hyper: ArrayLike, *, nesterov: bool = False
) -> tuple[Array, Array | None]:
    """One step of gradient descent: the new (w, v), which the compiled kernel writes in place.

    With hyper = (lr, momentum, weight_decay): g = dw + weight_decay*w; v = momentum*v + g;
    w -= lr * (g + momentum*v if nesterov else v). With v None there is no momentum: w -= lr*g.
    """
    lr, momentum, weight_decay = _f64(hyper)
    w = _f64(w)
    g = _f64(dw) + weight_decay * w
    if v is None:
        return w - lr * g, None
    new_v = momentum * _f64(v) + g
    return w - lr * (g + momentum * new_v if nesterov else new_v), new_v
