"""Convolution, its gradients, and the matrix it is a product with."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from fastnn.reference.activations import activate
from fastnn.reference.arrays import Array, Padding, Pair, Shape, f64
from fastnn.reference.windows import crop, pad, pair, sides, taps


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
    w = f64(w)
    # Filters by group: (G, O/G, KH, KW, C/G)
    wg = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    y: Array = np.zeros(())
    for kh, kw, seen in taps(pad(x, padding), w.shape[1:3], stride, dilation):
        xg = seen.reshape(*seen.shape[:3], groups, wg.shape[4])
        y = y + np.einsum("nijgc,goc->nijgo", xg, wg[:, :, kh, kw])
    y = y.reshape(*y.shape[:3], w.shape[0])
    return activate(y if b is None else y + f64(b), activation)


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
    dy, w = f64(dy), f64(w)
    wg = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
    dyg = dy.reshape(*dy.shape[:3], groups, wg.shape[1])
    dx = pad(np.zeros(x_shape), padding)
    for kh, kw, seen in taps(dx, w.shape[1:3], stride, dilation):
        seen += np.einsum("nijgo,goc->nijgc", dyg, wg[:, :, kh, kw]).reshape(seen.shape)
    return crop(dx, padding)


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
    dy = f64(dy)
    o, kernel_h, kernel_w, c = w_shape
    dyg = dy.reshape(*dy.shape[:3], groups, o // groups)
    dw = np.zeros(w_shape)
    for kh, kw, seen in taps(pad(x, padding), (kernel_h, kernel_w), stride, dilation):
        xg = seen.reshape(*seen.shape[:3], groups, c)
        dw[:, kh, kw] = np.einsum("nijgo,nijgc->goc", dyg, xg).reshape(o, c)
    return dw


def conv_transpose2d(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Array:
    """Transposed convolution: x (N, H, W, I), w (I, KH, KW, O/G), b (O,) -> (N, OH, OW, O).

    Every pixel adds its multiple of the kernel:
    y[n, h*stride + kh*dilation - top, w*stride + kw*dilation - left, o] += x[n, h, w, i] *
    w[i, kh, kw, o], and then the bias. OH = (H - 1)*stride - top - bottom + dilation*(KH - 1) +
    output_padding + 1; likewise OW.
    """
    x, w = f64(x), f64(w)
    wg = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])  # (G, I/G, KH, KW, O/G)
    xg = x.reshape(*x.shape[:3], groups, wg.shape[1])
    y = _framed(x.shape, w.shape, stride, output_padding, dilation, groups)
    for kh, kw, seen in _taps_of_transposed(y, x.shape, w.shape, stride, dilation):
        seen += np.einsum("nhwgi,gio->nhwgo", xg, wg[:, :, kh, kw]).reshape(seen.shape)
    y = crop(y, padding)
    return activate(y if b is None else y + f64(b), activation)


def conv_transpose2d_backward_input(
    dy: ArrayLike,
    w: ArrayLike,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """dx of ``conv_transpose2d``: dy (N, OH, OW, O), w (I, KH, KW, O/G) -> (N, H, W, I).

    Forward was y[tap] += x * w[tap], so now dx += dy[tap] * w[tap], summed over o.
    """
    below, right = pair(output_padding)
    (top, bottom), (left, right_pad) = sides(padding)
    dy = f64(dy)
    # What output_padding added below and on the right no pixel of x reached.
    framed = pad(dy, ((top, bottom), (left, right_pad)))
    framed = framed[:, : framed.shape[1] - below, : framed.shape[2] - right]
    return conv2d(framed, w, stride=stride, dilation=dilation, groups=groups)


def conv_transpose2d_backward_weight(
    dy: ArrayLike,
    x: ArrayLike,
    w_shape: Shape,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """dw of ``conv_transpose2d``: dy (N, OH, OW, O), x (N, H, W, I) -> (I, KH, KW, O/G).

    Forward was y[tap] += x * w[tap], so now dw[tap] += dy[tap] * x, summed over n, h and w.
    """
    x = f64(x)
    i, _, _, o = w_shape
    xg = x.reshape(*x.shape[:3], groups, i // groups)
    dw = np.zeros(w_shape)
    for kh, kw, seen in _taps_of_transposed(pad(dy, padding), x.shape, w_shape, stride, dilation):
        dyg = seen.reshape(*seen.shape[:3], groups, o)
        dw[:, kh, kw] = np.einsum("nhwgi,nhwgo->gio", xg, dyg).reshape(i, o)
    return dw


def _framed(
    x_shape: Shape, w_shape: Shape, stride: Pair, output_padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Zeros for all that ``conv_transpose2d`` adds to, before padding is taken off."""
    (sh, sw), (dh, dw), (below, right) = pair(stride), pair(dilation), pair(output_padding)
    height = (x_shape[1] - 1) * sh + dh * (w_shape[1] - 1) + 1 + below
    width = (x_shape[2] - 1) * sw + dw * (w_shape[2] - 1) + 1 + right
    return np.zeros((x_shape[0], height, width, groups * w_shape[3]))


def _taps_of_transposed(
    y: Array, x_shape: Shape, w_shape: Shape, stride: Pair, dilation: Pair
) -> Iterator[tuple[int, int, Array]]:
    """Yield (kh, kw, view): what the pixels of x add to through that tap, (N, H, W, O)."""
    for kh, kw, seen in taps(y, (w_shape[1], w_shape[2]), stride, dilation):
        yield kh, kw, seen[:, : x_shape[1], : x_shape[2]]


def im2col(
    x: ArrayLike, kernel_size: Pair, *, stride: Pair = 1, padding: Padding = 0, dilation: Pair = 1
) -> Array:
    """Patches as rows: x (N, H, W, C) -> (N*OH*OW, KH*KW*C), columns in the order (kh, kw, c)."""
    views = taps(pad(x, padding), kernel_size, stride, dilation)
    cols = np.stack([seen for _, _, seen in views], axis=3)  # (N, OH, OW, KH*KW, C)
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
    x = pad(np.zeros(x_shape), padding)
    for tap, (_, _, seen) in enumerate(taps(x, kernel_size, stride, dilation)):
        columns = slice(tap * x_shape[3], (tap + 1) * x_shape[3])
        seen += f64(cols)[:, columns].reshape(seen.shape)
    return crop(x, padding)
