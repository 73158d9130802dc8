"""gradcheck finds what is wrong in a layer, and leaves the layer alone."""

import numpy as np
import pytest

from fastnn import nn, optim
from fastnn.gradcheck import GradcheckError, gradcheck

X = np.random.default_rng(0).standard_normal((4, 3))


class Scale(nn.Module):
    """y = x * gain, with a fault on request."""

    def __init__(self, fault="", dtype=np.float64):
        self.gain = nn.Parameter(np.array([1.5, -2, 0.5], dtype))
        self.fault = fault

    def forward(self, x):
        def backward(dy):
            if self.fault == "forgotten":
                return dy * self.gain.data
            dgain = (dy * x).sum(0)
            if self.fault == "dw":
                dgain[1] *= 1.01
            if self.fault == "nan":
                dgain[2] = np.nan
            with self.gain.grad_target() as (grad, accumulate):
                grad[...] = dgain + (grad if accumulate and self.fault != "overwrites" else 0)
            if self.fault == "shape":
                return dy[:1]
            return dy * self.gain.data * (1.01 if self.fault == "dx" else 1)

        return x * self.gain.data, backward


def test_right_layer():
    assert gradcheck(Scale(), X) is True
    assert gradcheck(nn.Sequential(Scale(), nn.Tanh(), Scale()), X) is True


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ("dx", r"x\[\d, [01]\]: backward gives .*; 12 of 12 checked entries are wrong"),
        ("dw", r"Scale\.gain\[1\]: backward gives .*; 1 of 3 checked"),
        ("nan", r"Scale\.gain\[2\]: backward gives nan"),
        ("overwrites", r"Scale\.gain: a second backward pass does not add"),
        ("forgotten", r"backward gives no gradient to Scale\.gain"),
        ("shape", r"Scale: dx has shape \(1, 3\), x has \(4, 3\)"),
    ],
)
def test_faults_are_found(fault, match):
    with pytest.raises(GradcheckError, match=f"gradcheck: {match}"):
        gradcheck(Scale(fault), X)


def test_worst_entry_is_named():
    class Wrong(nn.Module):
        def forward(self, x):
            return x * 1, lambda dy: dy * (1 + 0.1 * (np.arange(12).reshape(4, 3) == 7))

    with pytest.raises(GradcheckError, match=r"x\[2, 1\]: .*; 1 of 12 checked"):
        gradcheck(Wrong(), X)


def test_nan_in_dx_is_wrong():
    class Wrong(nn.Module):
        def forward(self, x):
            return x * 1, lambda dy: dy * np.where(np.arange(3) == 2, np.nan, 1)

    with pytest.raises(GradcheckError, match=r"x\[\d, 2\]: backward gives nan"):
        gradcheck(Wrong(), X)


def test_tolerances_and_choice_of_entries():
    assert gradcheck(Scale("dx"), X, rtol=0.02)
    with pytest.raises(GradcheckError, match="5 of 5 checked"):
        gradcheck(Scale("dx"), X, max_entries=5)


def test_input_grad_false_checks_parameters_only():
    layer = nn.Linear(3, 2, rng=0, dtype=np.float64)
    layer.input_grad = False
    assert gradcheck(layer, X)


@pytest.mark.parametrize(
    ("layer", "x", "match"),
    [
        (Scale(dtype=np.float32), X, "Scale.gain must be float64, not float32"),
        (Scale(), X.astype(np.float32), "x must be float64, not float32"),
        (Scale(), X.astype(int), "x must be float64, not int"),
    ],
)
def test_only_float64(layer, x, match):
    with pytest.raises(TypeError, match=f"gradcheck: {match}"):
        gradcheck(layer, x)


def test_layer_and_input_stay_as_they_are():
    layer = nn.Linear(3, 2, rng=0, dtype=np.float64)
    optimizer = optim.SGD(layer, lr=0.1)
    y, backward = layer.forward(X)
    backward(y)
    data, grad, x = layer.weight.data.copy(), layer.weight.grad.copy(), X.copy()
    gradcheck(layer, X)
    assert np.array_equal(layer.weight.data, data)
    assert np.array_equal(layer.weight.grad, grad)
    assert np.array_equal(X, x)
    optimizer.step()
    gradcheck(layer, X)
    layer.forward(X)[1](y)  # still overwrites, as after any step
    assert np.array_equal(layer.weight.grad, grad)
