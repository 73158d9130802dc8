"""Layers: values and gradients, the gradient rule, and the walk over parts."""

import copy
import gc
import weakref

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from fastnn.gradcheck import gradcheck

LAYERS = [
    (nn.Linear(5, 3, rng=0, dtype=np.float64), (4, 5)),
    (nn.Linear(5, 3, bias=False, rng=0, dtype=np.float64), (4, 5)),
    (nn.Linear(1, 1, rng=0, dtype=np.float64), (1, 1)),
    (nn.Linear(5, 3, rng=0, dtype=np.float64), (5,)),
    (nn.Linear(5, 3, rng=0, dtype=np.float64), (2, 3, 5)),
    (nn.Conv2d(2, 3, 3, rng=0, dtype=np.float64), (2, 5, 6, 2)),
    (nn.Conv2d(2, 3, (1, 3), bias=False, rng=0, dtype=np.float64), (2, 5, 6, 2)),
    (nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, rng=0, dtype=np.float64), (2, 6, 5, 4)),
    (
        nn.Conv2d(
            1, 2, (3, 2), stride=(1, 2), dilation=2, padding=((2, 1), (0, 3)), rng=0, dtype="f8"
        ),
        (1, 6, 5, 1),
    ),
    (nn.Conv2d(3, 3, 3, padding=1, groups=3, rng=0, dtype=np.float64), (2, 6, 5, 3)),
    (nn.ConvTranspose2d(2, 3, 3, rng=0, dtype=np.float64), (2, 3, 4, 2)),
    (
        nn.ConvTranspose2d(
            4, 6, (3, 2), stride=2, padding=1, output_padding=(1, 0), groups=2, rng=0, dtype="f8"
        ),
        (2, 3, 4, 4),
    ),
    (
        nn.ConvTranspose2d(3, 3, 3, dilation=2, groups=3, bias=False, rng=0, dtype="f8"),
        (1, 3, 4, 3),
    ),
    (nn.ReLU(), (3, 7)),
    (nn.Sigmoid(), (3, 7)),
    (nn.Tanh(), (2, 3, 4)),
    (nn.ScaledTanh(), (3, 7)),
    (nn.Softmax(), (3, 7)),
    (nn.MaxPool2d(2), (2, 4, 6, 3)),
    (nn.MaxPool2d((3, 2), stride=(2, 1), padding=1), (2, 5, 4, 2)),
    (nn.AvgPool2d(2), (2, 4, 6, 3)),
    (nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), (2, 5, 4, 2)),
    (nn.MaxPool2d(2, ceil_mode=True, activation="relu"), (2, 5, 4, 3)),
    (nn.AvgPool2d(3, stride=2, ceil_mode=True), (1, 6, 4, 2)),
    (nn.GlobalAvgPool2d(), (2, 3, 4, 5)),
    (nn.Subsample2d(3, dtype=np.float64), (2, 4, 6, 3)),
    (nn.Subsample2d(2, 3, stride=2, dtype=np.float64), (2, 5, 7, 2)),
    (nn.Flatten(), (2, 3, 4, 5)),
    (nn.Sequential(), (2, 3)),
    (
        nn.Sequential(
            nn.Conv2d(1, 2, 3, rng=1, dtype=np.float64),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8, 4, rng=2, dtype=np.float64),
            nn.Softmax(),
        ),
        (3, 6, 6, 1),
    ),
]
IDS = [f"{repr(layer).splitlines()[0]}-{shape}" for layer, shape in LAYERS]


def distinct(shape, seed=0):
    """Values at least 0.05 apart and at least 0.02 from 0: no kink, no tie."""
    n = int(np.prod(shape))
    values = (np.arange(n) - n // 2 + 0.5) * 0.05
    return np.random.default_rng(seed).permutation(values).reshape(shape)


def without_gradients(layer):
    layer = copy.deepcopy(layer)
    for p in layer.parameters():
        p.grad = None
    return layer


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=IDS)
def test_gradients_against_central_differences(layer, shape):
    assert gradcheck(layer, distinct(shape))


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=IDS)
def test_inference_equals_training_forward(layer, shape):
    x = distinct(shape)
    y, _ = layer.forward(x)
    assert np.array_equal(layer(x), y)


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=IDS)
def test_input_and_output_gradient_are_not_changed(layer, shape):
    x = distinct(shape)
    y, backward = layer.forward(x)
    dy = distinct(y.shape, seed=1)
    before = x.copy(), dy.copy()
    backward(dy)
    assert np.array_equal(x, before[0])
    assert np.array_equal(dy, before[1])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [case for case in LAYERS if len(case[1]) > 1],
)
def test_empty_batch(layer, shape):
    layer = without_gradients(layer)
    x = np.empty((0, *shape[1:]))
    y, backward = layer.forward(x)
    assert y.shape == (0, *layer(distinct(shape)).shape[1:])
    assert backward(np.empty(y.shape)).shape == x.shape
    for p in layer.parameters():
        assert np.array_equal(p.grad, np.zeros(p.shape))


