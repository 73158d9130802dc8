"""VGG: published counts, names and numbers that are torchvision's, and PyTorch's logits."""

import numpy as np
import pytest

import fastnn
from fastnn import models, nn, reference
from fastnn.gradcheck import gradcheck
from fastnn.nn import Parameter

# configuration, parameters, millions of MACs at 224 x 224, parameters with batch norm
COUNTS = [
    ("A", 132_863_336, 7_609, 132_868_840),
    ("A-LRN", 132_863_336, 7_609, None),
    ("B", 133_047_848, 11_308, 133_053_736),
    ("C", 133_638_952, 11_771, None),
    ("D", 138_357_544, 15_470, 138_365_992),
    ("E", 143_667_240, 19_632, 143_678_248),
]
# where torchvision has its convolutions
PLACES = {
    ("A", False): "0 3 6 8 11 13 16 18",
    ("B", False): "0 2 5 7 10 12 15 17 20 22",
    ("D", False): "0 2 5 7 10 12 14 17 19 21 24 26 28",
    ("E", False): "0 2 5 7 10 12 14 16 19 21 23 25 28 30 32 34",
    ("A", True): "0 4 8 11 15 18 22 25",
    ("B", True): "0 3 7 10 14 17 21 24 28 31",
    ("D", True): "0 3 7 10 14 17 20 24 27 30 34 37 40",
    ("E", True): "0 3 7 10 14 17 20 23 27 30 33 36 40 43 46 49",
}
NARROW = {"width": 1 / 32, "hidden": (9, 7)}


@pytest.fixture
def weightless(monkeypatch):
    """Parameters that have a shape and no memory."""

    def __init__(self, data):  # noqa: N807
        self._data, self._grad = np.broadcast_to(np.float32(0), data.shape), None
        self._written = self._fresh = False

    monkeypatch.setattr(Parameter, "__init__", __init__)
    return {"weight_init": lambda shape, **_: np.broadcast_to(np.float32(0), shape)}


def narrow(configuration, num_classes=3, input_shape=(32, 32, 3), **options):
    return models.vgg(configuration, num_classes, input_shape, **{**NARROW, "rng": 0, **options})


@pytest.mark.parametrize(("configuration", "parameters", "macs", "with_norm"), COUNTS)
def test_counts_at_224(weightless, configuration, parameters, macs, with_norm):
    model = models.vgg(configuration, **weightless)
    assert model.num_parameters() == parameters
    assert round(models.count_macs(model, (224, 224, 3)) / 1e6) == macs
    # every MAC is a connection, and so is every bias
    rows = models.count_layers(model, (224, 224, 3))
    biases = sum(int(np.prod(row.shape)) for row in rows if row.macs)
    assert models.count_connections(model, (224, 224, 3)) == biases + sum(r.macs for r in rows)
    if with_norm:
        model = models.vgg(configuration, batch_norm=True, **weightless)
        assert model.num_parameters() == with_norm
        assert round(models.count_macs(model, (224, 224, 3)) / 1e6) == macs


@pytest.mark.parametrize("size", [224, 32])
def test_macs_of_the_layers_of_d(weightless, size):
    hidden = [25088 * 4096, 4096 * 4096, 4096 * 1000] if size == 224 else [512 * 1000]
    expected = []
    inputs, side = 3, size
    for channels, depth in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(depth):
            expected.append(side**2 * 9 * inputs * channels)
            inputs = channels
        side //= 2
    rows = models.count_layers(
        models.vgg("D", 1000, (size, size, 3), **weightless), (size, size, 3)
    )
    assert [row.macs for row in rows if row.macs] == expected + hidden
    if size == 224:  # millions, as they are usually given
        assert [round(m / 1e6, 2) for m in expected[:3]] == [86.70, 1849.69, 924.84]


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("vgg11", 9_220_480, 152.8),
        ("vgg13", 9_404_992, 228.3),
        ("vgg16-c", 9_996_096, 237.7),
        ("vgg16", 14_714_688, 313.2),
        ("vgg19", 20_024_384, 398.1),
    ],
)
def test_counts_with_a_cifar_head(weightless, name, parameters, macs):
    model = models.create(name, num_classes=10, input_shape=(32, 32, 3), **weightless)
    assert model.num_parameters() == parameters + 5130
    assert round(models.count_macs(model, (32, 32, 3)) / 1e6, 1) == macs


