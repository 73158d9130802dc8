"""Kernels in a forked child, which inherits no thread of its parent but the one that forked."""

import multiprocessing
import os
import threading

import numpy as np
import pytest

import fastnn

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork"),
    # Python 3.12 and later warn of exactly what is tested here.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

FORKS = 100
SECONDS = 20  # for one child, which takes milliseconds; a child that takes longer hangs


@pytest.fixture
def product(rng, restore_num_threads):
    """Arguments of a product that two threads share, and its result."""
    fastnn.set_num_threads(2)
    a, b = (rng.standard_normal((256, 256)).astype(np.float32) for _ in range(2))
    return a, b, fastnn.gemm(a, b)


def compute(a, b, want):
    """In the child: exit status 0 if the result has the parent's bits."""
    for _ in range(3):
        if not np.array_equal(fastnn.gemm(a, b), want):
            os._exit(1)
    os._exit(0)


def run_child(product):
    """Start a child, wait for it, and return its exit status; a child that hangs is killed."""
    child = multiprocessing.get_context("fork").Process(target=compute, args=product)
    child.start()
    child.join(SECONDS)
    if child.exitcode is None:
        child.kill()
        child.join()
        pytest.fail(f"the child was still running after {SECONDS} s")
    return child.exitcode


def test_parent_and_child(product):
    a, b, want = product
    for _ in range(FORKS):
        np.testing.assert_array_equal(fastnn.gemm(a, b), want)
        assert run_child(product) == 0
    np.testing.assert_array_equal(fastnn.gemm(a, b), want)


def test_fork_while_another_thread_computes(product):
    """Whatever the team is doing at that moment, the child starts with an idle one."""
    a, b, want = product
    stop, wrong = threading.Event(), []

    def compute_all_the_time():
        while not stop.is_set():
            if not np.array_equal(fastnn.gemm(a, b), want):
                wrong.append("result")

    thread = threading.Thread(target=compute_all_the_time)
    thread.start()
    try:
        codes = [run_child(product) for _ in range(FORKS // 2)]
    finally:
        stop.set()
        thread.join()
    assert codes == [0] * (FORKS // 2)
    assert not wrong


def test_child_of_a_child(product):
    def parent(a, b, want):
        fastnn.gemm(a, b)
        os._exit(run_child((a, b, want)))

    child = multiprocessing.get_context("fork").Process(target=parent, args=product)
    child.start()
    child.join(2 * SECONDS)
    if child.exitcode is None:
        child.kill()
        child.join()
    assert child.exitcode == 0


def test_packed_matrices_and_batches(rng, restore_num_threads):
    """What the parent packed is good in the child, and batches are shared by a team of its own."""
    fastnn.set_num_threads(2)
    x, w = (rng.standard_normal((256, 256)).astype(np.float32) for _ in range(2))
    packed, batch = fastnn.pack(w), x.reshape(16, 16, 256)
    want, want_batch = fastnn.linear(x, packed), fastnn.matmul(batch, batch.swapaxes(1, 2))

    def check():
        same = np.array_equal(fastnn.linear(x, packed), want)
        same &= np.array_equal(fastnn.linear(x, fastnn.pack(w)), want)
        same &= np.array_equal(fastnn.matmul(batch, batch.swapaxes(1, 2)), want_batch)
        os._exit(0 if same else 1)

    for _ in range(10):
        child = multiprocessing.get_context("fork").Process(target=check)
        child.start()
        child.join(SECONDS)
        if child.exitcode is None:
            child.kill()
            child.join()
        assert child.exitcode == 0
        assert np.array_equal(fastnn.linear(x, packed), want)


def test_the_number_of_threads_is_inherited(product):
    def check():
        os._exit(fastnn.get_num_threads())

    fastnn.set_num_threads(7)
    child = multiprocessing.get_context("fork").Process(target=check)
    child.start()
    child.join(SECONDS)
    assert child.exitcode == 7
