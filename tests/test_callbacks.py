"""What callbacks do: stop, keep the best, write the history, show the progress."""

import csv
import json
import math
import sys

import numpy as np
import pytest

import fastnn
from fastnn import io, models, training
from fastnn.training import Epoch


def fit(model, callbacks, epochs=6, validation=True, **options):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 30)
    data = rng.standard_normal((30, 4), np.float32), labels
    options = {"rng": 0, "progress": False, "batch_size": 10} | options
    check = data if validation else None
    return fastnn.fit(model, data, check, epochs=epochs, callbacks=callbacks, **options)


class Scripted(training.Callback):
    """Replaces the validation figures, and makes the first weight tell the epoch."""

    def __init__(self, losses, name="validation_loss"):
        self.losses, self.name = losses, name

    def on_epoch(self, run):
        row = run.history.epochs[-1]
        run.history.epochs[-1] = row._replace(**{self.name: self.losses[row.epoch - 1]})
        next(iter(run.model.parameters())).data.flat[0] = row.epoch


def first_weight(model):
    return next(iter(model.parameters())).data.flat[0]


class TestEarlyStopping:
    @pytest.mark.parametrize(
        ("values", "options", "epochs", "best"),
        [
            ([5, 4, 3, 2, 1, 0], {"patience": 1}, 6, 6),
            ([5, 4, 4, 3, 9, 9], {"patience": 1}, 3, 2),
            ([5, 4, 4, 3, 9, 9], {"patience": 2}, 6, 4),
            ([5, 4.9, 4.8, 4.7, 4.6, 4.5], {"patience": 3, "min_delta": 0.25}, 6, 4),
            ([5, 4.9, 4.8, 4.7, 4.6, 4.5], {"patience": 2, "min_delta": 1}, 3, 1),
            ([math.nan, 4, math.nan, math.nan, 1, 0], {"patience": 2}, 4, 2),
            ([math.nan] * 6, {"patience": 3}, 3, 0),
        ],
    )
    def test_of_a_loss(self, values, options, epochs, best):
        stopping = training.EarlyStopping(**options)
        history = fit(models.mlp((4, 3), rng=0), [Scripted(values), stopping])
        assert len(history) == epochs
        assert stopping.best_epoch == best
        if epochs < 6:
            text = f"validation_loss has not improved since epoch {best}"
            assert history.stopped == text

    def test_an_accuracy_is_to_rise(self):
        name = "validation_accuracy"
        stopping = training.EarlyStopping(name, patience=2)
        history = fit(
            models.mlp((4, 3)), [Scripted([0.1, 0.3, 0.2, 0.3, 0.9, 0.9], name), stopping]
        )
        assert (len(history), stopping.best, stopping.best_epoch) == (4, 0.3, 2)

    @pytest.mark.parametrize("restore", [False, True])
    def test_weights_of_the_best_epoch(self, restore):
        model = models.mlp((4, 3), rng=0)
        stopping = training.EarlyStopping(patience=2, restore_best=restore)
        fit(model, [Scripted([5, 1, 2, 3, 0, 0]), stopping])
        assert first_weight(model) == (2 if restore else 4)

    def test_it_can_be_used_again(self):
        stopping = training.EarlyStopping(patience=2)
        for _ in range(2):
            history = fit(models.mlp((4, 3)), [Scripted([1, 2, 3, 0, 0, 0]), stopping])
            assert len(history) == 3

    @pytest.mark.parametrize(
        ("options", "error", "match"),
        [
            ({"metric": "val_loss"}, ValueError, "unknown metric 'val_loss'; .*valid: loss, acc"),
            ({"metric": "seconds"}, ValueError, "unknown metric 'seconds'"),
            ({"patience": 0}, ValueError, "patience must be at least 1, got 0"),
            ({"patience": 1.5}, TypeError, "patience must be an integer"),
            ({"min_delta": -1}, ValueError, "min_delta must be finite and at least 0"),
        ],
    )
    def test_bad_input(self, options, error, match):
        with pytest.raises(error, match=f"EarlyStopping: {match}"):
            training.EarlyStopping(**options)

    def test_there_is_no_validation(self):
        with pytest.raises(ValueError, match="EarlyStopping: there is no validation_loss: fit got"):
            fit(models.mlp((4, 3)), [training.EarlyStopping()], validation=False)
        fit(models.mlp((4, 3)), [training.EarlyStopping("loss")], validation=False)


def test_best_checkpoint(tmp_path):
    path = tmp_path / "best.npz"
    best = training.BestCheckpoint(path)
    fit(models.mlp((4, 3), rng=0), [Scripted([5, 1, 2, 3, 1, 9]), best])
    arrays, metadata = io.load_arrays(path)
    assert metadata == {"format": "fastnn weights 1", "epoch": 2, "validation_loss": 1}
    model = models.mlp((4, 3), rng=1)
    model.load_state_dict(arrays)
    assert first_weight(model) == 2


class TestHistoryFile:
    def test_json(self, tmp_path):
        path = tmp_path / "h.json"
        history = fit(models.mlp((4, 3), rng=0), [training.HistoryFile(path)], epochs=2)
        written = json.loads(path.read_text())
        assert written == {"epochs": [row._asdict() for row in history.epochs], "stopped": ""}

    def test_csv(self, tmp_path):
        path = tmp_path / "h.csv"
        history = fit(models.mlp((4, 3), rng=0), [training.HistoryFile(path)], 2, validation=False)
        with open(path, newline="") as file:
            header, *rows = csv.reader(file)
        assert header == list(Epoch._fields)
        assert len(rows) == 2
        assert float(rows[1][2]) == history["loss"][1]
        assert rows[1][4] == ""  # no validation

    def test_other_formats(self):
        with pytest.raises(ValueError, match=r"path must end in \.csv or \.json, got 'h\.txt'"):
            training.HistoryFile("h.txt")


class TestProgressDisplay:
    def test_a_line_for_each_epoch(self, capsys):
        history = fit(models.mlp((4, 3), rng=0), [], epochs=10, progress=True)
        stdout, stderr = capsys.readouterr()
        assert stdout == ""
        lines = stderr.splitlines()
        assert len(lines) == 10
        row = history.epochs[1]
        assert lines[1].startswith(
            f"epoch  2/10  loss {row.loss:.4f}  accuracy {row.accuracy:7.2%}  "
            f"validation loss {row.validation_loss:.4f}  validation accuracy"
        )
        assert lines[1].endswith(" images/s")

    def test_without_validation(self, capsys):
        fit(models.mlp((4, 3)), [training.ProgressDisplay()], epochs=1, validation=False)
        assert "validation" not in capsys.readouterr().err

    def test_where_it_was_stopped(self, capsys):
        class Stop(training.Callback):
            def on_batch(self, run):
                if (run.epoch, run.batch) == (2, 1):
                    run.stop("enough")

        fit(models.mlp((4, 3)), [Stop()], progress=True)
        assert capsys.readouterr().err.splitlines()[1:] == [
            "epoch 2/6  stopped after 10 of 30 images (enough)"
        ]

    def test_bar_on_a_terminal(self, monkeypatch, capsys):
        pytest.importorskip("tqdm", reason="tqdm is not installed")
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        fit(models.mlp((4, 3)), [], epochs=2, progress=True)
        stderr = capsys.readouterr().err
        assert "epoch 2/2: 100%|" in stderr
        assert "loss" in stderr
