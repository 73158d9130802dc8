"""Outputs, predictions, evaluation and the confusion matrix."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import data, models, nn, training


class Centres(nn.Module):
    """Outputs are squared distances from the corners of a simplex: the smallest one wins."""

    def forward(self, x):
        gap = x[:, None] - np.eye(3, dtype=np.float32)
        return (gap * gap).sum(2), lambda dy: None

    def loss(self, outputs, labels):
        return float(np.mean(outputs[np.arange(len(labels)), labels])), np.zeros_like(outputs)

    def classify(self, outputs):
        return outputs.argmin(1)


class Sequence(nn.Sequential):
    """A model that says what it sees without looking."""

    def predict(self, x):
        return np.full(len(x), 2)


class TestOutputs:
    @pytest.mark.parametrize("batch_size", [1, 7, 16, 59, 60, 61, 1000])
    def test_batch_size_does_not_change_a_bit(self, batch_size):
        model = models.lenet5(rng=0)
        x = data.load_digits().test.x[:60]
        y = model(x)
        assert np.array_equal(training.outputs(model, x, batch_size=batch_size), y)
        assert np.array_equal(fastnn.predict(model, x, batch_size=batch_size), y.argmax(1))

    def test_empty(self):
        x = np.empty((0, 4), np.float32)
        assert training.outputs(models.mlp((4, 3)), x).shape == (0, 3)
        assert fastnn.predict(models.mlp((4, 3)), x).shape == (0,)

    @pytest.mark.parametrize("function", [training.outputs, fastnn.predict])
    @pytest.mark.parametrize(("size", "error"), [(0, ValueError), (1.5, TypeError)])
    def test_bad_batch_size(self, function, size, error):
        with pytest.raises(error):
            function(models.mlp((4, 3)), np.zeros((2, 4), np.float32), batch_size=size)


class TestModelsWithOutputsOfTheirOwn:
    x = np.array([[0.9, 0, 0.2], [0, 1, 0], [0, 1, 0]], np.float32)

    def test_classify_and_loss(self):
        result = fastnn.evaluate(Centres(), self.x, np.array([0, 1, 2]))
        assert result.predictions.tolist() == [0, 1, 1]
        assert result.accuracy == 2 / 3
        assert result.loss == pytest.approx((0.05 + 0 + 2) / 3)
        assert fastnn.predict(Centres(), self.x).tolist() == [0, 1, 1]

    def test_a_loss_that_is_given_takes_precedence(self):
        result = fastnn.evaluate(Centres(), self.x, np.eye(3, dtype="f4"), loss=fastnn.mse)
        assert result.loss == fastnn.mse(Centres()(self.x), np.eye(3, dtype="f4"))[0]
        assert result.accuracy == 0  # these targets are no labels

    @pytest.mark.parametrize("n", [0, 1, 4, 5])
    def test_predict_of_its_own_sees_batches(self, n):
        model, seen = Centres(), []

        def predict(x):
            seen.append(len(x))
            return np.full(len(x), 7)

        model.predict = predict
        assert fastnn.predict(model, np.zeros((n, 3), "f4"), batch_size=2).tolist() == [7] * n
        assert seen == {0: [0], 1: [1], 4: [2, 2], 5: [2, 2, 1]}[n]

    def test_predict_alone_tells_the_classes(self):
        model, seen = nn.Sequential(), []

        def predict(x):
            seen.append(len(x))
            return x.argmin(1)

        model.predict = predict
        result = fastnn.evaluate(model, self.x, np.array([0, 1, 2]), batch_size=2)
        assert result.predictions.tolist() == [1, 0, 0]
        assert seen == [2, 1]
        history = fastnn.fit(
            Sequence(nn.Linear(3, 3, rng=0)), (self.x, np.array([0, 1, 2])), progress=False
        )
        assert history["accuracy"] == [1 / 3]

    def test_a_model_that_learns_by_itself(self):
        """It may have neither outputs nor a loss."""

        class Constant:
            def fit(self, x, labels):
                raise AssertionError

            def predict(self, x):
                return np.full(len(x), 1)

        result = fastnn.evaluate(Constant(), self.x, np.array([0, 1, 1]), batch_size=2)
        assert math.isnan(result.loss)
        assert result.accuracy == 2 / 3
        assert result.outputs.shape == (3, 0)


def test_evaluate():
    x = np.eye(3, dtype=np.float32) * 10
    labels = np.array([0, 1, 1])
    result = fastnn.evaluate(nn.Sequential(), x, labels)
    assert result.accuracy == 2 / 3
    assert np.array_equal(result.outputs, x)
    assert result.predictions.tolist() == [0, 1, 2]
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


def test_batches_have_the_bits_of_the_model_itself():
    """They run compiled, also of layers that cannot be recorded and of those that draw."""

    class Halves(nn.Module):
        def forward(self, x):
            return np.multiply(x, 0.5, dtype=x.dtype), lambda dy: dy

    class Draws(nn.Module):
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def forward(self, x):
            return fastnn.add(x, self.rng.standard_normal(x.shape)), lambda dy: dy

    x = np.random.default_rng(1).standard_normal((93, 4))
    for layer in (nn.Tanh(), Halves()):
        model = nn.Sequential(layer, nn.Linear(4, 3, rng=0, dtype="f8"))
        assert np.array_equal(training.outputs(model, x, batch_size=5), model(x))
    drawn = training.outputs(nn.Sequential(Draws()), np.zeros((100, 4)), batch_size=5)
    assert len(np.unique(drawn)) == drawn.size
