"""Figures: complete PNG files in every case, and no trace in matplotlib's global state."""

import sys

import numpy as np
import pytest

from fastnn import data, models, nn, plots

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


@pytest.mark.parametrize("channels", [1, 3])
def test_mistakes_of_given_predictions(tmp_path, channels):
    """The logits say nothing then: they may be anything."""
    x = np.random.default_rng(0).standard_normal((5, 8, 8, channels)).astype(np.float32)
    path = tmp_path / "mistakes.png"
    predictions = np.array([0, 1, 2, 3, 0])
    plots.plot_mistakes(x, np.arange(5), np.empty((5, 0)), path, predictions=predictions)
    pixels = read_png(path)
    colours = np.ptp(pixels[..., :3], axis=2).max()
    assert colours > 0.5  # the titles are red


@pytest.mark.parametrize(
    ("n", "classes"), [(1, ()), (2, ("a", "a long name")), (10, ()), (100, ())]
)
def test_confusion(tmp_path, n, classes):
    matrix = np.random.default_rng(0).integers(0, 50, (n, n))
    matrix[0] = 0  # a class that does not occur
    path = tmp_path / "confusion.png"
    names = ["a long name", "b"] if n == 2 else ()
    plots.plot_confusion(matrix, path, classes=names, title="m")
    height, width, _ = read_png(path).shape
    assert abs(width - height) < 100


def test_confusion_shades_the_mistakes(tmp_path):
    """The one cell off the diagonal that is not 0 is dark, the diagonal is not."""
    path = tmp_path / "confusion.png"
    plots.plot_confusion(np.array([[9, 1], [0, 10]]), path)
    pixels = read_png(path)[..., :3]
    dark = (pixels[..., 0] > 0.3) & (pixels[..., 1:].max(2) < 0.2)  # dark red
    rows, columns = np.nonzero(dark)
    height, width = pixels.shape[:2]
    assert dark.mean() > 0.05
    assert rows.mean() < height / 2 < width / 2 < columns.mean()  # top right


class TestFilters:
    def test_of_a_convolution(self, tmp_path):
        """A grid of squares, red where weights are positive and blue where they are negative."""
        model = models.lenet5(rng=0)
        model[0].weight.data[...] = 0
        model[0].weight.data[0] = 1
        model[0].weight.data[1] = -1
        plots.plot_filters(model, (28, 28, 1), tmp_path / "f.png", title="m")
        pixels = read_png(tmp_path / "f.png")[..., :3]
        red = (pixels[..., 0] > pixels[..., 2] + 0.2).mean()
        blue = (pixels[..., 2] > pixels[..., 0] + 0.2).mean()
        assert red == pytest.approx(blue, rel=0.1)
        assert red > 0.05

    def test_of_a_perceptron(self, tmp_path):
        model = models.mlp((784, 70, 10), rng=0)
        assert plots.first_filters(model, (28, 28, 1)).shape == (70, 28, 28, 1)
        plots.plot_filters(model, (28, 28, 1), tmp_path / "f.png")
        height, width, _ = read_png(tmp_path / "f.png").shape
        assert 900 < height < 1100  # eight rows of eight; the rest is left out
        assert width == 1008

    @pytest.mark.parametrize("channels", [2, 3])
    def test_of_several_channels(self, tmp_path, channels):
        model = nn.Sequential(nn.Conv2d(channels, 4, 3, rng=0))
        plots.plot_filters(model, (8, 8, channels), tmp_path / "f.png")
        read_png(tmp_path / "f.png")

    @pytest.mark.parametrize("model", [nn.Sequential(), nn.Sequential(nn.Linear(5, 3))])
    def test_there_are_none(self, tmp_path, model):
        assert plots.first_filters(model, (28, 28, 1)) is None
        with pytest.raises(ValueError, match="plot_filters: the first layer"):
            plots.plot_filters(model, (28, 28, 1), tmp_path / "f.png")


class TestFeatureMaps:
    def test_stages_of_lenet(self):
        """A stage is what a convolution and the activation after it make, or a pooling."""
        model = models.lenet5(rng=0)
        x = data.load_digits().test.x[:2]
        stages = plots.feature_maps(model, x)
        expected = [model[:2](x), model[:3](x), model[:5](x), model[:6](x)]
        assert [name for name, _ in stages] == ["Conv2d", "MaxPool2d"] * 2
        for (_, maps), array in zip(stages, expected, strict=True):
            assert np.array_equal(maps, array)

    def test_nested(self):
        model = models.lenet5(rng=0)
        x = data.load_digits().test.x[:1]
        nested = nn.Sequential(model[:3], nn.Sequential(model[3:6]), model[6:])
        for (_, a), (_, b) in zip(
            plots.feature_maps(nested, x), plots.feature_maps(model, x), strict=True
        ):
            assert np.array_equal(a, b)

    def test_picture(self, tmp_path):
        x = data.load_digits().test.x[0]
        plots.plot_feature_maps(models.lenet5(rng=0), x, tmp_path / "m.png", title="m")
        height, width, _ = read_png(tmp_path / "m.png").shape
        assert width == 1248
        assert 450 < height < 600

    def test_there_are_none(self, tmp_path):
        with pytest.raises(ValueError, match="plot_feature_maps: this model has no"):
            plots.plot_feature_maps(
                models.mlp((784, 10)), np.zeros((28, 28, 1), "f4"), tmp_path / "m"
            )


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
