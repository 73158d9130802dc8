"""`fastnn.compile`: a compiled step has the bits of the step itself."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from compiling import assert_same_state, assert_steps_equal, image_batches, state_of, training_step
from fastnn import nn, optim
from fastnn.program.build import PASSES

OPTIMIZERS = {
    "sgd": lambda m: optim.SGD(m, lr=0.05),
    "momentum": lambda m: optim.SGD(m, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "nesterov": lambda m: optim.SGD(m, lr=0.05, momentum=0.9, nesterov=True),
    "dampening": lambda m: optim.SGD(m, lr=0.05, momentum=0.9, dampening=0.5),
    "adam": lambda m: optim.Adam(m, lr=0.01),
    "adamw": lambda m: optim.AdamW(m, lr=0.01),
    "amsgrad": lambda m: optim.Adam(m, lr=0.01, amsgrad=True),
    "rmsprop": lambda m: optim.RMSprop(m, lr=0.01, centered=True, momentum=0.9),
    "adagrad": lambda m: optim.Adagrad(m, lr=0.01, lr_decay=0.1),
    "adadelta": lambda m: optim.Adadelta(m, lr=1.0),
}


def small_net(dtype: type = np.float32) -> nn.Sequential:
    rng = np.random.default_rng(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, rng=rng, dtype=dtype),
        nn.BatchNorm2d(8, dtype=dtype),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, rng=rng, dtype=dtype),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3, rng=rng),
        nn.Linear(256, 20, rng=rng, dtype=dtype),
        nn.Tanh(),
        nn.Linear(20, 5, rng=rng, dtype=dtype),
    )


def make(optimizer: str = "momentum", dtype: type = np.float32) -> tuple[nn.Module, optim.SGD]:
    model = small_net(dtype)
    return model, OPTIMIZERS[optimizer](model)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(optimizer: str) -> None:
    assert_steps_equal(lambda: make(optimizer), image_batches(20), threads=(1, 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_sizes_and_threads(dtype: type) -> None:
    batches = image_batches(20, sizes=(4, 1, 33, 2), dtype=dtype)
    step = assert_steps_equal(lambda: make("adam", dtype), batches[1::2], threads=(3, 1, 2, 5))
    assert len(step.programs()) == 2


@pytest.mark.parametrize("left_out", [*PASSES, "all"])
def test_passes_change_no_bit(left_out: str) -> None:
    disable = PASSES if left_out == "all" else (left_out,)
    assert_steps_equal(make, image_batches(4), threads=(1, 2), disable=disable)


def test_passes_save_ops_and_memory() -> None:
    full, model = fastnn.compile(training_step(*make())), make()
    bare = fastnn.compile(training_step(*model), disable=PASSES)
    batch = image_batches(1)[0]
    full(*batch), bare(*batch)
    assert len(next(iter(full._plans.values()))[0].ops) + 5 == len(
        next(iter(bare._plans.values()))[0].ops
    )
    assert (
        next(iter(full._plans.values()))[0].placement.size * 2
        < next(iter(bare._plans.values()))[0].placement.size
    )


def test_lenet() -> None:
    def make_lenet() -> tuple[nn.Module, optim.SGD]:
        model = fastnn.models.lenet5(rng=0)
        return model, optim.SGD(model, lr=0.05, momentum=0.9)

    batches = image_batches(20, (28, 28, 1), sizes=(5, 64), classes=10)
    assert_steps_equal(make_lenet, batches, threads=(1, 2, 3))


def test_schedule_between_steps() -> None:
    rates = iter(np.linspace(0.1, 0.01, 80))

    def follow(optimizer: optim.Optimizer) -> None:
        optimizer.lr = 0.1 / (1 + optimizer.state_dict()["step"].item())

    assert_steps_equal(make, image_batches(20), between=follow)
    assert next(rates) == 0.1


def test_parameter_groups() -> None:
    def grouped() -> tuple[nn.Module, optim.SGD]:
        model = small_net()
        biases = [p for name, p in model.named_parameters() if name.endswith("bias")]
        weights = [p for name, p in model.named_parameters() if not name.endswith("bias")]
        groups = [{"params": weights, "weight_decay": 0.01}, {"params": biases, "lr": 0.1}]
        return model, optim.SGD(groups, lr=0.05, momentum=0.9)

    assert_steps_equal(grouped, image_batches(6))


def test_inference() -> None:
    model, _ = make()
    infer = fastnn.compile(lambda x: model(x))
    for n in (1, 3, 1):
        x = image_batches(1, sizes=(n,))[0][0]
        assert infer(x).tobytes() == model(x).tobytes()


def test_results_are_new_arrays() -> None:
    double = fastnn.compile(lambda x: fastnn.gemm(x, x))
    a, b = double(np.eye(3)), double(2 * np.eye(3))
    assert np.array_equal(a, np.eye(3))
    assert np.array_equal(b, 4 * np.eye(3))


def test_gradient_accumulation() -> None:
    models = [make(), make()]

    def accumulate(model: nn.Module) -> object:
        def add(x: np.ndarray, labels: np.ndarray) -> float:
            logits, backward = model.forward(x)
            loss, dlogits = fastnn.softmax_cross_entropy(logits, labels)
            backward(dlogits)
            return loss

        return add

    eager, compiled = accumulate(models[0][0]), fastnn.compile(accumulate(models[1][0]))
    for i, batch in enumerate(image_batches(9)):
        assert eager(*batch) == compiled(*batch)
        if i % 3 == 2:
            for _, optimizer in models:
                optimizer.step()
    assert len(compiled.programs()) == 2  # one that overwrites the gradients, one that adds
    assert_same_state(state_of(*models[1]), state_of(*models[0]))


def test_two_backward_passes_in_one_step() -> None:
    def step_of(model: nn.Module, optimizer: optim.Optimizer) -> object:
        def step(x: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
            losses = []
            for part in (slice(0, 2), slice(2, 4)):
                logits, backward = model.forward(x[part])
                loss, dlogits = fastnn.softmax_cross_entropy(logits, labels[part])
                backward(dlogits)
                losses.append(loss)
            optim.clip_grad_norm(optimizer, 0.5)
            optimizer.step()
            return tuple(losses)

        return step

    models = [make(), make()]
    eager, compiled = step_of(*models[0]), fastnn.compile(step_of(*models[1]))
    for batch in image_batches(10):
        assert eager(*batch) == compiled(*batch)
    assert_same_state(state_of(*models[1]), state_of(*models[0]))


def test_eager_and_compiled_steps_mix() -> None:
    models = [make(), make()]
    eager = [training_step(*m) for m in models]
    compiled = fastnn.compile(eager[1])
    for i, batch in enumerate(image_batches(8)):
        assert eager[0](*batch) == (compiled if i % 2 else eager[1])(*batch)
    assert_same_state(state_of(*models[1]), state_of(*models[0]))


def test_frozen_layers_and_shared_weights() -> None:
    def shared() -> tuple[nn.Module, optim.SGD]:
        rng = np.random.default_rng(0)
        twice = nn.Linear(12, 12, rng=rng)
        model = nn.Sequential(
            nn.Flatten(),
            nn.Linear(432, 12, rng=rng),
            twice,
            nn.ReLU(),
            twice,
            nn.ELU(),
            nn.Linear(12, 5, rng=rng),
        )
        return model, optim.SGD([*twice.parameters(), *model[6].parameters()], lr=0.1, momentum=0.5)

    assert_steps_equal(shared, image_batches(10), threads=(1, 2))


def test_a_parameter_without_gradient() -> None:
    def unused() -> tuple[nn.Module, optim.SGD]:
        model = small_net()
        extra = nn.Linear(3, 3, rng=0)
        optimizer = optim.SGD([*model.parameters(), *extra.parameters()], lr=0.1, momentum=0.5)
        return model, optimizer

    assert_steps_equal(unused, image_batches(5))


def test_two_models_in_one_step() -> None:
    def adversaries() -> tuple[object, list[nn.Module]]:
        rng = np.random.default_rng(1)
        maker, judge = nn.Linear(4, 6, rng=rng), nn.Linear(6, 1, rng=rng)
        optimizers = [optim.SGD(maker, lr=0.1), optim.Adam(judge, lr=0.01)]

        def step(z: np.ndarray, t: np.ndarray) -> dict[str, object]:
            fake, backward_maker = maker.forward(z)
            score, backward_judge = judge.forward(fake)
            loss, dscore = fastnn.bce_with_logits(score, t)
            backward_maker(backward_judge(dscore))
            for optimizer in optimizers:
                optimizer.step()
            return {"loss": loss, "fake": fake, "score": [score, dscore]}

        return step, [maker, judge]

    (eager, models), (step, twins) = adversaries(), adversaries()
    compiled = fastnn.compile(step)
    rng = np.random.default_rng(2)
    for _ in range(10):
        z, t = rng.standard_normal((8, 4)), rng.integers(0, 2, (8, 1)).astype(np.float64)
        z, t = z.astype(np.float32), t.astype(np.float32)
        expected, actual = eager(z, t), compiled(z, t)
        assert actual["loss"] == expected["loss"]
        assert list(actual) == list(expected)
        assert np.array_equal(actual["fake"], expected["fake"])
        for a, b in zip(actual["score"], expected["score"], strict=True):
            assert np.array_equal(a, b)
    for a, b in zip(models, twins, strict=True):
        for name, value in a.state_dict().items():
            assert np.array_equal(value, b.state_dict()[name]), name


def test_what_is_returned() -> None:
    table = np.arange(6.0).reshape(2, 3)

    @fastnn.compile
    def function(x: np.ndarray, y: np.ndarray) -> object:
        z = fastnn.relu(x)
        return z, z.reshape(6), z.T, z[1], z[:, ::-2], x, x[0], table, None, 3, [z], fastnn.relu(y)

    x = np.array([[1.0, -2, 3], [-4, 5, -6]])
    z = np.maximum(x, 0)
    for _ in range(2):
        result = function(x, np.empty((0, 2)))
        expected = (z, z.reshape(6), z.T, z[1], z[:, ::-2], x, x[0], table, None, 3)
        for actual, wanted in zip(result, expected, strict=False):
            assert np.array_equal(actual, wanted)
        assert result[5] is x
        assert result[7] is table
        assert result[10][0] is result[0]
        assert result[11].shape == (0, 2)
        assert np.shares_memory(result[1], result[0])
        assert np.shares_memory(result[6], x)


def test_arguments_in_containers_and_keywords() -> None:
    @fastnn.compile
    def function(pair: tuple, *, scale: float, options: dict) -> np.ndarray:
        return fastnn.gemm(pair[0], options["b"], alpha=scale)

    a, b = np.eye(3), np.arange(9.0).reshape(3, 3)
    for scale in (1.0, 2.0, 1.0):
        assert np.array_equal(function((a, 5), scale=scale, options={"b": b}), scale * b)
    assert len(function.programs()) == 2


@pytest.mark.parametrize("layout", ["strided", "reversed", "fortran", "misaligned", "readonly"])
def test_arguments_of_any_layout(layout: str) -> None:
    x = np.random.default_rng(0).standard_normal((6, 10))
    if layout == "strided":
        x = np.repeat(x, 2, 1)[:, ::2]
    elif layout == "reversed":
        x = x[::-1]
    elif layout == "fortran":
        x = np.asfortranarray(x)
    elif layout == "misaligned":
        raw = np.empty(x.nbytes + 1, np.uint8)
        misaligned = raw[1:].view(np.float64).reshape(x.shape)
        misaligned[...] = x
        x = misaligned
    else:
        x.flags.writeable = False
    softmax = fastnn.compile(lambda x: fastnn.softmax(x))
    for _ in range(2):
        assert np.array_equal(softmax(x), fastnn.softmax(x))


def test_labels_of_any_integer_type() -> None:
    step = fastnn.compile(lambda x, labels: fastnn.softmax_cross_entropy(x, labels)[0])
    x = np.random.default_rng(0).standard_normal((3, 4))
    labels = np.array([0, 3, 1])
    expected = fastnn.softmax_cross_entropy(x, labels)[0]
    for dtype in (np.int8, np.int32, np.int64, np.uint32):
        assert step(x, labels.astype(dtype)) == expected


def test_captured_arrays_of_any_stride_are_read_at_every_call() -> None:
    w = np.arange(24.0).reshape(6, 4)
    relu = fastnn.compile(lambda x: (fastnn.relu(w[::2].T), fastnn.relu(x)))
    x = np.ones(3)
    assert np.array_equal(relu(x)[0], w[::2].T)
    w += 1
    assert np.array_equal(relu(x)[0], w[::2].T)


def test_strided_out() -> None:
    out = np.zeros((4, 6))
    relu = fastnn.compile(lambda x: fastnn.relu(x, out=out[:, ::2]))
    x = np.arange(12.0).reshape(4, 3)
    assert np.array_equal(relu(x), x)
    assert np.array_equal(out[:, ::2], x)
    assert not out[:, 1::2].any()


def test_a_method_and_a_nested_compiled_function() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.layer = nn.Linear(3, 2, rng=0)

        @fastnn.compile
        def infer(self, x: np.ndarray) -> np.ndarray:
            return self.layer(x)

    trainer, other = Trainer(), Trainer()
    other.layer.weight.data[...] = 0
    x = np.ones((2, 3), np.float32)
    outer = fastnn.compile(lambda x: fastnn.relu(trainer.infer(x)))
    assert np.array_equal(outer(x), fastnn.relu(trainer.layer(x)))
    assert np.array_equal(trainer.infer(x), trainer.layer(x))
    assert not other.infer(x).any()


def test_packed_weights() -> None:
    w = fastnn.pack(np.arange(12.0).reshape(3, 4))
    linear = fastnn.compile(lambda x: fastnn.linear(x, w))
    x = np.arange(8.0).reshape(2, 4)
    assert np.array_equal(linear(x), fastnn.linear(x, w))


def test_programs_are_bounded() -> None:
    relu = fastnn.compile(lambda x: fastnn.relu(x), max_programs=3)
    for n in (1, 2, 3, 4, 5, 1, 5):
        assert len(relu(np.ones(n))) == n
    assert len(relu.programs()) == 3
    assert "relu" not in relu.programs()[0]
    assert "float64[5]" in relu.programs()[-1]
    relu.clear()
    assert relu.programs() == []
    assert relu.explain() == "nothing has been recorded yet"


def test_explain_and_profile() -> None:
    step = fastnn.compile(training_step(*make()))
    batch = image_batches(1)[0]
    step(*batch)
    text = step.explain()
    for part in (
        "conv2d_forward [winograd]",
        "conv2d_forward [direct]",
        "+ relu",
        "sgd_step",
        "arena: ",
        "line ",
        "x 4x12x12x3 input",
        "w 8x3x3x3",
    ):
        assert part in text or part == "conv2d_forward [winograd]", part
    step.profile()
    for _ in range(3):
        step(*batch)
    assert "3 timed calls" in step.explain()
    assert " us  line" in step.explain()
    step.profile(False)
    assert " us  line" not in step.explain()
