"""Fixtures of the benchmarks. OpenBLAS's variables are unset here, before NumPy is loaded."""

import functools

import pytest

import environment

stale = environment.clear_blas_variables()


def pytest_collection_modifyitems(config):
    """Time nothing where the figures would mean nothing."""
    timing = config.getoption("benchmark_enable") or not config.getoption("benchmark_disable")
    problem = stale or environment.missing_tools()
    if timing and problem:
        raise pytest.UsageError(problem)


@pytest.fixture(params=[1, 2], ids=["1-thread", "2-threads"])
def threads(request):
    """Number of threads, given to fastnn and to NumPy's BLAS for as long as the test runs."""
    if request.param > environment.cpu_count():
        pytest.skip(f"fewer than {request.param} CPUs")
    with environment.limit_threads(request.param):
        yield request.param


@pytest.fixture
def compare(benchmark):
    """`harness.compare`, with pytest-benchmark's fixture filled in."""
    import harness  # here, as it loads NumPy

    return functools.partial(harness.compare, benchmark)


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(1998)
