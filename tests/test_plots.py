"""Figures: complete PNG files in every case, and no trace in matplotlib's global state."""

import sys

import numpy as np
import pytest

from fastnn import plots

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
from matplotlib import image


def read_png(path):
    """Return the pixels, (height, width, 4), after a full decode."""
    pixels = image.imread(path)
    assert pixels.ndim == 3
    assert pixels.min() < 0.5 < pixels.max()  # neither empty nor black
    return pixels


@pytest.mark.parametrize("epochs", [1, 2, 30])
@pytest.mark.parametrize("last_loss", [0.5, 0.0])
def test_curves(tmp_path, epochs, last_loss):
    rows = [
        {
            "epoch": i + 1,
            "loss": 1 / (i + 1) if i + 1 < epochs else last_loss,
            "accuracy": 1 - 0.5 / (i + 1),
            "test_loss": 1.1 / (i + 1),
            "test_accuracy": 1.0,
        }
        for i in range(epochs)
    ]
    path = tmp_path / "curves.png"
    plots.plot_curves({"model": "m", "data": "d", "epochs": rows}, path)
    height, width, _ = read_png(path).shape
    assert width > 2 * height


@pytest.mark.parametrize(("n", "wrong"), [(10, 0), (10, 1), (10, 9), (100, 100)])
def test_mistakes(tmp_path, n, wrong):
    x = np.random.default_rng(0).standard_normal((n, 28, 28, 1)).astype(np.float32)
    labels = np.arange(n) % 10
    logits = 100 * np.eye(10, dtype=np.float32)[(labels + (np.arange(n) < wrong)) % 10]
    path = tmp_path / "mistakes.png"
    plots.plot_mistakes(x, labels, logits, path, title="m on d: ")
    height, width, _ = read_png(path).shape
    assert width == 1008
    assert (height > 500) == (wrong == 100)  # four rows of eight, then no more


def test_no_window_system_is_touched(tmp_path):
    test_mistakes(tmp_path, 10, 1)
    assert "matplotlib.pyplot" not in sys.modules


def test_failure_leaves_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        plots.plot_mistakes(
            np.zeros((1, 2, 2, 1)), np.zeros(1, int), np.eye(1, 2), tmp_path / "none" / "a.png"
        )
    with pytest.raises(KeyError):
        plots.plot_curves({"model": "m"}, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
