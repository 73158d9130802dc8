"""The best that NumPy can do, in good faith: buffers made once, results written in place, BLAS
wherever there is a product, blocks that fit the cache where NumPy needs several passes.

Each function returns candidates: functions without arguments, by name. Which is fastest depends on
the shape, so it is measured (`harness.compare`). Convolution is in numpy_conv2d.py, whole training
steps are in numpy_steps.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Contestants = dict[str, Callable[[], Any]]

BLOCK = 1 << 14  # elements per block of an elementwise operation that takes several passes


# ---- products


def gemm(a: Array, b: Array, out: Array) -> Contestants:
    """Out = a @ b: a (M, K), b (K, N), in any layout that BLAS reads."""
    return {"matmul": partial(np.matmul, a, b, out), "dot": partial(np.dot, a, b, out)}


def gemm_strided(a: Array, b: Array, out: Array) -> Contestants:
    """Out = a @ b for strides that BLAS may not read: NumPy copies, or we do, into buffers."""
    a_copy, b_copy = np.empty(a.shape, a.dtype), np.empty(b.shape, b.dtype)

    def copies() -> Array:
        np.copyto(a_copy, a)
        np.copyto(b_copy, b)
        return np.matmul(a_copy, b_copy, out)

    return {**gemm(a, b, out), "copies, matmul": copies}


def gemm_bias_relu(a: Array, b: Array, bias: Array, out: Array) -> Contestants:
    """Out = max(a @ b + bias, 0), bias (1, N) or (M, 1): two passes, over all or by blocks."""
    zero = np.zeros((), out.dtype)
    rows, columns = out.shape

    def passes(product: Callable[..., Any], step: int) -> Array:
        product(a, b, out)
        for i in range(0, rows, step):
            part = out[i : i + step]
            np.add(part, bias[i : i + step] if len(bias) > 1 else bias, out=part)
            np.maximum(part, zero, out=part)
        return out

    step = max(1, BLOCK // columns)
    return {
        f"{product.__name__}, {how}": partial(passes, product, size)
        for product in (np.matmul, np.dot)
        for how, size in {"at once": rows, f"blocks of {min(step, rows)} rows": step}.items()
        if how == "at once" or step < rows
    }


def linear(x: Array, w: Array, b: Array, out: Array) -> Contestants:
    """Out = x @ w.T + b, w (O, I)."""

    def run(product: Callable[..., Any]) -> Array:
        product(x, w.T, out)
        return np.add(out, b, out=out)

    return {"matmul, add": partial(run, np.matmul), "dot, add": partial(run, np.dot)}


def linear_constant(x: Array, w: Array, out: Array) -> Contestants:
    """Out = x @ w.T with weights (O, I) that may be laid out beforehand."""
    layouts = {"": w.T, ", w.T laid out": np.ascontiguousarray(w.T)}
    return {
        name + how: run for how, wt in layouts.items() for name, run in gemm(x, wt, out).items()
    }


def matmul(a: Array, b: Array, out: Array) -> Contestants:
    """Out = a @ b for batches; BLAS is called for each product, einsum's loop for all."""
    candidates: Contestants = {"matmul": partial(np.matmul, a, b, out)}
    if out[0].size <= 1 << 10:  # beyond, the loop is never faster
        candidates["einsum"] = partial(np.einsum, "bij,bjk->bik", a, b, out=out)
    return candidates


def bias_backward(dy: Array, out: Array) -> Contestants:
    """Out (O,) = the sum over the rows of dy (M, O); BLAS sums as a product with ones."""
    ones = np.ones(dy.shape[0], dy.dtype)
    return {
        "sum": partial(np.sum, dy, axis=0, out=out),
        "dot with ones": partial(np.dot, ones, dy, out),
    }


# ---- pooling, windows of k x k that do not overlap: x (N, H, W, C), y (N, H // k, W // k, C)


def windows(x: Array, k: int) -> list[Array]:
    """Return for each place in the window what it sees, (N, H // k, W // k, C)."""
    return [x[:, i::k, j::k] for i in range(k) for j in range(k)]


