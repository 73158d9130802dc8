"""Parameters, the walk over a model's parts, its state and its repr."""

import copy
import pickle

import numpy as np
import pytest

from fastnn import init, nn, optim


class TestParameter:
    def test_copies_its_data(self):
        data = np.zeros(3, np.float32)
        p = nn.Parameter(data)
        data[:] = 1
        assert p.data.tolist() == [0, 0, 0]
        assert (p.shape, p.size, p.dtype) == ((3,), 3, np.float32)

    @pytest.mark.parametrize("data", [[1, 2], np.zeros(2, np.float16), np.array(["a"]), None])
    def test_only_float32_and_float64(self, data):
        with pytest.raises(TypeError, match="Parameter: data must be float32 or float64"):
            nn.Parameter(data)

    def test_assignment_keeps_the_array(self):
        p = nn.Parameter(np.zeros((2, 2)))
        array = p.data
        p.data = np.arange(4.0).reshape(2, 2)
        p.data += 1
        assert p.data is array
        assert array.tolist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize("name", ["data", "grad"])
    def test_assignment_is_exact(self, name):
        p = nn.Parameter(np.zeros((2, 2)))
        with pytest.raises(ValueError, match=rf"Parameter.{name}: expected shape \(2, 2\)"):
            setattr(p, name, np.zeros(2))
        with pytest.raises(TypeError, match=f"Parameter.{name}: expected dtype float64"):
            setattr(p, name, np.zeros((2, 2), np.float32))


class Block(nn.Module):
    """Parameters and modules in attributes, lists and tuples."""

    def __init__(self):
        self.scale = nn.Parameter(np.ones(1, np.float32))
        self.inner = nn.Sequential(nn.Linear(2, 2, rng=0), nn.ReLU())
        self.heads = [nn.Linear(2, 1, bias=False), nn.Linear(2, 3, bias=False)]
        self.gains = (nn.Parameter(np.ones(2, np.float32)), "no parameter")
        self.last = nn.Parameter(np.ones(4, np.float32))

    def forward(self, x):
        return x, lambda dy: dy


class TestWalk:
    def test_names_in_order_of_definition(self):
        assert [name for name, _ in Block().named_parameters()] == [
            "scale",
            "inner.0.weight",
            "inner.0.bias",
            "heads.0.weight",
            "heads.1.weight",
            "gains.0",
            "last",
        ]
        assert [type(m).__name__ for m in Block().modules()] == [
            "Block",
            "Sequential",
            "Linear",
            "ReLU",
            "Linear",
            "Linear",
        ]
        assert Block().num_parameters() == 1 + 4 + 2 + 2 + 6 + 2 + 4

    def test_shared_parts_come_once(self):
        layer = nn.Linear(2, 2, rng=0)
        model = nn.Sequential(layer, nn.ReLU(), layer)
        other = nn.Linear(2, 2, rng=1)
        other.weight = layer.weight
        assert [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]
        assert len(list(model.modules())) == 3
        tied = nn.Sequential(layer, other)
        assert [name for name, _ in tied.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
        assert tied.num_parameters() == 8

    def test_abstract(self):
        with pytest.raises(TypeError, match="abstract"):
            nn.Module()


class TestSequential:
    def test_index_slice_length(self):
        layers = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)
        model = nn.Sequential(*layers)
        assert len(model) == 3
        assert list(model) == list(layers)
        assert model[-1] is layers[2]
        assert list(model[1:]) == list(layers[1:])

    def test_only_modules(self):
        with pytest.raises(TypeError, match="Sequential: layer 1 is a function, not a Module"):
            nn.Sequential(nn.ReLU(), lambda x: x)


class TestState:
    def test_round_trip(self):
        a, b = (nn.Sequential(nn.Linear(3, 2, rng=r), nn.Linear(2, 1, rng=r)) for r in (0, 1))
        state = a.state_dict()
        assert list(state) == ["0.weight", "0.bias", "1.weight", "1.bias"]
        b.load_state_dict(state)
        x = np.ones((2, 3), np.float32)
        assert np.array_equal(a(x), b(x))
        state["0.weight"][:] = 0  # a copy
        assert a[0].weight.data.any()
        assert b[0].weight.data.any()

    @pytest.mark.parametrize(
        ("change", "error", "match"),
        [
            (lambda s: s.pop("0.bias"), ValueError, r"missing 0\.bias$"),
            (lambda s: s.update(more=s["0.bias"]), ValueError, "unexpected more$"),
            (lambda s: s.update({"0.bias": np.zeros(3, "f4")}), ValueError, r"0\.bias .*\(2,\).*3"),
            (lambda s: s.update({"0.bias": np.zeros(2)}), TypeError, r"0\.bias has dtype float64"),
        ],
    )
    def test_errors_change_nothing(self, change, error, match):
        model = nn.Sequential(nn.Linear(3, 2, rng=0))
        before = model.state_dict()
        state = {name: array + 1 for name, array in before.items()}
        change(state)
        with pytest.raises(error, match=rf"Sequential.load_state_dict: .*{match}"):
            model.load_state_dict(state)
        for name, array in model.state_dict().items():
            assert np.array_equal(array, before[name])

    def test_not_strict(self):
        model = nn.Linear(3, 2, rng=0)
        weight = np.ones((2, 3), np.float32)
        model.load_state_dict({"weight": weight, "other": weight}, strict=False)
        assert np.array_equal(model.weight.data, weight)
        assert not model.bias.data.any()
        with pytest.raises(ValueError, match="shapes differ"):
            model.load_state_dict({"weight": weight.T}, strict=False)

    def test_copies_and_pickles_are_independent(self):
        model = nn.Sequential(nn.Linear(3, 2, rng=0), nn.ReLU())
        optim.SGD(model, lr=0.1)  # so that parameters are views
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert np.array_equal(other[0].weight.data, model[0].weight.data)
            other[0].weight.data += 1
            assert not np.array_equal(other[0].weight.data, model[0].weight.data)


