"""LeNet as published: sizes, connections, losses, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from compiling import assert_same_state, state_of
from fastnn import models, nn, optim
from fastnn.gradcheck import gradcheck


def test_lenet1_has_the_published_counts() -> None:
    model = models.lenet1(rng=0)
    assert model.num_parameters() == 2578
    assert models.count_connections(model, (28, 28, 1)) == 98442
    parameters = [r.parameters for r in models.count_layers(model, (28, 28, 1)) if r.parameters]
    assert parameters == [104, 8, 512, 24, 1930]
    assert models.LENET1_CONNECTIONS.sum() == 20


def test_lenet5_1998_has_the_published_counts() -> None:
    """LeCun et al. 1998, section II.B, layer by layer."""
    model = models.lenet5_1998(rng=0)
    rows = [r for r in models.count_layers(model, (28, 28, 1)) if r.connections]
    assert [r.parameters for r in rows] == [156, 12, 1516, 32, 48120, 10164, 0]
    connections = [122304, 5880, 151600, 2000, 48120, 10164, 840]
    assert [r.connections for r in rows] == connections
    assert model.num_parameters() == 60000
    assert models.count_connections(model, (28, 28, 1)) == 340908
    shapes = [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16), (1, 1, 120), (84,), (10,)]
    assert [r.output_shape for r in rows] == shapes


def test_caffe_lenet() -> None:
    model = models.caffe_lenet(rng=0)
    assert model.num_parameters() == 431_080
    assert model(np.zeros((2, 28, 28, 1), np.float32)).shape == (2, 10)
    # as the prototxt's blobs: conv1 500, conv2 25,000, ip1 400,000, ip2 5,000
    macs = models.count_macs(model, (28, 28, 1))
    assert macs == 500 * 24 * 24 + 25_000 * 8 * 8 + 400_000 + 5_000


def test_modern_counts() -> None:
    model = models.lenet5(rng=0)
    assert model.num_parameters() == 61706
    assert models.count_macs(model, (28, 28, 1)) == 416_520


def test_the_codes_are_pictures_of_different_digits() -> None:
    codes = models.DIGIT_CODES.astype(int)
    assert codes.shape == (10, 84)
    assert set(codes.ravel()) == {-1, 1}
    distances = (codes[:, None] != codes[None]).sum(2)
    assert distances[~np.eye(10, dtype=bool)].min() >= 6


def test_frame() -> None:
    frame = models.Frame(2, 0.5, 0.25, -0.1)
    x = np.arange(8, dtype=np.float32).reshape(2, 2, 2, 1)
    y = frame(x)
    assert y.shape == (2, 6, 6, 1)
    assert np.array_equal(y[:, 2:4, 2:4], np.float32(0.5) * x + np.float32(0.25))
    y[:, 2:4, 2:4] = -0.1
    assert np.array_equal(y, np.full_like(y, -0.1))
    digit = np.array([[-0.1307 / 0.3081], [(1 - 0.1307) / 0.3081]], np.float32).reshape(1, 2, 1, 1)
    inner = models.lenet5_1998(rng=0)[0](digit)[0, 2:4, 2, 0]
    assert inner == pytest.approx([-0.1, 1.175], abs=1e-4)


def test_rbf_is_the_squared_distance() -> None:
    rng = np.random.default_rng(0)
    w, x = rng.integers(-3, 4, (5, 7)), rng.integers(-3, 4, (4, 7)).astype(np.float64)
    layer = models.RBF(w, dtype=np.float64)
    assert np.array_equal(layer(x), ((x[:, None] - w[None]) ** 2).sum(2))
    assert gradcheck(layer, x)
    assert layer.num_parameters() == 0
    with pytest.raises(ValueError, match=r"RBF: centres must be \(O, I\)"):
        models.RBF(np.ones(3))


def penalty_loss(y: np.ndarray, labels: np.ndarray, j: float) -> float:
    """Equation 9 of LeCun et al. 1998, as it stands there."""
    right = y[np.arange(len(y)), labels]
    return float(np.mean(right + np.log(np.exp(-j) + np.exp(-y).sum(1))))


def test_the_penalty_loss_is_equation_9() -> None:
    model = models.lenet5_1998(rng=0, dtype=np.float64)
    model.j = 0.7
    rng = np.random.default_rng(1)
    y, labels = rng.uniform(0, 5, (6, 10)), rng.integers(0, 10, 6)
    loss, dy = model.loss(y, labels)
    assert loss == pytest.approx(penalty_loss(y, labels, 0.7), rel=1e-14)
    step = 1e-6
    for n, c in ((0, 3), (5, labels[5])):
        moved = y.copy()
        moved[n, c] += step
        slope = (penalty_loss(moved, labels, 0.7) - loss) / step
        assert dy[n, c] == pytest.approx(slope, abs=1e-5)
    assert np.array_equal(model.classify(y), y.argmin(1))


def test_the_squared_loss_has_targets_of_plus_and_minus_one() -> None:
    model = models.mlp_squared((3, 2), rng=0, dtype=np.float64)
    y, labels = np.array([[0.5, -1.0], [1.0, 0.0]]), np.array([0, 1])
    loss, dy = model.loss(y, labels)
    assert loss == pytest.approx((0.25 + 0 + 4 + 1) / 4)
    assert np.allclose(dy, [[-0.25, 0], [1.0, -0.5]])
    with pytest.raises(ValueError, match="not a row"):
        model.loss(y, np.array([0, 2]))


@pytest.mark.parametrize("make", [models.lenet1, models.lenet5_1998])
def test_gradients(make: object) -> None:
    """Along random directions in which absent connections stay absent."""
    model = make(3, rng=0, dtype=np.float64)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((2, 28, 28, 1)), np.array([0, 2])
    outputs, backward = model.forward(x)
    backward(model.loss(outputs, labels)[1])
    for layer in model:
        for _, p in layer.named_parameters():
            direction = rng.standard_normal(p.shape)
            if isinstance(layer, nn.Conv2d) and layer.connections is not None and p.data.ndim == 4:
                direction *= layer.connections
            start, losses = p.data.copy(), []
            for sign in (1, -1):
                p.data[...] = start + sign * 1e-6 * direction
                losses.append(model.loss(model(x), labels)[0])
            p.data[...] = start
            slope = (losses[0] - losses[1]) / 2e-6
            # central differences: rounding eps / step of the loss, and step^2
            scale = np.abs(p.grad * direction).sum() + abs(losses[0])
            assert (p.grad * direction).sum() == pytest.approx(slope, abs=1e-9 * scale + 1e-9)


@pytest.mark.parametrize("name", ["lenet1", "lenet5-1998", "lenet5", "lenet-caffe", "mlp-300"])
def test_they_learn(name: str) -> None:
    (x, labels), _ = fastnn.data.load_digits()
    x, labels = x[:200], labels[:200]
    model = models.create(name, rng=0)
    optimizer = optim.Adam(model, lr=2e-3)
    loss_of = getattr(model, "loss", fastnn.softmax_cross_entropy)
    losses = []
    for _ in range(30):
        outputs, backward = model.forward(x)
        loss, dy = loss_of(outputs, labels)
        backward(dy)
        optimizer.step()
        losses.append(loss)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", ["lenet1", "lenet5-1998", "lenet-caffe", "mlp-300", "mlp-800"])
def test_compiled_steps_have_the_same_bits(name: str) -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for compiled in (False, True):
        model = models.create(name, rng=0)
        optimizer = optim.SGD(model, lr=0.01, momentum=0.9)

        def step(x, labels, model=model, optimizer=optimizer):
            outputs, backward = model.forward(x)
            loss, dy = getattr(model, "loss", fastnn.softmax_cross_entropy)(outputs, labels)
            backward(dy)
            optimizer.step()
            return loss

        pairs.append((model, optimizer, fastnn.compile(step) if compiled else step))
    for n in (4, 4, 1, 4):
        x, labels = rng.standard_normal((n, 28, 28, 1), np.float32), rng.integers(0, 10, n)
        assert pairs[0][2](x, labels) == pairs[1][2](x, labels)
    assert_same_state(state_of(*pairs[1][:2]), state_of(*pairs[0][:2]))


def test_absent_connections_stay_absent() -> None:
    model = models.lenet5_1998(rng=0)
    optimizer = optim.SGD(model, lr=0.1, momentum=0.9, weight_decay=0.1)
    x, labels = np.ones((3, 28, 28, 1), np.float32), np.array([0, 1, 2])
    outputs, backward = model.forward(x)
    backward(model.loss(outputs, labels)[1])
    optimizer.step()
    c3 = model[5]
    assert isinstance(c3, nn.Conv2d)
    assert c3.connections is not None
    assert not c3.weight.data[~c3.connections].any()
    assert c3.weight.data[c3.connections].all()


@pytest.mark.parametrize("classes", [0, 11])
def test_lenet5_1998_has_ten_pictures(classes: int) -> None:
    with pytest.raises(ValueError, match="num_classes must be from 1 to 10"):
        models.lenet5_1998(classes)