def max_pool2d(x: Array, k: int, out: Array) -> Contestants:
    """Maximum over windows; k divides H and W."""
    n, h, w, c = x.shape
    blocks = x.reshape(n, h // k, k, w // k, k, c)
    return {
        "reshape, max": partial(np.max, blocks, axis=(2, 4), out=out),
        "pairwise maximum": partial(pairwise_maximum, windows(x, k), out),
    }


def pairwise_maximum(seen: list[Array], out: Array) -> Array:
    """Out = the maximum of the arrays."""
    np.maximum(seen[0], seen[1], out=out)
    for other in seen[2:]:
        np.maximum(out, other, out=out)
    return out


def max_pool2d_backward(dy: Array, x: Array, y: Array, k: int, out: Array) -> Contestants:
    """dx: dy where x is the maximum. All elements that tie get it: cheaper than only the first."""
    return {"x == y": partial(spread_to_maximum, dy, windows(x, k), y, windows(out, k), out)}


def spread_to_maximum(dy: Array, seen: list[Array], y: Array, to: list[Array], out: Array) -> Array:
    """Write dy to each place of `to`, views of out, where `seen` there is y, else 0."""
    for x_part, dx_part in zip(seen, to, strict=True):
        np.multiply(dy, x_part == y, out=dx_part)
    return out


def max_pool2d_step(x: Array, dy: Array, k: int, y: Array, out: Array) -> Contestants:
    """Forward into y and backward into out, which is returned."""
    (name, backward), *_ = max_pool2d_backward(dy, x, y, k, out).items()

    def step(forward: Callable[[], Any]) -> Any:
        forward()
        return backward()

    return {f"{how}; {name}": partial(step, run) for how, run in max_pool2d(x, k, y).items()}


def avg_pool2d(x: Array, k: int, out: Array) -> Contestants:
    """Mean over windows; k divides H and W."""
    n, h, w, c = x.shape
    blocks = x.reshape(n, h // k, k, w // k, k, c)
    return {
        "reshape, mean": partial(np.mean, blocks, axis=(2, 4), out=out),
        "pairwise sum": partial(_pairwise_mean, windows(x, k), out),
    }


def _pairwise_mean(seen: list[Array], out: Array) -> Array:
    np.add(seen[0], seen[1], out=out)
    for other in seen[2:]:
        out += other
    return np.multiply(out, out.dtype.type(1 / len(seen)), out=out)


def avg_pool2d_backward(dy: Array, k: int, out: Array) -> Contestants:
    """dx: every element of a window gets its share of dy."""
    n, oh, ow, c = dy.shape
    blocks = out.reshape(n, oh, k, ow, k, c)
    return {"broadcast": partial(_spread_evenly, dy, blocks, np.empty_like(dy), out)}


def _spread_evenly(dy: Array, blocks: Array, share: Array, out: Array) -> Array:
    k = blocks.shape[2]
    np.multiply(dy, dy.dtype.type(1 / (k * k)), out=share)
    blocks[...] = share[:, :, None, :, None]
    return out


def global_avg_pool2d(x: Array, out: Array) -> Contestants:
    """Mean over all pixels; BLAS sums as a product with ones."""
    n, h, w, c = x.shape
    share = np.full((1, h * w), 1 / (h * w), x.dtype)
    pixels = x.reshape(n, h * w, c)
    return {
        "mean": partial(np.mean, pixels, axis=1, out=out),
        "matmul with 1 / HW": lambda: np.matmul(share, pixels, out=out[:, None])[:, 0],
    }


def subsample2d(x: Array, coefficient: Array, bias: Array, k: int, out: Array) -> Contestants:
    """Out = coefficient * the sum of the window + bias; k divides H and W."""
    seen = windows(x, k)

    def run() -> Array:
        np.add(seen[0], seen[1], out=out)
        for other in seen[2:]:
            np.add(out, other, out=out)
        np.multiply(out, coefficient, out=out)
        return np.add(out, bias, out=out)

    return {"pairwise sum": run}


# ---- elementwise operations on flat arrays


def in_blocks(
    run: Callable[..., Any], arrays: tuple[Array, ...], scratch: Any = None
) -> Contestants:
    """Candidates for ``run(*arrays)``, the last of which is the result.

    At once, and block by block, so that later passes find the block in the cache. With a dtype for
    `scratch`, run gets an array for intermediate values too.
    """
    size = arrays[-1].size
    candidates: Contestants = {}
    for step in (size, BLOCK) if size > BLOCK else (size,):
        parts = [tuple(array[i : i + step] for array in arrays) for i in range(0, size, step)]
        if scratch is not None:
            space = np.empty(step, scratch)
            parts = [(*part, space[: part[0].size]) for part in parts]
        name = "at once" if step == size else f"blocks of {step}"
        candidates[name] = partial(_run_blocks, run, parts, arrays[-1])
    return candidates


def _run_blocks(run: Callable[..., Any], parts: list[tuple[Array, ...]], out: Array) -> Array:
    for part in parts:
        run(*part)
    return out


def relu(x: Array, out: Array) -> Contestants:
    """max(x, 0)."""
    zero = np.zeros((), x.dtype)
    return {"maximum": partial(np.maximum, x, zero, out=out)}


def relu_backward(dy: Array, y: Array, out: Array) -> Contestants:
    """Dy where y > 0, else 0."""

    def run(dy: Array, y: Array, out: Array, mask: Array) -> None:
        np.multiply(dy, np.greater(y, 0, out=mask), out=out)

    return in_blocks(run, (dy, y, out), bool)


def sigmoid(x: Array, out: Array) -> Contestants:
    """1 / (1 + exp(-x)), and the same as (1 + tanh(x / 2)) / 2."""
    one, half = np.ones((), x.dtype), np.full((), 0.5, x.dtype)

    def by_exp(x: Array, out: Array) -> None:
        np.negative(x, out=out)
        np.exp(out, out=out)
        np.add(out, one, out=out)
        np.reciprocal(out, out=out)

    def by_tanh(x: Array, out: Array) -> None:
        np.multiply(x, half, out=out)
        np.tanh(out, out=out)
        np.multiply(out, half, out=out)
        np.add(out, half, out=out)

    return {
        f"{name}, {how}": run
        for name, way in (("exp", by_exp), ("tanh", by_tanh))
        for how, run in in_blocks(way, (x, out)).items()
    }


def tanh(x: Array, out: Array) -> Contestants:
    """The ufunc."""
    return {"tanh": partial(np.tanh, x, out)}


# ---- softmax over an axis


def softmax(x: Array, axis: int, out: Array) -> Contestants:
    """exp(x - max), divided by its sum."""

    def run() -> Array:
        np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
        np.exp(out, out=out)
        return np.divide(out, out.sum(axis=axis, keepdims=True), out=out)

    return {"exp in place": run}


def softmax_backward(dy: Array, y: Array, axis: int, out: Array) -> Contestants:
    """y * (dy - sum of dy * y); einsum sums without an array of products."""
    letters = "abcd"[: y.ndim]
    rest = letters.replace(letters[axis], "")

    def run(dot: Callable[[], Array]) -> Array:
        np.subtract(dy, dot(), out=out)
        return np.multiply(out, y, out=out)

    def product() -> Array:
        return np.multiply(dy, y, out=out).sum(axis=axis, keepdims=True)

    def einsum() -> Array:
        return np.expand_dims(np.einsum(f"{letters},{letters}->{rest}", dy, y), axis)

    return {"multiply, sum": partial(run, product), "einsum": partial(run, einsum)}


def log_softmax(x: Array, axis: int, out: Array) -> Contestants:
    """X - max - log(sum of exp)."""
    scratch = np.empty_like(x)

    def run() -> Array:
        np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
        total = np.exp(out, out=scratch).sum(axis=axis, keepdims=True)
        return np.subtract(out, np.log(total, out=total), out=out)

    return {"exp": run}


def log_softmax_backward(dy: Array, y: Array, axis: int, out: Array) -> Contestants:
    """Dy - exp(y) * sum of dy."""

    def run() -> Array:
        np.exp(y, out=out)
        np.multiply(out, dy.sum(axis=axis, keepdims=True), out=out)
        return np.subtract(dy, out, out=out)

    return {"exp in place": run}


def logsumexp(x: Array, axis: int, out: Array) -> Contestants:
    """Max + log(sum of exp(x - max))."""
    scratch = np.empty_like(x)

    def run() -> Array:
        largest = x.max(axis=axis, keepdims=True)
        np.subtract(x, largest, out=scratch)
        np.exp(scratch, out=scratch).sum(axis=axis, out=out)
        return np.add(np.log(out, out=out), largest.squeeze(axis), out=out)

    return {"exp": run}


# ---- losses, each with its gradient


def softmax_cross_entropy(logits: Array, labels: Array, out: Array) -> Contestants:
    """Return (mean loss, dlogits) of logits (N, C) and labels (N,)."""
    rows = np.arange(len(labels))
    at_label = rows * logits.shape[1] + labels
    return {"exp in place": partial(cross_entropy, logits, rows, labels, at_label, out)}


def cross_entropy(
    logits: Array, rows: Array, labels: Array, at_label: Array, out: Array
) -> tuple[float, Array]:
    """Write (softmax - onehot) / N to out; `at_label` are the labels' places in the flat array."""
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=out)
    chosen = out[rows, labels]
    np.exp(out, out=out)
    total = out.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0]) - chosen).mean()
    total *= len(labels)
    np.divide(out, total, out=out)
    out.reshape(-1)[at_label] -= out.dtype.type(1 / len(labels))
    return float(loss), out


