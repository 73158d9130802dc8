"""The training loop against plain NumPy, its exactness, and the helpers."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import data, models, nn, optim, training


def toy(n=60, seed=0, dtype=np.float32):
    """Three Gaussian clouds in four dimensions."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    return (rng.standard_normal((n, 4)) + 3 * np.eye(3, 4)[labels]).astype(dtype), labels


def toy_run(dtype=np.float32, epochs=3, batch_size=7, **options):
    x, labels = toy(dtype=dtype)
    model = models.mlp((4, 8, 3), "tanh", rng=1, dtype=dtype)
    optimizer = optim.SGD(model, lr=0.1, momentum=0.9)
    loader = data.batches(x, labels, batch_size, shuffle=True, rng=2)
    losses = [training.train_epoch(model, optimizer, loader, **options).loss for _ in range(epochs)]
    return model, losses


def numpy_run(epochs=3, batch_size=7, lr=0.1, momentum=0.9):
    """The same as toy_run, in float64 and without the package's layers, losses and optimizer."""
    x, labels = toy(dtype=np.float64)
    w = [p.data.copy() for p in models.mlp((4, 8, 3), "tanh", rng=1, dtype=np.float64).parameters()]
    v = [np.zeros_like(p) for p in w]
    rng = np.random.default_rng(2)
    losses = []
    for _ in range(epochs):
        order, total = rng.permutation(len(x)), 0.0
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            h = np.tanh(x[rows] @ w[0].T + w[1])
            z = h @ w[2].T + w[3]
            p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
            total -= np.log(p[np.arange(len(rows)), labels[rows]]).sum()
            dz = (p - np.eye(3)[labels[rows]]) / len(rows)
            dh = (dz @ w[2]) * (1 - h * h)
            for i, g in enumerate((dh.T @ x[rows], dh.sum(0), dz.T @ h, dz.sum(0))):
                v[i] = momentum * v[i] + g
                w[i] = w[i] - lr * v[i]
        losses.append(total / len(x))
    return w, losses


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_against_plain_numpy(dtype, tolerance):
    """27 steps; the tolerance leaves about 10^3 roundings of relative size eps to grow."""
    model, losses = toy_run(dtype)
    weights, expected = numpy_run()
    np.testing.assert_allclose(losses, expected, rtol=tolerance)
    for p, w in zip(model.parameters(), weights, strict=True):
        np.testing.assert_allclose(p.data, w, rtol=tolerance, atol=tolerance)
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_same_bits_for_any_number_of_threads(threads):
    def run():
        train, _ = data.load_digits()
        model = models.lenet5(rng=0)
        optimizer = optim.SGD(model, lr=0.02, momentum=0.9)
        loader = data.batches(train.x[:96], train.y[:96], 32, shuffle=True, rng=1)
        loss = training.train_epoch(model, optimizer, loader).loss
        return loss, model.state_dict()

    with fastnn.threads(1):
        expected_loss, expected = run()
    with fastnn.threads(threads):
        loss, state = run()
    assert loss == expected_loss
    for name, array in state.items():
        assert np.array_equal(array, expected[name]), name


def test_gradient_of_two_half_batches_is_that_of_the_whole():
    """Exact integers: accumulation over backward passes adds nothing but the sum."""
    x = np.random.default_rng(0).integers(-3, 4, (8, 5)).astype(np.float32)
    dy = np.random.default_rng(1).integers(-3, 4, (8, 2)).astype(np.float32)
    whole, halves = nn.Linear(5, 2, rng=0), nn.Linear(5, 2, rng=0)
    whole.forward(x)[1](dy)
    for part in (slice(0, 4), slice(4, 8)):
        halves.forward(x[part])[1](dy[part])
    assert np.array_equal(whole.weight.grad, halves.weight.grad)
    assert np.array_equal(whole.bias.grad, halves.bias.grad)


def test_progress_adds_up():
    x, labels = toy()
    seen = []
    done = training.train_epoch(
        (model := models.mlp((4, 3), rng=0)),
        optim.SGD(model, lr=0.0),
        data.batches(x, labels, 7),
        on_batch=lambda progress: bool(seen.append(progress)),
    )
    assert [p.examples for p in seen] == [*range(7, 60, 7), 60]
    assert done == seen[-1]
    result = training.evaluate(model, x, labels)
    assert done.loss == pytest.approx(result.loss, rel=1e-6)
    assert done.accuracy == result.accuracy
    assert done.examples_per_second == 60 / done.seconds
    assert training.Progress(0, 0, 0, 0).examples_per_second == 0


def test_on_batch_can_stop():
    x, labels = toy()
    model = models.mlp((4, 3), rng=0)
    done = training.train_epoch(
        model,
        optim.SGD(model, lr=0.1),
        data.batches(x, labels, 7),
        on_batch=lambda progress: progress.examples >= 14,
    )
    assert done.stopped
    assert done.examples == 14


