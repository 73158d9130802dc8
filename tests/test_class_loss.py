"""Losses of rows with a class: weights, smoothing, probabilities, ignored rows, reductions."""

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, integers, normal
from bits import assert_same_bits, assert_within, roundoff, tiny
from fastnn import reference

pytestmark = pytest.mark.isa

SHAPES = [(1, 1), (7, 2), (65, 10), (130, 3), (64, 33), (5, 64), (5, 65), (4, 515)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
REDUCTIONS = ["mean", "sum", "none"]
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
TARGETS = ["labels", "some ignored", "probabilities"]


def make_target(rng, kind, shape, dtype):
    n, c = shape
    if kind == "probabilities":
        p = rng.random(shape) + 0.1
        return (p / p.sum(axis=1, keepdims=True)).astype(dtype)
    labels = rng.integers(0, c, n)
    if kind == "some ignored":
        labels[1::3] = -100
    return labels


def cross_entropy_bounds(logits, target, weight, smoothing):
    """How far losses (N,) and gradients (N, C) of the sum may be from exact, in eps."""
    c = logits.shape[1]
    t = target if target.ndim == 2 else np.arange(c) == target[:, None]
    q = weight.astype(np.float64) * ((1 - smoothing) * t + smoothing / c)
    mass = q.sum(axis=1, keepdims=True)
    spread = logits.max(axis=1, keepdims=True).astype(np.float64) - logits
    log_sum = np.log(np.exp(-spread).sum(axis=1, keepdims=True))
    # exp is within 2 ulp of a difference that rounds to 1/2 ulp; C terms are summed.
    relative = 2 + spread.max(axis=1, keepdims=True) + c
    # q itself has 3 roundings, Q those of C terms; log is within 2 ulp, the rest is a few products.
    losses = mass * (relative + (c + 8) * log_sum) + (c + 8) * (q * spread).sum(axis=1)[:, None]
    p = np.exp(-spread - log_sum)
    gradients = mass * p * (relative + spread + 2 + c + 8) + 8 * q
    return losses[:, 0], gradients


@every_shape
@every_reduction
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy(rng, dtype, shape, reduction, kind, weighted, smoothing):
    n, c = shape
    logits, target = normal(rng, shape, dtype) * 3, make_target(rng, kind, shape, dtype)
    weight = (rng.random(c) + 0.25).astype(dtype) if weighted else np.ones(c, dtype)
    options = {"label_smoothing": smoothing, "reduction": reduction}
    if weighted:
        options["weight"] = weight
    out = np.full(shape, np.nan, dtype)
    loss, dlogits = fastnn.softmax_cross_entropy(logits, target, out=out, **options)
    want_loss, want = reference.softmax_cross_entropy(logits, target, **options)
    assert dlogits is out
    losses, gradients = cross_entropy_bounds(logits, target, weight, smoothing)
    kept = target != -100 if target.ndim == 1 else np.ones(n, bool)
    unit, divisor = roundoff(dtype), 1.0
    if reduction == "mean":
        divisor = float(weight[target[kept]].sum()) if target.ndim == 1 else n
    if reduction == "none":
        assert loss.dtype == dtype
        assert_within(loss, want_loss, unit * (losses + np.abs(want_loss)))
    else:
        assert type(loss) is float
        bound = unit * (losses[kept].sum() + 2 * n * np.abs(want_loss * divisor)) / divisor
        assert_within(loss, want_loss, bound)
    assert_within(dlogits, want, unit * gradients / divisor + 4 * tiny(dtype))
    assert_same_bits(dlogits[~kept], np.zeros_like(dlogits[~kept]))


@pytest.mark.parametrize("c", [10, 70])
def test_reductions_agree(rng, dtype, c):
    """The sum is that of the losses in double, its gradient that of "none"."""
    logits, labels = normal(rng, (70, c), dtype), rng.integers(0, c, 70)
    losses, gradients = fastnn.softmax_cross_entropy(logits, labels, reduction="none")
    total, same = fastnn.softmax_cross_entropy(logits, labels, reduction="sum")
    assert_same_bits(same, gradients)
    assert abs(total - losses.sum(dtype=np.float64)) <= 70 * 2**-53 * total
    mean, _ = fastnn.softmax_cross_entropy(logits, labels)
    assert mean == total / 70


def test_one_hot_probabilities_are_labels(rng, dtype):
    """Up to rounding: each has a way of its own."""
    for c in (10, 70):
        logits, labels = normal(rng, (20, c), dtype), rng.integers(0, c, 20)
        onehot = np.eye(c, dtype=dtype)[labels]
        a, da = fastnn.softmax_cross_entropy(logits, labels)
        b, db = fastnn.softmax_cross_entropy(logits, onehot)
        assert_within(a, b, 8 * roundoff(dtype) * (1 + abs(b)))
        assert_within(da, db, 4 * roundoff(dtype) / 20)


@pytest.mark.parametrize("c", [4, 70])
def test_special_values(dtype, c):
    logits = np.zeros((3, c), dtype)
    logits[1] = np.nan
    f = fastnn.softmax_cross_entropy
    loss, dlogits = f(logits, np.array([0, 1, 2]))
    assert np.isnan(loss)
    np.testing.assert_array_equal(np.isnan(dlogits).all(axis=1), [False, True, False])
    np.testing.assert_array_equal(np.isnan(dlogits).any(axis=1), [False, True, False])
    loss, dlogits = f(logits, np.array([0, -100, 2]))  # what is ignored is not looked at
    assert np.isfinite(loss)
    assert_same_bits(dlogits[1], np.zeros(c, dtype))
    for target in (np.full(3, -100), np.full(3, 1)):
        loss, dlogits = f(logits, target, ignore_index=int(target[0]))
        assert np.isnan(loss)
        assert_same_bits(dlogits, np.zeros((3, c), dtype))
        loss, dlogits = f(logits, target, ignore_index=int(target[0]), reduction="sum")
        assert loss == 0
        assert_same_bits(dlogits, np.zeros((3, c), dtype))
    loss, dlogits = f(np.zeros((3, c), dtype), np.full(3, 1), weight=np.zeros(c, dtype))
    assert np.isnan(loss)
    np.testing.assert_array_equal(dlogits, 0)
    # a class that cannot be, and need not
    logits = np.zeros((1, c), dtype)
    logits[0, 1:] = -np.inf
    onehot = np.eye(1, c, dtype=dtype)
    for target in (np.array([0]), onehot):
        loss, dlogits = f(logits, target)
        assert loss == 0
        assert_same_bits(dlogits, np.zeros((1, c), dtype))


def test_zero_rows(dtype):
    logits, labels = np.empty((0, 5), dtype), np.empty(0, np.int64)
    for f in (fastnn.softmax_cross_entropy, fastnn.nll, fastnn.multi_margin):
        assert f(logits, labels, reduction="sum")[0] == 0
        losses, gradient = f(logits, labels, reduction="none")
        assert losses.shape == (0,)
        assert gradient.shape == (0, 5)
        with pytest.raises(ValueError, match="mean"):
            f(logits, labels)


def test_rows_stand_alone(rng, dtype):
    for c in (3, 10, 64, 65, 90):
        logits, labels = normal(rng, (150, c), dtype), rng.integers(0, c, 150)
        weight = (rng.random(c) + 0.25).astype(dtype)
        for options in ({}, {"weight": weight}, {"label_smoothing": 0.1, "weight": weight}):
            losses, gradients = fastnn.softmax_cross_entropy(
                logits, labels, reduction="none", **options
            )
            for i, j in [(0, 1), (7, 8), (3, 68), (1, 150), (149, 150)]:
                some, some_gradients = fastnn.softmax_cross_entropy(
                    logits[i:j], labels[i:j], reduction="none", **options
                )
                assert_same_bits(some, losses[i:j])
                assert_same_bits(some_gradients, gradients[i:j])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng, dtype, layout):
    make = LAYOUTS[layout]
    logits, weight = normal(rng, (19, 10), dtype), make(np.abs(normal(rng, 10, dtype)))
    p = make(make_target(rng, "probabilities", (19, 10), dtype))
    want_loss, want = fastnn.softmax_cross_entropy(
        logits, np.ascontiguousarray(p), weight=np.ascontiguousarray(weight)
    )
    loss, got = fastnn.softmax_cross_entropy(make(logits), p, weight=weight)
    if layout != "broadcast":
        assert loss == want_loss
        assert_same_bits(got, want)
    labels = rng.integers(0, 10, 19)
    for f in (fastnn.nll, fastnn.multi_margin):
        want_loss, want = f(np.ascontiguousarray(make(logits)), labels)
        loss, got = f(make(logits), labels)
        assert loss == want_loss
        assert_same_bits(got, want)


@every_shape
@every_reduction
@pytest.mark.parametrize("weighted", [False, True])
def test_nll_of_integers_is_exact(rng, dtype, shape, reduction, weighted):
    """A row's loss is one product."""
    c = shape[1]
    log_p, labels = integers(rng, shape, dtype, 9), make_target(rng, "some ignored", shape, dtype)
    weight = 2.0 ** rng.integers(0, 2, c) if weighted else np.ones(c)
    options = {"reduction": reduction, "weight": weight.astype(dtype) if weighted else None}
    loss, gradient = fastnn.nll(log_p, labels, **options)
    want_loss, want = reference.nll(log_p, labels, **options)
    np.testing.assert_array_equal(loss, want_loss)
    # of the mean: 1 / divisor rounds, and the product
    bound = 2 * roundoff(dtype) * np.abs(want) if reduction == "mean" else 0 * want
    assert_within(gradient, want, bound)
    z = log_p.copy()
    again, in_place = fastnn.nll(z, labels, out=z, **options)
    assert in_place is z
    assert_same_bits(np.asarray(again), np.asarray(loss))
    assert_same_bits(z, gradient)


@every_shape
@every_reduction
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_multi_margin(rng, dtype, shape, reduction, p, weighted):
    n, c = shape
    scores, labels = normal(rng, shape, dtype), rng.integers(0, c, n)
    options = {"p": p, "margin": 0.75, "reduction": reduction}
    if weighted:
        options["weight"] = (rng.random(c) + 0.25).astype(dtype)
    loss, dscores = fastnn.multi_margin(scores, labels, **options)
    want_loss, want = reference.multi_margin(scores, labels, **options)
    weight = options.get("weight", np.ones(c))[labels].astype(np.float64)[:, None]
    # m is a sum of three numbers of this size, with two roundings; it may be 0 or not within these.
    size = 0.75 + np.abs(scores[np.arange(n), labels])[:, None].astype(np.float64) + np.abs(scores)
    exact = 0.75 - scores[np.arange(n), labels].astype(np.float64)[:, None] + scores
    assert (np.abs(exact) > 2 * roundoff(dtype) * size).all()
    divisor = n if reduction == "mean" else 1
    losses = weight[:, 0] / c * ((c + 8) * size**p).sum(axis=1)
    if reduction == "none":
        assert_within(loss, want_loss, roundoff(dtype) * losses)
    else:
        assert_within(loss, want_loss, roundoff(dtype) * losses.sum() / divisor)
    bound = weight / c * p * size ** (p - 1) * (c + 8)
    onehot = np.arange(c) == labels[:, None]
    bound = bound + onehot * bound.sum(axis=1, keepdims=True)
    assert_within(dscores, want, roundoff(dtype) * bound / divisor)
    z = scores.copy()
    fastnn.multi_margin(z, labels, out=z, **options)
    assert_same_bits(z, dscores)


