"""Calls that do almost nothing: what remains is the price of a call.

Calls with keywords are written out: a partial would make a dict of them each time.
"""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import numpy_baseline
import torch_peer
from fastnn import reference

EPS = harness.eps(np.float32)


@pytest.mark.parametrize("product", [fastnn.gemm, fastnn.matmul], ids=["gemm", "matmul"])
def test_8x8x8(compare, rng, threads, product):
    a, b = (rng.standard_normal((8, 8), np.float32) for _ in range(2))
    want, size = reference.gemm(a, b), reference.gemm(np.abs(a), np.abs(b))
    out = np.empty_like(a)

    compare(
        op=f"{product.__name__}, a call",
        shape="8 x 8 x 8",
        dtype=np.float32,
        threads=threads,
        ours=lambda: product(a, b, out=out),
        check=lambda y: harness.assert_within(y, want, 8 * EPS * size),
        numpy=lambda: numpy_baseline.gemm(a, b, np.empty_like(out)),
        torch=lambda: torch_peer.gemm(threads, a, b, np.empty_like(out)),
        from_torch=torch_peer.arrays,
    )


def test_gemm_8x8x8_new_result(compare, rng, threads):
    a, b = (rng.standard_normal((8, 8), np.float32) for _ in range(2))
    want, size = reference.gemm(a, b), reference.gemm(np.abs(a), np.abs(b))

    compare(
        op="gemm, a call without out=",
        shape="8 x 8 x 8",
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.gemm, a, b),
        check=lambda y: harness.assert_within(y, want, 8 * EPS * size),
        numpy=lambda: {"matmul": partial(np.matmul, a, b), "dot": partial(np.dot, a, b)},
    )


def test_linear_64_to_10(compare, rng, threads):
    x, w = rng.standard_normal((64, 64), np.float32), rng.standard_normal((10, 64), np.float32)
    b = rng.standard_normal(10, np.float32)
    want, size = reference.linear(x, w, b), reference.linear(np.abs(x), np.abs(w), np.abs(b))
    out = np.empty((64, 10), np.float32)

    compare(
        op="linear, a call",
        shape="64 x 64 -> 10",
        dtype=np.float32,
        threads=threads,
        ours=lambda: fastnn.linear(x, w, b, out=out),
        check=lambda y: harness.assert_within(y, want, 65 * EPS * size),
        numpy=lambda: numpy_baseline.linear(x, w, b, np.empty_like(out)),
        torch=lambda: torch_peer.linear(threads, x, w, b),
        from_torch=torch_peer.arrays,
    )


def test_relu_of_8(compare, rng, threads):
    x = rng.standard_normal(8, np.float32)

    compare(
        op="relu, a call",
        shape="8",
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.relu, x, out=np.empty_like(x)),
        check=lambda y: harness.assert_within(y, reference.relu(x), 0),
        numpy=lambda: numpy_baseline.relu(x, np.empty_like(x)),
        torch=lambda: torch_peer.elementwise(threads, "relu", x, np.empty_like(x)),
        from_torch=torch_peer.arrays,
    )
