"""Programs in files: read again, damaged, and run from C."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

import fastnn
from compiling import training_step
from fastnn import program
from test_compile import make, small_net


@pytest.fixture
def saved(tmp_path: Path) -> tuple[fastnn.nn.Module, np.ndarray, Path]:
    """Return a model, its input, and a program in a file."""
    model = small_net()
    x = np.random.default_rng(0).standard_normal((3, 12, 12, 3)).astype(np.float32)
    infer = fastnn.compile(lambda x: model(x))
    infer(x)
    infer.save(tmp_path / "net.fnn")
    return model, x, tmp_path / "net.fnn"


def test_a_saved_program_has_the_same_bits(saved: tuple) -> None:
    model, x, path = saved
    expected = model(x)
    load = program.load(path)
    assert load.inputs == [(np.dtype(np.float32), (3, 12, 12, 3))]
    assert load.outputs == [(np.dtype(np.float32), (3, 5))]
    for parameter in model.parameters():
        parameter.data[...] = 0  # it has its own
    for threads in (1, 2, 3):
        with fastnn.threads(threads):
            assert load(x).tobytes() == expected.tobytes()
            assert load(x[:, ::-1][:, ::-1]).tobytes() == expected.tobytes()


def test_several_arrays_in_and_out(tmp_path: Path) -> None:
    table = np.arange(12.0).reshape(4, 3)

    @fastnn.compile
    def function(a: np.ndarray, b: np.ndarray) -> tuple:
        y = fastnn.gemm(a, table)
        return fastnn.softmax(y), [fastnn.gemm(b, y), y]

    a, b = np.eye(4)[:2], np.ones((5, 2))
    expected = function(a, b)
    function.save(tmp_path / "two.fnn")
    first, second, third = program.load(tmp_path / "two.fnn")(a, b)
    assert np.array_equal(first, expected[0])
    assert np.array_equal(second, expected[1][0])
    assert np.array_equal(third, expected[1][1])


def test_equal_programs_give_equal_files(tmp_path: Path) -> None:
    files = []
    for i in range(2):
        model = small_net()
        infer = fastnn.compile(lambda x, model=model: model(x))
        infer(np.ones((1, 12, 12, 3), np.float32))
        infer.save(tmp_path / f"{i}.fnn")
        files.append((tmp_path / f"{i}.fnn").read_bytes())
    assert files[0] == files[1]


def test_wrong_arguments(saved: tuple) -> None:
    _, x, path = saved
    load = program.load(path)
    with pytest.raises(TypeError, match="expected 1 arrays, got 2"):
        load(x, x)
    with pytest.raises(TypeError, match="argument 0 must be float32, not float64"):
        load(x.astype(np.float64))
    with pytest.raises(ValueError, match=r"argument 0 must have shape \(3, 12, 12, 3\)"):
        load(x[:2])
    with pytest.raises(TypeError, match="must be a NumPy array, not list"):
        load(x.tolist())


def test_damage_is_found(saved: tuple) -> None:
    """Flip one bit in every 37th byte, and every one of the header's; cut the file anywhere."""
    _, _, path = saved
    good = path.read_bytes()
    positions = [*range(64), *range(64, len(good), 37)]
    for at in positions:
        bad = bytearray(good)
        bad[at] ^= 1 << at % 8
        path.write_bytes(bad)
        if 24 <= at < 32:  # reserved
            continue
        with pytest.raises(ValueError, match=r"net\.fnn: "):
            program.load(path)
    for size in (0, 1, 31, 32, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(ValueError, match=r"net\.fnn: "):
            program.load(path)
    path.write_bytes(good + b"x")
    with pytest.raises(ValueError, match="has not the size it states"):
        program.load(path)


def test_damage_with_a_right_checksum_is_an_error_or_harmless(saved: tuple) -> None:
    """The structure is checked too: no number in it leads out of the file."""
    _, _, path = saved
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in [*range(32, 200), *rng.integers(32, len(good), 300)]:
        bad = bytearray(good)
        bad[at] = rng.integers(256)
        bad[12:16] = zlib.crc32(bad[32:]).to_bytes(4, "little")
        path.write_bytes(bad)
        with contextlib.suppress(ValueError):
            program.load(path)


def test_foreign_files(saved: tuple, tmp_path: Path) -> None:
    _, _, path = saved
    good = path.read_bytes()
    other = tmp_path / "other.fnn"
    for contents, message in (
        (b"PK\3\4" + bytes(100), "not a program of fastnn"),
        (good[:8] + b"\2\0\0\0" + good[12:], "format 2, this library reads 1"),
    ):
        other.write_bytes(contents)
        with pytest.raises(ValueError, match=message):
            program.load(other)
    version = fastnn.__version__.encode()
    body = good[32:].replace(version, b"9" * len(version), 1)
    other.write_bytes(good[:12] + zlib.crc32(body).to_bytes(4, "little") + good[16:32] + body)
    with pytest.raises(ValueError, match=rf"made by fastnn 99999, this is {fastnn.__version__}"):
        program.load(other)
    with pytest.raises(FileNotFoundError):
        program.load(tmp_path / "none.fnn")
    with pytest.raises(ValueError, match="has 0 bytes"):
        program.load(_empty(tmp_path))


def _empty(folder: Path) -> Path:
    path = folder / "empty.fnn"
    path.touch()
    return path


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "no.fnn"
    x, labels = np.ones((2, 12, 12, 3), np.float32), np.array([0, 1])
    step = fastnn.compile(training_step(*make()))
    with pytest.raises(ValueError, match=r"step\.save: call step first"):
        step.save(path)
    step(x, labels)
    with pytest.raises(ValueError, match="return new arrays"):
        step.save(path)
    counter = np.zeros(3)
    for function, arguments, message in (
        (lambda x, a: fastnn.gemm(x, x, alpha=a), (np.eye(2), 2.0), "no arrays cannot be saved"),
        (lambda x: fastnn.relu(x, out=counter), (np.ones(3),), "return new arrays"),
        (lambda x: (fastnn.relu(x, out=counter), fastnn.exp(x)), (np.ones(3),), "new arrays"),
        (lambda x: x, (np.ones(3),), "return new arrays"),
    ):
        compiled = fastnn.compile(function)
        compiled(*arguments)
        with pytest.raises(ValueError, match=message):
            compiled.save(path)
    packed = fastnn.pack(np.eye(3))
    compiled = fastnn.compile(lambda x: fastnn.linear(x, packed))
    compiled(np.eye(3))
    with pytest.raises(ValueError, match="packed weights are for this machine alone"):
        compiled.save(path)
    assert not path.exists()


def test_a_forked_child_does_not_wait_for_threads_that_are_not_there(tmp_path: Path) -> None:
    a = np.eye(300)
    chain = fastnn.compile(lambda a: fastnn.gemm(fastnn.gemm(a, a), fastnn.gemm(a, a)))
    chain(a)
    chain.save(tmp_path / "chain.fnn")
    load = program.load(tmp_path / "chain.fnn")
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            load(a)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # a child that waits for ever dies
                os._exit(0 if np.array_equal(load(a), a) else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()