class TestRepr:
    def test_layers(self):
        texts = [
            "Linear(3, 2)",
            "Linear(3, 2, bias=False)",
            "Conv2d(4, 2, kernel_size=3)",
            "Conv2d(4, 2, kernel_size=(3, 1), stride=2, padding=1, dilation=3, groups=2)",
            "Conv2d(4, 2, kernel_size=1, padding=((0, 1), (2, 3)), bias=False)",
            "MaxPool2d(2)",
            "MaxPool2d((2, 3), stride=1, padding=1)",
            "MaxPool2d(3, stride=2, ceil_mode=True, activation='relu')",
            "AvgPool2d(3, stride=2, count_include_pad=False)",
            "GlobalAvgPool2d()",
            "Subsample2d(6, 2)",
            "Subsample2d(6, 3, stride=2)",
            "ReLU()",
            "Sigmoid()",
            "Tanh()",
            "ScaledTanh()",
            "Softmax()",
            "Flatten()",
        ]
        for text in texts:
            assert repr(eval(text, vars(nn).copy())) == text

    def test_table(self):
        shared = nn.Linear(2, 2)
        model = nn.Sequential(nn.Sequential(shared, nn.ReLU()), Block(), shared)
        assert repr(model).splitlines() == TABLE.splitlines()


TABLE = """\
Sequential
  0  Sequential
    0  Linear(2, 2)                    weight (2, 2), bias (2,)             6
    1  ReLU()
  1  Block                             scale (1,), gains.0 (2,), last (4,)  7
    inner  Sequential
      0  Linear(2, 2)                  weight (2, 2), bias (2,)             6
      1  ReLU()
    heads.0  Linear(2, 1, bias=False)  weight (1, 2)                        2
    heads.1  Linear(2, 3, bias=False)  weight (3, 2)                        6
  2  Linear(2, 2)
27 parameters
"""


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: nn.Linear(0, 2), ValueError, "Linear: in_features must be at least 1, got 0"),
        (lambda: nn.Linear(2, -1), ValueError, "Linear: out_features must be at least 1"),
        (lambda: nn.Linear(2.0, 1), TypeError, "Linear: in_features must be an integer"),
        (lambda: nn.Linear(2, 1, dtype=int), TypeError, "Linear: dtype must be float32 or"),
        (lambda: nn.Linear(2, 1, dtype=">f4"), TypeError, "Linear: dtype must be float32 or"),
        (lambda: nn.Conv2d(3, 2, 0), ValueError, "Conv2d: kernel_size must be at least 1"),
        (lambda: nn.Conv2d(3, 2, (1, 2, 3)), ValueError, "Conv2d: kernel_size must be an integer"),
        (lambda: nn.Conv2d(3, 2, "3"), TypeError, "Conv2d: kernel_size must be an integer"),
        (lambda: nn.Conv2d(3, 2, 1, stride=0), ValueError, "Conv2d: stride must be at least 1"),
        (lambda: nn.Conv2d(3, 2, 1, dilation=-1), ValueError, "Conv2d: dilation must be at"),
        (lambda: nn.Conv2d(3, 2, 1, groups=2), ValueError, "Conv2d: groups=2 must divide"),
        (lambda: nn.Conv2d(4, 2, 1, groups=0), ValueError, "Conv2d: groups must be at least 1"),
        (lambda: nn.Conv2d(4, 2, 1, dtype="f2"), TypeError, "Conv2d: dtype must be float32"),
        (lambda: nn.MaxPool2d(0), ValueError, "MaxPool2d: kernel_size must be at least 1"),
        (lambda: nn.MaxPool2d(2, 0), ValueError, "MaxPool2d: stride must be at least 1"),
        (
            lambda: nn.MaxPool2d(2, activation="tanh"),
            ValueError,
            "MaxPool2d: activation must be None",
        ),
        (lambda: nn.Subsample2d(0), ValueError, "Subsample2d: channels must be at least 1"),
        (lambda: nn.AvgPool2d(None), TypeError, "AvgPool2d: kernel_size must be an integer"),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_layers_take_generators_and_seeds():
    rng = np.random.default_rng(5)
    first, second = nn.Linear(3, 2, rng=rng), nn.Linear(3, 2, rng=rng)
    assert not np.array_equal(first.weight.data, second.weight.data)
    assert np.array_equal(first.weight.data, nn.Linear(3, 2, rng=5).weight.data)
    assert not first.bias.data.any()
    assert np.array_equal(
        nn.Conv2d(3, 2, 5, weight_init=init.glorot_normal, rng=1).weight.data,
        init.glorot_normal((2, 5, 5, 3), rng=1),
    )
