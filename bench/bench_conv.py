"""Convolution and its gradients: the layers of LeNet-5 and VGG, first layers, and others.

Rates count the multiply-adds of a direct convolution, whatever the algorithm.
"""

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
    dilation: int = 1

    def __str__(self):
        name = f"{self.n}x{self.size}x{self.size}x{self.c} to {self.o}, {self.k}x{self.k}"
        window = (("stride", self.stride), ("dilation", self.dilation))
        return name + "".join(f" {what} {n}" for what, n in window if n > 1)

    @property
    def y_size(self):
        reach = self.dilation * (self.k - 1)
        return (self.size + 2 * self.padding - reach - 1) // self.stride + 1

    @property
    def options(self):
        return {"padding": self.padding, "stride": self.stride, "dilation": self.dilation}

    def algorithm(self, conv_pass, dtype):
        """Which way fastnn computes that pass."""
        x, w = (self.n, self.size, self.size, self.c), (self.o, self.k, self.k, self.c)
        return fastnn.get_conv2d_algorithms(x, w, dtype=dtype, **self.options)[conv_pass]

    @property
    def flops(self):
        return 2 * self.n * self.y_size**2 * self.o * self.k**2 * self.c

    def arrays(self, rng, dtype):
        """x, w, b, dy."""
        shapes = [
            (self.n, self.size, self.size, self.c),
            (self.o, self.k, self.k, self.c),
            (self.o,),
            (self.n, self.y_size, self.y_size, self.o),
        ]
        return [rng.standard_normal(shape, dtype) for shape in shapes]


LENET = [
    Layer(n, *layer)
    for n in (1, 64, 256)
    for layer in ((28, 1, 6, 5, 2), (32, 1, 6, 5, 0), (14, 6, 16, 5, 0))
]
FIRST = [Layer(4, 224, 3, 64, 3, 1), Layer(64, 32, 3, 64, 3, 1), Layer(1, 224, 3, 64, 7, 3, 2)]
VGG_CHANNELS = [(64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
VGG_224 = [
    *(Layer(4, 224 >> (i + 1) // 2, *io, 3, 1) for i, io in enumerate(VGG_CHANNELS)),
    Layer(4, 14, 512, 512, 3, 1),
]
VGG_32 = [Layer(64, 32 >> (i + 1) // 2, *io, 3, 1) for i, io in enumerate(VGG_CHANNELS)]
OTHERS = [
    Layer(4, 56, 64, 256, 1, 0),
    Layer(4, 56, 256, 64, 1, 0),
    Layer(4, 27, 48, 128, 5, 2),
    Layer(4, 56, 128, 256, 3, 1, 2),
    Layer(4, 28, 256, 256, 3, 2, 1, 2),
]
GROUPS = {
    "LeNet-5": LENET,
    "first layers": FIRST,
    "VGG at 224": VGG_224,
    "VGG at 32": VGG_32,
    "others": OTHERS,
}
CASES = [(name, layer, np.float32) for name, layers in GROUPS.items() for layer in layers] + [
    ("float64", layer, np.float64)
    for layer in (Layer(4, 56, 64, 64, 3, 1), Layer(4, 14, 256, 256, 3, 1), *OTHERS)
]


def name(value):
    """The id of a layer or a dtype."""
    return value.__name__ if isinstance(value, type) else str(value)


every_layer = pytest.mark.parametrize(("group", "layer", "dtype"), CASES, ids=name)

SOME = [0, -1]
"""Channels of the result that are checked, in the last image: each is independent of the others."""


@every_layer
def test_conv2d(compare, rng, threads, group, layer, dtype):
    x, w, b, dy = layer.arrays(rng, dtype)
    few, last = w[SOME], x[-1:]
    want = reference.conv2d(last, few, b[SOME], **layer.options)
    size = reference.conv2d(np.abs(last), np.abs(few), np.abs(b[SOME]), **layer.options)
    bound = (layer.k**2 * layer.c + 1) * harness.eps(dtype) * size

    compare(
        op="conv2d",
        shape=str(layer),
        algorithm=layer.algorithm("forward", dtype),
        dtype=dtype,
        group=group,
        threads=threads,
        ours=partial(fastnn.conv2d, x, w, b, **layer.options, out=np.empty_like(dy)),
        check=lambda y: harness.assert_within(y[-1:, ..., SOME], want, bound),
        numpy=lambda: numpy_conv2d.conv2d(x, w, b, **layer.options),
        torch=lambda: torch_peer.conv2d(threads, x, w, b, **layer.options),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )


@every_layer
def test_conv2d_backward_input(compare, rng, threads, group, layer, dtype):
    x, w, _, dy = layer.arrays(rng, dtype)
    few, last = w[..., SOME], dy[-1:]
    shape = x[-1:, ..., SOME].shape
    want = reference.conv2d_backward_input(last, few, shape, **layer.options)
    size = reference.conv2d_backward_input(np.abs(last), np.abs(few), shape, **layer.options)
    bound = layer.k**2 * layer.o * harness.eps(dtype) * size
    ours = partial(
        fastnn.conv2d_backward_input, dy, w, x.shape, **layer.options, out=np.empty_like(x)
    )

    compare(
        op="conv2d_backward_input",
        shape=str(layer),
        algorithm=layer.algorithm("backward_input", dtype),
        dtype=dtype,
        group=group,
        threads=threads,
        ours=ours,
        check=lambda dx: harness.assert_within(dx[-1:, ..., SOME], want, bound),
        numpy=lambda: numpy_conv2d.conv2d_backward_input(dy, w, x.shape, **layer.options),
        torch=lambda: torch_peer.conv2d_backward(threads, dy, x, w, **layer.options, which=0),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )


@every_layer
def test_conv2d_backward_weight(compare, rng, threads, group, layer, dtype):
    x, w, _, dy = layer.arrays(rng, dtype)
    few = np.ascontiguousarray(dy[..., SOME])
    shape = w[SOME].shape
    want = reference.conv2d_backward_weight(few, x, shape, **layer.options)
    size = reference.conv2d_backward_weight(np.abs(few), np.abs(x), shape, **layer.options)
    bound = layer.n * layer.y_size**2 * harness.eps(dtype) * size
    ours = partial(
        fastnn.conv2d_backward_weight, dy, x, w.shape, **layer.options, out=np.empty_like(w)
    )

    compare(
        op="conv2d_backward_weight",
        shape=str(layer),
        algorithm=layer.algorithm("backward_weight", dtype),
        dtype=dtype,
        group=group,
        threads=threads,
        ours=ours,
        check=lambda dw: harness.assert_within(dw[SOME], want, bound),
        numpy=lambda: numpy_conv2d.conv2d_backward_weight(dy, x, w.shape, **layer.options),
        torch=lambda: torch_peer.conv2d_backward(threads, dy, x, w, **layer.options, which=1),
        from_torch=torch_peer.nhwc,
        flops=layer.flops,
    )
