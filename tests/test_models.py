"""Ready-made models: shapes, counts, and that they learn."""

import numpy as np
import pytest

import fastnn
from fastnn import models, nn, optim
from fastnn.gradcheck import gradcheck


def test_lenet5_has_the_published_sizes():
    model = models.lenet5(rng=0)
    counts = [layer.num_parameters() for layer in model if layer.num_parameters()]
    assert counts == [156, 2416, 48120, 10164, 850]
    assert model.num_parameters() == 61706
    shapes = []
    x = np.zeros((2, 28, 28, 1), np.float32)
    for layer in model:
        x = layer(x)
        shapes.append(x.shape[1:])
    convolutional = [(28, 28, 6)] * 2 + [(14, 14, 6)] + [(10, 10, 16)] * 2 + [(5, 5, 16), (400,)]
    assert shapes == [*convolutional, (120,), (120,), (84,), (84,), (10,)]


def test_lenet5_connections_are_those_of_table_1():
    """LeCun et al. 1998: six maps of C3 see 3 maps of S2, nine see 4, one all; 60 in all."""
    table = models.LENET5_CONNECTIONS
    assert table.shape == (16, 6)
    assert table.sum() == 60
    assert table.sum(axis=1).tolist() == [3] * 6 + [4] * 9 + [6]
    assert table.sum(axis=0).tolist() == [10] * 6
    # The rows as the table prints them, a map of S2 each.
    printed = [
        "X...XXX..XXXX.XX",
        "XX...XXX..XXXX.X",
        "XXX...XXX..X.XXX",
        ".XXX..XXXX..X.XX",
        "..XXX..XXXX.XX.X",
        "...XXX..XXXX.XXX",
    ]
    assert ["".join(".X"[int(c)] for c in row) for row in table.T] == printed
    layer = nn.Conv2d(6, 16, 5, connections=table, rng=0)
    assert np.count_nonzero(layer.weight.data) + layer.bias.size == 1516  # trainable in C3


@pytest.mark.parametrize("n", [0, 1, 3])
def test_lenet5_batches(n):
    logits, backward = models.lenet5(26, rng=0).forward(np.zeros((n, 28, 28, 1), np.float32))
    assert logits.shape == (n, 26)
    assert backward(np.zeros_like(logits)) is None


def test_lenet5_gradient():
    model = models.lenet5(3, rng=0, dtype=np.float64)
    model[0].input_grad = True
    x = np.random.default_rng(0).standard_normal((1, 28, 28, 1))
    assert gradcheck(model, x, max_entries=30)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "scaled_tanh"])
def test_mlp(activation):
    model = models.mlp((6, 5, 4, 3), activation, rng=0, dtype=np.float64)
    assert [p.shape for p in model.parameters()] == [(5, 6), (5,), (4, 5), (4,), (3, 4), (3,)]
    kinds = [type(layer).__name__.lower() for layer in model]
    name = activation.replace("_", "")
    assert kinds == ["flatten", "linear", name, "linear", name, "linear"]
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    assert model.forward(x)[1](np.ones((4, 3))) is None
    assert gradcheck(model, x)
    model[1].input_grad = True
    assert gradcheck(model, x)


def test_mlp_without_hidden_layer():
    model = models.mlp([4, 2], rng=0)
    assert model.num_parameters() == 10
    assert np.array_equal(model(np.zeros((3, 4), np.float32)), np.zeros((3, 2)))


@pytest.mark.parametrize("make", [models.lenet5, lambda **k: models.mlp((784, 30, 10), **k)])
def test_seeds_and_dtypes(make):
    first, again, other = make(rng=3), make(rng=np.random.default_rng(3)), make(rng=4)
    double = make(rng=3, dtype=np.float64)
    for p, q, r, d in zip(
        *(model.parameters() for model in (first, again, other, double)), strict=True
    ):
        assert p.dtype == np.float32
        assert d.dtype == np.float64
        assert np.array_equal(p.data, q.data)
        assert np.array_equal(p.data, d.data.astype(np.float32))
        if p.data.ndim > 1:
            assert not np.array_equal(p.data, r.data)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_mlp_learns_xor(activation):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    labels = np.array([0, 1, 1, 0])
    model = models.mlp((2, 16, 2), activation, rng=0)
    optimizer = optim.SGD(model, lr=0.1, momentum=0.9)
    for _ in range(200):
        logits, backward = model.forward(x)
        loss, dlogits = fastnn.softmax_cross_entropy(logits, labels)
        backward(dlogits)
        optimizer.step()
    assert loss < 0.01
    assert model(x).argmax(1).tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: models.mlp((3,)), ValueError, "mlp: sizes needs at least"),
        (lambda: models.mlp(3), TypeError, "mlp: sizes must be a sequence"),
        (lambda: models.mlp("34"), TypeError, "mlp: sizes must be a sequence"),
        (lambda: models.mlp((3, 0)), ValueError, "out_features must be at least 1"),
        (lambda: models.mlp((3, 2.5)), TypeError, "out_features must be an integer"),
        (lambda: models.mlp((3, 2), "gelu"), ValueError, "mlp: activation must be one of relu"),
        (lambda: models.mlp((3, 2), dtype=int), TypeError, "dtype must be float32 or float64"),
        (lambda: models.lenet5(0), ValueError, "out_features must be at least 1"),
        (lambda: models.lenet5(dtype="f2"), TypeError, "dtype must be float32 or float64"),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_wrong_input_names_the_kernel():
    with pytest.raises(ValueError, match="conv2d"):
        models.lenet5(rng=0)(np.zeros((1, 28, 28, 3), np.float32))
    with pytest.raises(TypeError, match="conv2d"):
        models.lenet5(rng=0)(np.zeros((1, 28, 28, 1)))
    with pytest.raises(ValueError, match="linear"):
        models.mlp((4, 2))(np.zeros((1, 5), np.float32))
    assert isinstance(models.lenet5(rng=0), nn.Sequential)
