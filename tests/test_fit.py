"""`fit` against plain NumPy, its exactness, and what its arguments do."""

import math
import platform
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import data, models, nn, optim, training


def fit(*arguments, **options):
    return fastnn.fit(*arguments, progress=False, **options)


def toy(n=60, seed=0, dtype=np.float32):
    """Three Gaussian clouds in four dimensions."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    return (rng.standard_normal((n, 4)) + 3 * np.eye(3, 4)[labels]).astype(dtype), labels


def toy_run(dtype=np.float32, epochs=3, batch_size=7, **options):
    model = models.mlp((4, 8, 3), "tanh", rng=1, dtype=dtype)
    optimizer = optim.SGD(model, lr=0.1, momentum=0.9)
    train = toy(dtype=dtype)
    options = {"rng": 2, "batch_size": batch_size, "optimizer": optimizer} | options
    return model, fit(model, train, epochs=epochs, **options)["loss"]


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
        part = train.x[:96], train.y[:96]
        history = fit(model, part, part, optimizer=optimizer, batch_size=32, rng=1)
        return history["loss"] + history["validation_loss"], model.state_dict()

    with fastnn.threads(1):
        expected_losses, expected = run()
    with fastnn.threads(threads):
        losses, state = run()
    assert losses == expected_losses
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


class Watch(training.Callback):
    """Notes what happens."""

    def __init__(self, stop_at=None):
        self.events, self.progress, self.rates, self.stop_at = [], [], [], stop_at

    def on_start(self, run):
        self.events.append("start")

    def on_batch(self, run):
        self.events.append((run.epoch, run.batch))
        self.progress.append(run.progress)
        self.rates.append(run.optimizer.lr)
        if self.events[-1] == self.stop_at:
            run.stop("enough")

    def on_epoch(self, run):
        self.events.append(("epoch", run.history.epochs[-1].epoch))

    def on_end(self, run):
        self.events.append("end")


class TestCallbacks:
    def test_order(self):
        watch = Watch()
        fit(models.mlp((4, 3), rng=0), toy(), batch_size=30, epochs=2, callbacks=[watch])
        epoch = [[(i, 1), (i, 2), ("epoch", i)] for i in (1, 2)]
        assert watch.events == ["start", *epoch[0], *epoch[1], "end"]

    @pytest.mark.parametrize(("stop_at", "rows"), [((2, 1), 1), ((2, 2), 2)])
    def test_stop(self, stop_at, rows):
        """In the middle of an epoch it has no row; after its last batch it ends as usual."""
        watch = Watch(stop_at)
        model = models.mlp((4, 3), rng=0)
        history = fit(model, toy(), toy(), batch_size=30, epochs=5, callbacks=[watch])
        assert len(history) == rows
        assert history.stopped == "enough"
        assert watch.events[-1] == "end"
        assert stop_at in watch.events[-3:]

    def test_end_comes_after_an_exception_too(self):
        watch = Watch()
        x, labels = toy()
        with pytest.raises(ValueError, match="label"):
            fit(models.mlp((4, 3), rng=0), (x, labels + 1), batch_size=60, callbacks=[watch])
        assert watch.events == ["start", "end"]

    def test_progress_adds_up(self):
        x, labels = toy()
        model, watch = models.mlp((4, 3), rng=0), Watch()
        optimizer = optim.SGD(model, lr=0.0)
        options = {"optimizer": optimizer, "batch_size": 7, "callbacks": [watch]}
        (row,) = fit(model, (x, labels), (x, labels), **options).epochs
        assert [p.examples for p in watch.progress] == [*range(7, 60, 7), 60]
        last = watch.progress[-1]
        assert (row.loss, row.accuracy, row.seconds) == (last.loss, last.accuracy, last.seconds)
        result = fastnn.evaluate(model, x, labels)
        assert (row.validation_loss, row.validation_accuracy) == result[:2]
        assert row.loss == pytest.approx(result.loss, rel=1e-6)
        assert row.accuracy == result.accuracy
        assert row.examples_per_second == 60 / row.seconds

    def test_nothing_done_yet(self):
        assert math.isnan(training.Progress().loss)
        assert math.isnan(training.Progress().accuracy)


def schedule_run(make, per, epochs=2):
    model, watch = models.mlp((4, 3), rng=0), Watch()
    optimizer = optim.SGD(model, lr=0.5)
    options = {"schedule": make(optimizer), "schedule_per": per, "callbacks": [watch]}
    history = fit(model, toy(8), batch_size=4, epochs=epochs, optimizer=optimizer, rng=0, **options)
    return watch.rates, history["lr"]


class TestSchedule:
    def test_per_batch(self):
        """Callbacks see the rate of the next step."""
        rates, rows = schedule_run(lambda o: optim.LinearLR(o, 1, 0, 4), "batch")
        assert rates == [0.375, 0.25, 0.125, 0]
        assert rows == [0.5, 0.25]

    def test_per_epoch(self):
        rates, rows = schedule_run(lambda o: optim.ExponentialLR(o, 0.5), "epoch")
        assert rates == [0.5, 0.5, 0.25, 0.25]
        assert rows == [0.5, 0.25]

    def test_plateau_follows_the_training_loss(self):
        plateau = {"patience": 0, "threshold": 100, "threshold_mode": "abs", "factor": 0.5}
        _, rows = schedule_run(lambda o: optim.ReduceLROnPlateau(o, **plateau), "batch", epochs=3)
        assert rows == [0.5, 0.5, 0.25]  # nothing after the first is an improvement

    def test_of_another_optimizer(self):
        model = models.mlp((4, 3))
        schedule = optim.StepLR(optim.SGD(model), 1)
        with pytest.raises(ValueError, match="fit: the schedule is for another optimizer"):
            fit(model, toy(), schedule=schedule, optimizer=optim.SGD(model))


class TestLoss:
    def test_of_the_model(self):
        """Its loss and its classes are used in training and in validation."""

        class Squares(nn.Sequential):
            def loss(self, outputs, labels):
                return fastnn.mse(outputs, np.eye(3, dtype=np.float32)[labels])

            def classify(self, outputs):
                return outputs.argmax(1)

        x, labels = toy()
        options = {"batch_size": 7, "rng": 0, "epochs": 2}
        own = Squares(nn.Linear(4, 3, rng=0))
        given = nn.Sequential(nn.Linear(4, 3, rng=0))
        with pytest.warns(RuntimeWarning, match="the step runs uncompiled: update: .* NumPy array"):
            first = fit(own, (x, labels), (x, labels), **options)
        onehot = np.eye(3, dtype=np.float32)[labels]
        second = fit(given, (x, onehot), (x, onehot), loss=fastnn.mse, **options)
        assert first["loss"] == second["loss"]
        assert first["validation_loss"] == second["validation_loss"]
        assert first["accuracy"][-1] > 0.5
        assert second["accuracy"][-1] == 0  # these targets are no labels
        assert np.array_equal(own[0].weight.data, given[0].weight.data)

    def test_a_layer_that_insists_on_arrays_runs_uncompiled(self):
        class Strict(nn.Module):
            def forward(self, x):
                if not isinstance(x, np.ndarray):
                    raise TypeError("Strict: x must be an array")
                return x, lambda dy: dy

        x, labels = toy()
        model = nn.Sequential(Strict(), nn.Linear(4, 3, rng=0))
        with pytest.warns(RuntimeWarning, match="runs uncompiled: Strict: x must be an array"):
            history = fit(model, (x, labels), batch_size=20, rng=0, epochs=2)
        assert history["loss"][1] < history["loss"][0]

    def test_a_layer_that_draws_runs_uncompiled(self):
        class Jitter(nn.Module):
            def __init__(self):
                self.rng = np.random.default_rng(0)

            def forward(self, x):
                noise = self.rng.standard_normal(x.shape).astype(x.dtype)
                return fastnn.add(x, noise), lambda dy: dy

        x, labels = toy()
        losses = []
        for compiled in (True, False):
            model = nn.Sequential(Jitter(), nn.Linear(4, 3, rng=0))
            options = {"batch_size": 20, "rng": 0, "epochs": 2, "compile": compiled}
            if compiled:
                with pytest.warns(RuntimeWarning, match="Jitter draws from a generator of NumPy"):
                    losses.append(fit(model, (x, labels), **options)["loss"])
            else:
                losses.append(fit(model, (x, labels), **options)["loss"])
        assert losses[0] == losses[1]

    @pytest.mark.parametrize("value", [math.inf, math.nan])
    def test_divergence_is_an_error_before_the_step(self, value):
        x, labels = toy()
        x[20] = value
        model = models.mlp((4, 3), rng=0)
        before = model.state_dict()
        with pytest.raises(
            FloatingPointError, match=r"loss is infinite or NaN after 0 examples of epoch"
        ):
            fit(model, (x, labels), batch_size=60)
        for name, array in model.state_dict().items():
            assert np.array_equal(array, before[name])

    def test_divergence_in_validation(self):
        x, labels = toy()
        bad = np.full_like(x, math.nan)
        with pytest.raises(FloatingPointError, match=r"validation loss is nan after epoch 1"):
            fit(models.mlp((4, 3), rng=0), (x, labels), (bad, labels))


@pytest.mark.parametrize("norm", [0.01, 1e6])
def test_clip_norm(norm):
    """A step of SGD at rate 1 is as long as the gradient is, or as it may be."""
    model = models.mlp((4, 3), rng=0)
    before = model.state_dict()
    fit(model, toy(), optimizer=optim.SGD(model, lr=1.0), batch_size=60, clip_norm=norm)
    after = model.state_dict()
    step = math.sqrt(sum(np.sum((after[k] - before[k]) ** 2, dtype="f8") for k in after))
    assert step == pytest.approx(norm, rel=1e-4) if norm < 1 else 0.1 < step < 100


class TestBatches:
    def test_given_ones_are_used(self):
        train = data.batches(*toy(), 7, shuffle=True, rng=2)
        model = models.mlp((4, 8, 3), "tanh", rng=1)
        optimizer = optim.SGD(model, lr=0.1, momentum=0.9)
        history = fit(model, train, optimizer=optimizer, epochs=3)
        assert history["loss"] == toy_run()[1]

    @pytest.mark.parametrize("options", [{"rng": 0}, {"transform": lambda x, rng: x}])
    def test_options_that_have_no_effect(self, options):
        with pytest.raises(ValueError, match=f"fit: {next(iter(options))} has no effect where"):
            fit(models.mlp((4, 3)), data.batches(*toy(), 7), **options)


def test_default_optimizer_learns():
    model = models.mlp((4, 16, 3), rng=0)
    history = fit(model, toy(300), toy(100, seed=1), epochs=20, batch_size=10, rng=0)
    assert history["validation_accuracy"][-1] > 0.9


def test_no_epochs():
    model = models.mlp((4, 3), rng=0)
    before = model.state_dict()
    assert len(fit(model, toy(), epochs=0)) == 0
    assert np.array_equal(model.state_dict()["1.weight"], before["1.weight"])


BAD = [
    ({"train": toy()[0]}, TypeError, "train must be a pair of arrays"),
    ({"train": (toy()[0], toy(59)[1])}, ValueError, "train has 60 rows of x and 59 targets"),
    ({"train": (toy(0)[0], toy(0)[1])}, ValueError, "there are no training examples"),
    ({"validation": toy()[0]}, TypeError, "validation must be a pair of arrays"),
    ({"train": ([[0.0]], [0])}, TypeError, "train must be a pair of arrays .* not of list and"),
    ({"callbacks": [print]}, TypeError, "callbacks must be of class Callback, not builtin_func"),
    ({"checkpoint": "nowhere/c.npz"}, FileNotFoundError, "nowhere"),
    ({"epochs": -1}, ValueError, "epochs must be at least 0, got -1"),
    ({"epochs": 1.5}, TypeError, "epochs must be an integer, not float"),
    ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
    ({"clip_norm": -1.0}, ValueError, "clip_norm must be finite and at least 0"),
    ({"clip_norm": "x"}, TypeError, "clip_norm must be a number"),
    ({"schedule_per": "step"}, ValueError, "schedule_per must be 'batch' or 'epoch'"),
    ({"resume": True}, ValueError, "resume and checkpoint_every need a checkpoint"),
    ({"checkpoint_every": 1}, ValueError, "resume and checkpoint_every need a checkpoint"),
    (
        {"train": (np.zeros((2, 5), "f4"), np.zeros(2, int))},
        ValueError,
        "linear: w expects 4 input features, x has 5",
    ),
]


@pytest.mark.parametrize(("options", "error", "match"), BAD, ids=[str(row[2]) for row in BAD])
def test_bad_input(options, error, match):
    with pytest.raises(error, match=match):
        fit(models.mlp((4, 3)), **{"train": toy(), **options})


def test_what_is_no_model():
    with pytest.raises(TypeError, match="fit: model must be a Module, not function"):
        fit(lambda x: x, toy())


FAULTS = """
import resource
import numpy as np
import fastnn

