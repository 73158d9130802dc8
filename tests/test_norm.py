"""Batch, group, layer and root mean square norm, and local response normalisation.

The bounds: a statistic of elements around a center is a sum of at most CHAIN reals, one rounding
each, whose blocks combine in float64; the rest of an output is a handful of roundings.
"""

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference

pytestmark = pytest.mark.isa

CHAIN = 64 + 64 + 16  # lines of a block, parts of a line; or strands of 4096, which are longer rows
DOUBLE = float(np.finfo(np.float64).eps)
BLOCKS = 40  # whose float64 means combine, or channels of a group: no shape here has more
SHAPES = [
    *((5, c) for c in (1, 3, 4, 5, 7, 8, 9, 15, 16, 17)),
    (2, 64),
    (1031, 3),
    (300, 67),
    (2, 9, 7, 33),
    (3, 2, 129),
    (70, 1),
]
FAR = pytest.mark.parametrize("offset", [0.0, 1e4])


def arguments(rng, shape, dtype, offset):
    """x around the offset, dy, weight, bias."""
    x = (rng.standard_normal(shape) + offset).astype(dtype)
    c = shape[-1]
    return x, normal(rng, shape, dtype), normal(rng, c, dtype), normal(rng, c, dtype)


def forward_bound(dtype, xhat, weight, bias, mean, inv_std):
    """xhat moves by the rounding of a mean and of a variance; float64 means round as well."""
    unit = CHAIN * roundoff(dtype) * (np.abs(xhat) + 2)
    unit = unit + (4 + BLOCKS) * DOUBLE * np.abs(mean) * inv_std * (np.abs(xhat) + 1)
    return np.abs(weight) * unit + 4 * roundoff(dtype) * (np.abs(weight * xhat) + np.abs(bias))


def input_bound(dtype, g, xhat, mean, inv_std, average):
    """Of dx = inv_std (g - average(g) - xhat average(g xhat)), where inv_std is given exactly."""
    size = np.abs(xhat) + 1 + np.abs(mean) * inv_std * roundoff(dtype)
    sums = average(np.abs(g)) + size * average(np.abs(g) * size)
    unit = roundoff(dtype) + DOUBLE * np.abs(mean) * inv_std
    return unit * inv_std * (8 * np.abs(g) + (CHAIN + 16) * sums)


def weight_bound(dtype, dy, xhat, mean, inv_std, axes, chain):
    size = np.abs(xhat) + 1 + np.abs(mean) * inv_std * DOUBLE / roundoff(dtype)
    return (chain + 8) * roundoff(dtype) * (np.abs(dy) * size).sum(axes)


@FAR
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_batch_norm(rng, dtype, shape, offset, activation):
    x, dy, w, b = arguments(rng, shape, dtype, offset)
    y, mean, inv_std = fastnn.batch_norm(x, w, b, activation=activation, return_stats=True)
    options = {"activation": activation, "return_stats": True}
    want, want_mean, want_inv = reference.batch_norm(x, w, b, **options)
    assert y.dtype == dtype
    assert mean.dtype == inv_std.dtype == np.float64
    xhat = (x - want_mean) * want_inv
    assert_within(y, want, forward_bound(dtype, xhat, w, b, want_mean, want_inv))
    unit = CHAIN * roundoff(dtype)
    assert_within(mean, want_mean, 2 * unit / want_inv + (4 + BLOCKS) * DOUBLE * np.abs(want_mean))
    far = BLOCKS * DOUBLE * np.abs(want_mean) * want_inv  # in units of the standard deviation
    assert_within(inv_std, want_inv, (2 * unit + far) * want_inv)

    axes = tuple(range(x.ndim - 1))
    given = want if activation else None
    got = fastnn.batch_norm_backward(
        dy, x, want_mean, want_inv, w, y=None if given is None else given.astype(dtype)
    )
    want = reference.batch_norm_backward(dy, x, want_mean, want_inv, w, y=given)

    def average(z):
        return z.mean(axes)

    bound = input_bound(dtype, w * dy.astype(np.float64), xhat, want_mean, want_inv, average)
    assert_within(got[0], want[0], bound)
    sums = weight_bound(dtype, dy, xhat, want_mean, want_inv, axes, CHAIN)
    assert_within(got[1], want[1], sums)
    assert_within(got[2], want[2], (CHAIN + 8) * roundoff(dtype) * np.abs(dy).sum(axes))


