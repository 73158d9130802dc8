"""The Neocognitron as a classifier."""

import numpy as np
import pytest

from fastnn.models.neocognitron.cells import inhibitory_weights, s_window
from fastnn.models.neocognitron.estimator import Neocognitron
from fastnn.models.neocognitron.learning import add_if_silent


def test_add_if_silent_adds_what_is_new_once():
    c = s_window(3, 1.5, 0.7)
    x = np.zeros((3, 6, 6, 2))
    x[0, 2, 2, 0] = x[1, 3, 3, 0] = x[2, 2, 2, 1] = 1  # the second is the first, shifted
    fields = add_if_silent(x, c, 0.7, 2.0, 9, cut=0.9)
    assert len(fields) == 2
    np.testing.assert_allclose(inhibitory_weights(fields, c), 1)
    assert len(add_if_silent(x, c, 0.7, 2.0, 1)) == 1


def bars(rng, n):
    x = np.zeros((n, 28, 28, 1), np.float32)
    labels = np.arange(n) % 2
    for image, label, at in zip(x, labels, rng.integers(12, 16, n), strict=True):
        (image if label else image.transpose(1, 0, 2))[at : at + 2, 6:22] = 1
    return x, labels


def test_bars_are_told_apart():
    rng = np.random.default_rng(0)
    model = Neocognitron().fit(*bars(rng, 20))
    assert model.score(*bars(rng, 20)) == 1


def test_bad_calls():
    with pytest.raises(ValueError, match="fit it first"):
        Neocognitron().predict(np.zeros((1, 28, 28, 1)))
    with pytest.raises(ValueError, match="as many"):
        Neocognitron().fit(np.zeros((2, 28, 28, 1)), np.zeros(1))
