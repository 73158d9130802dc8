"""Adam and the others: 50 steps against their formulae, PyTorch's, their state, their groups."""

import copy
import math
import pickle

import numpy as np
import pytest

import fastnn
from bits import assert_same_bits, assert_within, roundoff
from fastnn import nn, optim
from rounded import Rounded

EPS64 = float(np.finfo(np.float64).eps)


def constant(value, unit, error=2 * EPS64):
    """A hyper-parameter: computed in double, with a relative error, and rounded once."""
    return Rounded(np.float64(value), np.float64(error * abs(value)), EPS64).rounded(unit)


def sgd(w, dw, s, o, t, u):
    g = dw + constant(o.get("weight_decay", 0), u) * w
    if "momentum" not in o:
        return w - constant(o["lr"], u) * g
    momentum = constant(o["momentum"], u)
    take = 1 - o.get("dampening", 0) if t > 1 else 1
    s["v"] = momentum * s["v"] + constant(take, u) * g
    step = g + momentum * s["v"] if o.get("nesterov") else s["v"]
    return w - constant(o["lr"], u) * step


def adam(w, dw, s, o, t, u, decay=0.0, decoupled=False):
    lr, (beta1, beta2) = o.get("lr", 1e-3), o.get("betas", (0.9, 0.999))
    decay = o.get("weight_decay", decay)
    g = dw if decoupled else dw + constant(decay, u) * w
    s["m"] = s["m"] + constant(1 - beta1, u, 2 * EPS64 / (1 - beta1)) * (g - s["m"])
    rate2 = constant(1 - beta2, u, 2 * EPS64 / (1 - beta2))
    s["v"] = constant(beta2, u) * s["v"] + rate2 * g * g
    s["vmax"] = s["vmax"].maximum(s["v"])
    # beta**t may be off by an ulp, which the difference from 1 magnifies
    left1, left2 = 1 - beta1**t, 1 - beta2**t
    root = constant(math.sqrt(left2), u, 2 * EPS64 / left2)
    scale = s["vmax" if o.get("amsgrad") else "v"].sqrt() / root + constant(o.get("eps", 1e-8), u)
    keep = constant(1 - lr * decay if decoupled else 1, u)
    return keep * w - constant(lr / left1, u, 4 * EPS64 / left1) * (s["m"] / scale)


def adamw(w, dw, s, o, t, u):
    return adam(w, dw, s, o, t, u, decay=1e-2, decoupled=True)


def rmsprop(w, dw, s, o, t, u):
    alpha = o.get("alpha", 0.99)
    rate = constant(1 - alpha, u, 2 * EPS64 / (1 - alpha))
    g = dw + constant(o.get("weight_decay", 0), u) * w
    s["v"] = constant(alpha, u) * s["v"] + rate * g * g
    variance = s["v"]
    if o.get("centered"):
        s["m"] = s["m"] + rate * (g - s["m"])
        variance = s["v"] - s["m"] * s["m"]
    s["b"] = constant(o.get("momentum", 0), u) * s["b"] + g / (
        variance.sqrt() + constant(o.get("eps", 1e-8), u)
    )
    return w - constant(o.get("lr", 1e-2), u) * s["b"]


def adagrad(w, dw, s, o, t, u):
    g = dw + constant(o.get("weight_decay", 0), u) * w
    if t == 1:
        s["v"] = s["v"] + constant(o.get("initial_accumulator_value", 0), u)
    s["v"] = s["v"] + g * g
    lr = o.get("lr", 1e-2) / (1 + (t - 1) * o.get("lr_decay", 0))
    return w - constant(lr, u) * (g / (s["v"].sqrt() + constant(o.get("eps", 1e-10), u)))


def adadelta(w, dw, s, o, t, u):
    rho, eps = o.get("rho", 0.9), constant(o.get("eps", 1e-6), u)
    rate = constant(1 - rho, u, 2 * EPS64 / (1 - rho))
    g = dw + constant(o.get("weight_decay", 0), u) * w
    s["v"] = constant(rho, u) * s["v"] + rate * g * g
    step = (s["d"] + eps).sqrt() / (s["v"] + eps).sqrt() * g
    s["d"] = constant(rho, u) * s["d"] + rate * step * step
    return w - constant(o.get("lr", 1), u) * step


FORMULAE = {
    "SGD": sgd,
    "Adam": adam,
    "AdamW": adamw,
    "RMSprop": rmsprop,
    "Adagrad": adagrad,
    "Adadelta": adadelta,
}
VARIANTS = [
    ("SGD", {"lr": 0.1, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.25, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"centered": True, "alpha": 0.9}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "eps": 1e-4}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.25, "weight_decay": 0.1}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1, "eps": 1e-4}),
]
every_variant = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)