def test_linear_gives_exact_integers():
    layer = nn.Linear(2, 2, dtype=np.float32)
    layer.weight.data = np.array([[1, 2], [3, 4]], np.float32)
    layer.bias.data = np.array([10, 20], np.float32)
    x = np.array([[1, -1], [0, 5], [2, 2]], np.float32)
    y, backward = layer.forward(x)
    assert y.tolist() == [[9, 19], [20, 40], [16, 34]]
    assert backward(np.array([[1, 0], [0, 1], [2, 3]], np.float32)).tolist() == [
        [1, 2],
        [3, 4],
        [11, 16],
    ]
    assert layer.weight.grad.tolist() == [[5, 3], [6, 11]]
    assert layer.bias.grad.tolist() == [3, 4]


def test_conv2d_is_the_kernels_with_its_geometry():
    geometry = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 2}
    layer = nn.Conv2d(4, 6, (3, 2), **geometry, rng=3)
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 4), dtype=np.float32)
    w, b = layer.weight.data, layer.bias.data
    b[:] = range(6)
    y, backward = layer.forward(x)
    assert np.array_equal(y, fastnn.conv2d(x, w, b, **geometry))
    dy = np.random.default_rng(1).standard_normal(y.shape, dtype=np.float32)
    dx = backward(dy)
    assert np.array_equal(dx, fastnn.conv2d_backward_input(dy, w, x.shape, **geometry))
    dw = fastnn.conv2d_backward_weight(dy, x, w.shape, **geometry)
    assert np.array_equal(layer.weight.grad, dw)
    assert np.array_equal(layer.bias.grad, fastnn.bias_backward(dy))


def test_conv_transpose2d_is_the_kernels_with_its_geometry():
    geometry = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "output_padding": (1, 0)}
    layer = nn.ConvTranspose2d(4, 6, (3, 2), **geometry, groups=2, rng=3)
    geometry["groups"] = 2
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 4), dtype=np.float32)
    w, b = layer.weight.data, layer.bias.data
    b[:] = range(6)
    y, backward = layer.forward(x)
    assert np.array_equal(y, fastnn.conv_transpose2d(x, w, b, **geometry))
    dy = np.random.default_rng(1).standard_normal(y.shape, dtype=np.float32)
    dx = backward(dy)
    assert np.array_equal(dx, fastnn.conv_transpose2d_backward_input(dy, w, **geometry))
    dw = fastnn.conv_transpose2d_backward_weight(dy, x, w.shape, **geometry)
    assert np.array_equal(layer.weight.grad, dw)
    assert np.array_equal(layer.bias.grad, fastnn.bias_backward(dy))


def test_conv_transpose2d_starts_with_the_variance_of_what_an_output_sums():
    layer = nn.ConvTranspose2d(200, 40, 3, groups=2, rng=0)
    assert layer.weight.shape == (200, 3, 3, 20)
    np.testing.assert_allclose(layer.weight.data.std(), np.sqrt(2 / 900), rtol=0.02)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"in_channels": 0}, ValueError, "in_channels must be at least 1"),
        ({"kernel_size": 1.5}, TypeError, "kernel_size must be an integer"),
        ({"groups": 3}, ValueError, "groups=3 must divide"),
        ({"output_padding": 1}, ValueError, "output_padding=1 must be smaller than stride=1"),
        ({"output_padding": (0, 2), "stride": (3, 2)}, ValueError, ".* must be smaller"),
        ({"dtype": np.int32}, TypeError, "dtype must be float32 or float64"),
    ],
)
def test_conv_transpose2d_refuses(arguments, error, match):
    good = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
    with pytest.raises(error, match=f"^ConvTranspose2d: {match}"):
        nn.ConvTranspose2d(**good | arguments)


