"""Compiled functions called in ways that are unusual."""

from __future__ import annotations

import functools
import os
import signal
import threading
import warnings
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
MODEL = nn.Linear(4, 4, rng=0)


def fail_on_one_row(x: Any) -> Any:
    return x + 1 if len(x) == 1 else fastnn.relu(x)


def test_a_failed_recording_leaves_no_trace(tmp_path: Path) -> None:
    f = fastnn.compile(fail_on_one_row, max_programs=2)
    with pytest.raises(fastnn.program.RecordingError):
        f(X[:1])
    with pytest.raises(ValueError, match="call fail_on_one_row first"):
        f.save(tmp_path / "no.fnn")
    for n in range(2, 6):
        f(np.ones((n, 2)))
    assert len(f.programs()) == 2


def test_static_floats_are_told_apart_by_their_bits() -> None:
    f = fastnn.compile(fastnn.leaky_relu)
    for slope in (0.0, -0.0):
        assert f(X, slope).tobytes() == fastnn.leaky_relu(X, slope).tobytes()
    g = fastnn.compile(lambda x, _: fastnn.relu(x))
    for _ in range(3):
        g(X, float("nan"))
    assert len(g.programs()) == 1


def test_a_compiled_function_of_no_arguments_is_noted_as_part_of_another() -> None:
    counter, two = np.ones(4), np.full(4, 2.0)

    @fastnn.compile
    def double() -> None:
        fastnn.mul(counter, two, out=counter)

    @fastnn.compile
    def outer(x: np.ndarray) -> np.ndarray:
        double()
        return fastnn.relu(x)

    double()
    for _ in range(3):
        outer(X)
    assert counter.tolist() == [16] * 4


def test_partial_functions() -> None:
    f = fastnn.compile(functools.partial(fastnn.leaky_relu, negative_slope=0.5))
    assert np.array_equal(f(X), fastnn.leaky_relu(X, 0.5))


def test_what_is_no_function_of_arrays() -> None:
    def generator(x: np.ndarray) -> Any:
        yield fastnn.relu(x)

    with pytest.raises(TypeError, match="a generator or a coroutine"):
        fastnn.compile(generator)
    with pytest.raises(TypeError, match="expected a function of Python"):
        fastnn.compile(np.add)
    with pytest.raises(ValueError, match="max_programs must be at least 1, got 0"):
        fastnn.compile(fail_on_one_row, max_programs=0)


def test_symbols_are_not_returned_in_other_objects() -> None:
    pair = namedtuple("pair", "a b")
    for f in (lambda x: pair(fastnn.relu(x), 1), lambda x: MODEL.forward(x)):
        with pytest.raises(TypeError, match="the function returns an object of type"):
            fastnn.compile(f)(X)


def in_a_comprehension(x: Any) -> Any:
    return [MODEL(x) for _ in range(1)].pop()


def through_a_function(x: Any) -> Any:
    return in_a_comprehension(x)


class Owner:
    def __init__(self) -> None:
        self.model = MODEL

    def infer(self, x: Any) -> Any:
        return self.model(x)


@pytest.mark.parametrize(
    ("f", "first"),
    [
        (in_a_comprehension, ()),
        (through_a_function, ()),
        (functools.partial(Owner.infer, Owner()), ()),
        (Owner.infer, (Owner(),)),
        (lambda model, x: model(x), (MODEL,)),
    ],
)
def test_models_that_a_function_reaches_by_detours_are_watched(f: Callable, first: tuple) -> None:
    infer = fastnn.compile(f)
    infer(*first, X)
    optim.SGD(MODEL, lr=0.1)
    with pytest.raises(ValueError, match="has moved a parameter"):
        infer(*first, X)


def test_profile_holds_for_programs_recorded_later() -> None:
    f = fastnn.compile(lambda x: fastnn.relu(x))
    f.profile()
    f(X)
    assert " us " in f.explain()


def test_programs_of_too_many_arrays_are_not_saved(tmp_path: Path) -> None:
    f = fastnn.compile(lambda x: [fastnn.relu(x) for _ in range(64)])
    f(X)
    with pytest.raises(ValueError, match="at most 64 arrays in and out"):
        f.save(tmp_path / "many.fnn")


def test_a_fork_while_another_thread_records() -> None:
    f = fastnn.compile(lambda x: fastnn.relu(x))
    held, done = threading.Event(), threading.Event()

    def record() -> None:
        with f._lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=record)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: threads and fork
        child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        try:
            f(X)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert status == 0


def test_what_is_written_into_is_no_other_argument() -> None:
    f = fastnn.compile(lambda a, b: fastnn.add(a, b, out=a))
    a, x = np.ones((3, 4)), np.ones((4, 4))
    f(a, np.ones((3, 4)))
    for args in ((a, a), (x[1:], x[:-1])):
        with pytest.raises(ValueError, match="must not overlap another argument"):
            f(*args)
    assert a.min() == a.max() == 2


def test_what_changes_while_it_is_recorded_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that another thread changes between recording and running: the program runs."""
    infer = fastnn.compile(lambda x: fastnn.relu(x))
    monkeypatch.setattr(infer, "_remember", lambda *_: fastnn._core.note_change())
    for n in (1, 2, 1):
        assert np.array_equal(infer(np.ones(n)), np.ones(n))
