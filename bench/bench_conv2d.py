"""Convolution and its gradients: the layers of LeNet-5, and three of VGG's on 32 x 32 images."""

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
    """Images size x size of C channels, O kernels k x k, stride 1."""

    n: int
    size: int
    c: int
    o: int
    k: int
    padding: int

    def __str__(self):
        return f"{self.n}x{self.size}x{self.size}x{self.c} to {self.o}, {self.k}x{self.k}"

    @property
    def y_size(self):
        return self.size + 2 * self.padding - self.k + 1

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


LENET = [Layer(n, *layer) for n in (1, 64, 256) for layer in ((28, 1, 6, 5, 2), (14, 6, 16, 5, 0))]
VGG = [Layer(16, 32, 3, 64, 3, 1), Layer(16, 32, 64, 64, 3, 1), Layer(16, 16, 128, 128, 3, 1)]

every_layer = pytest.mark.parametrize("layer", LENET + VGG, ids=str)

EPS = harness.eps(np.float32)


@every_layer
def test_conv2d(compare, rng, threads, layer):
    x, w, b, dy = layer.arrays(rng)
    some = [0, layer.n - 1]  # images are independent
    want = reference.conv2d(x[some], w, b, padding=layer.padding)
    size = reference.conv2d(np.abs(x[some]), np.abs(w), np.abs(b), padding=layer.padding)
    terms = layer.k**2 * layer.c + 1

    compare(
        op="conv2d",
        shape=str(layer),
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.conv2d, x, w, b, padding=layer.padding, out=np.empty_like(dy)),
        check=lambda y: harness.assert_within(y[some], want, terms * EPS * size),
        numpy=lambda: numpy_conv2d.conv2d(x, w, b, layer.padding),
        torch=lambda: torch_peer.conv2d(threads, x, w, b, layer.padding),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )


@every_layer
def test_conv2d_backward_input(compare, rng, threads, layer):
    x, w, _, dy = layer.arrays(rng)
    some = [0, layer.n - 1]
    shape = x[some].shape
    want = reference.conv2d_backward_input(dy[some], w, shape, padding=layer.padding)
    size = reference.conv2d_backward_input(
        np.abs(dy[some]), np.abs(w), shape, padding=layer.padding
    )
    terms = layer.k**2 * layer.o
    ours = partial(
        fastnn.conv2d_backward_input, dy, w, x.shape, padding=layer.padding, out=np.empty_like(x)
    )

    compare(
        op="conv2d_backward_input",
        shape=str(layer),
        dtype=np.float32,
        threads=threads,
        ours=ours,
        check=lambda dx: harness.assert_within(dx[some], want, terms * EPS * size),
        numpy=lambda: numpy_conv2d.conv2d_backward_input(dy, w, x.shape, layer.padding),
        torch=lambda: torch_peer.conv2d_backward(threads, dy, x, w, layer.padding, which=0),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )


@every_layer
def test_conv2d_backward_weight(compare, rng, threads, layer):
    x, w, _, dy = layer.arrays(rng)
    some = [0, layer.o - 1]  # kernels are independent
    few = np.ascontiguousarray(dy[..., some])
    shape = w[some].shape
    want = reference.conv2d_backward_weight(few, x, shape, padding=layer.padding)
    size = reference.conv2d_backward_weight(np.abs(few), np.abs(x), shape, padding=layer.padding)
    terms = layer.n * layer.y_size**2
    ours = partial(
        fastnn.conv2d_backward_weight, dy, x, w.shape, padding=layer.padding, out=np.empty_like(w)
    )

    compare(
        op="conv2d_backward_weight",
        shape=str(layer),
        dtype=np.float32,
        threads=threads,
        ours=ours,
        check=lambda dw: harness.assert_within(dw[some], want, terms * EPS * size),
        numpy=lambda: numpy_conv2d.conv2d_backward_weight(dy, x, w.shape, layer.padding),
        torch=lambda: torch_peer.conv2d_backward(threads, dy, x, w, layer.padding, which=1),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )
