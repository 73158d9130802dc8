"""Matrix products: squares, and the shapes of a perceptron 784-128-10 with a batch of 64."""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import numpy_baseline
import torch_peer

SQUARES = [(n, n, n) for n in (32, 64, 128, 256, 512, 1024)]
NETWORK = [(64, 128, 784), (64, 10, 128), (784, 128, 64)]  # (M, N, K)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("shape", SQUARES + NETWORK, ids=lambda s: "x".join(map(str, s)))
def test_gemm(compare, rng, threads, shape, dtype):
    M, N, K = shape
    a = rng.standard_normal((M, K)).astype(dtype)
    b = rng.standard_normal((K, N)).astype(dtype)
    c = np.empty((M, N), dtype)

    rows = np.unique(np.linspace(0, M - 1, 16, dtype=int))  # of c: enough to see an error
    want = a[rows].astype(np.float64) @ b
    # each of K products and sums rounds at most once, whatever the order
    bound = K * harness.eps(dtype) * (np.abs(a[rows]).astype(np.float64) @ np.abs(b))

    compare(
        op="gemm",
        shape=f"{M} x {N} x {K}",
        dtype=dtype,
        threads=threads,
        ours=partial(fastnn.gemm, a, b, out=c),
        check=lambda y: harness.assert_within(y[rows], want, bound),
        numpy=lambda: numpy_baseline.gemm(a, b, np.empty_like(c)),
        torch=lambda: torch_peer.gemm(threads, a, b, np.empty_like(c)),
        from_torch=torch_peer.arrays,
        flops=2 * M * N * K,
    )
