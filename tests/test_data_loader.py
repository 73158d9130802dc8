"""The loader: its position is state, its transforms are seeded, its thread leaves no trace."""

import json
import multiprocessing
import os
import signal
import threading
import time
from contextlib import closing

import numpy as np
import pytest

from fastnn import data

X = np.arange(46, dtype=np.float32).reshape(23, 2)
Y = np.arange(23)


def add_noise(x, rng):
    return x + rng.standard_normal(x.shape).astype(x.dtype)


def make(rng=0, **options):
    return data.batches(X, Y, 4, **{"shuffle": True, "transform": add_noise, "rng": rng, **options})


def plain(parts):
    return [(x.tolist(), y.tolist()) for x, y in parts]


def threads():
    return [t for t in threading.enumerate() if t.name == "fastnn prefetch"]


def wait_for_no_threads():
    end = time.monotonic() + 10
    while threads() and time.monotonic() < end:
        time.sleep(0.001)
    assert not threads()


@pytest.mark.parametrize("prefetch", [0, 1, 3, 100])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("transform", [None, add_noise])
def test_resumes_at_every_batch(prefetch, shuffle, transform):
    rng = 5 if shuffle or transform else None
    options = {"shuffle": shuffle, "transform": transform, "prefetch": prefetch}
    want, states = [], []
    loader = make(rng, **options)
    states.append(loader.state_dict())
    for _ in range(3):
        for part in loader:
            want.append(part)
            states.append(loader.state_dict())
    for i, state in enumerate(states):
        other = make(None if rng is None else 17, **{**options, "prefetch": 2 - prefetch % 2})
        other.load_state_dict(json.loads(json.dumps(state)))
        assert other.state_dict() == state
        got = []
        while other.epoch < 3:
            got += other
        assert plain(got) == plain(want[i:])
    assert not threads()


def test_after_the_last_batch_the_rest_is_empty():
    loader = make()
    for _ in loader:
        state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 6)
    other = make()
    other.load_state_dict(state)
    assert list(other) == []
    assert other.state_dict() == loader.state_dict()
    assert (other.epoch, other.state_dict()["batch"]) == (1, 0)


def test_an_abandoned_pass_counts():
    loader = make(prefetch=2)
    with closing(iter(loader)) as parts:
        next(parts)
    state = loader.state_dict()
    assert (loader.epoch, state["batch"]) == (0, 1)
    seconds = plain(loader)
    assert loader.epoch == 2
    other = make()
    list(other)
    assert plain(other) == seconds


@pytest.mark.parametrize("name", ["PCG64", "MT19937", "Philox", "SFC64", "PCG64DXSM"])
def test_state_of_any_generator(name):
    def generator(seed):
        return np.random.Generator(getattr(np.random, name)(seed))

    loader = make(generator(1))
    list(loader)
    other = make(generator(2))
    other.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    assert plain(other) == plain(loader)


def test_transform_depends_on_seed_pass_and_batch_alone():
    zero = np.zeros((8, 2), np.float32)
    loader = data.batches(zero, np.zeros(8), 4, transform=add_noise, rng=3)
    passes = [plain(loader) for _ in range(2)]
    assert len({str(x) for one in passes for x, _ in one}) == 4
    ahead = data.batches(zero, np.zeros(8), 4, transform=add_noise, rng=3, prefetch=5)
    assert [plain(ahead) for _ in range(2)] == passes
    without = data.batches(X, Y, 4, shuffle=True, rng=0)
    assert [y for _, y in plain(make())] == [y for _, y in plain(without)]


def test_rows_of_a_view():
    x = np.arange(60).reshape(5, 12).T[:, ::2]
    for part, rows in data.batches(x, np.arange(12), 5, shuffle=True, rng=0):
        assert np.array_equal(part, x[rows])


def fail_late(x, rng):
    if 8 in x:
        raise ZeroDivisionError("late")
    return x


