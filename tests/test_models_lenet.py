"""The LeNets: shapes, published counts, gradients, the RBF units and their loss."""

import numpy as np
import pytest

import fastnn
from fastnn import models, nn, reference
from fastnn.gradcheck import gradcheck

LENETS = [models.lenet1, models.lenet5_1998, models.lenet5, models.lenet_caffe]


def test_lenet5_has_the_published_sizes():
    model = models.lenet5(rng=0)
    counts = [layer.num_parameters() for layer in model if layer.num_parameters()]
    assert counts == [156, 2416, 48120, 10164, 850]
    assert model.num_parameters() == 61706
    shapes = []
    x = np.zeros((2, 28, 28, 1), np.float32)
    for layer in model:
        x = layer(x)
        shapes.append(x.shape[1:])
    convolutional = [(28, 28, 6)] * 2 + [(14, 14, 6)] + [(10, 10, 16)] * 2 + [(5, 5, 16), (400,)]
    assert shapes == [*convolutional, (120,), (120,), (84,), (84,), (10,)]


def test_lenet5_connections_are_those_of_table_1():
    """LeCun et al. 1998: six maps of C3 see 3 maps of S2, nine see 4, one all; 60 in all."""
    table = models.LENET5_CONNECTIONS
    assert table.shape == (16, 6)
    assert table.sum() == 60
    assert table.sum(axis=1).tolist() == [3] * 6 + [4] * 9 + [6]
    assert table.sum(axis=0).tolist() == [10] * 6
    # The rows as the table prints them, a map of S2 each.
    printed = [
        "X...XXX..XXXX.XX",
        "XX...XXX..XXXX.X",
        "XXX...XXX..X.XXX",
        ".XXX..XXXX..X.XX",
        "..XXX..XXXX.XX.X",
        "...XXX..XXXX.XXX",
    ]
    assert ["".join(".X"[int(c)] for c in row) for row in table.T] == printed
    layer = nn.Conv2d(6, 16, 5, connections=table, rng=0)
    assert np.count_nonzero(layer.weight.data) + layer.bias.size == 1516  # trainable in C3


@pytest.mark.parametrize("n", [0, 1, 3])
def test_lenet5_batches(n):
    logits, backward = models.lenet5(26, rng=0).forward(np.zeros((n, 28, 28, 1), np.float32))
    assert logits.shape == (n, 26)
    assert backward(np.zeros_like(logits)) is None


def test_lenet5_gradient():
    model = models.lenet5(3, rng=0, dtype=np.float64)
    model[0].input_grad = True
    x = np.random.default_rng(0).standard_normal((1, 28, 28, 1))
    assert gradcheck(model, x, max_entries=30)


@pytest.mark.parametrize(
    ("make", "parameters", "connections"),
    [
        (models.lenet1, 2578, 98442),  # as published
        (models.lenet5_1998, 60000, 340908),  # as published
        (models.lenet5, 61706, 156 * 784 + 2416 * 100 + 48120 + 10164 + 850),
        (models.lenet_caffe, 431080, 520 * 576 + 25050 * 64 + 400500 + 5010),
    ],
)
def test_counts(make, parameters, connections):
    model = make(rng=0)
    assert model.num_parameters() == parameters
    assert models.count_connections(model, (28, 28, 1)) == connections
    assert f"{parameters:,} parameters" in repr(model)


@pytest.mark.parametrize(
    ("make", "parameters", "connections"),
    [
        (
            models.lenet5_1998,
            [156, 12, 1516, 32, 48120, 10164],
            [122304, 5880, 151600, 2000, 48120, 10164, 840],
        ),
        (models.lenet1, [104, 8, 512, 24, 1930], [59904, 2880, 32768, 960, 1930]),
    ],
)
def test_counts_of_the_layers(make, parameters, connections):
    rows = models.count_layers(make(rng=0), (28, 28, 1))
    assert [row.parameters for row in rows if row.parameters] == parameters
    assert [row.connections for row in rows if row.connections] == connections


@pytest.mark.parametrize("make", LENETS)
def test_counted_shapes_are_those_computed(make):
    model = make(rng=0)
    x = np.zeros((1, 28, 28, 1), np.float32)
    for row in models.count_layers(model, (28, 28, 1)):
        x = row.layer(x)
        assert x.shape == (1, *row.shape), row.name