@FAR
@pytest.mark.parametrize("shape", [(3, 5, 6), (2, 1, 4), (4, 9, 7, 33), (2, 40, 40, 12)], ids=str)
def test_group_norm(rng, dtype, shape, offset):
    x, dy, w, b = arguments(rng, shape, dtype, offset)
    n, c = shape[0], shape[-1]
    for groups in {1, 3 if c % 3 == 0 else 2, c if np.prod(shape[1:-1]) > 1 else 1}:
        y, mean, inv_std = fastnn.group_norm(x, groups, w, b, return_stats=True)
        want, want_mean, want_inv = reference.group_norm(x, groups, w, b, return_stats=True)
        assert mean.shape == inv_std.shape == (n, groups)

        def spread(z, groups=groups):
            """(N, groups) to the axes of x."""
            return np.repeat(z, c // groups, -1).reshape(n, *(1 for _ in shape[2:]), c)

        m, s = spread(want_mean), spread(want_inv)
        xhat = (x - m) * s
        assert_within(y, want, forward_bound(dtype, xhat, w, b, m, s))
        got = fastnn.group_norm_backward(dy, x, want_mean, want_inv, w)
        want = reference.group_norm_backward(dy, x, want_mean, want_inv, w)

        def average(z, groups=groups, spread=spread):
            return spread(z.reshape(n, -1, groups, c // groups).mean((1, 3)))

        bound = input_bound(dtype, w * dy.astype(np.float64), xhat, m, s, average)
        assert_within(got[0], want[0], bound)
        axes = tuple(range(x.ndim - 1))
        assert_within(got[1], want[1], weight_bound(dtype, dy, xhat, m, s, axes, CHAIN))
        assert_within(got[2], want[2], (CHAIN + 8) * roundoff(dtype) * np.abs(dy).sum(axes))


@FAR
@pytest.mark.parametrize(
    ("shape", "axes"), [*((s, 1) for s in SHAPES), ((3, 4, 5), 2), ((2, 9001), 1), ((5, 2, 3), 3)]
)
def test_layer_and_rms_norm(rng, dtype, shape, axes, offset):
    x, dy, _, _ = arguments(rng, shape, dtype, offset)
    if shape[-1] == 1:  # one element: its variance is 0, and y nothing but the rounding of x - mean
        return
    inner = shape[-axes:]
    w, b = normal(rng, inner, dtype), normal(rng, inner, dtype)
    last, rows = tuple(range(-axes, 0)), tuple(range(len(shape) - axes))
    chain = min(512, int(np.prod(shape[:-axes]))) + 4

    def average(z):
        return z.mean(last, keepdims=True)

    y, mean, inv_std = fastnn.layer_norm(x, inner, w, b, return_stats=True)
    want, *stats = reference.layer_norm(x, inner, w, b, return_stats=True)
    assert mean.shape == inv_std.shape == shape[:-axes]
    m, s = (z.reshape(z.shape + (1,) * axes) for z in stats)
    xhat = (x - m) * s
    assert_within(y, want, forward_bound(dtype, xhat, w, b, m, s))
    got = fastnn.layer_norm_backward(dy, x, *stats, w)
    want = reference.layer_norm_backward(dy, x, *stats, w)
    g = w * dy.astype(np.float64)
    assert_within(got[0], want[0], input_bound(dtype, g, xhat, m, s, average))
    assert_within(got[1], want[1], weight_bound(dtype, dy, xhat, m, s, rows, chain))
    assert_within(got[2], want[2], (chain + 8) * roundoff(dtype) * np.abs(dy).sum(rows))

    y, inv_rms = fastnn.rms_norm(x, inner, w, return_stats=True)
    want, r = reference.rms_norm(x, inner, w, return_stats=True)
    s = r.reshape(r.shape + (1,) * axes)
    assert_within(y, want, CHAIN * roundoff(dtype) * np.abs(want))
    assert_within(inv_rms, r, CHAIN * roundoff(dtype) * r)
    got = fastnn.rms_norm_backward(dy, x, r, w)
    want = reference.rms_norm_backward(dy, x, r, w)
    assert_within(got[0], want[0], input_bound(dtype, g, x * s, 0, s, average))
    assert_within(got[1], want[1], weight_bound(dtype, dy, x * s, 0, s, rows, chain))


@pytest.mark.parametrize("offset", [0, 10000])
def test_exact(dtype, offset):
    """Ones and minus ones around their mean come out as they are, times weight plus bias."""
    x = np.where(np.arange(24).reshape(4, 6) % 2 == 0, 1, -1).astype(dtype)
    w, b = np.arange(1, 7).astype(dtype), np.arange(6).astype(dtype)
    rows = fastnn.layer_norm(x + offset, 6, w, b, eps=0)
    np.testing.assert_array_equal(rows, x * w + b)
    columns = fastnn.batch_norm(np.ascontiguousarray(x.T) + offset, eps=0)
    np.testing.assert_array_equal(columns, x.T)
    groups = fastnn.group_norm(x + offset, 3, w, b, eps=0)
    np.testing.assert_array_equal(groups, x * w + b)
    np.testing.assert_array_equal(fastnn.rms_norm(2 * x, 6, w, eps=0), x * w)


@pytest.mark.parametrize("momentum", [0, 0.1, 1])
def test_running_statistics(rng, dtype, momentum):
    x = normal(rng, (4, 5, 6, 7), dtype)
    mean, var = normal(rng, 7, dtype), rng.random(7).astype(dtype)
    want = mean.astype(np.float64), var.astype(np.float64)
    reference.batch_norm(x, None, None, *want, momentum=momentum)
    fastnn.batch_norm(x, None, None, mean, var, momentum=momentum)
    assert_within(mean, want[0], 2 * CHAIN * roundoff(dtype) * (np.abs(want[0]) + 1))
    assert_within(var, want[1], 4 * CHAIN * roundoff(dtype) * (want[1] + 1))
    y = fastnn.batch_norm(x, None, None, mean, var, training=False, activation="relu")
    expected = reference.batch_norm(x, None, None, mean, var, training=False, activation="relu")
    inv_std = 1 / np.sqrt(var.astype(np.float64) + 1e-5)
    assert_within(y, expected, 4 * roundoff(dtype) * (np.abs(x) + np.abs(mean)) * inv_std)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1000])
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.3])
def test_local_response_norm(rng, dtype, size, beta):
    options = {"alpha": 0.7, "beta": beta, "k": 2.0}
    for c in (1, 4, 7, 17, 96):
        x, dy = normal(rng, (3, 2, c), dtype), normal(rng, (3, 2, c), dtype)
        window = min(size, 2 * c)
        unit = (window + 16) * roundoff(dtype)
        want = reference.local_response_norm(x, size, **options)
        assert_within(fastnn.local_response_norm(x, size, **options), want, unit * np.abs(want))
        got = fastnn.local_response_norm_backward(dy, x, size, **options)
        want = reference.local_response_norm_backward(dy, x, size, **options)
        bound = reference.local_response_norm(np.abs(dy), 1, **{**options, "alpha": 0})
        others = np.abs(dy * x).sum(-1, keepdims=True) * 2.0 ** (-beta - 1)
        bound = bound + 2 * 0.7 * beta / size * np.abs(x) * others
        assert_within(got, want, 2 * unit * bound)