@pytest.mark.parametrize("prefetch", [0, 1, 9])
def test_errors_come_in_their_place(prefetch):
    loader = data.batches(X, Y, 4, transform=fail_late, prefetch=prefetch)
    seen = []
    parts = ((x, seen.extend(y.tolist())) for x, y in loader)
    with pytest.raises(ZeroDivisionError, match="late"):
        list(parts)
    assert seen == [0, 1, 2, 3]
    assert not threads()


def test_prefetch_is_bounded():
    made = []

    def count(x, rng):
        made.append(len(x))
        return x

    parts = iter(data.batches(X, Y, 1, transform=count, prefetch=3))
    next(parts)
    end = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(made) == 4
    assert len(threads()) == 1
    parts.close()
    assert not threads()


def test_abandoned_passes_leave_no_thread():
    for _ in range(50):
        for _ in make(prefetch=2):
            break
    wait_for_no_threads()


def test_two_passes_at_once():
    loader = data.batches(X, Y, 4, prefetch=2)
    for (x, _), (other, _) in zip(loader, loader, strict=True):
        assert np.array_equal(x, other)
    assert loader.epoch == 2


def exit_code_of(work):
    def child():
        os._exit(0 if work() else 1)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode


# Python 3.12 warns of a fork while there are threads, which is what is tested
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_goes_on_with_the_pass():
    want = plain(make())
    for _ in range(5):
        loader = make(prefetch=2)
        parts = iter(loader)
        first = plain([next(parts)])
        assert exit_code_of(lambda: first + plain(parts) == want) == 0  # noqa: B023
        assert exit_code_of(lambda: parts.close() is None) == 0  # noqa: B023
        assert first + plain(parts) == want


def test_ctrl_c_while_waiting():
    def slow(x, rng):
        time.sleep(0.2)
        return x

    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    loader = data.batches(X, Y, 4, transform=slow, prefetch=2)
    start = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(loader)
    assert time.monotonic() - start < 5
    timer.join()
    wait_for_no_threads()


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"prefetch": -1}, ValueError, "prefetch must be at least 0, got -1"),
        ({"prefetch": 1.0}, TypeError, "prefetch must be an integer, not float"),
        ({"transform": 3}, TypeError, r"transform must be a function of \(x, rng\), not int"),
    ],
)
def test_bad_arguments(options, error, match):
    with pytest.raises(error, match=f"batches: {match}"):
        data.batches(X, Y, 4, **options)


def test_transform_that_loses_images():
    loader = data.batches(X, Y, 4, transform=lambda x, rng: x[1:])
    with pytest.raises(ValueError, match="transform made 3 images of 4"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"epoch": -1}, ValueError, "epoch -1"),
        ({"epoch": None}, TypeError, "int"),
        ({"batch": 7}, ValueError, "batch 7 of 6"),
        ({"batch_size": 5}, ValueError, "batch_size is 4, not 5"),
        ({"num_examples": 9}, ValueError, "num_examples is 23, not 9"),
        ({"generator": {"bit_generator": "MT19937"}}, ValueError, "not a state of PCG64"),
        ({"generator": {"bit_generator": "PCG64"}}, ValueError, "not a state of PCG64"),
        ({"generator": 3}, ValueError, "not a state of PCG64"),
    ],
)
def test_bad_state(change, error, match):
    loader, untouched = make(), make()
    state = loader.state_dict()
    with pytest.raises(error, match=match):
        loader.load_state_dict({**state, **change})
    assert loader.state_dict() == state
    assert plain(loader) == plain(untouched)


@pytest.mark.parametrize("key", ["epoch", "batch", "batch_size", "num_examples", "generator"])
def test_state_without_a_key(key):
    loader = make()
    state = loader.state_dict()
    del state[key]
    with pytest.raises(ValueError, match=f"the state has no '{key}'"):
        loader.load_state_dict(state)