@pytest.mark.parametrize("make", LENETS)
@pytest.mark.parametrize("n", [0, 1, 3])
def test_batches(make, n):
    classes = 7
    y, backward = make(classes, rng=0).forward(np.zeros((n, 28, 28, 1), np.float32))
    assert y.shape == (n, classes)
    assert y.dtype == np.float32
    assert backward(np.zeros_like(y)) is None


@pytest.mark.parametrize("make", LENETS)
def test_gradients(make, rng):
    model = make(3, rng=0, dtype=np.float64)
    first = next(layer for layer in model if isinstance(layer, nn.Conv2d))
    first.input_grad = True
    for layer in model:
        if isinstance(layer, nn.Conv2d):
            layer.connections = None  # gradients of weights that stay 0 are 0, differences are not
    x = rng.standard_normal((1, 28, 28, 1))
    assert gradcheck(model, x, max_entries=15)


def test_weights_of_1998_are_uniform_by_fan_in():
    """Within 2.4 / fan_in, and near that bound: the fan-in of C3 is that of each map."""
    for make, connections in [
        (models.lenet5_1998, models.LENET5_CONNECTIONS),
        (models.lenet1, models.LENET1_CONNECTIONS),
    ]:
        first, second = [x for x in make(rng=0, dtype="f8") if isinstance(x, nn.Conv2d)][:2]
        assert 0.8 < np.abs(first.weight.data).max() * 25 / 2.4 <= 1
        largest = np.abs(second.weight.data).max((1, 2, 3))
        shares = largest * 25 * connections.sum(1) / 2.4
        assert shares.max() <= 1 + 1e-15
        assert shares.min() > 0.8


def test_lenet1_connections_have_20_kernels():
    table = models.LENET1_CONNECTIONS
    assert table.shape == (12, 4)
    assert table.sum() == 20
    assert table.sum(0).tolist() == [5] * 4
    assert not table[:6, 2:].any()
    assert not table[6:, :2].any()


class TestPixelRange:
    def test_maps_background_and_ink(self):
        x = np.array([0, 255, 51], np.float64).reshape(1, 1, 3, 1)
        y = models.PixelRange((0, 255), padding=2)(x)
        assert y.shape == (1, 5, 7, 1)
        inside = y[0, 2, 2:5, 0].copy()
        y[0, 2, 2:5] = -0.1
        assert np.array_equal(y, np.full_like(y, -0.1))
        # three roundings of numbers of at most 1.275, and that of 0.005 * 255
        np.testing.assert_allclose(inside, [-0.1, 1.175, 0.155], rtol=0, atol=4 * 1.275 * 2.0**-53)

    def test_white_on_black(self):
        x = np.array([1.0, 0.0]).reshape(1, 1, 2, 1)
        y = models.PixelRange((1, 0))(x).ravel()
        # three roundings of numbers of at most 1.275
        np.testing.assert_allclose(y, [-0.1, 1.175], rtol=0, atol=3 * 1.275 * 2.0**-53)

    def test_gradient(self, rng):
        assert gradcheck(models.PixelRange((0.5, 2), 1), rng.standard_normal((2, 3, 4, 2)))

    @pytest.mark.parametrize(
        ("pixels", "error"),
        [((1, 1), ValueError), ((0, np.inf), ValueError), ((0,), TypeError), (3, TypeError)],
    )
    def test_bad_pixels(self, pixels, error):
        with pytest.raises(error, match="PixelRange: pixels must be"):
            models.PixelRange(pixels)

    def test_bad_image(self):
        with pytest.raises(ValueError, match=r"PixelRange: x must be \(N, H, W, C\)"):
            models.PixelRange((0, 1))(np.zeros((2, 2)))