def make(name, source, options):
    return getattr(optim, name)(source, **options)


def gradient(rng, shape, dtype):
    """Sizes from 1/4 to 2 of either sign: no root of what is almost 0."""
    return (rng.uniform(0.25, 2, shape) * rng.choice([-1, 1], shape)).astype(dtype)


def trajectory(name, options, w, gradients, dtype):
    """Where 50 steps end by the formula, and how far rounding may lead astray."""
    unit = roundoff(dtype) / 2
    w = Rounded.exact(w, unit)
    zero = Rounded.exact(np.zeros(w.value.shape), unit)
    state = dict.fromkeys(("v", "m", "vmax", "b", "d"), zero)
    for t, dw in enumerate(gradients, 1):
        w = FORMULAE[name](w, Rounded.exact(dw, unit), state, options, t, unit)
    return w


@pytest.mark.isa
@every_variant
def test_50_steps(rng, dtype, name, options):
    w = rng.standard_normal(37).astype(dtype)
    gradients = [gradient(rng, 37, dtype) for _ in range(50)]
    want = trajectory(name, options, w, gradients, dtype)
    assert (want.error < 5e4 * roundoff(dtype)).all()  # the bound says something
    p = nn.Parameter(w)
    optimizer = make(name, [p], options)
    for g in gradients:
        p.grad = g
        optimizer.step()
    assert_within(p.data, want.value, want.error)


@every_variant
def test_50_steps_of_pytorch(rng, name, options):
    torch = pytest.importorskip("torch")
    w = rng.standard_normal(37)
    gradients = [gradient(rng, 37, np.float64) for _ in range(50)]
    p, peer = nn.Parameter(w), torch.nn.Parameter(torch.tensor(w))
    optimizer = make(name, [p], options)
    peers = getattr(torch.optim, name)([peer], **options)
    for g in gradients:
        p.grad, peer.grad = g, torch.tensor(g)
        optimizer.step()
        peers.step()
    # both are within the bound of what the formula gives; PyTorch's order has a rounding more
    bound = trajectory(name, options, w, gradients, np.float64).error
    assert_within(p.data, peer.detach().numpy(), 3 * bound)


def parameters(dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return [nn.Parameter(rng.standard_normal(s).astype(dtype)) for s in [(3, 5), (7,), (2, 1, 2)]]


def run(optimizer, params, steps, first=0):
    for t in range(first, first + steps):
        rng = np.random.default_rng(t)
        for p in params:
            p.grad = gradient(rng, p.shape, p.dtype)
        optimizer.step()


@every_variant
@pytest.mark.parametrize("size", [1, 7, 8, 9, 16, 31, 33])
def test_elements_stand_alone(rng, dtype, name, options, size):
    """A parameter's bits do not depend on where in the buffer it lies."""
    w = rng.standard_normal(70).astype(dtype)
    whole, part = nn.Parameter(w), nn.Parameter(w[5 : 5 + size])
    first, second = make(name, [whole], options), make(name, [part], options)
    for _ in range(3):
        whole.grad = gradient(rng, 70, dtype)
        part.grad = whole.grad[5 : 5 + size].copy()
        first.step()
        second.step()
    assert_same_bits(part.data, whole.data[5 : 5 + size])


@every_variant
@pytest.mark.parametrize("count", [2, 3, 5])
def test_threads(rng, restore_num_threads, dtype, name, options, count):
    """Enough elements for five members, and a last part that is no vector."""
    w = np.resize(rng.standard_normal(999).astype(dtype), 5 * 65536 + 3)
    g = np.resize(gradient(rng, 998, dtype), w.shape)
    results = []
    for threads in (1, count):
        fastnn.set_num_threads(threads)
        p = nn.Parameter(w)
        optimizer = make(name, [p], options)
        for _ in range(2):
            p.grad = g
            optimizer.step()
        results.append(p.data)
    assert_same_bits(*results)


@every_variant
def test_nan_and_infinity_reach_the_parameters(dtype, name, options):
    p = nn.Parameter(np.ones(40, dtype))
    optimizer = make(name, [p], options)
    p.grad = np.ones(40, dtype)
    p.grad[7] = math.nan
    optimizer.step()
    p.grad = np.ones(40, dtype)  # and stay: no step forgets
    optimizer.step()
    assert np.isnan(p.data[7])
    assert np.isfinite(np.delete(p.data, 7)).all()


@every_variant
def test_state_continues_bit_for_bit(name, options):
    params = parameters()
    run(make(name, params, options), params, 6)

    half = parameters()
    optimizer = make(name, half, options)
    run(optimizer, half, 3)
    rest = [nn.Parameter(p.data) for p in half]
    resumed = make(name, rest, options | {"lr": 7.0})
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.lr == optimizer.lr
    run(resumed, rest, 3, first=3)
    for p, q in zip(params, rest, strict=True):
        assert_same_bits(q.data, p.data)


@every_variant
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_train_on_their_own(name, options, clone):
    params = parameters()
    optimizer = make(name, params, options)
    run(optimizer, params, 2)
    other_params, other = clone((params, optimizer))
    before = [p.data.copy() for p in params]
    run(other, other_params, 2)
    for p, q, b in zip(params, other_params, before, strict=True):
        assert_same_bits(p.data, b)
        assert not np.array_equal(q.data, b)
    run(optimizer, params, 2)
    for p, q in zip(params, other_params, strict=True):
        assert_same_bits(q.data, p.data)


def test_state_of_another_optimizer_or_model():
    adam, adamw = optim.Adam(parameters()), optim.AdamW(parameters())
    with pytest.raises(ValueError, match=r"^AdamW.load_state_dict: the state is that of Adam$"):
        adamw.load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match=r"^SGD.load_state_dict: the state is that of Adam$"):
        optim.SGD(parameters()).load_state_dict(adam.state_dict())
    for others in (parameters()[:2], parameters()[::-1]):
        with pytest.raises(ValueError, match=r"another model: parameters of \[15, 7, 4\] elements"):
            optim.Adam(others).load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match=r"missing vmax\.0, vmax\.1"):
        optim.Adam(parameters(), amsgrad=True).load_state_dict(adam.state_dict())
    with pytest.raises(TypeError, match=r"m\.0: expected dtype float64, got float32"):
        optim.Adam(parameters(np.float64)).load_state_dict(adam.state_dict())
    for key, value in [("lr", math.nan), ("beta1", 1.0), ("step", -1.0), ("eps", -1e-8)]:
        before = adam.state_dict()
        with pytest.raises(ValueError, match=f"Adam: {key} must be"):
            adam.load_state_dict(before | {key: np.array(value), "m.0": np.ones((3, 5), "f4")})
        assert all(np.array_equal(v, before[k]) for k, v in adam.state_dict().items())


