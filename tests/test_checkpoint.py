"""A run that was cut off anywhere ends with the bits of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn
import long_run
from fastnn import io, models, nn, optim, training

PROGRAM = Path(__file__).with_name("long_run.py")


class Crash(training.Callback):
    """Raises after so many batches."""

    def __init__(self, after):
        self.left = after

    def on_batch(self, run):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def expected():
    return long_run.execute(epochs=3)


def assert_same(result, expected):
    assert result[1] == expected[1]
    assert list(result[0]) == list(expected[0])
    for name, array in result[0].items():
        assert array.tobytes() == expected[0][name].tobytes(), name


def test_saving_changes_nothing(tmp_path, expected):
    assert_same(long_run.execute(tmp_path / "c.npz", epochs=3), expected)
    assert os.listdir(tmp_path) == ["c.npz"]


@pytest.mark.parametrize(
    ("after", "every"),
    [(0, 1), (1, 1), (7, 5), (11, None), (12, 1), (13, 5), (24, 12), (25, None), (35, 5)],
)
def test_resumed_after_any_batch(tmp_path, expected, after, every):
    """12 batches are an epoch: saved within epochs, at their ends, or only there."""
    path = tmp_path / "c.npz"
    with pytest.raises(KeyboardInterrupt):
        long_run.execute(path, [Crash(after)], epochs=3, every=every)
    assert_same(long_run.execute(path, epochs=3, every=every), expected)


def test_crashes_again_and_again(tmp_path, expected):
    path = tmp_path / "c.npz"
    for _ in range(35):
        with pytest.raises(KeyboardInterrupt):
            long_run.execute(path, [Crash(1)], epochs=3)
    assert_same(long_run.execute(path, epochs=3), expected)


def test_a_finished_run_stays_as_it_is(tmp_path, expected):
    path = tmp_path / "c.npz"
    long_run.execute(path, epochs=3)
    assert_same(long_run.execute(path, [Crash(0)], epochs=3), expected)


def test_more_epochs_are_added(tmp_path):
    path = tmp_path / "c.npz"
    long_run.execute(path, epochs=2)
    _, (*rows, _) = long_run.execute(path, epochs=4)
    assert [row.epoch for row in rows] == [1, 2, 3, 4]


def test_without_resume_it_starts_anew(tmp_path, expected):
    path = tmp_path / "c.npz"
    with pytest.raises(KeyboardInterrupt):
        long_run.execute(path, [Crash(5)], epochs=3)
    assert_same(long_run.execute(path, epochs=3, resume=False), expected)


def test_stopped_early_stays_stopped(tmp_path):
    """What ended the run ends it again at once, and the best weights come back."""

    def run():
        model = models.mlp((4, 3), rng=0)
        stopping = training.EarlyStopping("loss", patience=2, min_delta=10, restore_best=True)
        options = {"checkpoint": tmp_path / "c.npz", "resume": True, "progress": False}
        data = long_run.data(30, 0)
        history = fastnn.fit(model, data, epochs=9, callbacks=[stopping], rng=0, **options)
        return model.state_dict(), history

    first, history = run()
    second, again = run()
    assert len(history) == len(again) == 3
    assert history.stopped == again.stopped == "loss has not improved since epoch 1"
    assert np.array_equal(first["1.weight"], second["1.weight"])


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_random_moments(tmp_path):
    """Twenty times, also while a checkpoint is being written (there is one after every batch)."""
    path, epochs = tmp_path / "c.npz", 20
    expected = long_run.digest(*long_run.execute(epochs=epochs))
    command = [sys.executable, str(PROGRAM), str(path), str(epochs)]
    pick = random.Random(20240229)
    kills, within, leftovers, finished = 0, 0, 0, 0
    while kills < 20 or not finished:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        if kills < 20:
            time.sleep(pick.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        if process.returncode == -signal.SIGKILL:
            kills += 1
            if path.exists():
                within += io.load_arrays(path)[1]["state"]["batch"] > 0
            leftovers += len(os.listdir(tmp_path)) > path.exists()
            continue
        assert (process.returncode, output.strip()) == (0, expected)
        assert os.listdir(tmp_path) == ["c.npz"]
        path.unlink()  # and again from the start
        finished += 1
    assert within >= 10  # most kills struck in the middle of an epoch ...
    assert leftovers >= 1  # ... and at least one in the middle of writing


FULL_DISK = """
import resource, sys
import long_run
from fastnn import training

class Full(training.Callback):
    def on_epoch(self, run):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

try:
    long_run.execute(sys.argv[1], [Full()], every=None, epochs=3)
except OSError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, expected):
    """Files may suddenly not grow beyond 4096 bytes, as if there were no room."""
    path = tmp_path / "c.npz"
    with pytest.raises(KeyboardInterrupt):
        long_run.execute(path, [Crash(5)], epochs=3)
    old = path.read_bytes()
    assert len(old) > 4096
    command = [sys.executable, "-W", "error", "-c", FULL_DISK, str(path)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=PROGRAM.parent, check=True
    )
    assert result.stderr == ""
    assert result.stdout.startswith("OSError [Errno 27] File too large")
    assert "c.npz" in result.stdout
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["c.npz"]
    assert_same(long_run.execute(path, epochs=3), expected)