def cross_entropy_of_targets(logits: Array, target: Array, out: Array) -> Contestants:
    """Return (mean loss, dlogits) of logits and probabilities (N, C), whose rows sum to 1."""
    scratch = np.empty_like(logits)

    def run() -> tuple[float, Array]:
        np.subtract(logits, logits.max(axis=1, keepdims=True), out=out)
        total = np.exp(out, out=scratch).sum(axis=1, keepdims=True)
        loss = (np.log(total).sum() - np.vdot(target, out)) / len(logits)
        np.divide(scratch, total, out=out)
        np.subtract(out, target, out=out)
        np.multiply(out, out.dtype.type(1 / len(logits)), out=out)
        return float(loss), out

    return {"exp, vdot": run}


def mse(y: Array, t: Array, out: Array) -> Contestants:
    """Return (mean of (y - t)**2, 2 (y - t) / size)."""

    def run() -> tuple[float, Array]:
        np.subtract(y, t, out=out)
        loss = np.dot(out, out) / out.size
        return float(loss), np.multiply(out, out.dtype.type(2 / out.size), out=out)

    return {"dot": run}


def l1(y: Array, t: Array, out: Array) -> Contestants:
    """Return (mean of abs(y - t), sign(y - t) / size)."""
    scratch = np.empty_like(y)

    def run() -> tuple[float, Array]:
        np.subtract(y, t, out=out)
        loss = np.abs(out, out=scratch).mean()
        np.sign(out, out=out)
        return float(loss), np.multiply(out, out.dtype.type(1 / out.size), out=out)

    return {"abs, sign": run}


def huber(y: Array, t: Array, out: Array) -> Contestants:
    """Return (mean, gradient) for delta = 1: c (d - c / 2), c being d clipped to +-1."""
    scratch = np.empty_like(y)
    one = y.dtype.type(1)

    def run() -> tuple[float, Array]:
        np.subtract(y, t, out=scratch)
        np.clip(scratch, -one, one, out=out)
        loss = (np.dot(out, scratch) - np.dot(out, out) / 2) / out.size
        return float(loss), np.multiply(out, out.dtype.type(1 / out.size), out=out)

    return {"clip, dot": run}


def hinge(y: Array, t: Array, out: Array) -> Contestants:
    """Return (mean of max(0, 1 - t y), -t / size where that is above 0)."""
    scratch, one = np.empty_like(y), np.ones((), y.dtype)
    mask = np.empty(y.shape, bool)

    def run() -> tuple[float, Array]:
        np.subtract(one, np.multiply(t, y, out=scratch), out=scratch)
        np.greater(scratch, 0, out=mask)
        loss = np.maximum(scratch, 0, out=scratch).mean()
        np.multiply(t, mask, out=out)
        return float(loss), np.multiply(out, out.dtype.type(-1 / out.size), out=out)

    return {"maximum, mask": run}


def bce_with_logits(y: Array, t: Array, out: Array) -> Contestants:
    """Return (mean of max(y, 0) - t y + log1p(e), (sigmoid(y) - t) / size), e = exp(-abs(y))."""
    e, scratch, one = np.empty_like(y), np.empty_like(y), np.ones((), y.dtype)

    def run() -> tuple[float, Array]:
        np.exp(np.negative(np.abs(y, out=e), out=e), out=e)
        np.maximum(y, 0, out=scratch)
        loss = (scratch.sum() - np.dot(t, y) + np.log1p(e, out=scratch).sum()) / y.size
        np.divide(np.where(y > 0, one, e), np.add(e, one, out=e), out=out)
        np.subtract(out, t, out=out)
        return float(loss), np.multiply(out, out.dtype.type(1 / out.size), out=out)

    return {"log1p, where": run}


# ---- optimizer


def sgd_step(w: Array, dw: Array, v: Array, lr: float, momentum: float) -> Contestants:
    """v = momentum * v + dw and w -= lr * v, on flat arrays, in place."""
    rate, keep = w.dtype.type(lr), w.dtype.type(momentum)

    def run(v: Array, dw: Array, w: Array, part: Array) -> None:
        np.multiply(v, keep, out=v)
        np.add(v, dw, out=v)
        np.multiply(v, rate, out=part)
        np.subtract(w, part, out=w)

    return in_blocks(run, (v, dw, w), w.dtype)


def adam_step(w: Array, dw: Array, m: Array, v: Array, lr: float) -> Contestants:
    """Adam with the usual betas and eps, on flat arrays, in place; without correction of the bias.

    That is a change of lr and eps, made once a step.
    """

    def run(m: Array, v: Array, dw: Array, w: Array, part: Array) -> None:
        np.multiply(m, w.dtype.type(0.9), out=m)
        np.multiply(dw, w.dtype.type(1 - 0.9), out=part)
        np.add(m, part, out=m)
        np.multiply(v, w.dtype.type(0.999), out=v)
        np.multiply(dw, dw, out=part)
        np.multiply(part, w.dtype.type(1 - 0.999), out=part)
        np.add(v, part, out=v)
        np.sqrt(v, out=part)
        np.add(part, w.dtype.type(1e-8), out=part)
        np.divide(m, part, out=part)
        np.multiply(part, w.dtype.type(lr), out=part)
        np.subtract(w, part, out=w)

    return in_blocks(run, (m, v, dw, w), w.dtype)


def rmsprop_step(w: Array, dw: Array, v: Array, lr: float) -> Contestants:
    """RMSprop with the usual alpha and eps, on flat arrays, in place."""

    def run(v: Array, dw: Array, w: Array, part: Array) -> None:
        np.multiply(v, w.dtype.type(0.99), out=v)
        np.multiply(dw, dw, out=part)
        np.multiply(part, w.dtype.type(1 - 0.99), out=part)
        np.add(v, part, out=v)
        _descend(w, dw, v, part, 1e-8, lr)

    return in_blocks(run, (v, dw, w), w.dtype)


def adagrad_step(w: Array, dw: Array, v: Array, lr: float) -> Contestants:
    """Adagrad with the usual eps, on flat arrays, in place."""

    def run(v: Array, dw: Array, w: Array, part: Array) -> None:
        np.multiply(dw, dw, out=part)
        np.add(v, part, out=v)
        _descend(w, dw, v, part, 1e-10, lr)

    return in_blocks(run, (v, dw, w), w.dtype)


def _descend(w: Array, dw: Array, v: Array, part: Array, eps: float, lr: float) -> None:
    """Subtract lr * dw / (sqrt(v) + eps)."""
    np.sqrt(v, out=part)
    np.add(part, w.dtype.type(eps), out=part)
    np.divide(dw, part, out=part)
    np.multiply(part, w.dtype.type(lr), out=part)
    np.subtract(w, part, out=w)


def adadelta_step(w: Array, dw: Array, v: Array, d: Array, lr: float) -> Contestants:
    """Adadelta with the usual rho and eps, on flat arrays, in place."""

    def run(v: Array, d: Array, dw: Array, w: Array, part: Array) -> None:
        np.multiply(v, w.dtype.type(0.9), out=v)
        np.multiply(dw, dw, out=part)
        np.multiply(part, w.dtype.type(1 - 0.9), out=part)
        np.add(v, part, out=v)
        np.add(d, w.dtype.type(1e-6), out=part)
        np.divide(part, v + w.dtype.type(1e-6), out=part)
        np.sqrt(part, out=part)
        np.multiply(part, dw, out=part)
        np.multiply(d, w.dtype.type(0.9), out=d)
        np.add(d, part * part * w.dtype.type(1 - 0.9), out=d)
        np.multiply(part, w.dtype.type(lr), out=part)
        np.subtract(w, part, out=w)

    return in_blocks(run, (v, d, dw, w), w.dtype)
