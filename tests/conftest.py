"""What every test file shares: the hypothesis profiles and a few fixtures."""

import os

import numpy as np
import pytest
from hypothesis import settings

import fastnn

# Plain asserts in the tests' own modules explain themselves as those in test files do.
pytest.register_assert_rewrite("arrays", "bad_calls", "bits", "calls")

# The same examples on every run, so that a red run can be repeated; HYPOTHESIS_PROFILE=search looks
# for new ones. No deadline: shared machines stall for longer than any call takes.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def restore_num_threads():
    """Undo what the test does with set_num_threads."""
    before = fastnn.get_num_threads()
    yield
    fastnn.set_num_threads(before)