def test_schedule_sets_every_step():
    rates = []
    model = models.mlp((4, 3), rng=0)
    optimizer = optim.SGD(model, lr=9.0)
    training.train_epoch(
        model,
        optimizer,
        data.batches(*toy(8), 2),
        schedule=training.linear_decay(0.4, 4),
        on_batch=lambda progress: bool(rates.append(optimizer.lr)),
    )
    assert rates == [0.4, 0.4 * 0.75, 0.4 * 0.5, 0.4 * 0.25]


def test_linear_decay_ends_at_zero():
    schedule = training.linear_decay(1.0, 2)
    assert [schedule() for _ in range(4)] == [1.0, 0.5, 0.0, 0.0]


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_divergence_is_an_error_before_the_step(value):
    x, labels = toy()
    x[20] = value
    model = models.mlp((4, 3), rng=0)
    before = model.state_dict()
    with pytest.raises(FloatingPointError, match=r"loss is nan after 0 examples"):
        training.train_epoch(model, optim.SGD(model, lr=0.1), data.batches(x, labels, 60))
    for name, array in model.state_dict().items():
        assert np.array_equal(array, before[name])


class TestPredict:
    @pytest.mark.parametrize("batch_size", [1, 7, 16, 59, 60, 61, 1000])
    def test_batch_size_does_not_change_a_bit(self, batch_size):
        model = models.lenet5(rng=0)
        x = data.load_digits().test.x[:60]
        assert np.array_equal(training.predict(model, x, batch_size=batch_size), model(x))

    def test_empty(self):
        x = np.empty((0, 4), np.float32)
        assert training.predict(models.mlp((4, 3)), x).shape == (0, 3)

    @pytest.mark.parametrize(("size", "error"), [(0, ValueError), (1.5, TypeError)])
    def test_bad_batch_size(self, size, error):
        with pytest.raises(error):
            training.predict(models.mlp((4, 3)), np.zeros((2, 4), np.float32), batch_size=size)


def test_evaluate():
    x = np.eye(3, dtype=np.float32) * 10
    labels = np.array([0, 1, 1])
    result = training.evaluate(nn.Sequential(), x, labels)
    assert result.accuracy == 2 / 3
    assert np.array_equal(result.logits, x)
    wrong = math.log(2 * math.exp(-10) + 1)  # of the first two rows
    assert result.loss == pytest.approx((2 * wrong + wrong + 10) / 3, rel=1e-6)


@pytest.mark.parametrize(
    ("x", "labels", "match"),
    [
        (np.zeros((2, 3), "f4"), np.zeros(3, int), "x has 2 rows, labels has 3"),
        (np.zeros((2, 3), "f4"), np.array([0, 3]), "label"),
        (np.zeros((0, 3), "f4"), np.zeros(0, int), "softmax_cross_entropy"),
    ],
)
def test_evaluate_bad_input(x, labels, match):
    with pytest.raises(ValueError, match=match):
        training.evaluate(nn.Sequential(), x, labels)


class TestConfusionMatrix:
    def test_by_hand(self):
        matrix = training.confusion_matrix(np.array([0, 0, 1, 2, 2]), np.array([0, 2, 1, 2, 0]))
        assert matrix.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]

    def test_against_counting(self):
        a, b = np.random.default_rng(0).integers(0, 5, (2, 300)).astype(np.uint8)
        expected = [[np.sum((a == i) & (b == j)) for j in range(7)] for i in range(7)]
        assert np.array_equal(training.confusion_matrix(a, b, 7), expected)

    def test_empty(self):
        none = np.zeros(0, int)
        assert training.confusion_matrix(none, none).shape == (0, 0)
        assert training.confusion_matrix(none, none, 2).tolist() == [[0, 0], [0, 0]]

    @pytest.mark.parametrize(
        ("labels", "predictions", "classes", "error"),
        [
            ([0, 1], [0, 1, 1], None, ValueError),
            ([[0]], [[0]], None, ValueError),
            ([0, 3], [0, 0], 3, ValueError),
            ([0, 0], [0, 3], 3, ValueError),
            ([-1], [0], None, ValueError),
            ([0.5], [0], None, TypeError),
            ([0], ["0"], None, TypeError),
        ],
    )
    def test_bad_input(self, labels, predictions, classes, error):
        with pytest.raises(error, match="confusion_matrix: "):
            training.confusion_matrix(labels, predictions, classes)


def test_resumed_run_equals_the_uninterrupted_one():
    """Weights, optimizer state and the generator of the batches: the same bits after."""

    def start():
        model = models.mlp((4, 8, 3), rng=1)
        return model, optim.SGD(model, lr=0.1, momentum=0.9), np.random.default_rng(2)

    def epoch(model, optimizer, rng):
        training.train_epoch(model, optimizer, data.batches(*toy(), 7, shuffle=True, rng=rng))

    whole = start()
    for _ in range(4):
        epoch(*whole)

    first = start()
    for _ in range(2):
        epoch(*first)
    second = start()
    second[0].load_state_dict(first[0].state_dict())
    second[1].load_state_dict(first[1].state_dict())
    second[2].bit_generator.state = first[2].bit_generator.state
    for _ in range(2):
        epoch(*second)
    expected = whole[0].state_dict()
    for name, array in second[0].state_dict().items():
        assert np.array_equal(array, expected[name])
