"""Perceptrons: shapes, counts, and that they learn."""

import numpy as np
import pytest

import fastnn
from fastnn import models, optim
from fastnn.gradcheck import gradcheck


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


@pytest.mark.parametrize(
    "make",
    [
        *(models.lenet1, models.lenet5_1998, models.lenet5, models.lenet_caffe, models.mlp_300),
        lambda **options: models.mlp((784, 30, 10), **options),
    ],
)
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
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_wrong_input_names_the_kernel():
    with pytest.raises(ValueError, match="linear"):
        models.mlp((4, 2))(np.zeros((1, 5), np.float32))


@pytest.mark.parametrize(
    ("make", "parameters"), [(models.mlp_300, 238510), (models.mlp_800, 636010)]
)
def test_published_perceptrons(make, parameters):
    model = make(rng=0)
    assert model.num_parameters() == parameters
    assert models.count_connections(model, (28, 28, 1)) == parameters
    assert make(5, (2, 3, 1), rng=0)(np.zeros((4, 2, 3, 1), np.float32)).shape == (4, 5)


def test_mlp_300_gradient(rng):
    model = models.mlp_300(3, (2, 2, 1), rng=0, dtype=np.float64)
    x = rng.standard_normal((4, 2, 2, 1))
    assert model.forward(x)[1](np.ones((4, 3))) is None
    model[1].input_grad = True
    assert gradcheck(model, x, max_entries=100)


def test_sign_targets():
    model = models.SignTargets()
    y = np.array([[0.5, -1.0, 2.0], [1.0, -1.0, -1.0]])
    loss, dy = model.loss(y, np.array([0, 0]))
    # errors (-0.5, 0, 3) and (0, 0, 0): (0.25 + 9) / 2 over two rows; every number is exact
    # but for the division by 6 and the product with 1.5
    assert abs(loss - 9.25 / 4) <= 4 * 3 * 2.0**-53
    np.testing.assert_allclose(dy, [[-0.25, 0, 1.5], [0, 0, 0]], rtol=4 * 2.0**-53)
    assert model.classify(y).tolist() == [2, 0]
    assert model.predict(y).tolist() == [2, 0]
    with pytest.raises(ValueError, match=r"SignTargets.loss: labels must be in \[0, 3\)"):
        model.loss(y, np.array([0, 3]))
    with pytest.raises(TypeError, match=r"SignTargets\.loss: labels must be integers"):
        model.loss(y, np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match=r"SignTargets\.loss: labels must have shape"):
        model.loss(y, np.array([0]))