def test_vgg16_with_batch_norm_and_a_cifar_head(weightless):
    options = {"num_classes": 10, "input_shape": (32, 32, 3), **weightless}
    model = models.create("vgg16-bn", **options)
    assert model.num_parameters() == 14_728_266
    model = models.create("vgg16", hidden=(512, 512), **options)
    assert model.num_parameters() == 15_245_130
    model = models.create("vgg19-bn", hidden=(512, 512), **options)
    assert model.num_parameters() == 20_565_834


@pytest.mark.slow
@pytest.mark.parametrize(("configuration", "parameters", "macs", "with_norm"), COUNTS[:2])
def test_the_real_network_runs(configuration, parameters, macs, with_norm):
    model = models.vgg(configuration, rng=0)
    assert model.num_parameters() == parameters
    logits, backward = model.forward(np.zeros((1, 224, 224, 3), np.float32))
    assert logits.shape == (1, 1000)
    assert backward(np.ones_like(logits)) is None


@pytest.mark.parametrize(("configuration", "batch_norm"), PLACES)
def test_names_are_those_of_torchvision(configuration, batch_norm):
    names = set()
    for i in map(int, PLACES[configuration, batch_norm].split()):
        names |= {f"features.{i}.weight", f"features.{i}.bias"}
        if batch_norm:
            parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
            names |= {f"features.{i + 1}.{part}" for part in parts}
    names |= {f"classifier.{i}.{part}" for i in (0, 3, 6) for part in ("weight", "bias")}
    for dropout in (0.5, 0):
        model = narrow(configuration, batch_norm=batch_norm, dropout=dropout)
        assert set(models.to_torchvision(model)) == names
        assert ("classifier.2.seed" in model.state_dict()) == (dropout > 0)
        assert set(dict(model.named_parameters())) <= names


@pytest.mark.parametrize("configuration", models.VGG_CONFIGURATIONS[:-1])  # E is a longer D
@pytest.mark.parametrize("batch_norm", [False, True])
def test_gradient(rng, configuration, batch_norm):
    model = narrow(configuration, batch_norm=batch_norm, dtype=np.float64, hidden=(5,))
    randomised(model, rng)  # with biases of 0, ReLU's input is 0 wherever the layer before is dead
    x = rng.standard_normal((3, 32, 32, 3))
    y, backward = model.forward(x)
    assert y.shape == (3, 3)
    assert backward(np.ones_like(y)) is None
    model.features[0].input_grad = True
    assert gradcheck(model, x, max_entries=2)


@pytest.mark.parametrize("shape", [(32, 32, 3), (32, 64, 1), (47, 95, 2)])
def test_shapes(shape):
    model = models.vgg("A", 4, shape, width=1 / 16, rng=0)
    for n in (0, 2):
        assert model(np.zeros((n, *shape), np.float32)).shape == (n, 4)
    x = np.zeros((1, *shape), np.float32)
    assert models.count_layers(model, shape)[-1].shape == model(x).shape[1:]
    assert len(model.classifier) == 1


def test_lrn_comes_after_the_first_relu_with_the_papers_constants():
    kinds = [type(layer) for layer in narrow("A-LRN").features]
    assert kinds[:4] == [nn.Conv2d, nn.ReLU, nn.LocalResponseNorm, nn.MaxPool2d]
    assert kinds.count(nn.LocalResponseNorm) == 1
    model = narrow("A-LRN")
    # Krizhevsky et al. 2012, section 3.3: x / (2 + 1e-4 * sum of 5 squares)^0.75
    x = np.full((1, 1, 1, 5), 3, np.float32)
    y = model.features[2](x)
    expected = 3 / (2 + 1e-4 * 45) ** 0.75
    assert abs(y[0, 0, 0, 2] - expected) <= 8 * 2.0**-24 * expected


