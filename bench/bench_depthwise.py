"""Depthwise convolution and its gradients: layers of MobileNets, one filter per channel."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pytest

import fastnn
import harness
import numpy_depthwise
import torch_peer
from fastnn import reference


class Layer(NamedTuple):
    """Images size x size of C channels, C kernels k x k, padded by k // 2."""

    n: int
    size: int
    c: int
    k: int = 3
    stride: int = 1
    dtype: str = "float32"

    def __str__(self):
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        return f"{self.n}x{self.size}x{self.size}x{self.c}, {self.k}x{self.k}{stride}"

    @property
    def y_size(self):
        return (self.size - 1) // self.stride + 1

    @property
    def flops(self):
        return 2 * self.n * self.y_size**2 * self.c * self.k**2

    @property
    def options(self):
        return {"stride": self.stride, "padding": self.k // 2, "groups": self.c}

    @property
    def check_options(self):
        return self.options | {"groups": len(SOME)}

    def arrays(self, rng):
        """x, w, b, dy."""
        shapes = [
            (self.n, self.size, self.size, self.c),
            (self.c, self.k, self.k, 1),
            (self.c,),
            (self.n, self.y_size, self.y_size, self.c),
        ]
        return [rng.standard_normal(shape).astype(self.dtype) for shape in shapes]


LAYERS = [
    Layer(1, 112, 32),
    Layer(1, 112, 64, stride=2),
    Layer(1, 56, 128),
    Layer(1, 28, 256),
    Layer(1, 28, 256, stride=2),
    Layer(1, 14, 512),
    Layer(4, 14, 512),
    Layer(1, 28, 128, k=5),
    Layer(1, 28, 256, dtype="float64"),
]

SOME = [0, -1]  # channels that are checked: they are independent


def some(array, axis=-1):
    return np.take(array, SOME, axis=axis)


every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda la: f"{la} {la.dtype}")


@every_layer
def test_depthwise(compare, rng, threads, layer):
    x, w, b, dy = layer.arrays(rng)
    few = some(x), some(w, 0), some(b)
    want = reference.conv2d(*few, **layer.check_options)
    size = reference.conv2d(*map(np.abs, few), **layer.check_options)
    bound = (layer.k**2 + 1) * harness.eps(layer.dtype) * size
    compare(
        op="depthwise conv2d",
        shape=str(layer),
        dtype=layer.dtype,
        threads=threads,
        group="depthwise",
        ours=partial(fastnn.conv2d, x, w, b, **layer.options, out=np.empty_like(dy)),
        check=lambda y: harness.assert_within(some(y), want, bound),
        numpy=lambda: numpy_depthwise.forward(x, w, b, layer.stride, layer.k // 2, dy.shape),
        torch=lambda: torch_peer.grouped_conv2d(threads, x, w, b, **layer.options),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )


@every_layer
def test_depthwise_backward_input(compare, rng, threads, layer):
    x, w, _, dy = layer.arrays(rng)
    few = some(dy), some(w, 0)
    shape = some(x).shape
    want = reference.conv2d_backward_input(*few, shape, **layer.check_options)
    size = reference.conv2d_backward_input(*map(np.abs, few), shape, **layer.check_options)
    bound = layer.k**2 * harness.eps(layer.dtype) * size
    ours = partial(
        fastnn.conv2d_backward_input, dy, w, x.shape, **layer.options, out=np.empty_like(x)
    )
    compare(
        op="depthwise conv2d_backward_input",
        shape=str(layer),
        dtype=layer.dtype,
        threads=threads,
        group="depthwise",
        ours=ours,
        check=lambda dx: harness.assert_within(some(dx), want, bound),
        numpy=lambda: numpy_depthwise.backward_input(dy, w, layer.stride, layer.k // 2, x.shape),
        torch=lambda: torch_peer.grouped_conv2d_backward(
            threads, dy, x, w, **layer.options, which=0
        ),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )


@every_layer
def test_depthwise_backward_weight(compare, rng, threads, layer):
    x, w, _, dy = layer.arrays(rng)
    few = some(dy), some(x)
    shape = some(w, 0).shape
    want = reference.conv2d_backward_weight(*few, shape, **layer.check_options)
    size = reference.conv2d_backward_weight(*map(np.abs, few), shape, **layer.check_options)
    bound = layer.n * layer.y_size**2 * harness.eps(layer.dtype) * size
    ours = partial(
        fastnn.conv2d_backward_weight, dy, x, w.shape, **layer.options, out=np.empty_like(w)
    )
    compare(
        op="depthwise conv2d_backward_weight",
        shape=str(layer),
        dtype=layer.dtype,
        threads=threads,
        group="depthwise",
        ours=ours,
        check=lambda dw: harness.assert_within(some(dw, 0), want, bound),
        numpy=lambda: numpy_depthwise.backward_weight(dy, x, layer.stride, layer.k // 2, w.shape),
        torch=lambda: torch_peer.grouped_conv2d_backward(
            threads, dy, x, w, **layer.options, which=1
        ),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )
