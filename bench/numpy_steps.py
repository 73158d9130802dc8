"""Whole training steps in NumPy: LeNet-5 and a perceptron with one hidden layer, hand-written.

All buffers are made once, parameters and gradients lie in flat arrays, the ReLU comes after the
pooling (the maximum of the rectified is the rectified maximum, on a quarter of the elements), and
patches made on the way forward serve the way back. A batch may be walked in chunks, whose
intermediate values stay in the cache, while the gradients add up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from numpy_baseline import (
    Array,
    Contestants,
    cross_entropy,
    pairwise_maximum,
    sgd_step,
    spread_to_maximum,
    windows,
)
from numpy_conv2d import Patches

Gradients = dict[str, Array]


class Linear:
    """y = x @ w.T + b, for chunks of n rows: x (n, I), w (O, I), b (O,)."""

    def __init__(self, name: str, w: Array, b: Array, n: int) -> None:
        self.name, self.w, self.b = name, w, b
        self.y = np.empty((n, len(b)), w.dtype)
        self.dx = np.empty((n, w.shape[1]), w.dtype)
        self.ones = np.ones(n, w.dtype)

    def forward(self, x: Array, *, relu: bool) -> Array:
        self.x = x
        np.matmul(x, self.w.T, out=self.y)
        np.add(self.y, self.b, out=self.y)
        return np.maximum(self.y, 0, out=self.y) if relu else self.y

    def backward(self, dy: Array, grads: Gradients) -> None:
        np.matmul(dy.T, self.x, out=grads[f"{self.name}.w"])
        np.dot(self.ones, dy, out=grads[f"{self.name}.b"])

    def input_gradient(self, dy: Array) -> Array:
        return np.matmul(dy, self.w, out=self.dx)


class ConvReluPool:
    """A convolution, ReLU and 2 x 2 maximum pooling of a chunk of images (n, H, W, C)."""

    def __init__(self, name: str, w: Array, b: Array, x: Array, padding: int, copy: str) -> None:
        n, o = len(x), len(b)
        self.name, self.w, self.b = name, w, b
        self.patches = Patches(x, w.shape[1:3], padding, copy=copy, images=n)
        oh, ow = self.patches.size
        self.z = np.empty((n, oh, ow, o), w.dtype)  # before bias and ReLU; on the way back, dz
        self.top = np.empty((n, oh // 2, ow // 2, o), w.dtype)
        self.y = np.empty_like(self.top)
        self.rows = self.z.reshape(-1, o)
        self.dcols = np.empty((len(self.rows), w.size // o), w.dtype)
        self.dx = np.empty(x.shape, w.dtype)

    def forward(self, x: Array) -> Array:
        self.patches.x = x
        self.cols = self.patches.cols(slice(None))
        np.matmul(self.cols, self.w.reshape(len(self.b), -1).T, out=self.rows)
        pairwise_maximum(windows(self.z, 2), self.top)
        # the bias is the same all over a window, so it too can wait
        np.add(self.top, self.b, out=self.y)
        return np.maximum(self.y, 0, out=self.y)

    def backward(self, dy: Array, grads: Gradients) -> None:
        np.multiply(dy, self.y > 0, out=dy)
        places = windows(self.z, 2)
        spread_to_maximum(dy, places, self.top, places, self.z)
        dw = grads[f"{self.name}.w"]
        np.matmul(self.rows.T, self.cols, out=dw.reshape(len(self.b), -1))
        # over windows that do not overlap, the sum of dz is the sum of dy
        np.sum(dy.reshape(-1, len(self.b)), axis=0, out=grads[f"{self.name}.b"])

    def input_gradient(self) -> Array:
        """Scatter the gradient of the patches, after `backward`; without padding."""
        np.matmul(self.rows, self.w.reshape(len(self.b), -1), out=self.dcols)
        n, oh, ow, _ = self.z.shape
        _, kernel_h, kernel_w, c = self.w.shape
        dcols = self.dcols.reshape(n, oh, ow, kernel_h, kernel_w, c)
        self.dx[...] = 0
        for kh in range(kernel_h):
            for kw in range(kernel_w):
                self.dx[:, kh : kh + oh, kw : kw + ow] += dcols[:, :, :, kh, kw]
        return self.dx


class Step(ABC):
    """A training step with SGD: call it for the loss; `w` holds the parameters, one after another.

    Parameters
    ----------
    x, labels : ndarray
        The batch.
    parameters : sequence of ndarray
        Weights and biases in the order of the layers; they are copied.
    lr, momentum : float
        Of the optimizer.
    chunk : int
        Images at a time; divides the batch.
    """

    names: tuple[str, ...]  # of the layers

    def __init__(
        self,
        x: Array,
        labels: Array,
        parameters: Sequence[Array],
        *,
        lr: float,
        momentum: float,
        chunk: int,
    ) -> None:
        self.x, self.labels, self.chunk = x, labels, chunk
        self.w = np.concatenate([p.ravel() for p in parameters])
        self.g, self.v = np.zeros_like(self.w), np.zeros_like(self.w)
        keys = [f"{name}.{kind}" for name in self.names for kind in "wb"]
        shapes = dict(zip(keys, (p.shape for p in parameters), strict=True))
        self.p = _views(self.w, shapes)
        # the first chunk writes the sum, each further one a part that is added
        self.sum, self.part = self.g, np.empty_like(self.g)
        self.grads = [_views(self.sum, shapes), _views(self.part, shapes)]
        self.update = next(iter(sgd_step(self.w, self.g, self.v, lr, momentum).values()))
        self.rows = np.arange(chunk)
        self.dlogits = np.empty((chunk, len(parameters[-1])), self.w.dtype)
        self.build(x[:chunk])

    @abstractmethod
    def build(self, x: Array) -> None:
        """Make the layers, for chunks like x."""

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """Return the logits."""

    @abstractmethod
    def backward(self, dlogits: Array, grads: Gradients) -> None:
        """Write the gradients of all parameters."""

    def __call__(self) -> float:
        """Make one step on the batch; return its loss."""
        chunks = len(self.x) // self.chunk
        loss = 0.0
        for i in range(chunks):
            part = slice(i * self.chunk, (i + 1) * self.chunk)
            labels = self.labels[part]
            logits = self.forward(self.x[part])
            at_label = self.rows * logits.shape[1] + labels
            one, _ = cross_entropy(logits, self.rows, labels, at_label, self.dlogits)
            loss += one / chunks
            if chunks > 1:
                self.dlogits *= self.dlogits.dtype.type(1 / chunks)
            self.backward(self.dlogits, self.grads[i > 0])
            if i > 0:
                np.add(self.sum, self.part, out=self.sum)
        self.update()
        return loss


def _views(flat: Array, shapes: dict[str, tuple[int, ...]]) -> Gradients:
    """Cut the flat array into arrays of these shapes."""
    views, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        views[name] = flat[start : start + size].reshape(shape)
        start += size
    return views


class MLPStep(Step):
    """Of a perceptron with one hidden layer and ReLU, on images (N, ...) that are flattened."""

    names = ("hidden", "output")

    def build(self, x: Array) -> None:
        self.layers = [
            Linear(name, self.p[f"{name}.w"], self.p[f"{name}.b"], len(x)) for name in self.names
        ]

    def forward(self, x: Array) -> Array:
        hidden, output = self.layers
        return output.forward(hidden.forward(x.reshape(len(x), -1), relu=True), relu=False)

    def backward(self, dlogits: Array, grads: Gradients) -> None:
        hidden, output = self.layers
        output.backward(dlogits, grads)
        dh = output.input_gradient(dlogits)
        hidden.backward(np.multiply(dh, hidden.y > 0, out=dh), grads)


class LeNet5Step(Step):
    """Of `fastnn.models.lenet5`, on images (N, 28, 28, 1)."""

    names = ("c1", "c3", "c5", "f6", "output")
    copy = "windows"  # how patches are made: see numpy_conv2d.Patches

    def build(self, x: Array) -> None:
        p = self.p
        self.c1 = ConvReluPool("c1", p["c1.w"], p["c1.b"], x, 2, self.copy)
        self.c3 = ConvReluPool("c3", p["c3.w"], p["c3.b"], self.c1.y, 0, self.copy)
        self.tail = [
            Linear(name, p[f"{name}.w"], p[f"{name}.b"], len(x)) for name in self.names[2:]
        ]

    def forward(self, x: Array) -> Array:
        y = self.c3.forward(self.c1.forward(x))
        y = y.reshape(len(y), -1)
        for layer in self.tail:
            y = layer.forward(y, relu=layer is not self.tail[-1])
        return y

    def backward(self, dlogits: Array, grads: Gradients) -> None:
        d = dlogits
        for layer in reversed(self.tail):
            if layer is not self.tail[-1]:
                np.multiply(d, layer.y > 0, out=d)
            layer.backward(d, grads)
            d = layer.input_gradient(d)
        self.c3.backward(d.reshape(self.c3.y.shape), grads)
        self.c1.backward(self.c3.input_gradient(), grads)


class LeNet5StepByTaps(LeNet5Step):
    """The same, with patches that are copied tap by tap."""

    copy = "taps"


def steps(
    kinds: Sequence[type[Step]], x: Array, labels: Array, *args: Any, **options: Any
) -> Contestants:
    """Every kind of step, in chunks of 16 and 64 images and of the whole batch."""
    return {
        f"{kind.__name__}, {chunk} images": kind(x, labels, *args, chunk=chunk, **options)
        for kind in kinds
        for chunk in sorted({min(16, len(x)), min(64, len(x)), len(x)})
    }
