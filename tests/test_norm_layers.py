"""Layers of normalisation and dropout, and their buffers: saved and loaded with the model."""

import copy

import numpy as np
import pytest

import fastnn
from bits import assert_same_bits
from fastnn import io, nn, optim, reference
from fastnn.gradcheck import gradcheck

F8 = np.float64
LAYERS = [
    (nn.BatchNorm1d(3, dtype=F8), (5, 3)),
    (nn.BatchNorm1d(3, eps=0.1, momentum=None, affine=False, dtype=F8), (2, 4, 3)),
    (nn.BatchNorm2d(3, activation="relu", dtype=F8), (2, 4, 5, 3)),
    (nn.GroupNorm(2, 6, dtype=F8), (2, 3, 4, 6)),
    (nn.GroupNorm(3, 6, affine=False, dtype=F8), (4, 6)),
    (nn.LayerNorm((3, 4), dtype=F8), (2, 3, 4)),
    (nn.LayerNorm(5, bias=False, dtype=F8), (5,)),
    (nn.RMSNorm(7, dtype=F8), (3, 7)),
    (nn.RMSNorm((2, 3), eps=0.5, affine=False, dtype=F8), (4, 2, 3)),
    (nn.LocalResponseNorm(3, alpha=0.5, k=2.0), (2, 3, 7)),
    (nn.LocalResponseNorm(4, alpha=0.5, beta=0.3), (2, 3, 7)),
    (nn.Dropout(0.3, rng=0), (4, 9)),
    (nn.Sequential(nn.Linear(4, 6, rng=0, dtype=F8), nn.BatchNorm1d(6, dtype=F8)), (5, 4)),
]
IDS = [repr(layer).splitlines()[0] for layer, _ in LAYERS]
every_layer = pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=IDS)


def varied(layer, rng):
    """A copy whose parameters are not their initial values."""
    layer = copy.deepcopy(layer)
    for p in layer.parameters():
        p.data[...] = rng.uniform(0.5, 1.5, p.shape)
    return layer


@every_layer
def test_gradients(rng, layer, shape):
    x = rng.standard_normal(shape)
    layer = varied(layer, rng)
    before = layer.state_dict()
    assert gradcheck(layer, x)
    for name, array in layer.state_dict().items():
        assert_same_bits(array, before[name])


def test_gradcheck_still_finds_mistakes(rng):
    class Wrong(nn.Dropout):
        def forward(self, x):
            y, backward = super().forward(x)
            return y, lambda dy: 1.01 * backward(dy)

    with pytest.raises(fastnn.GradcheckError):
        gradcheck(Wrong(0.3, rng=0), rng.standard_normal((4, 9)))


@every_layer
def test_empty_batch(layer, shape):
    if len(shape) < 2:
        return
    layer = copy.deepcopy(layer)
    before = layer.state_dict()
    y, backward = layer.forward(np.empty((0, *shape[1:])))
    assert y.shape == (0, *shape[1:-1], y.shape[-1])
    assert backward(y).shape == (0, *shape[1:])
    for p in layer.parameters():
        assert_same_bits(p.grad, np.zeros(p.shape))
    for name, array in layer.state_dict().items():
        assert_same_bits(array, before[name])


@every_layer
def test_wrong_gradient_changes_nothing(rng, layer, shape):
    layer = varied(layer, rng)
    for p in layer.parameters():
        p.grad = None
    y, backward = layer.forward(rng.standard_normal(shape))
    if isinstance(layer, nn.Dropout):  # holds no array, and knows no shape
        return
    with pytest.raises(ValueError, match="dy"):
        backward(np.ones((*y.shape, 1)))
    with pytest.raises(TypeError, match="dy"):
        backward(np.ones(y.shape, np.float32))
    assert all(p.grad is None for p in layer.parameters())


def test_batch_norm_trains_and_infers(rng):
    layer = varied(nn.BatchNorm2d(3, dtype=F8, activation="relu"), rng)
    w, b = layer.weight.data, layer.bias.data
    mean, var = np.zeros(3), np.ones(3)
    for count in range(1, 4):
        x = rng.standard_normal((2, 4, 5, 3)) + count
        y, _ = layer.forward(x)
        want = reference.batch_norm(x, w, b, mean, var, activation="relu")
        np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(layer.running_mean.data, mean, rtol=1e-12)
        np.testing.assert_allclose(layer.running_var.data, var, rtol=1e-12)
        assert layer.num_batches_tracked.data == count
    before = layer.state_dict()
    want = reference.batch_norm(x, w, b, mean, var, training=False, activation="relu")
    np.testing.assert_allclose(layer(x), want, rtol=1e-12, atol=1e-12)
    for name, array in layer.state_dict().items():
        assert_same_bits(array, before[name])


def test_momentum_none_is_the_mean_of_all_batches(rng):
    layer = nn.BatchNorm1d(3, momentum=None, dtype=F8)
    batches = rng.standard_normal((4, 8, 3))
    for x in batches:
        layer.forward(x)
    np.testing.assert_allclose(layer.running_mean.data, batches.mean((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.data, batches.var(1, ddof=1).mean(0), rtol=1e-12)


def test_one_value_per_channel(rng):
    layer = nn.BatchNorm2d(3)
    x = np.ones((1, 1, 1, 3), np.float32)
    with pytest.raises(ValueError, match="more than one value per channel"):
        layer.forward(x)
    assert layer.num_batches_tracked.data == 0
    assert layer(x).shape == x.shape


def test_dropout_infers_x_itself_and_draws_on(rng):
    layer = nn.Dropout(0.4, rng=1)
    x = rng.standard_normal((6, 7)).astype(np.float32)
    assert layer(x) is x
    seed = int(layer.seed.data)
    for i in range(3):
        y, backward = layer.forward(x)
        assert_same_bits(y, fastnn.dropout(x, 0.4, seed=seed, offset=42 * i))
        assert_same_bits(backward(x), y)
        assert layer.offset.data == 42 * (i + 1)


def test_seeds_come_from_rng():
    one, same = nn.Dropout(rng=3), nn.Dropout(rng=3)
    assert one.seed.data == same.seed.data
    generator = np.random.default_rng(3)
    first, second = nn.Dropout(rng=generator), nn.Dropout(rng=generator)
    assert first.seed.data == one.seed.data
    assert first.seed.data != second.seed.data


def model():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, rng=0),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Dropout(0.3, rng=5),
        nn.Linear(16, 3, rng=1),
    )


