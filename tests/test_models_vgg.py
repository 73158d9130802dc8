"""VGG: the paper's counts, torchvision's weights, PyTorch's logits."""

from __future__ import annotations

import numpy as np
import pytest

from compiling import assert_steps_equal, image_batches
from fastnn import models, nn, optim
from fastnn.gradcheck import gradcheck

PARAMETERS = {
    "A": 132_863_336,
    "A-LRN": 132_863_336,
    "B": 133_047_848,
    "C": 133_638_952,
    "D": 138_357_544,
    "E": 143_667_240,
}
WITH_NORM = {"A": 132_868_840, "B": 133_053_736, "D": 138_365_992, "E": 143_678_248}
# Millions of multiplications of VGG-16 at 224 and at 32, layer by layer.
MACS_224 = [86.70, 1849.69, 924.84, 1849.69, 924.84, 1849.69, 1849.69, 924.84, 1849.69, 1849.69]
MACS_224 += [462.42] * 3 + [102.76, 16.78, 4.10]
MACS_32 = [1.769, 37.749, 18.874, 37.749, 18.874, 37.749, 37.749, 18.874, 37.749, 37.749]
MACS_32 += [9.437] * 3 + [0.005]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_at_224(name: str) -> None:
    layers = list(models.vgg_layers(name))
    assert sum(layer.parameters for layer in layers) == PARAMETERS[name]
    norm = 2 * sum(layer.outputs for layer in layers if layer.kind == "conv")
    if name in WITH_NORM:
        assert PARAMETERS[name] + norm == WITH_NORM[name]


def test_macs_per_layer() -> None:
    for size, classes, macs in ((224, 1000, MACS_224), (32, 10, MACS_32)):
        layers = list(models.vgg_layers("D", size, classes))
        digits = 2 if size == 224 else 3
        assert [round(layer.macs / 1e6, digits) for layer in layers] == macs


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("size", [32, 64])
def test_made_models_have_the_layers_that_are_counted(name: str, norm: bool, size: int) -> None:
    model = models.vgg(
        name, num_classes=7, input_shape=(size, size, 3), batch_norm=norm, width=0.1, rng=0
    )
    layers = list(models.vgg_layers(name, size, 7, 0.1))
    made = [m for m in model if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [m.num_parameters() for m in made] == [layer.parameters for layer in layers]
    rows = [r for r in models.count_layers(model, (size, size, 3)) if r.macs]
    assert [r.macs for r in rows] == [layer.macs for layer in layers]
    assert model(np.zeros((2, size, size, 3), np.float32)).shape == (2, 7)


def test_vgg16_of_cifar() -> None:
    """The count of the well-known CIFAR-10 network with batch norm."""
    assert models.create("vgg16-bn", rng=0).num_parameters() == 14_728_266


def test_narrow_network_at_224() -> None:
    model = models.vgg("A", num_classes=5, width=1 / 32, rng=0)
    kinds = [type(m).__name__ for m in model][-8:]
    assert kinds == ["Flatten", *["Linear", "ReLU", "Dropout"] * 2, "Linear"]
    assert model(np.zeros((1, 224, 224, 3), np.float32)).shape == (1, 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_full_size(name: str) -> None:
    assert models.vgg(name, rng=0).num_parameters() == PARAMETERS[name]


def test_gradient() -> None:
    model = models.vgg(
        "A-LRN", num_classes=3, input_shape=(32, 32, 3), width=1 / 32, rng=0, dtype=np.float64
    )
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 3))
    assert gradcheck(model, x, max_entries=8)


@pytest.mark.parametrize("name", ["vgg11", "vgg11-lrn", "vgg16-c", "vgg13-bn"])
def test_compiled_steps_have_the_same_bits(name: str) -> None:
    def make() -> tuple[nn.Module, optim.SGD]:
        model = models.create(name, width=1 / 16, num_classes=5, rng=0)
        return model, optim.SGD(model, lr=0.01, momentum=0.9)

    assert_steps_equal(make, image_batches(4, (32, 32, 3), sizes=(3,)), threads=(1, 2))


# ---- torchvision -------------------------------------------------------------------------------


