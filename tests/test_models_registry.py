"""Models by name: all can be made, and say what they take."""

import numpy as np
import pytest

from fastnn import models, nn

SMALL = [name for name in models.names() if not name.startswith("vgg")]


@pytest.mark.parametrize("name", SMALL)
def test_small_models_run(name):
    info = models.info(name)
    assert info.name == name
    assert info.description
    model = models.create(name, rng=0)
    assert isinstance(model, nn.Module)
    x = np.zeros((2, *info.input_shape), np.float32)
    y = model(x)
    assert y.shape == (2, info.num_classes)
    assert hasattr(model, "loss") == (info.loss != "cross_entropy")
    if info.loss != "cross_entropy":
        loss, dy = model.loss(y, np.array([0, 1]))
        assert np.isfinite(loss)
        assert dy.shape == y.shape
        assert dy.dtype == y.dtype
        assert model.classify(y).shape == (2,)
    assert models.create(name, num_classes=3, dtype="f8")(x.astype("f8")).shape == (2, 3)


@pytest.mark.parametrize("name", SMALL)
def test_input_shape(name):
    assert models.create(name, input_shape=(28, 28, 1)).num_parameters() > 0
    if name.startswith("mlp"):
        model = models.create(name, input_shape=[8, 4, 3])
        assert model(np.zeros((1, 8, 4, 3), np.float32)).shape == (1, 10)
        return
    with pytest.raises(ValueError, match=rf"{name}: input_shape must be \(28, 28, 1\)"):
        models.create(name, input_shape=(32, 32, 3))


def test_unknown():
    with pytest.raises(ValueError, match="unknown model 'lenet6'; did you mean 'lenet5'"):
        models.create("lenet6")
    with pytest.raises(ValueError, match="unknown model 'x'; valid: mlp, mlp-300"):
        models.info("x")
    with pytest.raises(TypeError, match="width"):
        models.create("lenet5", width=2)


def test_summary_counts_and_names():
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU()), nn.Linear(3, 2))
    lines = models.summary(model, (4,)).splitlines()
    assert [line.split()[0] for line in lines] == ["layer", "0.0", "0.1", "1", "total"]
    assert lines[-1].split() == ["total", "20", "20", "18"]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=((1, 0), (2, 1)), groups=2), (7, 6, 4)),
        (nn.Conv2d(1, 2, 3, dilation=2, padding=1), (6, 5, 1)),
        (nn.MaxPool2d(2), (7, 6, 3)),
        (nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), (6, 7, 3)),
        (nn.MaxPool2d(2, stride=3, padding=1, ceil_mode=True), (4, 5, 1)),
        (nn.AvgPool2d(3, stride=2, ceil_mode=True), (6, 4, 2)),
        (nn.Subsample2d(2, 3, stride=2), (5, 7, 2)),
        (nn.GlobalAvgPool2d(), (3, 4, 5)),
        (nn.Flatten(), (3, 4, 5)),
        (nn.Linear(5, 3), (2, 5)),
        (nn.BatchNorm2d(3), (2, 2, 3)),
    ],
    ids=lambda value: repr(value),
)
def test_shapes_are_those_computed(layer, shape):
    (row,) = models.count_layers(layer, shape)
    assert row.shape == layer(np.zeros((1, *shape), np.float32)).shape[1:]


def test_connections_and_macs_of_a_grouped_convolution():
    layer = nn.Conv2d(4, 6, 3, groups=2)
    assert models.count_macs(layer, (5, 5, 4)) == 9 * 6 * 9 * 2
    assert models.count_connections(layer, (5, 5, 4)) == 9 * 6 * (9 * 2 + 1)


@pytest.mark.parametrize(
    ("layer", "shape", "match"),
    [
        (nn.Conv2d(3, 2, 3), (5, 5, 4), r"Conv2d.* cannot take shape \(5, 5, 4\)"),
        (nn.Conv2d(3, 2, 3), (2, 2, 3), "cannot take shape"),
        (nn.MaxPool2d(2), (1, 4, 3), "cannot take shape"),
        (nn.MaxPool2d(2), (4,), "cannot take shape"),
        (nn.Linear(3, 2), (4,), "cannot take shape"),
        (nn.Linear(3, 2), (0,), "must be positive integers"),
        (nn.Linear(3, 2), (1.5,), "must be positive integers"),
    ],
)
def test_bad_shapes(layer, shape, match):
    with pytest.raises(ValueError, match=match):
        models.count_layers(layer, shape)