class TestRBF:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_exact_integers(self, rng, dtype):
        w, x = rng.integers(-3, 4, (5, 7)), rng.integers(-3, 4, (4, 7))
        layer = nn.RBF(w.astype(dtype))
        y = layer(x.astype(dtype))
        assert y.dtype == dtype
        assert np.array_equal(y, reference.rbf(x, w))
        assert np.array_equal(y[0], ((x[0] - w) ** 2).sum(1))

    @pytest.mark.parametrize("trainable", [False, True])
    def test_gradient(self, rng, trainable):
        layer = nn.RBF(rng.standard_normal((3, 4)), trainable=trainable)
        assert layer.num_parameters() == 12 * trainable
        assert gradcheck(layer, rng.standard_normal((5, 4)))
        assert list(layer.state_dict()) == ["centers"]

    def test_bits_do_not_depend_on_the_batch(self, rng):
        layer = nn.RBF(rng.standard_normal((10, 84)))
        x = rng.standard_normal((5, 84))
        y = layer(x)
        for row, expected in zip(x, y, strict=True):
            assert np.array_equal(layer(row[None]), expected[None])

    def test_empty_batch(self):
        y, backward = nn.RBF(np.ones((3, 4)), trainable=True).forward(np.empty((0, 4)))
        assert y.shape == (0, 3)
        assert backward(y).shape == (0, 4)

    @pytest.mark.parametrize(
        ("call", "error", "match"),
        [
            (lambda: nn.RBF(np.ones((2, 3), int)), TypeError, "RBF: centers must be float32"),
            (lambda: nn.RBF(np.ones(3)), ValueError, r"RBF: centers must have shape \(O, I\)"),
            (lambda: nn.RBF(np.ones((2, 3)))(np.ones((1, 4))), ValueError, r"shape \(N, 3\)"),
            (lambda: nn.RBF(np.ones((2, 3)))(np.ones(3)), ValueError, r"shape \(N, 3\)"),
            (lambda: nn.RBF(np.ones((2, 3)))([[1, 2, 3]]), TypeError, "RBF: x must be an array"),
            (
                lambda: nn.RBF(np.ones((2, 3)))(np.ones((1, 3), "f4")),
                TypeError,
                "array of float64, not float32",
            ),
        ],
    )
    def test_bad_input(self, call, error, match):
        with pytest.raises(error, match=match):
            call()


class TestMAPLoss:
    @pytest.mark.parametrize(
        ("j", "expected"), [(0.1, 1.363426767101092), (1.0, 0.8960735100820526)]
    )
    def test_golden(self, j, expected):
        y, labels = np.array([[1.0, 2.0, 3.5]]), np.array([0])
        loss, dy = models.map_loss(y, labels, j)
        # a handful of roundings, each of a number of at most 4
        assert abs(loss - expected) <= 8 * 4 * 2.0**-53
        theirs, gradient = reference.map_loss(y, labels, j)
        assert abs(theirs - expected) <= 8 * 4 * 2.0**-53
        np.testing.assert_allclose(dy, gradient, rtol=0, atol=8 * 2.0**-53)

    @pytest.mark.parametrize("j", [-2.0, 0.1, 50.0])
    def test_gradient_of_reference_and_kernel(self, rng, j):
        y, labels = rng.uniform(0, 60, (6, 4)), rng.integers(0, 4, 6)
        loss, dy = models.map_loss(y, labels, j)
        theirs, gradient = reference.map_loss(y, labels, j)
        assert abs(loss - theirs) <= 120 * 8 * 2.0**-53
        np.testing.assert_allclose(dy, gradient, rtol=0, atol=60 * 4 * 2.0**-53)
        numeric = np.empty_like(y)
        for i in np.ndindex(y.shape):
            step = np.zeros_like(y)
            step[i] = 1e-5
            above = reference.map_loss(y + step, labels, j)[0]
            numeric[i] = (above - reference.map_loss(y - step, labels, j)[0]) / 2e-5
        # rounding: 2**-53 * 120 / 1e-5 at most 1.4e-9; truncation of the order of 1e-10
        np.testing.assert_allclose(gradient, numeric, rtol=0, atol=3e-9)

    def test_without_the_constant_it_is_cross_entropy(self, rng):
        y, labels = rng.uniform(0, 5, (6, 4)), rng.integers(0, 4, 6)
        loss, dy = models.map_loss(y, labels, 1e9)
        expected, dlogits = fastnn.softmax_cross_entropy(-y, labels)
        assert abs(loss - expected) <= 20 * 8 * 2.0**-53
        np.testing.assert_allclose(dy, -dlogits, rtol=0, atol=8 * 2.0**-53)

    @pytest.mark.parametrize(
        ("y", "labels", "j", "error", "match"),
        [
            (
                np.ones((1, 3)),
                np.array([3]),
                0.1,
                ValueError,
                r"map_loss: labels must be in",
            ),
            (np.ones((1, 3)), np.array([-100]), 0.1, ValueError, r"labels must be in \[0, 3\)"),
            (np.ones((1, 3)), np.array([0, 1]), 0.1, ValueError, "labels must have shape"),
            (np.ones((1, 3)), np.array([0.0]), 0.1, TypeError, "labels must be integers"),
            (np.ones(3), np.array([0]), 0.1, ValueError, "penalties must have shape"),
            (np.ones((1, 3)), np.array([0]), np.nan, ValueError, "map_loss: j must be finite"),
            (np.ones((1, 3)), np.array([0]), "x", TypeError, "map_loss: j must be a number"),
        ],
    )
    def test_bad_input(self, y, labels, j, error, match):
        with pytest.raises(error, match=match):
            models.map_loss(y, labels, j)


