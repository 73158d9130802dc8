"""Groups of parameters with hyper-parameters of their own."""

import numpy as np
import pytest

from bits import assert_same_bits
from fastnn import nn, optim


def parameters():
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.standard_normal(s).astype("f4")) for s in [(3, 5), (7,), (2, 2), (1,)]]


def run(params, *optimizers):
    for t in range(4):
        rng = np.random.default_rng(t)
        for p in params:
            p.grad = rng.standard_normal(p.shape).astype("f4")
        for optimizer in optimizers:
            optimizer.step()


OPTIONS = [
    ("SGD", {"lr": 0.1}, {"lr": 0.2, "momentum": 0.9, "weight_decay": 0.5}),
    ("SGD", {"momentum": 0.9, "nesterov": True}, {"momentum": 0.5, "dampening": 0.25}),
    ("Adam", {"betas": (0.5, 0.75)}, {"lr": 0.2, "amsgrad": True}),
    ("AdamW", {}, {"weight_decay": 0.0, "eps": 0.25}),
    ("RMSprop", {"momentum": 0.5}, {"centered": True, "alpha": 0.5}),
    ("Adagrad", {"lr_decay": 0.5}, {}),
    ("Adadelta", {"rho": 0.5}, {"lr": 0.5}),
]
every_pair = pytest.mark.parametrize(("name", "first", "second"), OPTIONS, ids=str)


@every_pair
def test_as_two_optimizers(name, first, second):
    params, apart = parameters(), parameters()
    make = getattr(optim, name)
    groups = [{"params": params[::2], **first}, {"params": iter(params[1::2]), **second}]
    optimizer = make(groups)
    run(params, optimizer)
    run(apart, make(apart[::2], **first), make(apart[1::2], **second))
    for p, q in zip(params, apart, strict=True):
        assert_same_bits(p.data, q.data)
    assert optimizer.parameters == (*params[::2], *params[1::2])


@every_pair
def test_state(name, first, second):
    def make(params):
        groups = [{"params": params[:1], **first}, {"params": params[1:], **second}]
        return getattr(optim, name)(groups)

    whole = parameters()
    optimizer = make(whole)
    run(whole, optimizer)
    state = optimizer.state_dict()
    assert state["lr"].shape == (2,)
    resumed = [nn.Parameter(p.data) for p in whole]
    other = make(resumed)
    for group in other.param_groups:
        group["lr"] = 7.0
    other.load_state_dict(state)
    assert all(np.array_equal(v, state[k]) for k, v in other.state_dict().items())
    run(whole, optimizer)
    run(resumed, other)
    for p, q in zip(whole, resumed, strict=True):
        assert_same_bits(p.data, q.data)


def test_a_state_with_other_groups():
    params = parameters()
    state = optim.Adagrad(parameters()).state_dict()
    optimizer = optim.Adagrad([{"params": params[:1]}, {"params": params[1:]}])
    with pytest.raises(ValueError, match=r"^Adagrad.load_state_dict: lr: expected shape \(2,\)"):
        optimizer.load_state_dict(state)


def test_a_group_is_a_mapping():
    weight, bias = parameters()[:2]
    optimizer = optim.Adam([{"params": weight}, {"params": [bias], "lr": 0.25}], lr=0.5)
    first, second = optimizer.param_groups
    assert set(first) == {
        *("params", "lr", "beta1", "beta2", "eps", "weight_decay", "step", "amsgrad")
    }
    assert len(first) == len(list(first))
    assert first["params"] == (weight,)
    assert (first["lr"], second["lr"], first["betas"]) == (0.5, 0.25, (0.9, 0.999))
    second["betas"] = (0.5, 0.75)
    assert second["beta2"] == second.hyper[2] == 0.75
    assert first["beta2"] == 0.999
    with pytest.raises(ValueError, match="Adam: lr differs between groups; see param_groups"):
        _ = optimizer.lr
    optimizer.lr = 0.125
    assert (optimizer.lr, first["lr"], second["lr"]) == (0.125,) * 3
    for key, value in [("lr", -1), ("step", 3), ("amsgrad", True), ("params", []), ("mu", 1)]:
        with pytest.raises(ValueError, match=f"Adam: .*{key}"):
            first[key] = value
    with pytest.raises(TypeError, match="cannot be deleted"):
        del first["lr"]
    with pytest.raises(KeyError):
        _ = first["momentum"]
    assert "lr=0.125" in repr(optimizer)
    assert "7 parameters" in repr(optimizer)


def test_a_bad_change_of_both_betas_changes_neither():
    optimizer = optim.Adam(parameters())
    with pytest.raises(ValueError, match="beta2 must be less than 1"):
        optimizer.betas = (0.5, 1.5)
    assert optimizer.betas == (0.9, 0.999)


@pytest.mark.parametrize(
    ("groups", "error", "match"),
    [
        (lambda p: [{"params": p[:2], "rate": 1.0}], ValueError, "group 0 has unknown keys rate;"),
        (lambda p: [{"params": p[:2]}, {"params": p[1:]}], ValueError, "a parameter occurs twice"),
        (lambda p: [{"params": p[:2]}, {"params": []}], ValueError, "group 1: there are no param"),
        (lambda p: [{"params": p[:2]}, p[2]], TypeError, 'item 1 is not a mapping with "params"'),
        (lambda p: [{"lr": 1.0}], TypeError, 'item 0 is not a mapping with "params"'),
        (lambda p: [{"params": 3}], TypeError, "expected a Module or parameters, got int"),
        (lambda p: [{"params": [np.ones(3)]}], TypeError, "item 0 is a ndarray, not a Parameter"),
        (lambda p: [{"params": p, "lr": -1.0}], ValueError, "lr must be finite"),
        (lambda p: [{"params": p, "nesterov": True}], ValueError, "nesterov needs momentum"),
    ],
)
def test_bad_groups(groups, error, match):
    params = parameters()
    arrays = [p.data for p in params]
    with pytest.raises(error, match=f"SGD: .*{match}"):
        optim.SGD(groups(params))
    assert all(p.data is array for p, array in zip(params, arrays, strict=True))  # not moved
