"""Initial values: their ranges, variances and seeds."""

import math

import numpy as np
import pytest

from fastnn import init

NAMES = ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal"]
NAMES += ["lecun_uniform", "lecun_normal"]
SHAPES = [(300, 200), (40, 5, 3, 60), (1, 2000)]


def expected_variance(name, shape):
    fan_in, fan_out = init.fans(shape)
    return {
        "glorot": 2 / (fan_in + fan_out),
        "he": 2 / fan_in,
        "lecun": 1 / fan_in,
    }[name.split("_")[0]]


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((3, 7), (7, 3)), ((16, 5, 5, 6), (150, 400)), ((8, 3, 1, 1), (3, 24)), ((2, 9, 4), (36, 18))],
)
def test_fans(shape, fans):
    assert init.fans(shape) == fans


@pytest.mark.parametrize("shape", [(), (3,)])
def test_fans_need_two_axes(shape):
    with pytest.raises(ValueError, match="at least two axes"):
        init.fans(shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_mean_and_variance(name, shape):
    """Within five standard errors; the variance of the square is 2 var^2 or less for both laws."""
    values = getattr(init, name)(shape, rng=1).astype(np.float64)
    variance = expected_variance(name, shape)
    assert values.shape == shape
    assert abs(values.mean()) < 5 * math.sqrt(variance / values.size)
    assert abs(np.mean(values**2) - variance) < 5 * variance * math.sqrt(2 / values.size)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("uniform")])
def test_uniform_fills_its_range(name):
    shape = (300, 200)
    bound = math.sqrt(3 * expected_variance(name, shape))
    values = getattr(init, name)(shape, rng=2, dtype=np.float64)
    assert -bound <= values.min() < -0.999 * bound
    assert 0.999 * bound < values.max() <= bound


@pytest.mark.parametrize("name", NAMES)
def test_normal_has_tails_and_uniform_has_none(name):
    values = getattr(init, name)((300, 200), rng=2)
    beyond = np.abs(values) > 2.5 * math.sqrt(expected_variance(name, values.shape))
    assert beyond.any() == name.endswith("normal")


@pytest.mark.parametrize("name", NAMES)
def test_seeds(name):
    function = getattr(init, name)
    first = function((4, 5), rng=7)
    assert first.dtype == np.float32
    assert np.array_equal(first, function((4, 5), rng=7))
    assert np.array_equal(first, function((4, 5), rng=np.random.default_rng(7)))
    assert np.array_equal(first, function((4, 5), rng=7, dtype=np.float64).astype(np.float32))
    assert not np.array_equal(first, function((4, 5), rng=8))
    rng = np.random.default_rng(7)
    function((4, 5), rng=rng)
    assert not np.array_equal(first, function((4, 5), rng=rng))  # the generator has moved on
    assert not np.array_equal(function((4, 5)), function((4, 5)))  # None is fresh entropy