@pytest.mark.parametrize("p", [1, 2])
def test_multi_margin_of_nan(dtype, p):
    scores = np.zeros((3, 5), dtype)
    scores[1, 2] = np.nan
    loss, dscores = fastnn.multi_margin(scores, np.array([0, 0, 0]), p=p)
    assert np.isnan(loss)
    np.testing.assert_array_equal(np.isnan(dscores).any(axis=1), [False, True, False])


def test_unsigned_labels_do_not_wrap(dtype):
    """2**64 - 100 is no ignored label."""
    labels = np.array([0, 2**64 - 100], np.uint64)
    with pytest.raises(ValueError, match=rf"labels\[1\] is {2**64 - 100}"):
        fastnn.softmax_cross_entropy(np.ones((2, 3), dtype), labels)


def slopes(f, x, step):
    """Central differences of a function of x, entry by entry."""
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        yield at, (f(up) - f(down)) / (2 * step)


@every_reduction
@pytest.mark.parametrize("kind", TARGETS)
def test_reference_gradients(rng, reduction, kind):
    x, step = normal(rng, (4, 5), np.float64), 1e-5
    target, weight = make_target(rng, kind, x.shape, np.float64), rng.random(5) + 0.25
    options = {"weight": weight, "reduction": reduction}
    cases = [(reference.softmax_cross_entropy, {**options, "label_smoothing": 0.1})]
    if kind != "probabilities":
        cases += [(reference.nll, options)]
    if kind == "labels":
        cases += [(reference.multi_margin, {**options, "p": 2})]
    for f, options in cases:
        gradient = f(x, target, **options)[1]
        for at, slope in slopes(lambda z, f=f, o=options: np.sum(f(z, target, **o)[0]), x, step):
            # third derivatives are below 10, the losses' sum below 100 with 2**-53 of rounding
            assert abs(slope - gradient[at]) <= 10 * step**2 + 100 * 2**-53 * 20 / step


