"""Losses of elements: l1, huber, hinge, bce_with_logits and mse, with every reduction."""

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, integers, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference

pytestmark = pytest.mark.isa

NAMES = ["mse", "l1", "huber", "hinge", "bce_with_logits"]
every_loss = pytest.mark.parametrize("name", NAMES)
every_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def make(rng, name, shape, dtype):
    y = normal(rng, shape, dtype)
    if name == "hinge":
        return y, np.where(rng.random(shape) < 0.5, -1, 1).astype(dtype)
    if name == "bce_with_logits":
        return y * 5, rng.random(shape).astype(dtype)
    return y, normal(rng, shape, dtype)


def bounds(name, y, t, losses, gradients):
    """How far each loss and gradient may be from exact, in eps.

    The difference rounds once, each product once; huber and hinge bend, but have the same value on
    both sides, so that a rounding across the bend is one of the value. In bce_with_logits the
    exponential is within 2 ulp and the logarithm within 2, and no term is negative.
    """
    y, t = np.abs(y.astype(np.float64)), np.abs(t.astype(np.float64))
    if name == "hinge":
        return 2 * (1 + y * t), t
    if name == "bce_with_logits":
        return 12 * np.abs(losses), 12 * (np.abs(gradients) + np.minimum(1, np.exp(-y)))
    if name == "huber":
        return 4 * (losses + np.abs(gradients)), 4 * np.abs(gradients)
    return 4 * losses, 4 * np.abs(gradients)


@every_loss
@every_reduction
@pytest.mark.parametrize("shape", [(1,), (7, 3), (64, 10), (2, 3, 5, 7), (1023,), (1024,), (2049,)])
def test_loss(rng, dtype, name, shape, reduction):
    y, t = make(rng, name, shape, dtype)
    out = np.full(shape, np.nan, dtype)
    loss, dy = getattr(fastnn, name)(y, t, reduction=reduction, out=out)
    f = getattr(reference, name)
    want_loss, want = f(y, t, reduction=reduction)
    assert dy is out
    each, slopes = f(y, t, reduction="none")
    losses, gradients = bounds(name, y, t, each, slopes)
    divisor = y.size if reduction == "mean" else 1
    if reduction == "none":
        assert loss.shape == shape
        assert loss.dtype == dtype
        assert_within(loss, want_loss, roundoff(dtype) * losses)
    else:
        assert type(loss) is float
        rounding = (y.size + 8) * 2.0**-52 * each.sum()
        assert_within(loss, want_loss, (roundoff(dtype) * losses.sum() + rounding) / divisor)
    assert_within(dy, want, roundoff(dtype) * (gradients + 2 * np.abs(slopes)) / divisor)


@pytest.mark.parametrize("name", ["mse", "l1", "hinge"])
@every_reduction
def test_integers_are_exact(rng, dtype, name, reduction):
    y, t = integers(rng, (64, 32), dtype, 9), integers(rng, (64, 32), dtype, 9)
    if name == "hinge":
        t = np.where(t < 0, -1, 1).astype(dtype)
    loss, dy = getattr(fastnn, name)(y, t, reduction=reduction)
    want_loss, want = getattr(reference, name)(y, t, reduction=reduction)
    assert_same_bits(np.asarray(loss, np.float64), np.asarray(want_loss))
    np.testing.assert_array_equal(dy, want)


def test_huber_at_the_bend(dtype):
    y = np.array([-3, -2, -1, 0, 1, 2, 3] * 9, dtype)
    for delta in (0.5, 1, 2, 8):
        losses, dy = fastnn.huber(y, 0 * y, delta=delta, reduction="none")
        want, slopes = reference.huber(y, 0 * y, delta=delta, reduction="none")
        assert_same_bits(losses, want.astype(dtype))
        np.testing.assert_array_equal(dy, slopes)


def test_bce_far_out(dtype):
    """Exact where one of the two is certain, and no overflow."""
    x = np.array([-200, -100, 0, 100, 200] * 9, dtype)
    for t in (0, 1):
        losses, dx = fastnn.bce_with_logits(x, np.full_like(x, t), reduction="none")
        want, slopes = reference.bce_with_logits(x, np.full_like(x, t), reduction="none")
        assert_within(losses, want, 4 * roundoff(dtype) * want + np.finfo(dtype).tiny)
        assert_within(dx, slopes, 4 * roundoff(dtype) * np.abs(slopes) + np.finfo(dtype).tiny)
    # log1p(exp(-x)) where 1 + exp(-x) is hardly more than 1
    x = np.linspace(5, 30, 101).astype(dtype)
    losses, dx = fastnn.bce_with_logits(x, np.ones_like(x), reduction="none")
    want, slopes = reference.bce_with_logits(x, np.ones_like(x), reduction="none")
    assert_within(losses, want, 6 * roundoff(dtype) * want)
    assert_within(dx, slopes, 6 * roundoff(dtype) * np.abs(slopes))


@pytest.mark.parametrize("shape", [(6, 7), (7,), (6, 1), (1, 1), ()], ids=str)
@every_reduction
def test_bce_weights(rng, dtype, shape, reduction):
    x, t = make(rng, "bce_with_logits", (6, 7), dtype)
    weight, pos_weight = (np.asarray(np.abs(normal(rng, shape, dtype))) for _ in range(2))
    for options in ({"weight": weight}, {"pos_weight": pos_weight}):
        options["reduction"] = reduction
        loss, dx = fastnn.bce_with_logits(x, t, **options)
        want_loss, want = reference.bce_with_logits(x, t, **options)
        # a loss is below 5 * 20, its slope below 5, each with some 12 roundings
        assert weight.max() < 5
        assert pos_weight.max() < 5
        count = x.size if reduction == "sum" else 1
        assert_within(loss, want_loss, 12 * roundoff(dtype) * 100 * count)
        assert_within(dx, want, 12 * roundoff(dtype) * 5)


@every_loss
def test_nan_and_infinity(dtype, name):
    f = getattr(fastnn, name)
    y, t = np.ones((2, 40), dtype)
    y[5], t[9] = np.nan, np.nan
    losses, dy = f(y, t, reduction="none")
    bad = np.isin(np.arange(40), [5, 9])
    np.testing.assert_array_equal(np.isnan(losses), bad)
    np.testing.assert_array_equal(np.isnan(dy), bad)
    assert np.isnan(f(y, t)[0])
    assert f(np.full(40, -np.inf, dtype), np.ones(40, dtype), reduction="sum")[0] == np.inf


@every_loss
def test_zero_sizes(dtype, name):
    f = getattr(fastnn, name)
    empty = np.empty((3, 0), dtype)
    with pytest.raises(ValueError, match=rf"^{name}: .*mean"):
        f(empty, empty)
    loss, dy = f(empty, empty, reduction="sum")
    assert loss == 0
    assert dy.shape == (3, 0)
    assert f(empty, empty, reduction="none")[0].shape == (3, 0)
    one = np.ones((), dtype)
    assert f(one, one, reduction="none")[0].shape == ()


@every_loss
def test_in_place(rng, dtype, name):
    f = getattr(fastnn, name)
    y, t = make(rng, name, (13, 97), dtype)
    loss, dy = f(y, t)
    for place in (0, 1):
        arrays = [y.copy(), t.copy()]
        again, got = f(*arrays, out=arrays[place])
        assert got is arrays[place]
        assert again == loss
        assert_same_bits(got, dy)


@every_loss
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng, dtype, name, layout):
    f = getattr(fastnn, name)
    y, t = (LAYOUTS[layout](z) for z in make(rng, name, (5, 6, 19), dtype))
    want_loss, want = f(np.ascontiguousarray(y), np.ascontiguousarray(t))
    for out_layout in OUT_LAYOUTS:
        out = nan_out(out_layout, y.shape, dtype)
        loss, _ = f(y, t, out=out)
        assert loss == want_loss
        assert_same_bits(out, want)
        assert_nothing_else_written(out)


@every_loss
def test_elements_stand_alone(rng, dtype, name):
    f = getattr(fastnn, name)
    y, t = make(rng, name, 1500, dtype)
    losses, dy = f(y, t, reduction="none")
    for i, j in [(0, 1), (3, 40), (1000, 1100), (7, 1500)]:
        some, some_dy = f(y[i:j], t[i:j], reduction="none")
        assert_same_bits(some, losses[i:j])
        assert_same_bits(some_dy, dy[i:j])


@every_loss
def test_reference_gradients(rng, name):
    y, t = make(rng, name, (3, 7), np.float64)
    step = 1e-5
    f = getattr(reference, name)
    for reduction in ("mean", "sum"):
        dy = f(y, t, reduction=reduction)[1]
        for at in np.ndindex(y.shape):
            up, down = y.copy(), y.copy()
            up[at] += step
            down[at] -= step
            slope = (f(up, t, reduction=reduction)[0] - f(down, t, reduction=reduction)[0]) / (
                2 * step
            )
            # third derivatives are below 1, the losses' sum below 300 with 2**-53 of rounding
            assert abs(slope - dy[at]) <= step**2 + 300 * 2**-53 * 21 / step


@pytest.mark.parametrize("name", [name for name in NAMES if name != "hinge"])
@every_reduction
def test_pytorch(rng, dtype, name, reduction):
    torch = pytest.importorskip("torch")
    y, t = make(rng, name, (9, 31), dtype)
    theirs = {
        "mse": torch.nn.functional.mse_loss,
        "l1": torch.nn.functional.l1_loss,
        "huber": torch.nn.functional.huber_loss,
        "bce_with_logits": torch.nn.functional.binary_cross_entropy_with_logits,
    }[name]
    extra = [{}]
    if name == "huber":
        extra += [{"delta": 0.5}]
    if name == "bce_with_logits":
        weight = np.abs(normal(rng, 31, dtype))
        extra += [
            {"weight": weight},
            {"pos_weight": weight},
            {"weight": weight, "pos_weight": weight},
        ]
    for options in extra:
        x = torch.from_numpy(y.copy()).requires_grad_()
        of_torch = {k: torch.from_numpy(v) if name[0] == "b" else v for k, v in options.items()}
        want = theirs(x, torch.from_numpy(t), reduction=reduction, **of_torch)
        want.sum().backward()
        loss, dy = getattr(fastnn, name)(y, t, reduction=reduction, **options)
        # every loss is below 100 and every slope below 20; both have some 12 roundings of these
        count = y.size if reduction == "sum" else 1
        assert_within(loss, want.detach().numpy(), 24 * roundoff(dtype) * 100 * count)
        count = 1 if reduction != "mean" else y.size
        assert_within(dy, x.grad.numpy(), 24 * roundoff(dtype) * 20 / count)