class TestConnections:
    """Conv2d with a table of which inputs an output sees."""

    TABLE = np.array([[True, False, True], [False, False, True]])

    def pair(self):
        """The layer, and the same without a table and with zeros for weights."""
        layer = nn.Conv2d(3, 2, 3, padding=1, connections=self.TABLE, rng=0)
        dense = nn.Conv2d(3, 2, 3, padding=1)
        dense.weight.data = layer.weight.data
        return layer, dense

    def test_only_connected_weights_are_not_zero(self):
        w = nn.Conv2d(3, 2, 3, connections=self.TABLE, rng=0).weight.data
        all_weights = nn.Conv2d(3, 2, 3, rng=0).weight.data
        assert np.array_equal(w, all_weights * self.TABLE[:, None, None, :])
        assert np.count_nonzero(w) == 27

    def test_is_the_dense_layer_with_the_gradient_masked(self):
        layer, dense = self.pair()
        x = np.random.default_rng(0).standard_normal((2, 5, 4, 3), dtype=np.float32)
        (y, backward), (want, dense_backward) = layer.forward(x), dense.forward(x)
        assert np.array_equal(y, want)
        dy = np.random.default_rng(1).standard_normal(y.shape, dtype=np.float32)
        for _ in range(2):  # the second adds
            assert np.array_equal(backward(dy), dense_backward(dy))
            mask = self.TABLE[:, None, None, :]
            assert np.array_equal(layer.weight.grad, dense.weight.grad * mask)
            assert np.array_equal(layer.bias.grad, dense.bias.grad)

    def test_a_gradient_that_is_not_finite_does_not_leak(self):
        layer, _ = self.pair()
        x = np.full((1, 5, 4, 3), np.inf, np.float32)
        _, backward = layer.forward(x)
        backward(np.ones((1, 5, 4, 2), np.float32))
        assert np.array_equal(
            layer.weight.grad != 0, np.broadcast_to(self.TABLE[:, None, None], (2, 3, 3, 3))
        )

    @pytest.mark.parametrize("nesterov", [False, True])
    def test_absent_weights_stay_zero(self, nesterov):
        layer, _ = self.pair()
        optimizer = optim.SGD(layer, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=nesterov)
        rng = np.random.default_rng(0)
        for _ in range(5):
            y, backward = layer.forward(rng.standard_normal((2, 5, 4, 3), dtype=np.float32))
            backward(y)
            optimizer.step()
        absent = ~np.broadcast_to(self.TABLE[:, None, None], (2, 3, 3, 3))
        assert not layer.weight.data[absent].any()
        assert np.count_nonzero(layer.weight.data) == 27

    def test_groups(self):
        table = np.array([[True, False], [True, True], [False, True], [True, True]])
        layer = nn.Conv2d(4, 4, 1, groups=2, connections=table, rng=0)
        assert np.array_equal(layer.weight.data[:, 0, 0] != 0, table)

    def test_repr(self):
        assert repr(self.pair()[0]) == "Conv2d(3, 2, kernel_size=3, padding=1, connections=...)"

    @pytest.mark.parametrize(
        ("table", "error", "match"),
        [
            (np.ones((2, 3)), TypeError, "connections must be booleans, not float64"),
            (np.ones((3, 2), bool), ValueError, r"connections must have shape \(2, 3\)"),
            (np.ones(6, bool), ValueError, r"connections must have shape .*, not \(6,\)"),
        ],
    )
    def test_refuses(self, table, error, match):
        with pytest.raises(error, match=f"^Conv2d: {match}"):
            nn.Conv2d(3, 2, 3, connections=table)


class TestGradientRule:
    """The first backward after a step overwrites, later ones add."""

    def test_no_gradient_before_the_first_backward(self):
        layer = nn.Linear(3, 2, rng=0)
        layer.forward(np.ones((1, 3), np.float32))
        assert layer.weight.grad is None
        assert layer.bias.grad is None

    def test_backward_passes_add_until_the_step(self):
        layer = nn.Linear(1, 1, bias=False)
        optimizer = optim.SGD(layer, lr=0.0)
        x = np.array([[2]], np.float32)
        seen = []
        for dy in (1, 10, 100, None, 1000, 10000):
            if dy is None:
                optimizer.step()
            else:
                layer.forward(x)[1](np.array([[dy]], np.float32))
                seen.append(layer.weight.grad.item())
        assert seen == [2, 22, 222, 2000, 22000]

    def test_gradient_stays_readable_after_the_step(self):
        layer = nn.Linear(1, 1, bias=False)
        optimizer = optim.SGD(layer, lr=1.0)
        layer.forward(np.ones((1, 1), np.float32))[1](np.full((1, 1), 7, np.float32))
        optimizer.step()
        assert layer.weight.grad.item() == 7

    def test_assigning_none_starts_anew(self):
        layer = nn.Conv2d(1, 1, 1, bias=False)
        _, backward = layer.forward(np.full((1, 1, 1, 1), 3, np.float32))
        dy = np.ones((1, 1, 1, 1), np.float32)
        backward(dy)
        layer.weight.grad = None
        assert layer.weight.grad is None
        backward(dy)
        assert layer.weight.grad.item() == 3

    def test_assigned_gradient_is_added_to(self):
        layer = nn.Linear(1, 1, bias=False)
        layer.weight.grad = np.array([[5]], np.float32)
        layer.forward(np.ones((1, 1), np.float32))[1](np.ones((1, 1), np.float32))
        assert layer.weight.grad.item() == 6

    def test_gradient_can_be_scaled_in_place(self):
        layer = nn.Linear(1, 1, bias=False)
        layer.forward(np.ones((1, 1), np.float32))[1](np.full((1, 1), 8, np.float32))
        layer.weight.grad *= 0.25
        assert layer.weight.grad.item() == 2

    @pytest.mark.parametrize("layer", [nn.Linear(3, 2, rng=0), nn.Conv2d(3, 2, 1, rng=0)])
    @pytest.mark.parametrize(
        ("spoil", "error"),
        [
            (lambda dy: dy[:1], ValueError),
            (lambda dy: dy[..., :1], ValueError),
            (lambda dy: dy.astype(np.float64), TypeError),
            (lambda dy: dy.astype(">f4"), TypeError),
            (lambda dy: dy.tolist(), TypeError),
            (lambda dy: None, TypeError),
        ],
    )
    def test_bad_dy_changes_no_gradient(self, layer, spoil, error):
        x = np.ones((4, 3), np.float32)
        x = x if isinstance(layer, nn.Linear) else x.reshape(2, 2, 1, 3)
        layer = copy.deepcopy(layer)
        y, backward = layer.forward(x)
        with pytest.raises(error, match=rf"{type(layer).__name__}\.backward: dy"):
            backward(spoil(y))
        assert layer.weight.grad is None
        backward(y)
        once = layer.weight.grad.copy()
        with pytest.raises(error):
            backward(spoil(y))
        assert np.array_equal(layer.weight.grad, once)


