"""Comparisons: the same bits, or within a bound that was derived."""

import numpy as np


def assert_same_bits(got, want):
    """Equal shape, dtype and bits; any NaN equals any NaN, and -0.0 differs from 0.0."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    both_nan = np.isnan(got) & np.isnan(want)
    different = ~both_nan & ((got != want) | (np.signbit(got) != np.signbit(want)))
    if different.any():
        where = tuple(int(i) for i in np.argwhere(different)[0])
        message = f"{different.sum()} of {got.size} differ, first at {where}: "
        raise AssertionError(message + f"{got[where]!r}, expected {want[where]!r}")


def assert_within(got, want, bound):
    """|got - want| <= bound everywhere, in float64; got is finite where want is."""
    got, want, bound = (np.asarray(z, dtype=np.float64) for z in (got, want, bound))
    assert got.shape == want.shape
    assert np.isfinite(got).all()
    bad = np.abs(got - want) > bound
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        limit = np.broadcast_to(bound, got.shape)[where]
        message = f"{bad.sum()} of {got.size} are out of bounds, first at {where}: "
        raise AssertionError(message + f"{got[where]!r}, expected {want[where]!r} +- {limit!r}")


def roundoff(dtype):
    """The unit of the derived bounds: an eps for the kernel, and one of float64 for the reference.

    A rounding costs at most half of each, relative to its result.
    """
    return float(np.finfo(dtype).eps) + float(np.finfo(np.float64).eps)


def tiny(dtype):
    """The smallest subnormal: what underflow may cost each operation."""
    return float(np.finfo(dtype).smallest_subnormal)