def test_fused_relu_is_relu(rng):
    """Pooling and batch norm with ReLU give what three layers give."""
    x = rng.standard_normal((2, 32, 32, 3))
    for batch_norm in (False, True):
        model = narrow("B", batch_norm=batch_norm, dtype=np.float64)
        y = x
        for layer in model.features:
            if isinstance(layer, nn.MaxPool2d):
                y = fastnn.max_pool2d(y if layer.activation is None else fastnn.relu(y), 2)
            elif isinstance(layer, nn.BatchNorm2d):
                layer = nn.Sequential(nn.BatchNorm2d(layer.num_features, dtype="f8"), nn.ReLU())
                y = layer(y)
            else:
                y = layer(y)
        assert np.array_equal(model.features(x), y)


def randomised(model, rng):
    """Every parameter and every statistic another number."""
    for name, part in model._state().items():
        if name.endswith("running_var"):
            part.data = rng.uniform(0.5, 2, part.shape).astype(part.dtype)
        elif name.endswith(("bias", "running_mean")):
            part.data = rng.uniform(-0.5, 0.5, part.shape).astype(part.dtype)
        elif name.endswith("num_batches_tracked"):
            part.data[...] = 7
    return model


@pytest.mark.parametrize("batch_norm", [False, True])
def test_round_trip(rng, batch_norm):
    model = randomised(narrow("D", input_shape=(64, 96, 3), batch_norm=batch_norm), rng)
    state = models.to_torchvision(model)
    other = narrow("D", input_shape=(64, 96, 3), batch_norm=batch_norm, rng=1)
    models.load_torchvision(other, state)
    assert other.state_dict()["classifier.2.seed"] != model.state_dict()["classifier.2.seed"]
    for name, array in models.to_torchvision(other).items():
        assert np.array_equal(array, state[name])
        assert array.dtype == state[name].dtype
        assert array.flags.c_contiguous
    for name, array in model.state_dict().items():
        assert name.endswith((".seed", ".offset")) or np.array_equal(
            array, other.state_dict()[name]
        )
    # one weight of either kind, by hand: 2 x 3 pixels are flattened
    weight = model.features[0].weight.data
    assert state["features.0.weight"][1, 2, 0, 1] == weight[1, 0, 1, 2]
    columns = state["classifier.0.weight"].reshape(9, -1, 2, 3)
    assert columns[4, 5, 1, 2] == model.classifier[0].weight.data.reshape(9, 2, 3, -1)[4, 1, 2, 5]


def test_float32_goes_into_float64():
    model = narrow("A", dtype=np.float64)
    models.load_torchvision(model, models.to_torchvision(narrow("A", rng=5)))
    expected = narrow("A", rng=5).classifier[0].weight.data
    assert np.array_equal(model.classifier[0].weight.data, expected)


class TestBadStates:
    def check(self, change, error, match):
        model = narrow("A")
        before = model.state_dict()
        state = models.to_torchvision(narrow("A", rng=9))
        change(state)
        with pytest.raises(error, match=match):
            models.load_torchvision(model, state)
        for name, array in model.state_dict().items():
            assert np.array_equal(array, before[name])

    def test_missing(self):
        match = r"load_torchvision: missing features\.3\.bias"
        self.check(lambda s: s.pop("features.3.bias"), ValueError, match)

    def test_unexpected(self):
        match = "load_torchvision: unexpected x"
        self.check(lambda s: s.update(x=np.zeros(1)), ValueError, match)

    def test_shape(self):
        w = np.zeros((9, 17), np.float32)
        match = r"classifier\.0\.weight has shape \(9, 17\), expected \(9, 16\)"
        self.check(lambda s: s.update({"classifier.0.weight": w}), ValueError, match)

    def test_order_of_axes(self):
        w = np.zeros((2, 3, 3, 3), np.float32)
        wrong = np.zeros((3, 3, 3, 2), np.float32)
        self.check(lambda s: s.update({"features.0.weight": wrong}), ValueError, "has shape")
        assert narrow("A").features[0].weight.shape == w.shape

    def test_dtype(self):
        b = np.zeros(9)
        match = r"classifier\.0\.bias has dtype float64, expected float32"
        self.check(lambda s: s.update({"classifier.0.bias": b}), TypeError, match)

    def test_another_model(self):
        for call in (models.to_torchvision, lambda m: models.load_torchvision(m, {})):
            with pytest.raises(TypeError, match="model must be a VGG, not Sequential"):
                call(models.mlp((3, 2)))