def test_formulae_are_those_of_pytorch(rng):
    """In float64, where nothing but a mistake is larger than 1e-12 of values around 1."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x, w, b = rng.standard_normal((3, 4, 5, 6)), rng.standard_normal(6), rng.standard_normal(6)
    images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    weight, bias = (torch.from_numpy(z.copy()).requires_grad_() for z in (w, b))
    dy = rng.standard_normal(x.shape)

    def check(theirs, ours, gradients):
        np.testing.assert_allclose(
            theirs.detach().numpy().transpose(0, 2, 3, 1), ours, rtol=1e-12, atol=1e-12
        )
        leaves = [images, weight, bias][: len(gradients)]
        out = torch.autograd.grad(theirs, leaves, torch.from_numpy(dy.transpose(0, 3, 1, 2).copy()))
        got = [out[0].numpy().transpose(0, 2, 3, 1), *(z.numpy() for z in out[1:])]
        for theirs, ours in zip(got, gradients, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-11, atol=1e-11)

    mean, var = np.zeros(6), np.ones(6)
    theirs = torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    y, *stats = fastnn.batch_norm(x, w, b, mean, var, return_stats=True)
    check(
        functional.batch_norm(images, *theirs, weight, bias, training=True),
        y,
        fastnn.batch_norm_backward(dy, x, *stats, w),
    )
    np.testing.assert_allclose(theirs[0].numpy(), mean, rtol=1e-13)
    np.testing.assert_allclose(theirs[1].numpy(), var, rtol=1e-13)
    y, *stats = fastnn.group_norm(x, 3, w, b, return_stats=True)
    check(
        functional.group_norm(images, 3, weight, bias),
        y,
        fastnn.group_norm_backward(dy, x, *stats, w),
    )
    for size in (2, 3, 5):
        check(
            functional.local_response_norm(images, size, alpha=0.3, k=1.5),
            fastnn.local_response_norm(x, size, alpha=0.3, k=1.5),
            [fastnn.local_response_norm_backward(dy, x, size, alpha=0.3, k=1.5)],
        )
    rows = torch.from_numpy(x)
    for name, extra in (("layer_norm", (b,)), ("rms_norm", ())):
        theirs = getattr(functional, name)(rows, (6,), *(torch.from_numpy(z) for z in (w, *extra)))
        ours = getattr(fastnn, name)(x, 6, w, *extra)
        np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-12, atol=1e-12)


def every_call(rng, dtype, shape=(4, 3, 6)):
    """(function of x and out, function of dy, x and out) of each normalisation."""
    c = shape[-1]
    w, b, mean, var = (rng.random(c).astype(dtype) for _ in range(4))
    stats = np.zeros(c), np.ones(c)
    each, rows = (np.zeros((shape[0], 2)), np.ones((shape[0], 2))), np.ones(shape[:-1])

    def batch(x, out):
        return fastnn.batch_norm(x, w, b, out=out)

    def evaluated(x, out):
        return fastnn.batch_norm(x, w, b, mean, var, training=False, out=out)

    def batch_back(dy, x, out):
        return fastnn.batch_norm_backward(dy, x, *stats, w, out=out)[0]

    def group(x, out):
        return fastnn.group_norm(x, 2, w, b, out=out)

    def group_back(dy, x, out):
        return fastnn.group_norm_backward(dy, x, *each, w, out=out)[0]

    def layer(x, out):
        return fastnn.layer_norm(x, c, w, b, out=out)

    def layer_back(dy, x, out):
        return fastnn.layer_norm_backward(dy, x, rows * 0, rows, w, out=out)[0]

    def rms(x, out):
        return fastnn.rms_norm(x, c, w, out=out)

    def rms_back(dy, x, out):
        return fastnn.rms_norm_backward(dy, x, rows, w, out=out)[0]

    def response(x, out):
        return fastnn.local_response_norm(x, 3, out=out)

    def response_back(dy, x, out):
        return fastnn.local_response_norm_backward(dy, x, 3, out=out)

    return [
        (batch, batch_back),
        (evaluated, batch_back),
        (group, group_back),
        (layer, layer_back),
        (rms, rms_back),
        (response, response_back),
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_strides(rng, dtype, layout):
    x, dy = normal(rng, (4, 3, 6), dtype), normal(rng, (4, 3, 6), dtype)
    for forward, backward in every_call(rng, dtype):
        x_view, dy_view = LAYOUTS[layout](x), LAYOUTS[layout](dy)
        plain = x_view.copy(), dy_view.copy()
        assert_same_bits(forward(x_view, None), forward(plain[0], None))
        assert_same_bits(backward(dy_view, x_view, None), backward(plain[1], plain[0], None))


@pytest.mark.parametrize("layout", OUT_LAYOUTS)
def test_out_and_in_place(rng, dtype, layout):
    x, dy = normal(rng, (4, 3, 6), dtype), normal(rng, (4, 3, 6), dtype)
    for forward, backward in every_call(rng, dtype):
        y, dx = forward(x, None), backward(dy, x, None)
        out = nan_out(layout, x.shape, dtype)
        assert forward(x, out) is out
        assert_same_bits(out, y)
        assert_nothing_else_written(out)
        out = nan_out(layout, x.shape, dtype)
        assert backward(dy, x, out) is out
        assert_same_bits(out, dx)
        assert_nothing_else_written(out)
        place, gradient = x.copy(), dy.copy()
        forward(place, place)
        backward(gradient, x, gradient)
        assert_same_bits(place, y)
        assert_same_bits(gradient, dx)


@pytest.mark.parametrize("shape", [(0, 5, 6), (4, 0, 6), (4, 3, 0), (0, 0)])
def test_no_elements(dtype, shape):
    x = np.empty(shape, dtype)
    c = shape[-1]
    running = np.full(c, 3, dtype), np.full(c, 4, dtype)
    y, *stats = fastnn.batch_norm(x, None, None, *running, return_stats=True)
    assert y.shape == shape
    assert (running[0] == 3).all()
    assert (running[1] == 4).all()
    gradients = fastnn.batch_norm_backward(x, x, *stats)
    assert gradients[0].shape == shape
    assert_same_bits(gradients[1], np.zeros(c, dtype))
    assert_same_bits(gradients[2], np.zeros(c, dtype))
    for groups in (1, 2):
        y, *stats = fastnn.group_norm(x, groups, eps=0.25, return_stats=True)
        assert_same_bits(stats[0], np.zeros((shape[0], groups)))
        assert_same_bits(stats[1], np.full((shape[0], groups), 2.0))
        assert_same_bits(fastnn.group_norm_backward(x, x, *stats)[1], np.zeros(c, dtype))
    y, *stats = fastnn.layer_norm(x, c, eps=0.25, return_stats=True)
    assert_same_bits(stats[1], np.full(shape[:-1], 2.0))
    assert_same_bits(fastnn.layer_norm_backward(x, x, *stats)[2], np.zeros(c, dtype))
    y, inv_rms = fastnn.rms_norm(x, c, return_stats=True)
    assert_same_bits(fastnn.rms_norm_backward(x, x, inv_rms)[1], np.zeros(c, dtype))
    assert fastnn.local_response_norm(x, 3).shape == shape
    assert fastnn.local_response_norm_backward(x, x, 3).shape == shape


def test_rows_do_not_depend_on_the_batch(rng, dtype):
    """Of the kernels that normalise each image or row by itself."""
    x = normal(rng, (9, 5, 24), dtype)
    for run in (
        lambda z: fastnn.group_norm(z, 3),
        lambda z: fastnn.layer_norm(z, (5, 24)),
        lambda z: fastnn.rms_norm(z, 24),
        lambda z: fastnn.local_response_norm(z, 5),
    ):
        whole = run(x)
        for i in range(9):
            assert_same_bits(run(x[i : i + 1]), whole[i : i + 1])


def test_equal_elements_have_no_variance(dtype):
    x = np.full((37, 5), 0.1, dtype)
    for y in (fastnn.batch_norm(x, eps=1e-30), fastnn.layer_norm(x, 5, eps=1e-30)):
        assert np.isfinite(y).all()


def test_nan_reaches_its_channel_alone(rng, dtype):
    x = normal(rng, (50, 6), dtype)
    x[7, 2] = np.nan
    y = fastnn.batch_norm(x, activation="relu")
    assert np.isnan(y[:, 2]).all()
    assert np.isfinite(np.delete(y, 2, axis=1)).all()
    assert np.isnan(fastnn.layer_norm(x, 6)).any(1).sum() == 1


def test_past_the_caches(rng):
    """What is stored past the caches is what would be stored through them."""
    x = np.resize(normal(rng, 999, np.float32), (300_000, 12))
    y, mean, inv_std = fastnn.batch_norm(x, return_stats=True)
    xhat = (x[-9:] - mean) * inv_std
    assert_within(y[-9:], xhat, forward_bound(np.float32, xhat, 1, 0, mean, inv_std))
    part = np.ascontiguousarray(x[:1000])
    mean[:], inv_std[:] = 0, 1
    dx = fastnn.batch_norm_backward(x, x, mean, inv_std)[0]
    assert np.isfinite(dx).all()
    running = np.zeros(12, np.float32), np.ones(12, np.float32)
    whole = fastnn.batch_norm(x, None, None, *running, training=False)
    assert_same_bits(whole[:1000], fastnn.batch_norm(part, None, None, *running, training=False))


BAD = [
    ("batch_norm", "eps", {"eps": -1e-9}),
    ("batch_norm", "eps", {"eps": np.nan}),
    ("batch_norm", "momentum", {"momentum": 1.5}),
    ("batch_norm", "momentum", {"momentum": -0.1}),
    ("batch_norm", "weight", {"weight": 5}),
    ("batch_norm", "bias", {"bias": 7}),
    ("batch_norm", "running_var", {"running_mean": 6}),
    ("batch_norm", "running_mean", {"training": False}),
    ("batch_norm", "running_mean", {"running_mean": 5, "running_var": 6}),
    ("batch_norm", "running_var", {"running_mean": 6, "running_var": 7}),
    ("batch_norm", "activation", {"activation": "tanh"}),
    ("group_norm", "num_groups", {"num_groups": 4}),
    ("group_norm", "num_groups", {"num_groups": 0}),
    ("group_norm", "weight", {"num_groups": 2, "weight": 5}),
    ("group_norm", "eps", {"num_groups": 2, "eps": -1}),
    ("layer_norm", "normalized_shape", {"normalized_shape": 5}),
    ("layer_norm", "normalized_shape", {"normalized_shape": ()}),
    ("layer_norm", "normalized_shape", {"normalized_shape": (4, 6, 6)}),
    ("layer_norm", "bias", {"normalized_shape": 6, "bias": 5}),
    ("layer_norm", "eps", {"normalized_shape": 6, "eps": -1}),
    ("rms_norm", "weight", {"normalized_shape": 6, "weight": 1}),
    ("rms_norm", "eps", {"normalized_shape": 6, "eps": -1}),
    ("local_response_norm", "size", {"size": 0}),
    ("local_response_norm", "size", {"size": -1}),
    ("local_response_norm", "alpha", {"size": 3, "alpha": -1}),
    ("local_response_norm", "beta", {"size": 3, "beta": np.inf}),
    ("local_response_norm", "k", {"size": 3, "k": -1}),
]
VECTORS = ("weight", "bias", "running_mean", "running_var")


@pytest.mark.parametrize(("name", "argument", "options"), BAD)
def test_bad_options(name, argument, options):
    x = np.ones((4, 6), np.float32)
    given = {k: np.ones(v, np.float32) if k in VECTORS else v for k, v in options.items()}
    with pytest.raises(ValueError, match=rf"^{name}: .*{argument}"):
        getattr(fastnn, name)(x, **given)


def test_bad_statistics():
    x, f8 = np.ones((4, 6), np.float32), np.ones
    with pytest.raises(ValueError, match=r"^batch_norm: .*more than one value per channel"):
        fastnn.batch_norm(x[:1])
    with pytest.raises(ValueError, match=r"^batch_norm: x must have at least 2"):
        fastnn.batch_norm(x[0])
    with pytest.raises(ValueError, match=r"^batch_norm: return_stats"):
        fastnn.batch_norm(x, None, None, x[0], x[1], training=False, return_stats=True)
    with pytest.raises(ValueError, match=r"^batch_norm: running statistics: .*overlap"):
        fastnn.batch_norm(x, None, None, x[0], np.ones(6, np.float32))
    frozen = np.ones(6, np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"^batch_norm: running_var is read-only"):
        fastnn.batch_norm(x, None, None, np.ones(6, np.float32), frozen)
    with pytest.raises(ValueError, match=r"^batch_norm: running_mean must be contiguous"):
        fastnn.batch_norm(x, None, None, np.ones(12, np.float32)[::2], frozen)
    with pytest.raises(TypeError, match=r"^batch_norm_backward: mean must be float64"):
        fastnn.batch_norm_backward(x, x, x[0], f8(6))
    with pytest.raises(ValueError, match=r"^batch_norm_backward: inv_std must have shape"):
        fastnn.batch_norm_backward(x, x, f8(6), f8(5))
    for wrong in ((4, 4), (3, 2), (4, 0)):
        with pytest.raises(ValueError, match=r"^group_norm_backward: mean"):
            fastnn.group_norm_backward(x, x, f8(wrong), f8(wrong))
    with pytest.raises(ValueError, match=r"^layer_norm_backward: inv_std must have the shape"):
        fastnn.layer_norm_backward(x, x, f8(4), f8(5))
    with pytest.raises(ValueError, match=r"^layer_norm_backward: mean must have shape"):
        fastnn.layer_norm_backward(x, x, f8(5), f8(4))
    with pytest.raises(TypeError, match=r"^layer_norm: eps"):
        fastnn.layer_norm(x, 6, eps=None)
    with pytest.raises(TypeError, match=r"^local_response_norm: size"):
        fastnn.local_response_norm(x, 3.0)
