"""Fixtures of the benchmarks. OpenBLAS's variables are unset here, before NumPy is loaded."""

import functools

import environment
import pytest

stale = environment.clear_blas_variables()


@pytest.fixture(params=[1, 2], ids=["1-thread", "2-threads"])
def threads(request):
    """Number of threads, given to fastnn and to NumPy's BLAS for as long as the test runs."""
    if request.param > environment.cpu_count():
        pytest.skip(f"fewer than {request.param} CPUs")
    with environment.limit_threads(request.param):
        yield request.param


@pytest.fixture
def compare(benchmark):
    """`compare.compare`, with pytest-benchmark's fixture filled in."""
    import compare  # here, as it loads NumPy

    if stale and benchmark.enabled:
        pytest.exit(stale, returncode=4)
    benchmark.group = None
    return functools.partial(compare.compare, benchmark)


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(1998)
