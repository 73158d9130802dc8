"""SGD: its formula, the flat buffers, its state."""

import copy
import math
import pickle

import numpy as np
import pytest

from fastnn import nn, optim

VARIANTS = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.01},
    {"lr": 0.05, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1},
    {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.1, "nesterov": True},
]


def parameters(dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [nn.Parameter(rng.standard_normal(s).astype(dtype)) for s in [(3, 5), (7,), (2, 1, 2)]]


def set_gradients(params, seed):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = rng.standard_normal(p.shape).astype(p.dtype)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_against_the_formula(options):
    """Five steps in float64 against the docstring, written out for each parameter."""
    params = parameters()
    w = [p.data.copy() for p in params]
    v = [np.zeros(p.shape) for p in params]
    optimizer = optim.SGD(params, **options)
    momentum, decay = options.get("momentum", 0), options.get("weight_decay", 0)
    for step in range(5):
        set_gradients(params, step)
        grads = [p.grad.copy() for p in params]
        optimizer.step()
        for i, dw in enumerate(grads):
            g = dw + decay * w[i]
            v[i] = momentum * v[i] + g
            move = g + momentum * v[i] if options.get("nesterov") else v[i]
            w[i] = w[i] - options["lr"] * move
            # a handful of roundings a step, of numbers below 10
            np.testing.assert_allclose(params[i].data, w[i], rtol=0, atol=1e-14 * (step + 1))


def test_cs231n_momentum_fixture():
    """CS231n's assignment 2: v' = 0.9 v - lr dw, w' = w + v'. Ours is v = -v / lr."""
    w = np.linspace(-0.4, 0.6, 20).reshape(4, 5)
    dw = np.linspace(-0.6, 0.4, 20).reshape(4, 5)
    v = np.linspace(0.6, 0.9, 20).reshape(4, 5)
    p = nn.Parameter(w)
    optimizer = optim.SGD([p], lr=1e-3, momentum=0.9)
    optimizer.load_state_dict(optimizer.state_dict() | {"velocity.0": -v / 1e-3})
    p.grad = dw
    optimizer.step()
    expected = [0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789]
    np.testing.assert_allclose(p.data[0], expected, atol=1e-8)
    assert p.data[3, 4] == pytest.approx(1.4096, abs=1e-12)
    velocity = -1e-3 * optimizer.state_dict()["velocity.0"]
    expected = [0.5406, 0.55475789, 0.56891579, 0.58307368, 0.59723158]
    np.testing.assert_allclose(velocity[0], expected, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_are_aligned_views_of_one_buffer(dtype):
    params = parameters(dtype)
    before = [p.data.copy() for p in params]
    set_gradients(params, 3)
    grads = [p.grad.copy() for p in params]
    optim.SGD(params, lr=0.1)
    for array in (lambda p: p.data), (lambda p: p.grad):
        assert len({id(array(p).base) for p in params}) == 1
        assert all(array(p).ctypes.data % 64 == 0 for p in params)
        assert all(array(p).flags.c_contiguous for p in params)
        addresses = [array(p).ctypes.data for p in params]
        assert addresses == sorted(addresses)
        assert addresses[-1] - addresses[0] <= 64 * 4
    for p, data, grad in zip(params, before, grads, strict=True):
        assert np.array_equal(p.data, data)
        assert np.array_equal(p.grad, grad)


def test_gradient_from_before_the_optimizer_counts():
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data = np.array([[1]], np.float32)
    layer.forward(np.ones((1, 1), np.float32))[1](np.ones((1, 1), np.float32))
    optim.SGD(layer, lr=0.25).step()
    assert layer.weight.data.item() == 0.75


def test_no_gradient_is_an_error():
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1)
    for _ in range(2):
        before = [p.data.copy() for p in params]
        with pytest.raises(ValueError, match=r"SGD.step: no parameter has got a gradient"):
            optimizer.step()
        assert all(np.array_equal(p.data, b) for p, b in zip(params, before, strict=True))
        set_gradients(params, 0)
        optimizer.step()


def test_unused_parameter_does_not_get_its_old_gradient_again():
    used, unused = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    optimizer = optim.SGD([used, unused], lr=0.5)
    used.grad = unused.grad = np.ones(2)
    optimizer.step()
    assert unused.data.tolist() == [0.5, 0.5]
    used.grad = np.ones(2)
    optimizer.step()
    assert used.data.tolist() == [0, 0]
    assert unused.data.tolist() == [0.5, 0.5]


def test_unused_parameter_keeps_its_momentum():
    used, unused = nn.Parameter(np.zeros(1)), nn.Parameter(np.zeros(1))
    optimizer = optim.SGD([used, unused], lr=1.0, momentum=0.5)
    used.grad = unused.grad = np.ones(1)
    optimizer.step()
    used.grad = np.ones(1)
    optimizer.step()
    assert used.data.item() == -2.5
    assert unused.data.item() == -1.5


def test_schedule():
    p = nn.Parameter(np.zeros(1))
    optimizer = optim.SGD([p], lr=1.0)
    for lr in (1.0, 0.5, 0.0):
        optimizer.lr = lr
        assert optimizer.lr == lr
        p.grad = np.ones(1)
        optimizer.step()
    assert p.data.item() == -1.5


def test_later_optimizer_takes_over():
    p = nn.Parameter(np.zeros(1))
    first = optim.SGD([p], lr=1.0)
    second = optim.SGD([p], lr=1.0)
    p.grad = np.ones(1)
    with pytest.raises(ValueError, match="moved to an optimizer made later"):
        first.step()
    second.step()
    assert p.data.item() == -1


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_train_on_their_own(clone):
    model = nn.Linear(2, 2, rng=0)
    optimizer = optim.SGD(model, lr=0.1, momentum=0.9)
    x = np.ones((1, 2), np.float32)

    def step(model, optimizer):
        y, backward = model.forward(x)
        backward(y)
        optimizer.step()
        return model.weight.data.copy()

    step(model, optimizer)
    other_model, other_optimizer = clone((model, optimizer))
    before = model.weight.data.copy()
    results = [step(other_model, other_optimizer) for _ in range(3)]
    assert np.array_equal(model.weight.data, before)
    assert not np.array_equal(results[0], before)
    assert np.array_equal(results, [step(model, optimizer) for _ in range(3)])


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_state_continues_bit_for_bit(options):
    def run(optimizer, params, first, last):
        for step in range(first, last):
            optimizer.lr = options["lr"] / (step + 1)
            set_gradients(params, step)
            optimizer.step()

    params = parameters(np.float32)
    run(optim.SGD(params, **options), params, 0, 6)

    half = parameters(np.float32)
    optimizer = optim.SGD(half, **options)
    run(optimizer, half, 0, 3)
    state = {name: array.copy() for name, array in optimizer.state_dict().items()}
    rest = [nn.Parameter(p.data) for p in half]
    other = {"lr": 1.0, "momentum": 0.1} if options.get("momentum") else {"lr": 1.0}
    resumed = optim.SGD(rest, **other)
    resumed.load_state_dict(state)
    assert resumed.lr == optimizer.lr
    assert resumed.nesterov == optimizer.nesterov
    run(resumed, rest, 3, 6)
    for p, q in zip(params, rest, strict=True):
        assert np.array_equal(p.data, q.data)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda s: s.pop("lr"), ValueError, "missing lr"),
        (lambda s: s.update(beta=np.array(1.0)), ValueError, "unexpected beta"),
        (lambda s: s.update(lr=np.array(-1.0)), ValueError, "lr must be finite"),
        (lambda s: s.update(lr=np.array("a")), TypeError, "lr: expected dtype float64"),
        (lambda s: s.update(momentum=np.array(0.0)), ValueError, "nesterov needs momentum"),
        (lambda s: s.update({"velocity.1": np.zeros(3)}), ValueError, r"velocity.1: .*\(7,\)"),
        (lambda s: s.update({"velocity.1": np.zeros(7, "f4")}), TypeError, "velocity.1: .*float"),
    ],
)
def test_bad_state_changes_nothing(change, error, match):
    optimizer = optim.SGD(parameters(), lr=0.1, momentum=0.9, nesterov=True)
    before = optimizer.state_dict()
    state = {name: array.copy() for name, array in before.items()}
    state["weight_decay"] = np.array(0.5)
    state["velocity.0"] = np.ones((3, 5))
    change(state)
    with pytest.raises(error, match=match):
        optimizer.load_state_dict(state)
    for name, array in optimizer.state_dict().items():
        assert np.array_equal(array, before[name])