def torch_network(torch, model):
    """The layers torchvision has, in its order, of the sizes of ours."""
    batch_norm = any(isinstance(layer, nn.BatchNorm2d) for layer in model.features)
    layers = []
    for layer in model.features:
        if isinstance(layer, nn.Conv2d):
            o, k, _, i = layer.weight.shape
            layers.append(torch.nn.Conv2d(i, o, k, padding=k // 2))
            layers += [torch.nn.BatchNorm2d(o)] if batch_norm else []
            layers.append(torch.nn.ReLU())
        elif isinstance(layer, nn.MaxPool2d):
            layers.append(torch.nn.MaxPool2d(2))
    sizes = [layer.weight.shape for layer in model.classifier if isinstance(layer, nn.Linear)]
    dense = []
    for o, i in sizes:
        dense += [torch.nn.Linear(i, o), torch.nn.ReLU(), torch.nn.Dropout()]

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = torch.nn.Sequential(*layers)
            self.classifier = torch.nn.Sequential(*dense[:-2])

        def forward(self, x):
            return self.classifier(torch.flatten(self.features(x), 1))

    return Network().double().eval()


def error_bound(model, x):
    """Bound of |computed - exact| of the logits, layer by layer, for any order of summation.

    An output w x + b of K products has, beside what the error e of x becomes, |w| e, an error of at
    most gamma(K + 1) * (|w| |x| + |b|) with gamma(n) = n u / (1 - n u). ReLU and the maximum pass
    the largest error of their window. Batch norm is a handful of roundings of x s and of t.
    """
    u = 2.0**-53
    error = np.zeros_like(x)
    for layer in [*model.features, nn.Flatten(), *model.classifier]:
        magnitude = np.abs(x) + error
        if isinstance(layer, nn.Conv2d | nn.Linear):
            w, b = np.abs(layer.weight.data), np.abs(layer.bias.data)
            n = (w[0].size + 1) * u
            if isinstance(layer, nn.Conv2d):
                options = {"padding": w.shape[1] // 2}
                error = reference.conv2d(error, w, **options) + n / (1 - n) * reference.conv2d(
                    magnitude, w, b, **options
                )
            else:
                error = error @ w.T + n / (1 - n) * (magnitude @ w.T + b)
        elif isinstance(layer, nn.BatchNorm2d):
            s = np.abs(layer.weight.data) / np.sqrt(layer.running_var.data + layer.eps)
            mean, b = np.abs(layer.running_mean.data), np.abs(layer.bias.data)
            error = error * s + 12 * u * ((magnitude + mean) * s + b)
        elif isinstance(layer, nn.MaxPool2d):
            error = reference.max_pool2d(error, 2)
        elif isinstance(layer, nn.Flatten):
            error = layer(error)
        x = layer(x)
    return error


def logits_of_both(torch, model, x):
    """Ours and PyTorch's, and a check that its own state makes our model again."""
    peer = torch_network(torch, model)
    state = models.to_torchvision(model)
    peer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    with torch.no_grad():
        theirs = peer(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    before = model.state_dict()
    for parameter in model.parameters():
        parameter.data[...] = np.nan
    models.load_torchvision(model, peer.state_dict())
    for name, array in model.state_dict().items():
        assert np.array_equal(array, before[name])
    return model(x), theirs


@pytest.mark.parametrize("configuration", ["A", "B", "C", "D", "E"])
def test_logits_are_those_of_pytorch(rng, configuration):
    """With integers: four weights of +-1 for each output keep sums below 5**19 < 2**53, exact."""
    torch = pytest.importorskip("torch")
    shape = (64, 32, 3)
    model = narrow(configuration, input_shape=shape, dtype=np.float64)
    for parameter in model.parameters():
        rows = parameter.data.reshape(len(parameter.data), -1)
        rows[...] = 0
        for row in rows:
            at = rng.permutation(row.size)[:4]
            row[at] = rng.choice([-1, 1, 1], at.size)
    x = rng.integers(-1, 2, (2, *shape)).astype(np.float64)
    with fastnn.conv_algorithm("im2col"):
        ours, theirs = logits_of_both(torch, model, x)
    assert np.array_equal(ours, theirs)
    assert np.unique(ours).size > 2


@pytest.mark.parametrize("configuration", ["A", "B", "C", "D", "E"])
def test_logits_with_batch_norm_are_those_of_pytorch(rng, configuration):
    """Deviations as large as the weights' sums, so that the bound does not grow."""
    torch = pytest.importorskip("torch")
    shape = (64, 32, 3)
    model = randomised(narrow(configuration, input_shape=shape, batch_norm=True, dtype="f8"), rng)
    for conv, norm in zip(model.features, model.features[1:], strict=False):
        if isinstance(norm, nn.BatchNorm2d):
            sums = np.abs(conv.weight.data).sum((1, 2, 3))
            norm.running_var.data = sums**2 * rng.uniform(0.1, 1, sums.shape)
    x = rng.standard_normal((2, *shape))
    with fastnn.conv_algorithm("im2col"):
        ours, theirs = logits_of_both(torch, model, x)
        bound = 2 * error_bound(model, x)  # either may be off by it
    assert bound.max() < 1e-8
    assert (np.abs(ours - theirs) <= bound).all()


def test_width_and_options(weightless):
    model = models.vgg("A", 5, (224, 224, 3), width=0.25, **weightless)
    channels = [x.weight.shape[0] for x in model.features if isinstance(x, nn.Conv2d)]
    assert channels == [16, 32, 64, 64, 128, 128, 128, 128]
    dense = [x.weight.shape for x in model.classifier if isinstance(x, nn.Linear)]
    assert dense == [(1024, 128 * 49), (1024, 1024), (5, 1024)]
    # never less than a channel
    assert models.vgg("A", 5, (32, 32, 3), width=1e-3).features[0].weight.shape[0] == 1
    assert models.vgg("A", 5, (32, 32, 3), hidden=[6]).classifier[0].weight.shape == (6, 512)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: models.vgg("F"), ValueError, "vgg: configuration must be one of A, A-LRN"),
        (lambda: narrow("A", 0), ValueError, "vgg: num_classes must be at least 1"),
        (lambda: narrow("A", 2.5), TypeError, "vgg: num_classes must be an integer"),
        (lambda: narrow("A", input_shape=(31, 32, 3)), ValueError, "at least 32 x 32"),
        (lambda: narrow("A", input_shape=(32, 32)), ValueError, r"input_shape must be \(H, W, C\)"),
        (lambda: narrow("A", input_shape=(32, 32, 0)), ValueError, "channels must be at least 1"),
        (lambda: narrow("A", width=0), ValueError, "width must be a positive number"),
        (lambda: narrow("A", width="1"), ValueError, "width must be a positive number"),
        (lambda: narrow("A", hidden=(0,)), ValueError, "out_features must be at least 1"),
        (lambda: narrow("A", dropout=1), ValueError, "Dropout: p must be in"),
        (lambda: narrow("A", dtype=int), TypeError, "vgg: dtype must be float32 or float64"),
        (
            lambda: narrow("A")(np.zeros((1, 32, 32, 1), np.float32)),
            ValueError,
            "conv2d",
        ),
        (
            lambda: narrow("A")(np.zeros((1, 64, 32, 3), np.float32)),
            ValueError,
            "linear",
        ),
    ],
)
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()