class Count(fastnn.training.Callback):
    faults = []
    def on_batch(self, run):
        self.faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)

rng = np.random.default_rng(0)
x, y = rng.standard_normal((64 * 30, 28, 28, 1), np.float32), rng.integers(0, 10, 64 * 30)
fastnn.fit(fastnn.models.lenet5(rng=0), (x, y), callbacks=[Count()], progress=False)
print((Count.faults[-1] - Count.faults[9]) / 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries differ")
def test_memory_is_kept_from_step_to_step():
    """A page fault for each page of the activations, 4.6 MB, would be more than 1100 a step."""
    result = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, timeout=60, check=True
    )
    assert float(result.stdout) < 100


class TestHistory:
    def test_columns(self):
        history = fit(models.mlp((4, 3), rng=0), toy(), epochs=2)
        assert history["epoch"] == [1, 2]
        assert history["examples"] == [60, 60]
        assert history["validation_loss"] == [None, None]
        assert len(history) == 2
        with pytest.raises(KeyError, match="unknown column 'losses'; did you mean 'loss'"):
            history["losses"]

    def test_repr_is_a_table(self):
        history = fit(models.mlp((4, 3), rng=0), toy(), toy(), epochs=2)
        lines = repr(history).splitlines()
        assert [line[:9] for line in lines] == ["epoch   1", "epoch   2"]
        assert all("validation accuracy" in line for line in lines)
