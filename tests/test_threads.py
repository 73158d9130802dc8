"""The number of threads changes nothing but the time; limits are local to the Python thread."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnn
from bits import assert_same_bits
from calls import calls, large_calls
from geometry import Conv

DTYPES = [np.float32, np.float64]
LARGE = [(call, dtype) for dtype in DTYPES for call in large_calls(dtype)]
# Shapes that divide badly: a few rows, columns, images or filters for many threads.
UNEVEN = [
    {"m": 2, "n": 3001, "k": 211, "conv": Conv((1, 61, 57, 16), 3, (3, 3))},
    {"m": 4001, "n": 3, "k": 97, "conv": Conv((2, 9, 9, 61), 97, (3, 3), padding=1)},
    {"m": 61, "n": 67, "k": 2011, "conv": Conv((23, 12, 11, 12), 12, (3, 3), groups=3)},
]


def same(results, expected):
    for result, want in zip(results, expected, strict=True):
        assert_same_bits(result, want)


@pytest.mark.parametrize(("call", "dtype"), LARGE, ids=lambda z: getattr(z, "__name__", str(z)))
def test_bits_do_not_depend_on_the_number_of_threads(restore_num_threads, call, dtype):
    fastnn.set_num_threads(1)
    want = call()
    for n in (2, 3, 5):
        fastnn.set_num_threads(n)
        for _ in range(3):
            same(call(), want)
    fastnn.set_num_threads(1)
    with fastnn.threads(4):
        same(call(), want)


@pytest.mark.parametrize("sizes", UNEVEN, ids=["wide", "tall", "deep"])
def test_uneven_work(restore_num_threads, dtype, sizes):
    for call in calls(dtype, **sizes, activation=None):
        fastnn.set_num_threads(1)
        want = call()
        for n in (2, 3, 5, 16):
            fastnn.set_num_threads(n)
            same(call(), want)


@pytest.mark.parametrize("workers", [2, 8])
def test_python_threads_share_inputs(restore_num_threads, dtype, workers):
    """Who finds the team busy computes alone; all get the same bits."""
    fastnn.set_num_threads(2)
    table = large_calls(dtype)
    expected = [call() for call in table]
    start = threading.Barrier(workers)

    def work(offset):
        start.wait()
        for i in range(len(table)):
            at = (i + offset) % len(table)  # different kernels at the same time, in time all pairs
            call = table[at]
            inputs = [x.copy() for x in call.inputs] if call.out_shape is None else call.inputs
            same(call.run(*inputs, call.nan_out()), expected[at])

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))


def test_teams_of_changing_size(restore_num_threads, rng):
    """Members that sat out a kernel take part in the next."""
    a, b = (rng.standard_normal((128, 128)).astype(np.float32) for _ in range(2))
    want = fastnn.gemm(a, b)
    for i in range(2000):
        fastnn.set_num_threads((1, 2, 5, 3, 2, 4)[i % 6])
        assert np.array_equal(fastnn.gemm(a, b), want)


def test_set_num_threads(restore_num_threads):
    for n in (1, 2, 5, 256, np.int64(3)):
        fastnn.set_num_threads(n)
        assert fastnn.get_num_threads() == n
        assert fastnn.get_config()["num_threads"] == n


def test_threads_is_local_to_the_python_thread(restore_num_threads):
    fastnn.set_num_threads(5)
    inside, leave = threading.Event(), threading.Event()
    seen = []

    def limited():
        with fastnn.threads(1):
            seen.append(fastnn.get_num_threads())
            inside.set()
            leave.wait()
        seen.append(fastnn.get_num_threads())

    thread = threading.Thread(target=limited)
    thread.start()
    inside.wait()
    here = fastnn.get_num_threads()
    leave.set()
    thread.join()
    assert here == 5
    assert seen == [1, 5]


def test_threads_nests_and_restores(restore_num_threads):
    fastnn.set_num_threads(5)
    with fastnn.threads(3):
        with fastnn.threads(2):
            assert fastnn.get_num_threads() == 2
        assert fastnn.get_num_threads() == 3
        fastnn.set_num_threads(4)  # the process's, for when this block ends
        assert fastnn.get_num_threads() == 3
    assert fastnn.get_num_threads() == 4

    def fail():
        with fastnn.threads(2):
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        fail()
    assert fastnn.get_num_threads() == 4


@pytest.mark.parametrize("n", [0, -1, 257, 2**31, 2**70])
def test_numbers_out_of_range(restore_num_threads, n):
    fastnn.set_num_threads(3)
    with pytest.raises(ValueError, match=r"set_num_threads: n must be"):
        fastnn.set_num_threads(n)
    with pytest.raises(ValueError, match=r"threads: n must be"), fastnn.threads(n):
        pass
    assert fastnn.get_num_threads() == 3


@pytest.mark.parametrize("n", [1.0, "2", None, [2], True])
def test_not_a_number(restore_num_threads, n):
    fastnn.set_num_threads(3)
    with pytest.raises(TypeError, match=r"set_num_threads: n must be an integer"):
        fastnn.set_num_threads(n)
    with pytest.raises(TypeError, match=r"threads: n must be an integer"), fastnn.threads(n):
        pass
    assert fastnn.get_num_threads() == 3


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SHOW = "import fastnn; c = fastnn.get_config(); print(c['num_threads'], c['num_threads_source'])"


@pytest.mark.parametrize("n", ["1", "3", "256"])
def test_environment_variable(n):
    done = run_python(SHOW, FASTNN_NUM_THREADS=n)
    assert done.stdout.split(maxsplit=1) == [n, "FASTNN_NUM_THREADS\n"], done.stderr


@pytest.mark.parametrize("n", ["0", "-2", "257", "two", "2.5", "3x", "99999999999999999999"])
def test_bad_environment_variable(n):
    """A clear error at import, naming variable, value and what is valid; not a silent default."""
    done = run_python(SHOW, FASTNN_NUM_THREADS=n)
    assert done.returncode != 0
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert f"FASTNN_NUM_THREADS={n}" in last
    assert "1 to 256" in last


def test_default_number_of_threads():
    """Without the variable: at most the CPUs that this process may use."""
    done = run_python(SHOW, FASTNN_NUM_THREADS="")
    assert 1 <= int(done.stdout.split()[0]) <= len(os.sched_getaffinity(0))


def test_importing_starts_no_thread():
    code = """
import os
before = len(os.listdir("/proc/self/task"))
import numpy
with_numpy = len(os.listdir("/proc/self/task"))
import fastnn
fastnn.relu(numpy.ones(3, numpy.float32))
print(len(os.listdir("/proc/self/task")) - with_numpy)
"""
    assert run_python(code).stdout.strip() == "0"
