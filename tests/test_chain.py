"""The fma that the other tests build their chains from, against the C library's."""

import ctypes
import ctypes.util

import numpy as np
import pytest

import chain
from bits import assert_same_bits

LIBM = ctypes.CDLL(ctypes.util.find_library("m")) if ctypes.util.find_library("m") else None


def libm_fma(a, b, c):
    name, ctype = ("fmaf", ctypes.c_float) if a.dtype == np.float32 else ("fma", ctypes.c_double)
    function = getattr(LIBM, name)
    function.argtypes, function.restype = [ctype] * 3, ctype
    triples = zip(a.tolist(), b.tolist(), c.tolist(), strict=True)
    return np.array([function(*triple) for triple in triples], dtype=a.dtype)


def hard_cases(rng, dtype):
    """Sums that nearly cancel, that are nearly ties, and of very different sizes."""
    n = 4000
    a, b = (rng.standard_normal(n).astype(dtype) for _ in range(2))
    ulps = rng.integers(-3, 4, n)
    near = (-a * b + ulps * np.spacing(a * b)).astype(dtype)
    scale = (2.0 ** rng.integers(-60, 60, n)).astype(dtype)
    # Few bits in a and b, c a power of two: products that end exactly halfway between neighbours.
    bits = np.finfo(dtype).nmant + 1
    few = rng.integers(1, 2**8, (2, n)).astype(dtype)
    power = (2.0 ** rng.integers(bits - 4, bits + 12, n)).astype(dtype)
    sign = rng.choice([-1, 1], n).astype(dtype)
    return (
        np.concatenate([a, a, a, few[0] * sign]),
        np.concatenate([b, b, b, few[1]]),
        np.concatenate([near, (a * scale).astype(dtype), b, power]),
    )


@pytest.mark.skipif(LIBM is None, reason="the C library's fma cannot be loaded")
def test_fma_is_the_c_librarys(rng, dtype):
    a, b, c = hard_cases(rng, dtype)
    assert_same_bits(chain.fma(a, b, c), libm_fma(a, b, c))


@pytest.mark.skipif(LIBM is None, reason="the C library's fma cannot be loaded")
def test_fma_float32_subnormal_and_special(rng):
    a = (rng.standard_normal(4000) * 1e-20).astype(np.float32)
    b = (rng.standard_normal(4000) * 1e-20).astype(np.float32)
    c = (rng.standard_normal(4000) * 1e-40).astype(np.float32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -3e38], dtype=np.float32)
    grid = np.meshgrid(special, special, special)
    a, b, c = (np.concatenate([z, g.ravel()]) for z, g in zip((a, b, c), grid, strict=True))
    assert_same_bits(chain.fma(a, b, c), libm_fma(a, b, c))


def test_fma_differs_from_mul_then_add(rng, dtype):
    """The cases tell the two apart; else every bit test of a chain would prove nothing."""
    a, b, c = hard_cases(rng, dtype)
    assert (chain.fma(a, b, c) != a * b + c).sum() > 1000
