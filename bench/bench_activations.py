"""Activations beyond relu, sigmoid and tanh, which bench_pointwise.py has."""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import numpy_activations
import torch_peer
from fastnn import reference

SIZES = {"4K": 4 << 10, "256K": 256 << 10}
EPS = harness.eps(np.float32)
OPTIONS = {"gelu": {"approximate": "tanh"}}
NAMES = [
    "leaky_relu",
    "elu",
    "silu",
    "gelu",
    "softplus",
    "hard_swish",
    "softsign",
    "exp",
    "log",
]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_activation(compare, rng, threads, name, size):
    x = rng.standard_normal(size, np.float32)
    if name == "log":
        x = np.abs(x) + np.float32(0.125)
    options = OPTIONS.get(name, {})
    want = getattr(reference, name)(x, **options)
    bound = 16 * EPS * (1 + np.abs(x) + np.abs(want))  # NumPy takes up to ten roundings

    compare(
        op=name,
        shape=f"{size:,}",
        dtype=np.float32,
        threads=threads,
        group="activations",
        ours=partial(getattr(fastnn, name), x, **options, out=np.empty_like(x)),
        check=lambda y: harness.assert_within(y, want, bound),
        numpy=lambda: numpy_activations.contestants(
            getattr(numpy_activations, name), x, np.empty_like(x)
        ),
        torch=lambda: torch_peer.activation(threads, name, x, **options),
        from_torch=torch_peer.arrays,
        nbytes=2 * x.nbytes,
    )
