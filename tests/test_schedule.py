"""Schedules against their closed forms and PyTorch's."""

import copy
import math

import numpy as np
import pytest

from fastnn import nn, optim

EPS = float(np.finfo(np.float64).eps)


def make_optimizer(lrs=(0.5, 0.125)):
    return optim.SGD([{"params": [nn.Parameter(np.ones(3))], "lr": lr} for lr in lrs])


# name, arguments, lr as a function of the base and the count
FORMS = [
    ("StepLR", {"step_size": 3}, lambda b, k: b * 0.1 ** (k // 3)),
    ("StepLR", {"step_size": 4, "gamma": 0.5}, lambda b, k: b * 0.5 ** (k // 4)),
    (
        "MultiStepLR",
        {"milestones": [2, 7, 7], "gamma": 0.5},
        lambda b, k: b * 0.5 ** (0 if k < 2 else 1 if k < 7 else 3),
    ),
    ("ExponentialLR", {"gamma": 0.9}, lambda b, k: b * 0.9**k),
    ("LinearLR", {}, lambda b, k: b * min(1, 1 / 3 + 2 / 3 * k / 5)),
    (
        "LinearLR",
        {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 8},
        lambda b, k: b * max(0, 1 - k / 8),
    ),
    ("CosineAnnealingLR", {"T_max": 10}, lambda b, k: b * (1 + math.cos(math.pi * k / 10)) / 2),
    (
        "CosineAnnealingLR",
        {"T_max": 15, "eta_min": 0.1},
        lambda b, k: 0.1 + (b - 0.1) * math.cos(math.pi * k / 30) ** 2,
    ),
    ("InverseLR", {}, lambda b, k: b / (1 + 1e-4 * k) ** 0.75),
    ("InverseLR", {"gamma": 0.5, "power": 2}, lambda b, k: b / (1 + 0.5 * k) ** 2),
]
every_form = pytest.mark.parametrize(
    ("name", "options", "form"), FORMS, ids=lambda v: "" if callable(v) else str(v)[:50]
)


@every_form
def test_closed_form(name, options, form):
    optimizer = make_optimizer()
    schedule = getattr(optim, name)(optimizer, **options)
    for k in range(15):
        for group, base in zip(optimizer.param_groups, (0.5, 0.125), strict=True):
            # some ten roundings of terms of at most 0.5, and their powers
            assert abs(group["lr"] - form(base, k)) <= 20 * EPS
            assert group["lr"] == group.hyper[0]
        assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        schedule.step()
    assert repr(schedule).startswith(f"{name}(after 15 steps: lr ")


@every_form
def test_pytorch(name, options, form):
    torch = pytest.importorskip("torch")
    if name == "InverseLR":
        pytest.skip("PyTorch has none")
    peers = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    peer = getattr(torch.optim.lr_scheduler, name)(peers, **options)
    optimizer = make_optimizer([0.5])
    schedule = getattr(optim, name)(optimizer, **options)
    for k in range(15):
        # PyTorch multiplies step by step, and adds a few roundings with each
        assert abs(optimizer.lr - peer.get_last_lr()[0]) <= (20 + 5 * k) * EPS
        schedule.step()
        peers.step()
        peer.step()


@every_form
def test_state(name, options, form):
    optimizer = make_optimizer()
    schedule = getattr(optim, name)(optimizer, **options)
    for _ in range(4):
        schedule.step()
    other = make_optimizer((0.25, 1.0))
    resumed = getattr(optim, name)(other, **options)
    resumed.load_state_dict(schedule.state_dict())
    for _ in range(4):
        assert resumed.get_last_lr() == schedule.get_last_lr()
        schedule.step()
        resumed.step()


def test_warmup():
    optimizer = make_optimizer()
    inner = optim.StepLR(optimizer, 2, 0.5)
    schedule = optim.LinearWarmup(inner, 4, 0.5)
    rates = []
    for _ in range(9):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert rates == [0.25, 0.3125, 0.375, 0.4375, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert optimizer.param_groups[1]["lr"] == 0.125 / 4
    for k, lr in enumerate(rates):  # of any point
        schedule.load_state_dict(schedule.state_dict() | {"count": np.array(k)})
        assert optimizer.param_groups[0]["lr"] == lr


def test_no_warmup():
    """An inner schedule that does not begin at the base."""
    optimizer = make_optimizer([0.5])
    inner = optim.LinearLR(optimizer, 0.5, 1.0, 2)
    schedule = optim.LinearWarmup(inner, 0)
    assert optimizer.lr == 0.25
    schedule.step()
    assert optimizer.lr == 0.375


def test_the_step_takes_the_rate():
    optimizer = make_optimizer([1.0])
    schedule = optim.ExponentialLR(optimizer, 0.5)
    (p,) = optimizer.parameters
    for _ in range(3):
        p.grad = np.ones(3)
        optimizer.step()
        schedule.step()
    assert p.data.tolist() == [1 - 1 - 0.5 - 0.25] * 3


def test_copies_go_on_alone():
    optimizer = make_optimizer()
    schedule = optim.ExponentialLR(optimizer, 0.5)
    other = copy.deepcopy(schedule)
    other.step()
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert other.optimizer.param_groups[0]["lr"] == 0.25


METRICS = [3, 2, 2, 2, 2, math.nan, 1, 1, 1, 0.99, 0.98, 0.98, 0.98, 0.98, 0.98, 0.98, 0.98, 0.98]
PLATEAUS = [
    {"patience": 1},
    {"patience": 2, "factor": 0.5, "threshold": 0.05},
    {"patience": 0, "cooldown": 2, "factor": 0.5},
    {"patience": 1, "threshold": 0.005, "threshold_mode": "abs", "min_lr": 0.01},
    {"patience": 0, "factor": 0.5, "eps": 0.1},
    {"mode": "max", "patience": 1, "factor": 0.5},
    {"mode": "max", "patience": 1, "threshold_mode": "abs", "factor": 0.5},
]


@pytest.mark.parametrize("options", PLATEAUS, ids=str)
def test_plateau_as_pytorch(options):
    torch = pytest.importorskip("torch")
    peers = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(peers, **options)
    optimizer = make_optimizer([0.5])
    schedule = optim.ReduceLROnPlateau(optimizer, **options)
    for metric in METRICS + [-m for m in METRICS]:
        schedule.step(metric)
        peer.step(metric)
        assert schedule.get_last_lr() == [peers.param_groups[0]["lr"]]
    assert optimizer.lr < 0.5


def test_plateau():
    optimizer = make_optimizer()
    schedule = optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    for metric in (1.0, 0.5, 0.5, math.nan):
        assert schedule.get_last_lr() == [0.5, 0.125]
        schedule.step(metric)
    assert schedule.get_last_lr() == [0.25, 0.0625]
    schedule.step(0.75)
    resumed = optim.ReduceLROnPlateau(make_optimizer(), factor=0.5, patience=1)
    resumed.load_state_dict(schedule.state_dict())
    resumed.step(0.75)
    assert resumed.get_last_lr() == [0.25, 0.0625]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda o: optim.StepLR(3, 1), TypeError, "StepLR: expected an Optimizer, got int"),
        (lambda o: optim.StepLR(o, 0), ValueError, "StepLR: step_size must be at least 1, got 0"),
        (lambda o: optim.StepLR(o, 1.5), TypeError, "step_size must be an integer, not float"),
        (lambda o: optim.StepLR(o, 1, math.nan), ValueError, "gamma must be finite"),
        (lambda o: optim.MultiStepLR(o, [1, -1]), ValueError, "milestones must be at least 0"),
        (lambda o: optim.ExponentialLR(o, "1"), TypeError, "gamma must be a number, not str"),
        (lambda o: optim.LinearLR(o, total_iters=0), ValueError, "total_iters must be at least 1"),
        (lambda o: optim.CosineAnnealingLR(o, 0), ValueError, "T_max must be at least 1"),
        (lambda o: optim.CosineAnnealingLR(o, 1, -1.0), ValueError, "eta_min must be finite"),
        (lambda o: optim.InverseLR(o, power=-1), ValueError, "power must be finite"),
        (lambda o: optim.LinearWarmup(o, 1), TypeError, "expected a Schedule, got SGD"),
        (lambda o: optim.LinearWarmup(optim.StepLR(o, 1), -1), ValueError, "warmup_steps must be"),
        (lambda o: optim.LinearWarmup(optim.StepLR(o, 1), 1, 2), ValueError, "start_factor must"),
        (lambda o: optim.ReduceLROnPlateau(o, "low"), ValueError, "mode must be 'min' or 'max'"),
        (lambda o: optim.ReduceLROnPlateau(o, factor=1), ValueError, "factor must be less than 1"),
        (
            lambda o: optim.ReduceLROnPlateau(o, patience=-1),
            ValueError,
            "patience must be at least",
        ),
        (lambda o: optim.ReduceLROnPlateau(o, threshold_mode=1), ValueError, "threshold_mode must"),
        (lambda o: optim.ReduceLROnPlateau(None), TypeError, "expected an Optimizer, got NoneType"),
    ],
)
def test_bad_arguments(make, error, match):
    optimizer = make_optimizer()
    with pytest.raises(error, match=match):
        make(optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"count": np.array(-1)}, ValueError, "must be finite and at least 0"),
        ({"count": np.array(1.0)}, TypeError, "count: expected dtype int64"),
        ({"base_lrs": np.ones(3)}, ValueError, r"base_lrs: expected shape \(2,\)"),
        ({"base_lrs": np.array([1, math.inf])}, ValueError, "must be finite and at least 0"),
        ({"base_lrs": np.array([1, math.nan])}, ValueError, "must be finite and at least 0"),
        ({"gamma": 1}, ValueError, "unexpected gamma"),
    ],
)
def test_bad_state(change, error, match):
    schedule = optim.ExponentialLR(make_optimizer(), 0.5)
    with pytest.raises(error, match=f"ExponentialLR.load_state_dict: .*{match}"):
        schedule.load_state_dict(schedule.state_dict() | change)
    assert schedule.count == 0
    assert schedule.get_last_lr() == [0.5, 0.125]


def test_a_schedule_that_has_begun_gets_no_warmup():
    schedule = optim.ExponentialLR(make_optimizer(), 0.5)
    schedule.step()
    with pytest.raises(ValueError, match="has made 1 steps already"):
        optim.LinearWarmup(schedule, 3)