def simple(path, model=None, optimizer=None, n=30, batch_size=8, **options):
    model = model or nn.Sequential(nn.Linear(4, 3, rng=0), nn.ReLU())
    optimizer = (optimizer or optim.SGD)(model, lr=0.1)
    options = {"checkpoint": path, "resume": True, "progress": False, "epochs": 2} | options
    fastnn.fit(
        model, long_run.data(n, 0), optimizer=optimizer, batch_size=batch_size, rng=0, **options
    )
    return model.state_dict()


OTHERS = [
    ({"model": nn.Sequential(nn.Linear(4, 3), nn.Tanh())}, "of another model:"),
    ({"model": nn.Sequential(nn.Linear(4, 4), nn.ReLU())}, "of another model:"),
    ({"optimizer": optim.Adam}, "of another run: optimizer 'SGD', not 'Adam'"),
    ({"n": 31}, "of another run: training examples 30, not 31"),
    ({"batch_size": 4}, "of another run: batches of an epoch 4, not 8"),
    ({"clip_norm": 1.0}, "of another run: clip_norm None, not 1.0"),
    ({"callbacks": [training.EarlyStopping("loss")]}, "of another run: callbacks"),
]


@pytest.mark.parametrize(("options", "match"), OTHERS, ids=[match for _, match in OTHERS])
def test_checkpoint_of_another_run(tmp_path, options, match):
    path = tmp_path / "c.npz"
    simple(path, epochs=1)
    old = path.read_bytes()
    with pytest.raises(ValueError, match=rf"c\.npz: the checkpoint is {match}"):
        simple(path, **options)
    assert path.read_bytes() == old


def test_other_formats(tmp_path):
    path = tmp_path / "c.npz"
    simple(path, epochs=1)
    arrays, metadata = io.load_arrays(path)
    io.save_arrays(path, arrays, {**metadata, "format": "fastnn checkpoint 9"})
    with pytest.raises(ValueError, match=r"c\.npz: is of format 'fastnn checkpoint 9'; expected"):
        simple(path)
    io.save_arrays(path, arrays)
    with pytest.raises(ValueError, match=r"c\.npz: is no checkpoint"):
        simple(path)
    for part in ("model", "optimizer", "batches", "progress", "epoch", "who"):
        state = {key: value for key, value in metadata["state"].items() if key != part}
        io.save_arrays(path, arrays, {**metadata, "state": state})
        with pytest.raises(ValueError, match=r"c\.npz: "):
            simple(path)


def test_any_flipped_byte_is_found_or_harmless(tmp_path):
    path = tmp_path / "c.npz"
    simple(path, epochs=1)
    whole = path.read_bytes()
    expected = simple(path)["0.weight"]
    pick = random.Random(0)
    messages = []
    for position in pick.sample(range(len(whole)), 300):
        spoiled = bytearray(whole)
        spoiled[position] ^= pick.randrange(1, 256)
        path.write_bytes(spoiled)
        try:
            weights = simple(path)["0.weight"]
        except ValueError as error:
            messages.append(str(error))
        else:
            assert np.array_equal(weights, expected)
    assert len(messages) > 200
    assert all(message.startswith(f"{path}: ") for message in messages)


def test_leftovers_of_the_killed_are_removed(tmp_path):
    path = tmp_path / "c[1].npz"
    leftover, other = tmp_path / ".c[1].npz.0123.tmp", tmp_path / ".c1.npz.0123.tmp"
    for file in (leftover, other):
        file.write_bytes(b"half")
    simple(path)
    assert not leftover.exists()
    assert other.exists()


def test_compiled_and_eager_runs_resume_to_the_same_bits(tmp_path):
    """A run that is compiled goes on from an eager one's checkpoint, and the other way round."""
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((50, 4)).astype(np.float32), rng.integers(0, 3, 50)

    def run(epochs, compiled, checkpoint=None):
        layers = (nn.Linear(4, 16, rng=1), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.25, rng=3))
        model = nn.Sequential(*layers, nn.Linear(16, 3, rng=4))
        optimizer = optim.Adam(model, lr=0.01)
        keep = {} if checkpoint is None else {"checkpoint": checkpoint, "resume": True}
        options = {"optimizer": optimizer, "batch_size": 8, "clip_norm": 1.0, "rng": 7}
        fastnn.fit(
            model, (x, labels), epochs=epochs, compile=compiled, progress=False, **options, **keep
        )
        return {**model.state_dict(), **{f"o.{k}": v for k, v in optimizer.state_dict().items()}}

    want = run(4, False)
    for first, second in ((True, True), (True, False), (False, True)):
        path = tmp_path / f"{first}{second}.npz"
        run(2, first, path)
        for name, value in run(4, second, path).items():
            assert value.tobytes() == want[name].tobytes(), name
    for name, value in run(4, True).items():
        assert value.tobytes() == want[name].tobytes(), name