def test_state_of_another_kind():
    plain, momentum = optim.SGD(parameters(), lr=0.1), optim.SGD(parameters(), 0.1, momentum=0.9)
    with pytest.raises(ValueError, match=r"missing velocity\.0"):
        momentum.load_state_dict(plain.state_dict())
    with pytest.raises(ValueError, match=r"unexpected velocity\.0"):
        plain.load_state_dict(momentum.state_dict())


SHARED = nn.Parameter(np.zeros(1))


@pytest.mark.parametrize(
    ("source", "options", "error", "match"),
    [
        ([], {}, ValueError, "no parameters"),
        (nn.ReLU(), {}, ValueError, "no parameters"),
        ([SHARED, SHARED], {}, ValueError, "occurs twice"),
        ([SHARED, nn.Parameter(np.zeros(1, "f4"))], {}, TypeError, "one dtype, got float64 and f"),
        ([np.zeros(3)], {}, TypeError, "item 0 is a ndarray, not a Parameter"),
        (3, {}, TypeError, "expected a Module or parameters, got int"),
        ([SHARED], {"lr": math.nan}, ValueError, "lr must be finite and at least 0, got nan"),
        ([SHARED], {"lr": math.inf}, ValueError, "lr must be finite"),
        ([SHARED], {"lr": -0.1}, ValueError, "lr must be finite"),
        ([SHARED], {"lr": "0.1"}, TypeError, "lr must be a number, not str"),
        ([SHARED], {"momentum": 1.0}, ValueError, "momentum must be less than 1"),
        ([SHARED], {"momentum": -0.5}, ValueError, "momentum must be finite and at least 0"),
        ([SHARED], {"weight_decay": math.nan}, ValueError, "weight_decay must be finite"),
        ([SHARED], {"nesterov": True}, ValueError, "nesterov needs momentum"),
    ],
)
def test_bad_arguments(source, options, error, match):
    array = SHARED.data
    with pytest.raises(error, match=f"SGD: .*{match}"):
        optim.SGD(source, **{"lr": 0.1, **options})
    assert SHARED.data is array  # not moved


def test_setters_check():
    optimizer = optim.SGD(parameters(), lr=0.1)
    for name, value in [("lr", -1), ("momentum", 0.5), ("momentum", 2), ("weight_decay", math.inf)]:
        with pytest.raises(ValueError, match="SGD: "):
            setattr(optimizer, name, value)
    optimizer.weight_decay = 0.5
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (0.1, 0, 0.5)
    nesterov = optim.SGD(parameters(), lr=0.1, momentum=0.9, nesterov=True)
    with pytest.raises(ValueError, match="nesterov needs momentum"):
        nesterov.momentum = 0
    nesterov.momentum = 0.5
    assert "momentum=0.5" in repr(nesterov)


def test_generator_of_parameters():
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 1, rng=0))
    optimizer = optim.SGD(model[1:].parameters(), lr=0.5)
    assert [p.shape for p in optimizer.parameters] == [(1, 2), (1,)]
    before = model[0].weight.data.copy()
    y, backward = model.forward(np.ones((1, 2), np.float32))
    backward(np.ones(y.shape, np.float32))
    optimizer.step()
    assert np.array_equal(model[0].weight.data, before)
    assert model[1].bias.data.tolist() == [-0.5]
