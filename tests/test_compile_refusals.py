"""What a compiled function cannot do, and what it was recorded with that is no longer so."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest

import fastnn
from compiling import training_step
from fastnn import nn, optim

X = np.ones((3, 4), np.float32)

REFUSED: dict[str, Callable] = {
    "numpy.add": lambda x: np.add(x, 1),
    "numpy.sum": lambda x: np.sum(x),
    "numpy.maximum": lambda x: np.maximum(x, 0),
    "NumPy array": lambda x: np.asarray(x),
    "numpy.multiply": lambda x: X * x,
    "+ ": lambda x: x + 1,
    "- ": lambda x: 1 - x,
    "@ ": lambda x: x @ x,
    "*= ": lambda x: x.__imul__(2),
    "** ": lambda x: x**2,
    "> ": lambda x: x > 0,
    "== ": lambda x: x == 0,
    ".sum": lambda x: x.sum(),
    ".mean": lambda x: x.mean(),
    ".astype": lambda x: x.astype(np.float64),
    ".copy": lambda x: x.copy(),
    ".item": lambda x: x.item(),
    ".argmax": lambda x: x.argmax(1),
    "float()": lambda x: float(fastnn.mse(x, x)[0]),
    "int()": lambda x: int(x[0, 0]),
    "condition": lambda x: x if x[0, 0] else None,
    "iteration": lambda x: list(x),
    "in ": lambda x: 1 in x,
    "index of list": lambda x: x[[0, 1]],
    "index of ndarray": lambda x: x[np.array([True, False, True])],
    "index of bool": lambda x: x[True],
    "assignment": lambda x: x.__setitem__(0, 1),
    "reshape that copies": lambda x: x.T.reshape(12),
    "formatting": lambda x: f"{x}",
    "deepcopy": lambda x: copy.deepcopy(x),
    "pickling": lambda x: pickle.dumps(x),
    "round()": lambda x: round(x),
    "abs()": lambda x: abs(x),
    "float() ": lambda x: math.sqrt(x),
}


@pytest.mark.parametrize("operation", REFUSED)
def test_operations_are_named_with_their_line(operation: str) -> None:
    function = REFUSED[operation]
    line = function.__code__.co_firstlineno
    with pytest.raises(TypeError) as error:
        fastnn.compile(function)(X)
    message = str(error.value)
    assert operation.strip() in message
    assert f"at line {line} of {__file__}" in message
    assert fastnn._core.get_recorder() is None
    assert np.array_equal(fastnn.relu(X), X)


def test_the_line_is_that_of_the_function_not_of_what_it_calls() -> None:
    def helper(x: np.ndarray) -> np.ndarray:
        return np.exp(x)

    def function(x: np.ndarray) -> np.ndarray:
        y = fastnn.relu(x)
        return helper(y)

    with pytest.raises(TypeError, match=f"line {function.__code__.co_firstlineno + 2} of"):
        fastnn.compile(function)(X)


def test_a_failed_recording_leaves_gradients_as_they_were() -> None:
    layer = nn.Linear(4, 2, rng=0)
    before = layer.weight.data.copy()

    @fastnn.compile
    def function(x: np.ndarray) -> float:
        y, backward = layer.forward(x)
        backward(y)
        return float(fastnn.mse(y, y)[0])

    with pytest.raises(TypeError, match="float"):
        function(X)
    assert layer.weight.grad is None
    assert not layer.weight.has_fresh_grad
    assert np.array_equal(layer.weight.data, before)


def test_errors_of_kernels_are_theirs() -> None:
    with pytest.raises(ValueError, match="linear: w expects 5 input features"):
        fastnn.compile(lambda x: fastnn.linear(x, np.ones((2, 5), np.float32)))(X)


def test_symbols_do_not_escape() -> None:
    kept = []
    fastnn.compile(lambda x: kept.append(x) or fastnn.relu(x))(X)
    with pytest.raises(TypeError, match="must be a NumPy array, not Symbol"):
        fastnn.relu(kept[0])
    with pytest.raises(TypeError, match="Symbol of another recording"):
        fastnn.compile(lambda x: fastnn.gemm(kept[0], x))(X)


@pytest.mark.parametrize("labels", [[0, 4, 1], [0, -1, 1]])
def test_labels_are_checked_before_every_run(labels: list[int]) -> None:
    model = nn.Linear(4, 4, rng=0)
    step = fastnn.compile(training_step(model, optim.SGD(model, lr=0.1)))
    step(X, np.array([0, 3, 1]))
    before = model.state_dict()
    with pytest.raises(
        ValueError, match=r"softmax_cross_entropy: labels\[1\] is -?\d, not a class"
    ):
        step(X, np.array(labels))
    for name, value in model.state_dict().items():
        assert np.array_equal(value, before[name])
    step(X, np.array([0, -100, 1]))  # ignored


def test_changes_that_would_happen_once() -> None:
    model = nn.Linear(4, 2, rng=0)
    optimizer = optim.SGD(model, lr=0.1)
    schedule = optim.StepLR(optimizer, 2)

    def set_rate(x: np.ndarray) -> None:
        optimizer.lr = 0.2

    with pytest.raises(TypeError, match="change of 'lr', which would happen only once"):
        fastnn.compile(set_rate)(X)
    with pytest.raises(TypeError, match=r"StepLR\.step, which would happen only once"):
        fastnn.compile(lambda x: schedule.step())(X)
    assert optimizer.lr == 0.1
    assert schedule.count == 0


def test_arguments_that_are_no_arrays_nor_hashable() -> None:
    with pytest.raises(TypeError, match="can be hashed, unlike set"):
        fastnn.compile(lambda x: x)({1, 2})
    with pytest.raises(TypeError, match="NumPy's own, not matrix"):
        fastnn.compile(lambda x: fastnn.relu(x))(np.ones((2, 2)).view(np.matrix))


@pytest.mark.parametrize("bad", [3, "step", staticmethod(len), nn.Linear])
def test_compile_needs_a_function(bad: object) -> None:
    with pytest.raises(TypeError, match="compile: expected a function"):
        fastnn.compile(bad)


def test_unknown_passes() -> None:
    with pytest.raises(ValueError, match="unknown passes fusoin; valid are fusion, dead_code"):
        fastnn.compile(lambda x: x, disable=["fusoin"])


def test_compiled_functions_are_not_copied() -> None:
    with pytest.raises(TypeError, match="cannot be pickled or copied"):
        copy.deepcopy(fastnn.compile(lambda x: x))


def test_what_is_written_into_must_be_writable_and_contiguous() -> None:
    overwrite = fastnn.compile(lambda x: fastnn.relu(x, out=x))
    x = np.array([-1.0, 2.0])
    assert overwrite(x) is x
    assert x.tolist() == [0, 2]
    for bad in (np.array([-1.0, 2, 3, 4])[::2], np.array([-1.0, 2.0])):
        bad.flags.writeable = bad.flags.c_contiguous is False
        with pytest.raises(ValueError, match="written into must be writable, contiguous"):
            overwrite(bad)


def test_a_loss_that_is_not_finite_stops_the_step() -> None:
    """Behind `require_finite` nothing has run, whatever the team."""
    for threads in (1, 2, 3):
        model = nn.Sequential(nn.Linear(300, 400, rng=0), nn.ReLU(), nn.Linear(400, 10, rng=1))
        optimizer = optim.SGD(model, lr=0.1, momentum=0.9)

        @fastnn.compile
        def step(x, labels, model=model, optimizer=optimizer):
            logits, backward = model.forward(x)
            loss, dlogits = fastnn.softmax_cross_entropy(logits, labels)
            fastnn.require_finite(loss)
            backward(dlogits)
            optimizer.step()
            return loss

        x, labels = np.ones((200, 300), np.float32), np.zeros(200, int)
        with fastnn.threads(threads):
            step(x, labels)
            before = {**model.state_dict(), **optimizer.state_dict()}
            bad = x.copy()
            bad[7, 5] = np.nan
            for _ in range(3):
                with pytest.raises(FloatingPointError, match="a loss is infinite or NaN"):
                    step(bad, labels)
            after = {**model.state_dict(), **optimizer.state_dict()}
            for name, value in before.items():
                assert np.array_equal(value, after[name]), name
            assert np.isfinite(step(x, labels))


def test_require_finite_by_itself() -> None:
    fastnn.require_finite(1.0)
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(FloatingPointError, match="the loss is"):
            fastnn.require_finite(bad)
    with pytest.raises(TypeError, match="the number that a loss returns"):
        fastnn.compile(lambda x: fastnn.require_finite(x))(X)


# ---- what was bound anew -----------------------------------------------------------------------


def test_a_parameter_bound_anew_is_an_error() -> None:
    layer = nn.Linear(4, 2, rng=0)
    infer = fastnn.compile(lambda x: layer(x))
    infer(X)
    layer.weight = nn.Parameter(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match=r"weight of Linear was bound anew .* call <lambda>"):
        infer(X)
    infer.clear()
    assert np.array_equal(infer(X), layer(X))


def test_a_parameter_moved_by_a_later_optimizer_is_an_error() -> None:
    model = nn.Linear(4, 4, rng=0)
    step = fastnn.compile(training_step(model, optim.SGD(model, lr=0.1)))
    labels = np.array([0, 3, 1])
    step(X, labels)
    optim.SGD(nn.Linear(2, 2), lr=0.1)  # of something else
    step(X, labels)
    optim.SGD(model, lr=0.1)
    with pytest.raises(ValueError, match=r"has moved a parameter of shape \(4, 4\)"):
        step(X, labels)


def test_other_attributes_are_recorded_anew() -> None:
    model = nn.Sequential(nn.Linear(4, 2, rng=0), nn.ReLU())
    infer = fastnn.compile(lambda x: model(x))
    infer(X)
    model.layers = (*model.layers, nn.Tanh())
    assert np.array_equal(infer(X), model(X))
    assert len(infer.programs()) == 1


def test_flags_of_an_optimizer_are_recorded_anew() -> None:
    model = nn.Linear(4, 4, rng=0)
    optimizer = optim.SGD(model, lr=0.1, momentum=0.9)
    step = fastnn.compile(training_step(model, optimizer))
    labels = np.array([0, 3, 1])
    step(X, labels)
    state = optimizer.state_dict()
    state["nesterov"] = np.array(True)
    optimizer.load_state_dict(state)
    twin = copy.deepcopy(model), None
    other = optim.SGD(twin[0], lr=0.1, momentum=0.9)
    other.load_state_dict(state)
    assert training_step(twin[0], other)(X, labels) == step(X, labels)
    assert np.array_equal(model.weight.data, twin[0].weight.data)


def test_loading_parameters_is_seen() -> None:
    layer, other = nn.Linear(4, 2, rng=0), nn.Linear(4, 2, rng=1)
    infer = fastnn.compile(lambda x: layer(x))
    infer(X)
    layer.load_state_dict(other.state_dict())
    assert np.array_equal(infer(X), other(X))
    layer.bias.data = np.ones(2, np.float32)
    assert np.array_equal(infer(X), layer(X))