def test_digit_codes():
    codes = models.DIGIT_CODES
    assert codes.shape == (10, 84)
    assert set(codes.ravel().tolist()) == {-1.0, 1.0}
    distances = ((codes[:, None] - codes) ** 2).sum(2)
    assert (distances + 1000 * np.eye(10) >= 4 * 12).all()  # at least 12 pixels apart
    # a white row above and below, no column outside
    assert (codes.reshape(10, 12, 7)[:, [0, 11]] == -1).all()


def test_lenet5_1998_classifies_by_the_smallest_penalty(rng):
    model = models.lenet5_1998(j=1.0, rng=0)
    x = rng.standard_normal((4, 28, 28, 1), dtype=np.float32)
    y, labels = model(x), np.array([0, 3, 9, 1])
    assert model.classify(y).tolist() == y.argmin(1).tolist() == model.predict(x).tolist()
    loss, dy = model.loss(y, labels)
    expected, gradient = models.map_loss(y, labels, 1.0)
    assert loss == expected
    assert np.array_equal(dy, gradient)


@pytest.mark.parametrize("make", [models.lenet1, models.lenet5_1998])
def test_they_learn(make):
    """Twenty digits of the embedded set: the loss falls and they are recognised."""
    (x, labels), _ = fastnn.data.load_digits(normalize=False)
    x, labels = x[:20], labels[:20]
    model = make(pixels=(0, 1), rng=0)
    optimizer = fastnn.optim.SGD(model, lr=0.02 if make is models.lenet1 else 0.005, momentum=0.9)
    first, _ = model.loss(model(x), labels)
    for _ in range(60):
        y, backward = model.forward(x)
        loss, dy = model.loss(y, labels)
        backward(dy)
        optimizer.step()
    assert loss < first / 5
    assert (model.predict(x) == labels).mean() >= 0.9


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: models.lenet5(0), ValueError, "out_features must be at least 1"),
        (lambda: models.lenet5(dtype="f2"), TypeError, "dtype must be float32 or float64"),
        (lambda: models.lenet1(0), ValueError, "num_classes must be at least 1"),
        (lambda: models.lenet1(dtype="f2"), TypeError, "dtype must be float32 or float64"),
        (lambda: models.lenet5_1998(11), ValueError, "num_classes must be at most 10"),
        (lambda: models.lenet5_1998(0), ValueError, "num_classes must be at least 1"),
        (lambda: models.lenet5_1998(pixels=(1, 1)), ValueError, "pixels must be finite"),
        (lambda: models.lenet5_1998(j=np.inf), ValueError, "lenet5_1998: j must be finite"),
        (lambda: models.lenet_caffe(0), ValueError, "out_features must be at least 1"),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_wrong_input_names_the_kernel():
    with pytest.raises(ValueError, match="conv2d"):
        models.lenet5(rng=0)(np.zeros((1, 28, 28, 3), np.float32))
    with pytest.raises(TypeError, match="conv2d"):
        models.lenet5(rng=0)(np.zeros((1, 28, 28, 1)))
    assert isinstance(models.lenet5(rng=0), nn.Sequential)