BAD = [
    ("Adam", {"lr": math.nan}, ValueError, "lr must be finite and at least 0, got nan"),
    ("Adam", {"lr": -1e-3}, ValueError, "lr must be finite and at least 0"),
    ("Adam", {"lr": "1"}, TypeError, "lr must be a number, not str"),
    ("Adam", {"betas": (0.9, 1.0)}, ValueError, "beta2 must be less than 1, got 1.0"),
    ("Adam", {"betas": (-0.1, 0.9)}, ValueError, "beta1 must be finite and at least 0"),
    ("Adam", {"betas": 0.9}, TypeError, "betas must be a pair of numbers, not 0.9"),
    ("Adam", {"betas": (0.9, 0.9, 0.9)}, TypeError, "betas must be a pair"),
    ("AdamW", {"eps": -1e-8}, ValueError, "eps must be finite and at least 0"),
    ("AdamW", {"weight_decay": math.inf}, ValueError, "weight_decay must be finite"),
    ("RMSprop", {"alpha": 1.5}, ValueError, "alpha must be less than 1"),
    ("RMSprop", {"momentum": -0.5}, ValueError, "momentum must be finite"),
    ("Adagrad", {"initial_accumulator_value": -1}, ValueError, "initial_accumulator_value must be"),
    ("Adagrad", {"lr_decay": math.nan}, ValueError, "lr_decay must be finite"),
    ("Adadelta", {"rho": 1.0}, ValueError, "rho must be less than 1"),
    ("SGD", {"dampening": -1}, ValueError, "dampening must be finite"),
    ("SGD", {"momentum": 0.9, "dampening": 0.1, "nesterov": True}, ValueError, "dampening 0"),
]


@pytest.mark.parametrize(("name", "options", "error", "match"), BAD, ids=str)
def test_bad_arguments(name, options, error, match):
    p = nn.Parameter(np.zeros(1))
    array = p.data
    with pytest.raises(error, match=f"^{name}: .*{match}"):
        make(name, [p], options)
    with pytest.raises(error, match=f"^{name}: .*{match}"):
        make(name, [{"params": [p], **options}], {}) if "initial" not in match else make(
            name, [p], options
        )
    assert p.data is array  # not moved


@pytest.mark.parametrize("name", FORMULAE)
def test_no_parameters(name):
    for source in ([], nn.ReLU(), [{"params": []}]):
        with pytest.raises(ValueError, match=f"^{name}: .*no parameters"):
            make(name, source, {})
