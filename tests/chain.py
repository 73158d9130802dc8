"""The sums of products that gemm, linear and the convolutions are defined by, bit for bit.

Each output starts from one number and takes one step per k, ascending: acc = fma(a, b, acc), or,
on the x86-64 baseline, which has no FMA, acc = fl(acc + fl(a*b)). Here a step is a NumPy expression
over all outputs at once, and only k is a loop. Neither Python 3.11 nor NumPy has an fma, so it is
built from operations that are exact; test_chain.py compares it with the C library's.
"""

import numpy as np

import fastnn
from fastnn.reference import windows


def two_sum(x, y):
    """(s, e) with s = fl(x + y) and s + e = x + y exactly (Knuth)."""
    s = x + y
    part = s - x
    return s, (x - (s - part)) + (y - part)


def two_product(x, y):
    """(p, e) with p = fl(x * y) and p + e = x * y exactly (Dekker): float64 far from overflow."""
    p = x * y
    xh, yh = (z * 134217729.0 - (z * 134217729.0 - z) for z in (x, y))  # the upper 26 bits
    xl, yl = x - xh, y - yh
    return p, ((xh * yh - p) + xh * yl + xl * yh) + xl * yl


def add_to_odd(x, y):
    """Return x + y in float64 rounded to odd: where inexact, the neighbour with an odd last bit.

    A value rounded to odd keeps, in its last bit, whether anything was lost. So rounding it again,
    to a format at least two bits shorter, gives what rounding the exact sum would have given
    (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums").
    """
    s, error = two_sum(x, y)
    even = (s.view(np.int64) & 1) == 0
    nudge = even & (error != 0) & np.isfinite(s)
    return np.where(nudge, np.nextafter(s, np.copysign(np.inf, error)), s)


def fma(a, b, c):
    """a * b + c rounded once, for float32 and for float64 far from over- and underflow."""
    dtype = np.result_type(a, b, c)
    a, b, c = (np.asarray(z, dtype=np.float64) for z in np.broadcast_arrays(a, b, c))
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        if dtype == np.float32:
            return add_to_odd(a * b, c).astype(np.float32)  # the product of two float32 is exact
        high, low = two_product(a, b)
        carry, rest = two_sum(c, low)
        total, error = two_sum(high, carry)
        exact = total + add_to_odd(rest, error)
        return np.where(np.isfinite(exact), exact, a * b + c)


def step(a, b, acc):
    """One step of a chain, as the kernels at the current ISA level define it."""
    if fastnn.get_config()["isa"] == "baseline":
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            return acc + a * b
    return fma(a, b, acc)


def gemm(a, b, acc=None):
    """The chain of a @ b: a (M, K), b (K, N), starting from acc (M, N) or 0."""
    if acc is None:
        acc = np.zeros((a.shape[0], b.shape[1]), dtype=a.dtype)
    for k in range(a.shape[1]):
        acc = step(a[:, k, None], b[k], acc)
    return acc


def _padded(x, padding):
    return np.pad(x, ((0, 0), *windows.sides(padding), (0, 0)))


def conv2d(x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """The chain over (kh, kw, c): x (N, H, W, C), w (O, KH, KW, C/G) -> (N, OH, OW, O)."""
    channels = w.shape[3]
    of_group = np.arange(w.shape[0]) // (w.shape[0] // groups) * channels  # first channel of each o
    taps = list(windows.taps(_padded(x, padding), w.shape[1:3], stride, dilation))
    y = np.zeros((*taps[0][2].shape[:3], w.shape[0]), dtype=x.dtype)
    for kh, kw, seen in taps:
        for c in range(channels):
            y = step(seen[..., of_group + c], w[:, kh, kw, c], y)
    return y


def conv2d_backward_input(dy, w, x_shape, *, stride=1, padding=0, dilation=1, groups=1):
    """The chain over (oh, ow, o): dy (N, OH, OW, O), w (O, KH, KW, C/G) -> (N, H, W, C).

    Outputs that read one pixel come in ascending order when the taps are taken from the last on.
    """
    per_group = w.shape[0] // groups
    dx = _padded(np.zeros(x_shape, dtype=dy.dtype), padding)
    taps = list(windows.taps(dx, w.shape[1:3], stride, dilation))
    for kh, kw, seen in reversed(taps):
        for o in range(per_group):
            # Row g of the filters, one per group, makes the channels (g, c) of x.
            row = w[o::per_group, kh, kw].reshape(-1)
            mine = np.repeat(dy[..., o::per_group], w.shape[3], axis=-1)
            seen[...] = step(mine, row, seen)
    return windows.crop(dx, padding)