@every_reduction
@pytest.mark.parametrize("shape", [(64, 10), (5, 77)], ids=str)
def test_pytorch(rng, dtype, shape, reduction):
    torch = pytest.importorskip("torch")
    n, c = shape
    x, weight = normal(rng, shape, dtype), (rng.random(c) + 0.25).astype(dtype)

    def same(f, theirs, target, **options):
        logits = torch.from_numpy(x.copy()).requires_grad_()
        of_torch = {k: torch.from_numpy(v) if k == "weight" else v for k, v in options.items()}
        want = theirs(logits, torch.from_numpy(target), reduction=reduction, **of_torch)
        want.sum().backward()
        loss, gradient = f(x, target, reduction=reduction, **options)
        # both are within these of the exact values, for logits below 5 and weights below 1.25
        unit = 2 * roundoff(dtype) * (c + 40)
        scale = 1 if reduction == "mean" else n
        assert_within(loss, want.detach().numpy(), unit * 20 * (scale if reduction == "sum" else 1))
        assert_within(
            gradient, logits.grad.numpy(), unit * 4 * (1 / n if reduction == "mean" else 1)
        )

    functional = torch.nn.functional
    for kind in TARGETS:
        target = make_target(rng, kind, shape, dtype)
        for options in ({}, {"weight": weight}, {"label_smoothing": 0.1}):
            same(fastnn.softmax_cross_entropy, functional.cross_entropy, target, **options)
        both = {"weight": weight, "label_smoothing": 0.2}
        same(fastnn.softmax_cross_entropy, functional.cross_entropy, target, **both)
        if kind != "probabilities":
            same(fastnn.nll, functional.nll_loss, target, weight=weight)
            same(fastnn.nll, functional.nll_loss, target, ignore_index=-100)
            same(
                fastnn.softmax_cross_entropy,
                functional.cross_entropy,
                np.maximum(target, 0),
                ignore_index=0,
            )
    labels = make_target(rng, "labels", shape, dtype)
    same(fastnn.multi_margin, functional.multi_margin_loss, labels, weight=weight)
    same(fastnn.multi_margin, functional.multi_margin_loss, labels, p=2, margin=0.5)
