"""The command line's bad input, help and lists."""

import json
import os
import re
import subprocess

import numpy as np
import pytest

import fastnn
from cli_runner import installed, run
from fastnn import data, io, models
from fastnn.cli import bench, main

BAD = [
    (["train", "lenet6"], "MODEL: unknown model 'lenet6'; did you mean 'lenet5'"),
    (["train"], "arguments are required: MODEL"),
    ([], "arguments are required: COMMAND"),
    (["fly"], "invalid choice: 'fly'"),
    (["train", "mlp", "--data", "mnits"], "--data: unknown data set 'mnits'; did you mean 'mnist'"),
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
    (["train", "mlp", "--data", "mnist"], "give a directory, set FASTNN_DATA, or ask"),
    (["train", "mlp", "--data", "mnist", "--data-dir", "."], "neither train-images-idx3-ubyte"),
    (["train", "mlp", "--data", "mnist", "--data-dir", "nowhere"], "nowhere: neither"),
    (["train", "lenet5", "--data", "cifar10"], "lenet5 takes images of 28x28x1, those of cifar10"),
    (["eval", "none.npz"], "none.npz: No such file or directory"),
    (["eval", "."], r"\.: Is a directory"),
    (["eval"], "arguments are required: MODEL"),
    (["train", "mlp", "--optimizer", "adm"], "unknown optimizer 'adm'; did you mean 'adam'"),
    (["train", "mlp", "--schedule", "cos"], "--schedule: unknown schedule 'cos'"),
    (["train", "mlp", "--augment", "shift,flop"], "unknown augmentation 'flop'; did you mean 'f"),
    (["train", "mlp", "--optimizer", "adam", "--momentum", "0.9"], "adam has no --momentum"),
    (["train", "mlp", "--weight-decay", "-1"], "--weight-decay: expected a finite number"),
    (["resume", "nowhere"], "run.json: No such file or directory"),
    (["resume"], "arguments are required: DIR"),
    (["predict", "none.npz"], "arguments are required: IMAGE"),
    (["predict", "none.npz", "a.png"], "none.npz: No such file or directory"),
    (["bench", "--seconds", "x"], "--seconds: expected a number"),
]


class TestBadInput:
    @pytest.mark.parametrize(("arguments", "match"), BAD, ids=[" ".join(a) for a, _ in BAD])
    def test_one_line_and_status_2(self, assert_refused, tmp_path, arguments, match):
        out = ["--out", tmp_path / "out"] if arguments[:1] == ["train"] else []
        assert_refused(*arguments, *out, match=match)
        assert os.listdir(tmp_path) == []

    def test_in_a_process_of_its_own(self):
        result = subprocess.run(
            [*installed(), "train", "vgg"], capture_output=True, text=True, timeout=60
        )
        assert (result.returncode, result.stdout) == (2, "")
        assert re.fullmatch(r"fastnn: error: argument MODEL: unknown .*\n", result.stderr)

    @pytest.mark.parametrize("options", [["--plot"], ["--checkpoint-every", "3"]])
    def test_options_that_need_a_directory(self, assert_refused, options):
        assert_refused("train", "mlp", *options, match=f"{options[0]} needs --out")

    @pytest.mark.parametrize(
        "contents", ["", "[]", "{}", '{"format": "fastnn run 9"}', '{"format": "fastnn run 1"}']
    )
    def test_resume_of_something_else(self, assert_refused, tmp_path, contents):
        (tmp_path / "run.json").write_text(contents)
        assert_refused("resume", tmp_path, match=r"run\.json: not the file of a run \(")

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
            (
                lambda arrays, meta: meta.update(model=["mlp"]),
                "no valid 'model'",
            ),
            (lambda arrays, meta: meta.pop("data"), "no valid 'data' among"),
            (lambda arrays, meta: meta.update(data="x"), "unknown data set 'x'"),
            (lambda arrays, meta: meta.update(image_shape=[1, 2]), "is no shape"),
            (lambda arrays, meta: meta.update(pixels={}), "'black' of the pixels"),
            (lambda arrays, meta: meta.update(options={"depth": 3}), "depth"),
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


def test_version():
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"fastnn {fastnn.__version__}\n")


class TestLists:
    """What there is, as a table and as JSON."""

    @staticmethod
    def both(command, capsys):
        assert main([command]) == 0
        text = capsys.readouterr().out
        assert main([command, "--json"]) == 0
        return text, json.loads(capsys.readouterr().out)

    def test_models(self, capsys):
        text, rows = self.both("models", capsys)
        assert [row["name"] for row in rows] == list(models.names())
        assert [line.split()[0] for line in text.splitlines()] == list(models.names())
        (lenet,) = (row for row in rows if row["name"] == "lenet5")
        assert (lenet["input_shape"], lenet["num_classes"]) == ([28, 28, 1], 10)

    def test_data(self, capsys):
        text, rows = self.both("data", capsys)
        assert [row["name"] for row in rows] == list(data.names())
        assert [line.split()[0] for line in text.splitlines()] == list(data.names())
        assert all(len(row["classes"]) == row["num_classes"] for row in rows)

    def test_info(self, capsys):
        text, config = self.both("info", capsys)
        assert fastnn.__version__ in text
        assert config["isa"] == fastnn.get_config()["isa"]


def test_bench(capsys, restore_num_threads):
    assert main(["bench", "--seconds", "0", "--json", "--threads", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["rows"]) >= 6
    for row in report["rows"]:
        assert row["fastnn_us"] > 0
        if row["numpy_us"] is not None:
            assert row["speedup"] == pytest.approx(row["numpy_us"] / row["fastnn_us"])


def test_what_the_benchmark_compares_is_the_same():
    """NumPy's side of each row computes what ours does."""
    for name, ours, theirs in bench._cases(np.random.default_rng(0)):
        if theirs is None:
            continue
        a, b = ours(), theirs()
        a, b = (a[1], b[1]) if name.startswith("softmax") else (a, b)
        a = a[0] if isinstance(a, tuple) else a
        np.testing.assert_allclose(a.reshape(b.shape), b, rtol=1e-3, atol=1e-3, err_msg=name)


COMMANDS = ["train", "resume", "eval", "predict", "models", "data", "bench", "info"]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: fastnn")
    assert max(map(len, text.splitlines())) <= 100
    if not command:
        assert all(f"\n    {name} " in text for name in COMMANDS)
        assert "exit status:" in text


def test_importing_the_package_is_light():
    """Neither argparse nor any optional package, and no file format, until they are used."""
    heavy = ["argparse", "gzip", "json", "zipfile", "tqdm", "matplotlib", "sklearn", "fastnn.cli"]
    code = "import sys, numpy; before = set(sys.modules); import fastnn, fastnn.nn, fastnn.optim; "
    code += f"import fastnn.models; print(sorted((set(sys.modules) - before) & set({heavy})))"
    assert run(code=code).stdout == "[]\n"
