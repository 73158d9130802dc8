"""Compiled functions with several threads, forks and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np

import fastnn
from compiling import image_batches, training_step
from test_compile import make


def test_two_threads_call_one_function() -> None:
    multiply = fastnn.compile(lambda a, b: fastnn.gemm(fastnn.gemm(a, b), b))
    rng = np.random.default_rng(0)
    pairs = [rng.integers(-9, 9, (2, 60, 60)).astype(np.float64) for _ in range(4)]
    multiply(*pairs[0])
    failures = []

    def work(pair: np.ndarray) -> None:
        a, b = pair
        for _ in range(200):
            if not np.array_equal(multiply(a, b), a @ b @ b):
                failures.append(pair)

    threads = [threading.Thread(target=work, args=(pair,)) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_thread_records_while_another_computes() -> None:
    stop = threading.Event()
    failures = []
    x = np.arange(12.0).reshape(3, 4)

    def compute() -> None:
        while not stop.is_set():
            y = fastnn.relu(x)
            if type(y) is not np.ndarray or not np.array_equal(y, x):
                failures.append(y)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        for _ in range(100):
            relu = fastnn.compile(lambda x: fastnn.relu(fastnn.relu(x)))
            assert np.array_equal(relu(x), x)
    finally:
        stop.set()
        thread.join()
    assert not failures


def test_changes_elsewhere_while_it_is_called() -> None:
    """Whoever sets attributes of modules in another thread delays calls, no more."""
    layer = fastnn.nn.Linear(3, 2, rng=0)
    other = fastnn.nn.Linear(3, 2, rng=1)
    infer = fastnn.compile(lambda x: layer(x))
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            other.note = None

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for i in range(3000):
            x = np.full((1 + i % 40, 3), i, np.float32)
            assert np.array_equal(infer(x), layer(x))
    finally:
        stop.set()
        thread.join()


def test_in_a_forked_child() -> None:
    model, optimizer = make()
    twin_model, twin_optimizer = make()
    step = fastnn.compile(training_step(model, optimizer))
    eager = training_step(twin_model, twin_optimizer)
    batches = image_batches(6, sizes=(4, 4, 33))
    with fastnn.threads(2):
        for batch in batches[:3]:
            assert step(*batch) == eager(*batch)
        child = os.fork()
        if child == 0:
            same = all(step(*batch) == eager(*batch) for batch in batches[3:])
            os._exit(0 if same else 1)
        deadline = time.monotonic() + 60
        while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
        assert done[1] == 0
        assert [step(*b) for b in batches[3:]] == [eager(*b) for b in batches[3:]]


def test_a_fork_while_another_thread_runs_a_program() -> None:
    chain = fastnn.compile(lambda a: fastnn.gemm(fastnn.gemm(a, a), fastnn.gemm(a, a)))
    a = np.eye(300)
    chain(a)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            chain(a)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                os._exit(0 if np.array_equal(chain(a), a) else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


INTERRUPTED = """
import signal, sys, time
import numpy as np
import fastnn

def long(a):
    for _ in range(600):
        a = fastnn.gemm(a, b)
    return a

b = np.eye(500)
step = fastnn.compile(long)
print("ready", flush=True)
try:
    for _ in range(100):
        step(b)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    assert np.array_equal(step.function(b[:1]), b[:1])
    print("goes on", flush=True)
"""


def test_control_c_between_ops() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        assert process.stdout.readline() == "interrupted\n"
        assert time.monotonic() - sent < 2  # a call takes longer
        assert process.stdout.readline() == "goes on\n"
        assert process.wait(60) == 0
