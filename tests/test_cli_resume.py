"""``fastnn resume``: however a run ended, what it leaves in the end is the same."""

import json
import random
import signal
import sys
import time

import pytest

from cli_runner import PLAIN, run, start
from fastnn.cli import main, results

TRAIN = ["train", "mlp", "--epochs", "4", "--seed", "3", "--checkpoint-every", "20"]
TRAIN += ["--augment", "shift", "--schedule", "cosine", "--optimizer", "adam"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """They take longer than the training."""
    monkeypatch.setattr(results, "have_matplotlib", lambda: False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The directory and the output of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole")
    result = run(*TRAIN, "--out", out, code=PLAIN)
    assert result.returncode == 0, result.stderr
    return out, result


def assert_same(out, whole, stdout):
    assert stdout == whole[1].stdout
    assert (out / "model.npz").read_bytes() == (whole[0] / "model.npz").read_bytes()
    ours, theirs = (json.loads((d / "history.json").read_text()) for d in (out, whole[0]))
    for row in (*ours["epochs"], *theirs["epochs"]):
        del row["seconds"], row["images_per_second"]
    assert ours == theirs


def test_after_kills(tmp_path, whole):
    pick = random.Random(1)
    process = start(*TRAIN, "--out", tmp_path, code=PLAIN)
    for _ in range(4):
        while not (tmp_path / "checkpoint.npz").exists():
            time.sleep(0.01)
        time.sleep(pick.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        process = start("resume", tmp_path, "--checkpoint-every", "20", code=PLAIN)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    assert_same(tmp_path, whole, stdout)


def test_after_an_interrupt(tmp_path, whole):
    process = start(*TRAIN, "--out", tmp_path, code=PLAIN)
    for line in process.stderr:
        if line.startswith("epoch 1/4"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in (0, 130)  # it may have been quicker
    again = run("resume", tmp_path, "--threads", "1", code=PLAIN)
    assert again.returncode == 0, again.stderr
    assert_same(tmp_path, whole, again.stdout)


def test_of_a_finished_run_changes_nothing(whole, capsys):
    before = (whole[0] / "model.npz").read_bytes()
    assert main(["resume", str(whole[0])]) == 0
    assert capsys.readouterr().out == whole[1].stdout
    assert (whole[0] / "model.npz").read_bytes() == before


def test_of_another_run(tmp_path, capsys):
    """A plan that was changed by hand does not go with the checkpoint."""
    assert main(["train", "mlp", "--epochs", "1", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    plan = json.loads((tmp_path / "run.json").read_text())
    plan["recipe"] = {**plan["recipe"], "batch_size": 99}
    (tmp_path / "run.json").write_text(json.dumps(plan))
    assert main(["resume", str(tmp_path)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "checkpoint.npz: the checkpoint is of another run: batches of an epoch 45, not" in error


def test_training_anew_forgets_the_old_run(tmp_path, capsys):
    """Also if it is killed before its first checkpoint."""
    assert main(["train", "mlp", "--epochs", "1", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    process = start("train", "lenet5", "--out", tmp_path, code=PLAIN)
    process.stderr.readline()  # it has begun
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    plan = json.loads((tmp_path / "run.json").read_text())
    assert plan["model"] == "lenet5"
    plan["recipe"] = {**plan["recipe"], "epochs": 1}
    (tmp_path / "run.json").write_text(json.dumps(plan))
    assert main(["resume", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "lenet5"
