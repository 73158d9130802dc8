"""Models with a loss of their own, compiled: the same bits, and labels still checked."""

import numpy as np
import pytest

import fastnn
from compiling import assert_same_state, state_of
from fastnn import models, nn, optim

NAMES = ["mlp-300", "lenet1", "lenet5-1998"]


def training_step(name):
    """Return (model, optimizer) and a step with the model's own loss."""
    model = models.create(name, rng=0)
    optimizer = optim.SGD(model, lr=0.001, momentum=0.9)

    def step(x, labels):
        outputs, backward = model.forward(x)
        loss, dy = model.loss(outputs, labels)
        backward(dy)
        optimizer.step()
        return loss

    return (model, optimizer), step


@pytest.mark.parametrize("name", NAMES)
def test_steps_have_the_same_bits(name):
    eager_state, eager = training_step(name)
    compiled_state, step = training_step(name)
    compiled = fastnn.compile(step)
    rng = np.random.default_rng(1)
    for n in (4, 4, 1, 3, 4):
        x, labels = rng.standard_normal((n, 28, 28, 1), np.float32), rng.integers(0, 10, n)
        assert compiled(x, labels) == eager(x, labels)
    assert_same_state(state_of(*compiled_state), state_of(*eager_state))


@pytest.mark.parametrize("label", [-1, 10])
@pytest.mark.parametrize("name", NAMES)
def test_compiled_steps_refuse_what_is_no_class(name, label):
    """10 too, which would be the class of the constant j to a softmax over eleven."""
    _, step = training_step(name)
    compiled = fastnn.compile(step)
    x = np.zeros((2, 28, 28, 1), np.float32)
    compiled(x, np.array([0, 9]))  # records
    with pytest.raises(ValueError, match=rf"labels\[1\] is {label}, not a class from 0 to 9"):
        compiled(x, np.array([0, label]))


@pytest.mark.parametrize("trainable", [False, True])
def test_rbf_compiled(trainable):
    """Bits of value and gradients, of two backward passes that add up."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((3, 5)).astype(np.float32)
    layers = [nn.RBF(centers, trainable=trainable) for _ in range(2)]
    x, dy = (rng.standard_normal(shape).astype(np.float32) for shape in ((4, 5), (4, 3)))

    def both(layer):
        def run(x, dy):
            y, backward = layer.forward(x)
            backward(dy)
            return y, backward(dy)

        return run

    expected = both(layers[0])(x, dy)
    actual = fastnn.compile(both(layers[1]))(x, dy)
    for a, b in zip(actual, expected, strict=True):
        assert a.tobytes() == b.tobytes()
    if trainable:
        grads = [layer.centers.grad for layer in layers]
        assert grads[0].tobytes() == grads[1].tobytes()
        diff = 2 * (centers - x[:, None]).astype(np.float64) * dy[..., None]
        sizes = np.abs(2 * dy[..., None] * (np.abs(centers) + np.abs(x[:, None]))).sum(0)
        # two sums of four products, of two terms each
        assert (np.abs(grads[0] - 2 * diff.sum(0)) <= 2 * 16 * 2.0**-24 * sizes).all()


@pytest.mark.parametrize("trainable", [False, True])
def test_rbf_compiled_reads_the_centers_of_today(trainable):
    """Those that an optimizer has moved, or that were loaded after the program was made."""
    rng = np.random.default_rng(0)
    layer = nn.RBF(rng.standard_normal((3, 5)), trainable=trainable)
    x = rng.standard_normal((4, 5))
    compiled = fastnn.compile(lambda x: layer(x))
    before = compiled(x).copy()
    layer.load_state_dict({"centers": rng.standard_normal((3, 5))})
    assert compiled(x).tobytes() == layer(x).tobytes()
    assert not np.array_equal(compiled(x), before)


def test_map_loss_of_an_infinite_penalty():
    """It counts as if that class were not there: exp(-inf) is 0. Compiled, too."""
    y, labels = np.array([[1.0, 3.0, np.inf], [2.5, 0.5, np.inf]]), np.array([0, 1])
    loss, dy = models.map_loss(y, labels, 0.5)
    expected, gradient = models.map_loss(np.ascontiguousarray(y[:, :2]), labels, 0.5)
    assert loss == pytest.approx(expected, rel=1e-15)
    np.testing.assert_allclose(dy, np.c_[gradient, np.zeros(2)], rtol=0, atol=2.0**-52)
    compiled = fastnn.compile(lambda y, labels: models.map_loss(y, labels, 0.5))
    again, dy_again = compiled(y, labels)
    assert again == loss
    assert np.array_equal(dy_again, dy)
