"""Transposed convolution: layers of a DCGAN's generator, which double an image's size."""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import numpy_conv2d
import torch_peer
from fastnn import reference

LAYERS = [(16, 4, 256, 128), (16, 8, 128, 64), (16, 16, 64, 3)]
"""Images, their size, channels before and after; kernels 4 x 4, stride 2, padding 1."""

OPTIONS = {"stride": 2, "padding": 1}


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_conv_transpose2d(compare, rng, threads, layer):
    n, size, i, o = layer
    shapes = [(n, size, size, i), (i, 4, 4, o), (o,), (n, 2 * size, 2 * size, o)]
    x, w, b, y = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    want = reference.conv_transpose2d(x, w, b, **OPTIONS)
    bound = (16 * i + 1) * harness.eps(np.float32)
    bound = bound * reference.conv_transpose2d(np.abs(x), np.abs(w), np.abs(b), **OPTIONS)
    compare(
        op="conv_transpose2d",
        shape=f"{n}x{size}x{size}x{i} to {o}, 4x4, stride 2",
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.conv_transpose2d, x, w, b, **OPTIONS, out=y),
        check=lambda y: harness.assert_within(y, want, bound),
        numpy=lambda: numpy_conv2d.conv_transpose2d(x, w, b, **OPTIONS),
        torch=lambda: torch_peer.conv_transpose2d(threads, x, w, b, **OPTIONS),
        from_torch=torch_peer.nhwc,
        flops=2 * 16 * n * size**2 * i * o,
    )