def test_forward_is_reentrant():
    """Two forward passes before any backward: each closure has its own input."""
    layer = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Tanh(), nn.Linear(2, 1, rng=1))
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 2), dtype=np.float32)
    dy = np.ones((3, 1), np.float32)
    single = [layer.forward(x)[1](dy) for x in (a, b)]
    (_, first), (_, second) = layer.forward(a), layer.forward(b)
    assert np.array_equal(second(dy), single[1])
    assert np.array_equal(first(dy), single[0])
    assert np.array_equal(first(dy), single[0])


@pytest.mark.parametrize(
    "layer", [nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Flatten()]
)
def test_closure_lets_the_input_go(layer):
    x = np.ones((1, 2, 2, 1), np.float32).copy()
    reference = weakref.ref(x)
    y, backward = layer.forward(x * 1 if isinstance(layer, nn.Flatten) else x)
    del x
    gc.collect()
    assert reference() is None
    assert backward(np.ones(y.shape, np.float32)).shape == (1, 2, 2, 1)


def test_dropping_the_closure_frees_the_activations():
    layer = nn.Sequential(nn.Linear(4, 4, rng=0), nn.Linear(4, 4, rng=1))
    x = np.ones((2, 4), np.float32)
    reference = weakref.ref(x)
    y, backward = layer.forward(x)
    del x
    assert reference() is not None
    del backward, y
    assert reference() is None  # at once, not by the cycle collector


def test_shared_layer_sums_its_gradients():
    layer = nn.Linear(3, 3, rng=0, dtype=np.float64)
    assert gradcheck(nn.Sequential(layer, nn.Tanh(), layer), distinct((2, 3)))


class TestInputGrad:
    @pytest.mark.parametrize(
        ("layer", "shape"), [(nn.Linear(3, 2, rng=0), (2, 3)), (nn.Conv2d(3, 2, 1), (1, 2, 2, 3))]
    )
    def test_none_but_same_parameter_gradients(self, layer, shape):
        layer = copy.deepcopy(layer)
        x = np.ones(shape, np.float32)
        y, backward = layer.forward(x)
        assert backward(y) is not None
        expected = [p.grad.copy() for p in layer.parameters()]
        layer.input_grad = False
        for p in layer.parameters():
            p.grad = None
        assert layer.forward(x)[1](y) is None
        for p, grad in zip(layer.parameters(), expected, strict=True):
            assert np.array_equal(p.grad, grad)

    def test_layers_below_get_no_gradient(self):
        layers = [nn.Linear(2, 2, rng=0), nn.ReLU(), nn.Linear(2, 2, rng=1), nn.Linear(2, 2)]
        layers[2].input_grad = False
        y, backward = nn.Sequential(*layers).forward(np.ones((1, 2), np.float32))
        assert backward(y) is None
        assert layers[0].weight.grad is None
        assert layers[2].weight.grad is not None
        assert layers[3].weight.grad is not None


def test_a_failed_backward_leaves_no_gradient(monkeypatch):
    """What was not written is not added to later."""
    layer = nn.Conv2d(1, 2, 3, rng=0)
    y, backward = layer.forward(np.ones((1, 5, 5, 1), np.float32))

    def fail(*args, **kwargs):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("fastnn._core.conv2d_backward_weight", fail)
        with pytest.raises(MemoryError):
            backward(np.ones_like(y))
    assert layer.weight.grad is None
    backward(np.ones_like(y))
    np.testing.assert_array_equal(layer.weight.grad, 9)
