"""``fastnn train`` and ``fastnn eval``, as a user meets them: output, files, exit status."""

import json
import os
import re
import signal
import sys
import time

import numpy as np
import pytest

from cli_runner import PLAIN, SHORT, accuracy, run, start
from fastnn import data, models, training
from fastnn.cli import main, results
from fastnn.cli.augment import AUGMENTATIONS, build_transform, parse_augment
from fastnn.cli.catalog import load_model


class TestTrain:
    def test_files(self, trained):
        out, _ = trained
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        files = sorted(os.listdir(out))
        pictures = ["curves.png", "mistakes.png"]
        assert files == sorted(
            ["checkpoint.npz", "history.json", "model.npz", "run.json", *pictures]
        )
        for name in ("curves.png", "mistakes.png"):
            assert (out / name).read_bytes().startswith(b"\x89PNG")

    def test_history(self, trained):
        out, result = trained
        history = json.loads((out / "history.json").read_text())
        assert history["model"] == "mlp"
        assert history["data"] == "digits"
        assert history["seed"] == 3
        assert history["parameters"] == 101770
        assert (history["epochs"][0]["epoch"], len(history["epochs"])) == (1, 1)
        assert history["epochs"][0]["examples"] == 1438
        assert history["test_accuracy"] == history["epochs"][-1]["test_accuracy"]
        assert history["interrupted"] is False
        matrix = np.array(history["confusion_matrix"])
        assert matrix.sum() == 359
        assert matrix.trace() / 359 == pytest.approx(history["test_accuracy"])
        assert accuracy(result.stdout) == pytest.approx(100 * history["test_accuracy"], abs=0.01)

    def test_model_file_holds_what_was_trained(self, trained):
        out, _ = trained
        model, metadata = load_model(str(out / "model.npz"))
        history = json.loads((out / "history.json").read_text())
        _, (x, labels) = data.load_digits()
        assert training.evaluate(model, x, labels).accuracy == history["test_accuracy"]
        assert metadata["test_accuracy"] == history["test_accuracy"]

    def test_output(self, trained):
        _, result = trained
        lines = result.stdout.splitlines()
        assert lines[0].startswith("test accuracy ")
        assert lines[1].startswith("confusion matrix")
        rows = [[0 if n == "." else int(n) for n in line.split()] for line in lines[3:]]
        assert np.array(rows)[:, 0].tolist() == list(range(10))
        assert np.array(rows)[:, 1:].sum() == 359
        errors = result.stderr.splitlines()
        assert re.match(r"mlp, 101,770 parameters, on digits: 1,438 training and 359", errors[0])
        assert re.match(r"epoch 1/1  loss \d\.\d{4}  accuracy .*%  test .* images/s$", errors[1])
        assert len(errors) == 3

    def test_eval_agrees(self, trained):
        out, result = trained
        evaluated = run("eval", out / "model.npz")
        assert evaluated.returncode == 0
        assert evaluated.stderr == ""
        assert evaluated.stdout == "mlp on digits\n" + result.stdout

    @pytest.mark.parametrize("threads", [1, 2])
    def test_same_seed_gives_the_same_file(self, trained, tmp_path, threads):
        out, result = trained
        options = ["--seed", 3, "--threads", threads, "--out", tmp_path]
        again = run("train", "mlp", *SHORT, *options, code=PLAIN)
        assert again.stdout == result.stdout
        assert (tmp_path / "model.npz").read_bytes() == (out / "model.npz").read_bytes()

    def test_other_seed_gives_another_file(self, trained, tmp_path):
        out, _ = trained
        run("train", "mlp", *SHORT, "--seed", 4, "--out", tmp_path, code=PLAIN)
        assert (tmp_path / "model.npz").read_bytes() != (out / "model.npz").read_bytes()

    def test_without_out_nothing_is_written(self, tmp_path):
        assert run("train", "mlp", *SHORT, cwd=tmp_path).returncode == 0
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("model", ["lenet5", "mlp"])
    def test_default_recipe_learns_the_digits(self, model):
        begin = time.monotonic()
        result = run("train", model)
        assert result.returncode == 0, result.stderr
        assert accuracy(result.stdout) >= 97
        assert time.monotonic() - begin < 60

    def test_options_reach_the_optimizer(self, tmp_path):
        options = {"lr": "0.03125", "momentum": "0.5", "epochs": "2", "batch-size": "100"}
        flags = [text for name, value in options.items() for text in (f"--{name}", value)]
        result = run("train", "mlp", *flags, "--out", tmp_path, code=PLAIN)
        assert result.returncode == 0, result.stderr
        history = json.loads((tmp_path / "history.json").read_text())
        for name, value in options.items():
            assert history["recipe"][name.replace("-", "_")] == float(value)
        assert len(history["epochs"]) == 2

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ([], {"optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "schedule": "linear"}),
            (["--optimizer", "adam"], {"optimizer": "adam", "lr": 0.001, "momentum": 0}),
            (["--optimizer", "adamw", "--lr", "0.01"], {"optimizer": "adamw", "lr": 0.01}),
            (["--optimizer", "rmsprop", "--momentum", "0.5"], {"momentum": 0.5, "lr": 0.001}),
            (["--optimizer", "adagrad", "--schedule", "step"], {"schedule": "step", "lr": 0.01}),
            (["--optimizer", "adadelta", "--schedule", "constant"], {"schedule": "constant"}),
            (["--schedule", "cosine", "--clip-norm", "1"], {"schedule": "cosine", "clip_norm": 1}),
            (["--schedule", "inverse", "--weight-decay", "0.01"], {"weight_decay": 0.01}),
            (["--augment", " flip,shift "], {"augment": "flip,shift"}),
            (["--augment", "none"], {"augment": ""}),
        ],
    )
    def test_recipes(self, capsys, options, expected):
        assert main(["train", "mlp", *SHORT, *options, "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert {name: report["recipe"][name] for name in expected} == expected
        assert report["test_accuracy"] > 0.2

    def test_json(self, trained, capsys):
        out, _ = trained
        assert main(["train", "mlp", *SHORT, "--seed", "3", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        history = json.loads((out / "history.json").read_text())
        assert report.keys() == history.keys()
        assert report["confusion_matrix"] == history["confusion_matrix"]
        assert main(["eval", str(out), "--json"]) == 0
        evaluated = json.loads(capsys.readouterr().out)
        assert evaluated["test_accuracy"] == report["test_accuracy"]
        assert evaluated["confusion_matrix"] == report["confusion_matrix"]

    def test_all_pictures(self, tmp_path, capsys):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        options = ["--epochs", "4", "--batch-size", "32", "--out", str(tmp_path), "--plot"]
        assert main(["train", "lenet5", *options]) == 0
        names = {"curves", "mistakes", "confusion", "filters", "maps"}
        assert {file.stem for file in tmp_path.glob("*.png")} == names
        capsys.readouterr()

    def test_pictures_of_eval(self, trained, tmp_path, capsys, monkeypatch):
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        drawn = []
        monkeypatch.setattr(results, "draw", lambda *a, **options: drawn.append((a[0], options)))
        out = str(tmp_path / "new" / "pictures")
        assert main(["eval", str(trained[0]), "--plot", out]) == 0
        assert drawn == [(out, {"everything": True})]
        assert os.path.isdir(out)
        capsys.readouterr()

    def test_optional_packages_are_optional(self, tmp_path):
        result = run("train", "mlp", *SHORT, "--out", tmp_path, code=PLAIN)
        assert result.returncode == 0
        assert "no pictures: matplotlib is not installed" in result.stderr
        files = ["checkpoint.npz", "history.json", "model.npz", "run.json"]
        assert sorted(os.listdir(tmp_path)) == files

    def test_divergence(self, tmp_path):
        result = run("train", "mlp", "--lr", "1e30", "--out", tmp_path)
        assert result.returncode == 1
        last = result.stderr.splitlines()[-1]
        assert re.match(r"fastnn: error: .*loss is .*a smaller --lr may help", last)
        assert "Traceback" not in result.stderr
        assert os.listdir(tmp_path) == ["run.json"]

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
    def test_progress_bar_on_a_terminal(self):
        pytest.importorskip("tqdm", reason="tqdm is not installed")
        import pty
        import termios

        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 120))
        process = start("train", "lenet5", *SHORT, stderr=theirs)
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # EIO: the other side has closed it
                break
            if not part:
                break
            seen += part
        os.close(ours)
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert re.search(rb"epoch 1/1: +\d+%\|.*\| .*images/s, loss \d.*, accuracy \d", seen)


SMALL = [name for name in models.names() if models.info(name).input_shape == (28, 28, 1)]


@pytest.mark.parametrize("name", SMALL)
def test_every_model_of_digits(tmp_path, capsys, monkeypatch, name):
    """Trains, is saved, and comes back from its file with all that it says."""
    monkeypatch.setattr(results, "have_matplotlib", lambda: False)
    out = str(tmp_path)
    assert main(["train", name, "--epochs", "1", "--out", out, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == name
    assert main(["eval", out, "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated == {key: report[key] for key in evaluated}
    np.save(tmp_path / "a.npy", data.load_digits(normalize=False).test.x[0])
    assert main(["predict", out, str(tmp_path / "a.npy"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert 0 <= row["class"] < 10
    assert ("probability" in row) == (models.info(name).loss == "cross_entropy")


class TestAugment:
    def test_names_are_checked(self):
        assert parse_augment("shift, none,elastic") == "shift,elastic"
        with pytest.raises(ValueError, match="unknown augmentation 'shfit'; did you mean 'shift'"):
            parse_augment("shfit")

    @pytest.mark.parametrize("names", [*AUGMENTATIONS, ",".join(AUGMENTATIONS)])
    def test_images_change_and_stay_images(self, names):
        x = data.load_digits().test.x[:20]
        before = x.copy()
        y = build_transform(names)(x, np.random.default_rng(0))
        assert (y.shape, y.dtype) == (x.shape, x.dtype)
        assert np.array_equal(x, before)
        assert not np.array_equal(y, x)
        assert abs(y.mean() - x.mean()) < 0.3

    def test_none(self):
        assert build_transform("") is None


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
class TestInterrupt:
    @pytest.mark.parametrize("out", [True, False])
    def test_stops_after_the_batch_and_saves(self, tmp_path, out):
        options = ["--out", tmp_path] if out else []
        process = start("train", "lenet5", "--epochs", "10000", *options)
        for line in process.stderr:
            if line.startswith("epoch     1/10000"):
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in stderr
        assert "(interrupted)" in stderr
        assert accuracy(stdout) > 0
        if out:
            history = json.loads((tmp_path / "history.json").read_text())
            assert history["interrupted"] is True
            assert len(history["epochs"]) >= 1
            assert {row["examples"] for row in history["epochs"]} == {1438}
            assert f"to go on: fastnn resume {tmp_path}\n" in stderr
            evaluated = run("eval", tmp_path / "model.npz")
            assert evaluated.stdout == "lenet5 on digits\n" + stdout

    def test_ignored_interrupt_stays_ignored(self):
        """As in a background job, which a Ctrl-C on the terminal must not reach."""
        code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        code += "import os; from fastnn import cli, training; fit = training.fit\n"
        code += "def interrupted(*a, **k):\n os.kill(os.getpid(), signal.SIGINT)\n"
        code += " return fit(*a, **k)\n"
        code += "training.fit = interrupted; raise SystemExit(cli.main())"
        result = run("train", "mlp", *SHORT, code=code)
        assert result.returncode == 0
        assert "interrupted" not in result.stderr

    def test_before_training(self):
        code = "import os, signal; from fastnn import data; from fastnn.cli import main\n"
        code += "data.load = lambda *a, **k: os.kill(os.getpid(), signal.SIGINT)\n"
        result = run("train", "mlp", code=code + "raise SystemExit(main())")
        assert result.returncode == 130
        assert result.stderr == "fastnn: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
class TestBrokenPipe:
    @pytest.mark.parametrize(
        "arguments", [["--help"], ["--version"], ["info"], ["models"], ["train", "mlp"]]
    )
    def test_no_traceback(self, arguments):
        process = start(*arguments)
        process.stdout.close()  # before anything is printed
        process.stdout = None
        _, stderr = process.communicate(timeout=60)
        assert process.returncode in (0, 141)
        assert "Traceback" not in stderr
        assert "Exception ignored" not in stderr
        assert "BrokenPipe" not in stderr

    def test_files_are_saved_before_printing(self, tmp_path):
        process = start("train", "mlp", *SHORT, "--out", tmp_path)
        process.stdout.close()
        process.stdout = None
        process.communicate(timeout=60)
        assert process.returncode == 141
        assert (tmp_path / "model.npz").exists()

    def test_stderr_gone(self):
        process = start("train", "mlp", *SHORT)
        process.stderr.close()
        process.stderr = None
        stdout, _ = process.communicate(timeout=60)
        assert process.returncode == 141
        assert stdout == ""