def torch_vgg(torch: object, model: nn.Sequential, size: int, norm: bool) -> object:
    """torchvision's structure, with the sizes of our model."""
    t = torch.nn
    features: list = []
    classifier: list = []
    for layer in model:
        if isinstance(layer, nn.Conv2d):
            out, taps, _, inputs = layer.weight.shape
            features.append(t.Conv2d(inputs, out, taps, padding=taps // 2))
            features += [t.BatchNorm2d(out)] if norm else []
            features.append(t.ReLU())
        elif isinstance(layer, nn.MaxPool2d):
            features.append(t.MaxPool2d(2))
        elif isinstance(layer, nn.Linear):
            classifier += [t.Linear(*layer.weight.shape[::-1]), t.ReLU(), t.Dropout()]
    network = t.Module()
    network.features = t.Sequential(*features)
    network.classifier = t.Sequential(*classifier[:-2])
    network.forward = lambda x: network.classifier(network.features(x).flatten(1))
    return network.eval()


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(("name", "size"), [("A", 224), ("D", 32), ("B", 64)])
def test_logits_equal_pytorchs(name: str, size: int, norm: bool) -> None:
    torch = pytest.importorskip("torch")
    model = models.vgg(
        name, num_classes=5, input_shape=(size, size, 3), batch_norm=norm, width=1 / 32, rng=0
    )
    torch.manual_seed(0)
    theirs = torch_vgg(torch, model, size, norm)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    models.load_torchvision(model, theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((2, size, size, 3)).astype(np.float32)
    with torch.no_grad():
        want = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).double().numpy()
    # each layer multiplies a relative error of about sqrt(K) eps by at most its condition; 64 is
    # the number of roundings along the deepest path, 16 convolutions of up to four each
    bound = 64 * np.finfo(np.float32).eps * np.sqrt(9 * 16) * np.abs(want).max()
    assert np.abs(model(x) - want).max() <= bound


@pytest.mark.parametrize("norm", [False, True])
def test_round_trip_is_exact(norm: bool) -> None:
    torch = pytest.importorskip("torch")
    options = {"num_classes": 5, "input_shape": (64, 64, 3), "batch_norm": norm, "width": 1 / 32}
    model, other = models.vgg("D", rng=0, **options), models.vgg("D", rng=1, **options)
    state = models.to_torchvision(model)
    theirs = torch_vgg(torch, model, 64, norm)
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    models.load_torchvision(other, theirs.state_dict())
    for name, array in model.state_dict().items():
        assert np.array_equal(array, other.state_dict()[name]), name


def test_names_are_torchvisions() -> None:
    names = list(models.to_torchvision(models.vgg("D", width=1 / 64, rng=0)))
    indices = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    wanted = [f"features.{i}.{w}" for i in indices for w in ("weight", "bias")]
    wanted += [f"classifier.{i}.{w}" for i in (0, 3, 6) for w in ("weight", "bias")]
    assert names == wanted
    with_norm = models.to_torchvision(models.vgg("A", batch_norm=True, width=1 / 64, rng=0))
    found = sorted({int(name.split(".")[1]) for name in with_norm if name.startswith("features")})
    convs = [0, 4, 8, 11, 15, 18, 22, 25]
    assert found == sorted([*convs, *(i + 1 for i in convs)])


def test_wrong_state_changes_nothing() -> None:
    model = models.vgg("A", input_shape=(32, 32, 3), width=1 / 32, rng=0)
    before = model.state_dict()
    state = models.to_torchvision(model)
    with pytest.raises(ValueError, match=r"load_torchvision: missing features\.0\.weight"):
        models.load_torchvision(model, {k: v for k, v in state.items() if k != "features.0.weight"})
    state["features.0.bias"] = np.zeros(99, np.float32)
    with pytest.raises(ValueError, match=r"features\.0\.bias has shape \(99,\), expected \(2,\)"):
        models.load_torchvision(model, state)
    for name, array in model.state_dict().items():
        assert np.array_equal(array, before[name])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"configuration": "F"}, "configuration must be one of A, A-LRN"),
        ({"input_shape": (30, 30, 3)}, "a multiple of 32"),
        ({"input_shape": (32, 64, 3)}, "a multiple of 32"),
        ({"input_shape": (32, 32, 1)}, "a multiple of 32"),
        ({"width": 0}, "width must be a number above 0"),
    ],
)
def test_bad_arguments(options: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        models.vgg(**options)
