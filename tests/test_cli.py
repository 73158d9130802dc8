"""The command line, as a user meets it: output, files, exit status."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import fastnn
from fastnn import data, io, training
from fastnn.cli import main
from fastnn.cli.catalog import load_model

SHORT = ["--epochs", "1", "--batch-size", "64"]


MAIN = "from fastnn.cli import main; raise SystemExit(main())"
PLAIN = f"import sys; sys.modules['tqdm'] = sys.modules['matplotlib'] = None; {MAIN}"


def run(*arguments, code=MAIN, **options):
    """Run ``fastnn ARGUMENTS`` in a process of its own; code=PLAIN hides optional packages."""
    options = {"capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], **options)


def start(*arguments, **options):
    """Start ``python -m fastnn ARGUMENTS``, with stdout and stderr in pipes."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-m", "fastnn", *map(str, arguments)], **options)


def accuracy(stdout):
    return float(re.search(r"^test accuracy ([\d.]+)%", stdout, re.MULTILINE).group(1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The directory and the output of one short training run."""
    out = tmp_path_factory.mktemp("run") / "new" / "out"
    result = run("train", "mlp", *SHORT, "--seed", 3, "--out", out)
    assert result.returncode == 0, result.stderr
    return out, result


class TestTrain:
    def test_files(self, trained):
        out, _ = trained
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        files = sorted(os.listdir(out))
        assert files == ["curves.png", "history.json", "mistakes.png", "model.npz"]
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

    def test_optional_packages_are_optional(self, tmp_path):
        result = run("train", "mlp", *SHORT, "--out", tmp_path, code=PLAIN)
        assert result.returncode == 0
        assert "no pictures: matplotlib is not installed" in result.stderr
        assert sorted(os.listdir(tmp_path)) == ["history.json", "model.npz"]

    def test_divergence(self, tmp_path):
        result = run("train", "mlp", "--lr", "1e30", "--out", tmp_path)
        assert result.returncode == 1
        last = result.stderr.splitlines()[-1]
        assert re.match(r"fastnn: error: .*the loss is .*a smaller --lr may help", last)
        assert "Traceback" not in result.stderr
        assert os.listdir(tmp_path) == []

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


BAD = [
    (["train", "vgg"], "MODEL: invalid choice: 'vgg'"),
    (["train"], "arguments are required: MODEL"),
    ([], "arguments are required: COMMAND"),
    (["fly"], "invalid choice: 'fly'"),
    (["train", "mlp", "--data", "cifar"], "--data: invalid choice: 'cifar'"),
    (["train", "mlp", "--epochs", "0"], "--epochs: expected at least 1, got 0"),
    (["train", "mlp", "--epochs", "two"], "--epochs: expected an integer, got 'two'"),
    (["train", "mlp", "--batch-size", "-3"], "--batch-size: expected at least 0, got -3"),
    (["train", "mlp", "--lr", "nan"], "--lr: expected a finite number of at least 0, got nan"),
    (["train", "mlp", "--lr", "-1"], "--lr: expected a finite number"),
    (["train", "mlp", "--lr", "fast"], "--lr: expected a number, got 'fast'"),
    (["train", "mlp", "--momentum", "1"], "momentum must be less than 1, got 1.0"),
    (["train", "mlp", "--seed", "-1"], "--seed: expected at least 0, got -1"),
    (["train", "mlp", "--threads", "0"], "--threads: expected at least 1, got 0"),
    (["train", "mlp", "--sped", "1"], "unrecognized arguments: --sped 1"),
    (["train", "mlp", "--data", "mnist"], "mnist needs --data-dir DIR or the environment"),
    (["train", "mlp", "--data", "mnist", "--data-dir", "."], "neither train-images-idx3-ubyte"),
    (["train", "mlp", "--data", "mnist", "--data-dir", "nowhere"], "nowhere: neither"),
    (["eval", "none.npz"], "none.npz: No such file or directory"),
    (["eval", "."], r"\.: Is a directory"),
    (["eval"], "arguments are required: MODEL.npz"),
]


@pytest.fixture
def assert_refused(capsys, monkeypatch, tmp_path):
    """Check that a command ends with status 2, one line on stderr, and nothing on stdout.

    It runs in this process, where a traceback would be the test's.
    """
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)

    def check(*arguments, match):
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse
            status = stop.code
        assert status == 2
        stdout, stderr = capsys.readouterr()
        assert stdout == ""
        assert re.fullmatch(rf"fastnn: error: [^\n]*{match}[^\n]*\n", stderr), stderr

    return check


class TestBadInput:
    @pytest.mark.parametrize(("arguments", "match"), BAD, ids=[" ".join(a) for a, _ in BAD])
    def test_one_line_and_status_2(self, assert_refused, tmp_path, arguments, match):
        out = ["--out", tmp_path / "out"] if arguments[:1] == ["train"] else []
        assert_refused(*arguments, *out, match=match)
        assert os.listdir(tmp_path) == []

    def test_in_a_process_of_its_own(self):
        result = run("train", "vgg")
        assert (result.returncode, result.stdout) == (2, "")
        assert re.fullmatch(r"fastnn: error: argument MODEL: invalid .*\n", result.stderr)

    def test_truncated_mnist(self, assert_refused, tmp_path):
        (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\3" + bytes(11))
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"")
        arguments = ["train", "mlp", "--data", "mnist", "--data-dir", tmp_path]
        assert_refused(*arguments, match="train-images-idx3-ubyte: idx header")

    @pytest.mark.parametrize("out", ["file", "file/below"])
    def test_unwritable_out(self, assert_refused, tmp_path, out):
        (tmp_path / "file").write_text("")
        match = r"file\S*: (File exists|Not a directory)"
        assert_refused("train", "mlp", "--out", tmp_path / out, match=match)
        assert os.listdir(tmp_path) == ["file"]

    def test_damaged_models(self, assert_refused, trained, tmp_path):
        whole = (trained[0] / "model.npz").read_bytes()
        path = tmp_path / "model.npz"
        for contents in (b"", b"junk", whole[:1000], whole[:-1], whole.replace(b"0.", b"9.")):
            path.write_bytes(contents)
            assert_refused("eval", path, match=r"model\.npz: ")

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (lambda arrays, meta: meta.pop("format"), "not a model file of 'fastnn train'"),
            (lambda arrays, meta: meta.update(model="vgg"), "unknown model 'vgg'"),
            (lambda arrays, meta: meta.update(model=["mlp"]), r"unknown model \['mlp'\]"),
            (lambda arrays, meta: meta.pop("data"), "unknown data None"),
            (lambda arrays, meta: meta.update(model="lenet5"), "missing 0.weight"),
            (lambda arrays, meta: arrays.pop("1.bias"), "missing 1.bias"),
            (lambda arrays, meta: arrays.update({"1.bias": np.zeros(3, "f4")}), "shapes differ"),
            (lambda arrays, meta: arrays.update({"1.bias": np.zeros(128)}), "dtype float64"),
        ],
    )
    def test_models_that_do_not_fit(self, assert_refused, trained, tmp_path, change, match):
        arrays, metadata = io.load_arrays(trained[0] / "model.npz")
        change(arrays, metadata)
        io.save_arrays(tmp_path / "model.npz", arrays, metadata)
        assert_refused("eval", tmp_path / "model.npz", match=rf"model\.npz: .*{match}")


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
            assert len(history["epochs"]) >= 2
            assert history["epochs"][-1]["examples"] <= 1438
            evaluated = run("eval", tmp_path / "model.npz")
            assert evaluated.stdout == "lenet5 on digits\n" + stdout

    def test_ignored_interrupt_stays_ignored(self):
        """As in a background job, which a Ctrl-C on the terminal must not reach."""
        code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        code += "import os; from fastnn import cli, training; epoch = training.train_epoch\n"
        code += "def train_epoch(*a, **k):\n os.kill(os.getpid(), signal.SIGINT)\n"
        code += " return epoch(*a, **k)\n"
        code += "training.train_epoch = train_epoch; raise SystemExit(cli.main())"
        result = run("train", "mlp", *SHORT, code=code)
        assert result.returncode == 0
        assert "interrupted" not in result.stderr

    def test_before_training(self):
        code = "import os, signal; from fastnn import data; from fastnn.cli import main\n"
        code += "data.load_digits = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        result = run("train", "mlp", code=code + "raise SystemExit(main())")
        assert result.returncode == 130
        assert result.stderr == "fastnn: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
class TestBrokenPipe:
    @pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["info"], ["train", "mlp"]])
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


def test_version():
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"fastnn {fastnn.__version__}\n")


def test_info():
    result = run("info")
    assert result.returncode == 0
    assert fastnn.__version__ in result.stdout
    assert "isa" in result.stdout


@pytest.mark.parametrize("command", [[], ["train"], ["eval"], ["info"]])
def test_help(command):
    result = run(*command, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: fastnn")
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_importing_the_package_is_light():
    """Neither argparse nor any optional package, and no file format, until they are used."""
    heavy = ["argparse", "gzip", "json", "zipfile", "tqdm", "matplotlib", "sklearn", "fastnn.cli"]
    code = "import sys, numpy; before = set(sys.modules); import fastnn, fastnn.nn, fastnn.optim; "
    code += f"import fastnn.models; print(sorted((set(sys.modules) - before) & set({heavy})))"
    assert run(code=code).stdout == "[]\n"
