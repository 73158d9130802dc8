"""sgd_step: stochastic gradient descent, in place on flat arrays."""

import numpy as np
import pytest

import fastnn
from arrays import normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference

pytestmark = pytest.mark.isa

# lr, momentum, weight_decay; and whether Nesterov's
VARIANTS = [
    (0.1, 0.0, 0.0, False),
    (0.05, 0.9, 0.0, False),
    (0.05, 0.9, 5e-4, False),
    (0.01, 0.99, 1e-2, True),
    (0.0, 0.5, 0.1, False),
]
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def bounds(w, dw, v, hyper, nesterov):
    """What rounding may do to w and v: half an eps for each operation and each constant."""
    lr, momentum, weight_decay = np.abs(hyper)
    w, dw = np.abs(w).astype(np.float64), np.abs(dw).astype(np.float64)
    velocity = dw + weight_decay * w
    if v is not None:
        velocity += momentum * np.abs(v)
    step = velocity * (1 + momentum) if nesterov else velocity
    return 0.5 * w + 6 * lr * step, 3 * velocity


@every_variant
@pytest.mark.parametrize("size", [0, 1, 2, 7, 15, 16, 17, 33, 20011, 150001])
@pytest.mark.parametrize("with_v", [True, False])
def test_one_step(rng, dtype, variant, size, with_v):
    hyper, nesterov = np.array(variant[:3]), variant[3] and with_v
    w, dw = normal(rng, size, dtype), normal(rng, size, dtype)
    v = normal(rng, size, dtype) if with_v else None
    want_w, want_v = reference.sgd_step(w, dw, v, hyper, nesterov=nesterov)
    bound_w, bound_v = bounds(w, dw, v, hyper, nesterov)
    kept_dw, kept_hyper = dw.copy(), hyper.copy()
    assert fastnn.sgd_step(w, dw, v, hyper, nesterov=nesterov) is None
    assert_within(w, want_w, roundoff(dtype) * bound_w)
    if with_v:
        assert_within(v, want_v, roundoff(dtype) * bound_v)
    assert_same_bits(dw, kept_dw)
    assert_same_bits(hyper, kept_hyper)


def test_powers_of_two_are_exact(dtype):
    """Every intermediate result is a short sum of powers of two."""
    w, dw = np.arange(-40, 40, dtype=dtype), np.arange(80, dtype=dtype)
    v = np.arange(0, 160, 2, dtype=dtype)
    hyper = np.array([0.125, 0.5, 0.25])
    for nesterov in (False, True):
        want_w, want_v = reference.sgd_step(w, dw, v, hyper, nesterov=nesterov)
        fastnn.sgd_step(w, dw, v, hyper, nesterov=nesterov)
        np.testing.assert_array_equal(w, want_w)
        np.testing.assert_array_equal(v, want_v)


def test_hyper_is_read_at_each_step(dtype):
    w, dw, hyper = np.zeros(5, dtype), np.ones(5, dtype), np.array([1.0, 0.0, 0.0])
    fastnn.sgd_step(w, dw, None, hyper)
    hyper[0] = 0.5
    fastnn.sgd_step(w, dw, None, hyper)
    np.testing.assert_array_equal(w, -1.5)


@every_variant
def test_elements_stand_alone(rng, dtype, variant):
    """A parameter's bits do not depend on where in the buffer it lies."""
    hyper, nesterov = np.array(variant[:3]), variant[3]
    w, dw, v = (normal(rng, 150, dtype) for _ in range(3))
    new_w, new_v = w.copy(), v.copy()
    fastnn.sgd_step(new_w, dw, new_v, hyper, nesterov=nesterov)
    for i in range(40):
        for j in (i + 1, i + 7, i + 16, i + 33, 150):
            part_w, part_v = w[i:j].copy(), v[i:j].copy()
            fastnn.sgd_step(part_w, dw[i:j], part_v, hyper, nesterov=nesterov)
            assert_same_bits(part_w, new_w[i:j])
            assert_same_bits(part_v, new_v[i:j])


def test_views_into_a_flat_buffer(rng, dtype):
    """Nothing beside the slice is touched."""
    w, dw, v = (normal(rng, 100, dtype) for _ in range(3))
    before_w, before_v = w.copy(), v.copy()
    fastnn.sgd_step(w[30:61], dw[30:61], v[30:61], np.array([0.1, 0.9, 0.0]))
    changed = np.zeros(100, dtype=bool)
    changed[30:61] = True
    np.testing.assert_array_equal(w != before_w, changed)
    np.testing.assert_array_equal(v != before_v, changed)


def test_not_finite(dtype):
    w, dw, v = np.zeros(40, dtype), np.zeros(40, dtype), np.zeros(40, dtype)
    dw[7], dw[33] = np.nan, np.inf
    fastnn.sgd_step(w, dw, v, np.array([0.1, 0.9, 0.0]))
    assert np.isnan(w[7])
    assert np.isneginf(w[33])
    assert np.count_nonzero(w) == 2