def train(net, optimizer, batches):
    for x in batches:
        y, backward = net.forward(x)
        backward(y - 1)
        optimizer.step()


def test_resumed_training_is_the_same_bit_for_bit(rng, tmp_path):
    """Running statistics and the dropout's position go through a file."""
    batches = rng.standard_normal((6, 8, 4, 4, 2)).astype(np.float32)
    whole = model()
    train(whole, optim.SGD(whole, lr=0.01), batches)
    first = model()
    train(first, optim.SGD(first, lr=0.01), batches[:3])
    io.save_arrays(tmp_path / "model.npz", first.state_dict())
    second = model()
    second.layers[3].seed.data = np.array(0, np.uint64)
    arrays, _ = io.load_arrays(tmp_path / "model.npz")
    second.load_state_dict(arrays)
    train(second, optim.SGD(second, lr=0.01), batches[3:])
    want = whole.state_dict()
    assert list(want) == list(arrays)
    for name, array in second.state_dict().items():
        assert_same_bits(array, want[name])
        assert array.dtype == arrays[name].dtype


def test_buffers_are_state_but_no_parameters():
    net = model()
    names = ["1.running_mean", "1.running_var", "1.num_batches_tracked", "3.seed", "3.offset"]
    assert [name for name, _ in net.named_buffers()] == names
    assert not set(names) & {name for name, _ in net.named_parameters()}
    assert set(names) < set(net.state_dict())
    assert net.num_parameters() == sum(p.size for p in net.parameters())
    state = net.state_dict()
    del state["3.offset"]
    with pytest.raises(ValueError, match=r"missing 3\.offset"):
        net.load_state_dict(state)
    state["3.offset"] = np.array(0, np.int64)
    with pytest.raises(TypeError, match=r"3\.offset has dtype int64, expected uint64"):
        net.load_state_dict(state)


def test_buffer():
    buffer = nn.Buffer([1, 2], np.int64)
    place = buffer.data
    buffer.data = np.array([3, 4])
    assert place.tolist() == [3, 4]
    assert repr(buffer) == "Buffer(shape=(2,), dtype=int64)"
    with pytest.raises(ValueError, match="shape"):
        buffer.data = np.array([3])
    with pytest.raises(TypeError, match="dtype"):
        buffer.data = np.array([3.0, 4.0])
    twin = copy.deepcopy(buffer)
    twin.data[...] = 0
    assert place.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("error", "make"),
    [
        (TypeError, lambda: nn.BatchNorm1d(2.0)),
        (ValueError, lambda: nn.BatchNorm2d(0)),
        (ValueError, lambda: nn.BatchNorm2d(3, eps=-1)),
        (ValueError, lambda: nn.BatchNorm2d(3, momentum=2)),
        (ValueError, lambda: nn.BatchNorm2d(3, activation="tanh")),
        (TypeError, lambda: nn.BatchNorm2d(3, dtype=np.int32)),
        (ValueError, lambda: nn.BatchNorm1d(3)(np.ones((2, 2, 2, 3), np.float32))),
        (ValueError, lambda: nn.BatchNorm2d(3).forward(np.ones((2, 3), np.float32))),
        (ValueError, lambda: nn.GroupNorm(4, 6)),
        (ValueError, lambda: nn.GroupNorm(0, 6)),
        (ValueError, lambda: nn.LayerNorm(())),
        (ValueError, lambda: nn.LayerNorm((3, 0))),
        (TypeError, lambda: nn.LayerNorm("3")),
        (ValueError, lambda: nn.LayerNorm(3, eps=-1)),
        (ValueError, lambda: nn.RMSNorm(3, eps=np.inf)),
        (ValueError, lambda: nn.LocalResponseNorm(0)),
        (ValueError, lambda: nn.LocalResponseNorm(3, k=-1)),
        (TypeError, lambda: nn.LocalResponseNorm(3, k=None)),
        (ValueError, lambda: nn.Dropout(1)),
        (ValueError, lambda: nn.Dropout(-0.1)),
        (ValueError, lambda: nn.Dropout(np.nan)),
        (TypeError, lambda: nn.Dropout(None)),
    ],
)
def test_bad_arguments(error, make):
    with pytest.raises(error, match=r"^\w+: "):
        make()


def test_reprs():
    assert repr(nn.BatchNorm2d(3)) == "BatchNorm2d(3)"
    assert repr(nn.LayerNorm((2, 3), eps=0.5)) == "LayerNorm((2, 3), eps=0.5)"
    assert repr(nn.LayerNorm(4, bias=False)) == "LayerNorm(4, bias=False)"
    assert repr(nn.GroupNorm(2, 4, affine=False)) == "GroupNorm(2, 4, affine=False)"
    assert repr(nn.LocalResponseNorm(5, k=2)) == "LocalResponseNorm(5, k=2.0)"
    assert repr(nn.Dropout(0.25)) == "Dropout(0.25)"
    assert "weight (4,), bias (4,)" in str(model())
