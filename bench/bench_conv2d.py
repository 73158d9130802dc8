"""Convolution and its gradients: LeNet-5's layers, first layers on photographs, three of VGG's."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pytest

import fastnn
import harness
import numpy_conv2d
import torch_peer
from fastnn import reference


class Layer(NamedTuple):
    """Images size x size of C channels, O kernels k x k."""

    n: int
    size: int
    c: int
    o: int
    k: int
    padding: int
    stride: int = 1

    def __str__(self):
        name = f"{self.n}x{self.size}x{self.size}x{self.c} to {self.o}, {self.k}x{self.k}"
        return name if self.stride == 1 else f"{name} stride {self.stride}"

    @property
    def y_size(self):
        return (self.size + 2 * self.padding - self.k) // self.stride + 1

    @property
    def options(self):
        return {"padding": self.padding, "stride": self.stride}

    def algorithm(self, conv_pass):
        """Which way fastnn computes that pass."""
        x, w = (self.n, self.size, self.size, self.c), (self.o, self.k, self.k, self.c)
        return fastnn.get_conv2d_algorithms(x, w, **self.options)[conv_pass]

    @property
    def flops(self):
        return 2 * self.n * self.y_size**2 * self.o * self.k**2 * self.c

    def arrays(self, rng):
        """x, w, b, dy."""
        shapes = [
            (self.n, self.size, self.size, self.c),
            (self.o, self.k, self.k, self.c),
            (self.o,),
            (self.n, self.y_size, self.y_size, self.o),
        ]
        return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


LENET = [
    Layer(n, *layer)
    for n in (1, 64, 256)
    for layer in ((28, 1, 6, 5, 2), (32, 1, 6, 5, 0), (14, 6, 16, 5, 0))
]
FIRST = [Layer(4, 224, 3, 64, 3, 1), Layer(64, 32, 3, 64, 3, 1), Layer(1, 224, 3, 64, 7, 3, 2)]
VGG = [Layer(16, 32, 3, 64, 3, 1), Layer(16, 32, 64, 64, 3, 1), Layer(16, 16, 128, 128, 3, 1)]

every_layer = pytest.mark.parametrize("layer", LENET + FIRST + VGG, ids=str)

EPS = harness.eps(np.float32)


@every_layer
def test_conv2d(compare, rng, threads, layer):
    x, w, b, dy = layer.arrays(rng)
    some = [layer.n - 1]  # images are independent
    want = reference.conv2d(x[some], w, b, **layer.options)
    size = reference.conv2d(np.abs(x[some]), np.abs(w), np.abs(b), **layer.options)
    terms = layer.k**2 * layer.c + 1

    compare(
        op="conv2d",
        shape=str(layer),
        algorithm=layer.algorithm("forward"),
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.conv2d, x, w, b, **layer.options, out=np.empty_like(dy)),
        check=lambda y: harness.assert_within(y[some], want, terms * EPS * size),
        numpy=lambda: numpy_conv2d.conv2d(x, w, b, layer.padding, layer.stride),
        torch=lambda: torch_peer.conv2d(threads, x, w, b, layer.padding, layer.stride),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )


@every_layer
def test_conv2d_backward_input(compare, rng, threads, layer):
    x, w, _, dy = layer.arrays(rng)
    some = [layer.n - 1]
    shape = x[some].shape
    want = reference.conv2d_backward_input(dy[some], w, shape, **layer.options)
    size = reference.conv2d_backward_input(np.abs(dy[some]), np.abs(w), shape, **layer.options)
    terms = layer.k**2 * layer.o
    ours = partial(
        fastnn.conv2d_backward_input, dy, w, x.shape, **layer.options, out=np.empty_like(x)
    )

    compare(
        op="conv2d_backward_input",
        shape=str(layer),
        algorithm=layer.algorithm("backward_input"),
        dtype=np.float32,
        threads=threads,
        ours=ours,
        check=lambda dx: harness.assert_within(dx[some], want, terms * EPS * size),
        numpy=lambda: numpy_conv2d.conv2d_backward_input(
            dy, w, x.shape, layer.padding, layer.stride
        ),
        torch=lambda: torch_peer.conv2d_backward(
            threads, dy, x, w, layer.padding, layer.stride, which=0
        ),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )


@every_layer
def test_conv2d_backward_weight(compare, rng, threads, layer):
    x, w, _, dy = layer.arrays(rng)
    some = [0, layer.o - 1]  # kernels are independent
    few = np.ascontiguousarray(dy[..., some])
    shape = w[some].shape
    want = reference.conv2d_backward_weight(few, x, shape, **layer.options)
    size = reference.conv2d_backward_weight(np.abs(few), np.abs(x), shape, **layer.options)
    terms = layer.n * layer.y_size**2
    ours = partial(
        fastnn.conv2d_backward_weight, dy, x, w.shape, **layer.options, out=np.empty_like(w)
    )

    compare(
        op="conv2d_backward_weight",
        shape=str(layer),
        algorithm=layer.algorithm("backward_weight"),
        dtype=np.float32,
        threads=threads,
        ours=ours,
        check=lambda dw: harness.assert_within(dw[some], want, terms * EPS * size),
        numpy=lambda: numpy_conv2d.conv2d_backward_weight(
            dy, x, w.shape, layer.padding, layer.stride
        ),
        torch=lambda: torch_peer.conv2d_backward(
            threads, dy, x, w, layer.padding, layer.stride, which=1
        ),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )
