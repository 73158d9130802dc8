"""The tutorial on perceptrons: it runs, and its numbers are those of its sources."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parent.parent / "examples" / "perceptrons.py"


@pytest.fixture(scope="module")
def tutorial():
    spec = importlib.util.spec_from_file_location("perceptrons", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured(tutorial):
    return tutorial.measure()


def close(value, expected, roundings=16):
    """Within that many roundings of numbers of at most 1."""
    np.testing.assert_allclose(value, expected, rtol=0, atol=roundings * 2.0**-53)


def test_squared_norm_of_cs231n(tutorial):
    got = tutorial.squared_norm(*tutorial.CS231N)
    close(got["q"], [0.22, 0.26])
    close(got["f"], 0.116)
    close(got["dq"], [0.44, 0.52])
    close(got["dw"], [[0.088, 0.176], [0.104, 0.208]])
    close(got["dx"], [-0.112, 0.636])


def test_squared_norm_of_02285(tutorial):
    got = tutorial.squared_norm(*tutorial.OTHER)
    close(got["q"], [0.29, 0.38])
    close(got["f"], 0.2285)
    close(got["dq"], [0.58, 0.76])
    close(got["dw"], [[0.116, 0.29], [0.152, 0.38]])
    close(got["dx"], [0.04, 0.898])


def test_mazur_forward(tutorial):
    """Its printed digits: 9 decimals; the others from the same arithmetic in float64."""
    mazur = tutorial.Mazur()
    net = mazur.layers[0](mazur.x)
    close(net, [[0.3775, 0.3925]])
    hidden = mazur.model[:2](mazur.x)
    close(hidden, [[0.5932699921071872, 0.596884378259767]])
    assert hidden.round(9).tolist() == [[0.593269992, 0.596884378]]
    close(mazur.layers[1](hidden), [[1.10590596705977, 1.2249214040964653]], 32)
    y = mazur.model(mazur.x)
    close(y, [[0.7513650695523157, 0.7729284653214625]])
    assert y.round(8).tolist() == [[0.75136507, 0.77292847]]
    close(mazur.error(), 0.2983711087600027)
    assert round(mazur.error(), 9) == 0.298371109


def test_mazur_step(tutorial):
    mazur = tutorial.Mazur()
    biases = [layer.bias.data.copy() for layer in mazur.layers]
    close(mazur.step(), 0.2983711087600027)
    gradients = [0.0004385677344743465, 0.000877135468948693, 0.0004977127352608599]
    gradients += [0.0009954254705217198, 0.08216704056423077, 0.08266762784753325]
    gradients += [-0.02260254047747507, -0.022740242215978222]
    close(mazur.gradients(), gradients)
    # as the text prints the one it derives: dE/dw5 and dE/dw1
    assert mazur.gradients()[4].round(9) == 0.082167041
    assert mazur.gradients()[0].round(9) == 0.000438568
    printed = [0.149780716, 0.19956143, 0.24975114, 0.29950229]
    printed += [0.35891648, 0.408666186, 0.511301270, 0.561370121]
    weights = mazur.weights()
    for value, text in zip(weights, printed, strict=True):
        digits = len(str(text)) - 2
        assert round(value, digits) == text
    expected = [0.1497807161327628, 0.19956143226552567, 0.24975114363236958, 0.29950228726473915]
    expected += [0.35891647971788465, 0.4086661860762334, 0.5113012702387375, 0.5613701211079891]
    close(weights, expected)
    close(mazur.error(), 0.29102777369359933)
    for layer, bias in zip(mazur.layers, biases, strict=True):
        assert np.array_equal(layer.bias.data, bias)  # the text leaves them as they are


def test_mazur_after_ten_thousand_steps(tutorial):
    """An error e of the weights changes E = 3.5e-5 by about |y - t| |e|, and steps shrink e."""
    mazur = tutorial.Mazur()
    for _ in range(10_000):
        mazur.step()
    assert abs(mazur.error() - 3.510187782978859e-05) < 1e-12
    close(mazur.model(mazur.x), [[0.01591362044355068, 0.9840642735146238]], 10_000)


def test_sigmoids_vanish_and_others_do_not(measured):
    gradients = measured["gradients"]
    sigmoid = np.array(gradients["sigmoid, Glorot"])
    assert len(sigmoid) == 11
    # Its derivative is at most 1/4. Here each layer takes more than half of the gradient; but the
    # first one's weights see pixels, which are larger than the outputs of sigmoids.
    assert (sigmoid[2:] / sigmoid[1:-1] > 2).all()
    assert sigmoid[0] < 1e-5 * sigmoid[-1]
    for name in ("tanh, Glorot", "ReLU, He", "ReLU, Glorot"):
        norms = np.array(gradients[name])
        assert norms[0] > 0.05 * norms[-1]
    assert min(gradients["ReLU, He"]) > 5 * max(gradients["ReLU, Glorot"][:-1])


def test_long_steps_kill_relus(measured):
    dead = measured["dead"]
    assert max(dead[0.03]) <= 0.1
    assert max(dead[1.0]) > 0.5
    assert all(0 <= share <= 1 for shares in dead.values() for share in shares)


def test_it_prints_and_draws(tutorial, measured, monkeypatch, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    monkeypatch.setattr(tutorial, "measure", lambda: measured)
    path = tmp_path / "picture.png"
    tutorial.main([str(path)])
    text = capsys.readouterr().out
    for expected in ("f  = 0.116", "f  = 0.2285", "0.298371109", "0.291027774", "0.0000351019"):
        assert expected in text
    picture = imread(path)
    assert picture.shape[0] > 300
    assert picture.shape[1] > 800
    assert len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) > 20  # several colours
