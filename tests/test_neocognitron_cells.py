"""Cells of the Neocognitron: hand-computed cases and the properties that its equations promise."""

import numpy as np
import pytest

from fastnn.models import neocognitron as neo

# A plane that learned (0.2, 0.4) with q = 0.5 through c = (1, 0.7), worked out by hand: the window
# is one row of a 3 x 3 one.
C = np.array([[0, 0, 0], [0, 1, 0.7], [0, 0, 0]])
A = np.zeros((1, 3, 3, 1))
A[0, 1, 1:, 0] = 0.1, 0.14


def respond(stimulus, theta, form="2003", b=None):
    x = np.zeros((1, 3, 4, 1))
    x[0, 1, 1:3, 0] = stimulus
    b = neo.inhibitory_weights(A, C) if b is None else b
    return neo.s_cells(x, A, b, C, theta, form)[0, 1, 1, 0]


@pytest.mark.parametrize(
    ("stimulus", "theta", "u"),
    [
        ((0.2, 0.4), 0.5, 0.036608863198458685),
        ((0.2, 0.4), 0.55, 0.040122864273372895),
        ((0.2, 0.4), 0.7, 0.050512723129510155),
        ((0.4, 0.2), 0.5, 0.02469525817402829),
        ((0.4, 0.2), 0.7, 0.019462266812951153),
        ((0.4, 0.0), 0.5, 0.0009748172478114547),
        ((0.4, 0.0), 0.55, 0.0),
    ],
)
def test_s_cell_by_hand(stimulus, theta, u):
    np.testing.assert_allclose(respond(stimulus, theta), u, rtol=1e-13)


def test_s_cell_of_1980_by_hand():
    b = np.array([0.25 * 0.38987177379235854])  # (q / 2) v; theta = r / (1 + r), r = 4
    np.testing.assert_allclose(
        respond((0.2, 0.4), 0.8, "1980", b), 0.057315233785822706, rtol=1e-13
    )


def test_subtractive_s_cell_by_hand():
    s = 0.8045224912765117
    bv = 0.068 / s
    np.testing.assert_allclose(
        respond((0.4, 0.2), 0.5, "subtractive"), (0.068 - 0.5 * bv) / 0.5, rtol=1e-13
    )


def test_v_cell_by_hand():
    x = np.zeros((1, 3, 4, 1))
    x[0, 1, 1:3, 0] = 0.4, 0.2
    np.testing.assert_allclose(neo.v_cells(x, C)[0, 1, 1, 0], 0.43358966777357605, rtol=1e-15)
    np.testing.assert_allclose(neo.inhibitory_weights(A, C), [0.19493588689617927], rtol=1e-15)


def random_layer(seed=0, planes=5, channels=3, size=5):
    rng = np.random.default_rng(seed)
    c = neo.s_window(size, size / 2, 0.7)
    a = rng.random((planes, size, size, channels)) * c[:, :, None]
    return rng, a, neo.inhibitory_weights(a, c), c


@pytest.mark.parametrize("theta", [0.5, 0.55, 0.6])
def test_similarity_is_a_cosine_and_decides_who_is_silent(theta):
    rng, a, b, c = random_layer()
    x = rng.random((2, 9, 8, 3)) * (rng.random((2, 9, 8, 3)) < 0.5)
    # e and v by their definition
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (1, 2))
    e = np.einsum("nhwcij,kijc->nhwk", patches, a)
    bv = b * np.sqrt(np.einsum("nhwcij,nhwcij,ij->nhw", patches, patches, c))[..., None]
    assert (e <= bv * (1 + 1e-14)).all()
    s = np.divide(e, bv, out=np.zeros_like(e), where=bv > 0)
    clear = np.abs(s - theta) > 1e-12
    for form in ("2003", "subtractive"):
        u = neo.s_cells(x, a, b, c, theta, form)
        assert ((u > 0) == (s > theta))[clear].all()
        assert 0 < np.count_nonzero(u) < u.size
    u = neo.s_cells(x, a, b, c, theta)
    expected = theta / (1 - theta) * np.maximum((1 + e) / (1 + theta * bv) - 1, 0)
    np.testing.assert_allclose(u, expected, atol=1e-12)
    assert u.max() <= 1


def test_s_cell_likes_what_it_learned_best():
    _, a, b, c = random_layer(planes=1)
    x = a / np.where(c > 0, c, 1)[:, :, None]
    strong = neo.s_cells(1e6 * x, a, b, c, 0.7)[0, 2, 2, 0]
    weak = neo.s_cells(x, a, b, c, 0.7)[0, 2, 2, 0]
    assert 0 < weak < strong  # not decreasing in contrast
    np.testing.assert_allclose(strong, 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shift_of_the_input_shifts_the_response(dtype):
    rng, a, b, c = random_layer()
    a, b = a.astype(dtype), b.astype(dtype)
    x = np.zeros((2, 1, 24, 24, 3), dtype)
    x[0, 0, 8:14, 8:13] = rng.random((6, 5, 3))
    x[1] = np.roll(x[0], (4, -2), (1, 2))
    d = neo.blur_window(5, 2.5, 4.0, 0.7)
    u = [neo.s_cells(image, a, b, c, 0.5) for image in x]
    assert u[0].any()
    np.testing.assert_allclose(np.roll(u[0], (4, -2), (1, 2)), u[1], atol=1e-6)
    blurred = [neo.c_cells(image, d) for image in u]
    np.testing.assert_allclose(np.roll(blurred[0], (2, -1), (1, 2)), blurred[1], atol=1e-6)


def test_c_cell_by_hand():
    u = np.zeros((1, 4, 4, 2))
    u[0, 2, 2] = 1, 3
    d = np.array([[0, 1, 0], [1, 2, 1], [0, 1, 0]], float)
    y = neo.c_cells(u, d)
    assert y.shape == (1, 2, 2, 2)
    np.testing.assert_allclose(y[0, 1, 1], [2 / 3, 6 / 7])  # psi(2 u)
    assert np.count_nonzero(y) == 2
    y = neo.c_cells(u, d, alpha=0.5, lateral=True)  # v_S = 4: (1 + 2) / 5 - 1 < 0, (1 + 6) / 5 - 1
    np.testing.assert_allclose(y[0, 1, 1], [0, 0.4 / 0.9])


def test_surround_takes_what_the_centre_gives():
    d = neo.blur_window(9, 2.4, 4.0, 0.7, 4.6)
    assert abs(d.sum()) < 1e-12
    assert d[4, 4] == 4
    assert d[0, 4] < 0 == d[0, 0]
    assert neo.c_cells(np.ones((1, 20, 20, 1)), d)[0, 5, 5, 0] < 1e-12


def test_windows_have_the_published_numbers_of_taps():
    for size, radius, taps in [(6, 3.4, 32), (9, 4.9, 69), (18, 9.4, 276), (14, 7.4, 172)]:
        assert np.count_nonzero(neo.s_window(size, radius, 0.7)) == taps
    assert neo.s_window(3, 1.0, 0.7)[1].tolist() == [0.7, 1, 0.7]


def test_contrast_kernel_of_2003():
    g = neo.contrast_kernel(7, 3.3, 1.5)
    quadrant = [
        [0.649206, 0.087698, -0.056677, -0.015409],
        [0.087698, -0.043858, -0.045185, -0.011706],
        [-0.056677, -0.045185, -0.020275, 0],
        [-0.015409, -0.011706, 0, 0],
    ]
    np.testing.assert_allclose(g[3:, 3:], quadrant, atol=5e-7)
    np.testing.assert_array_equal(g, g[::-1, ::-1])
    np.testing.assert_allclose([g.sum(), g[g > 0].sum()], [0, 1], atol=1e-15)


def test_contrast_of_a_dot():
    g = neo.contrast_kernel(5, 2.3, 1.0)
    x = np.zeros((1, 9, 9, 1))
    x[0, 4, 4] = 1
    y = neo.contrast(x, g)
    np.testing.assert_array_equal(y[0, 2:7, 2:7, 0], np.maximum(g, 0))
    np.testing.assert_array_equal(y[0, 2:7, 2:7, 1], np.maximum(-g, 0))
    assert neo.contrast(np.ones((1, 9, 9, 1)), g)[0, 4, 4].max() < 1e-15


def test_edges_are_told_apart():
    g = neo.contrast_kernel(5, 2.3, 1.0)
    c = neo.s_window(5, 2.5, 0.7)
    patterns = neo.edge_patterns(g, 5)
    assert patterns.shape == (16, 5, 5, 2)
    # a quarter turn is four planes
    np.testing.assert_allclose(np.rot90(patterns[0], -1), patterns[4], atol=1e-15)
    a = patterns * c[:, :, None]
    u = neo.s_cells(patterns, 1e4 * a, neo.inhibitory_weights(1e4 * a, c), c, 0.55)[:, 2, 2]
    np.testing.assert_array_equal(u.argmax(axis=1), np.arange(16))
    assert not u[0, 5:12].any()


@pytest.mark.parametrize("theta", [0.0, 1.0, -1.0, float("nan")])
def test_bad_theta(theta):
    with pytest.raises(ValueError, match=r"theta must be in \(0, 1\)"):
        neo.s_response(np.ones(1), np.ones(1), theta)


def test_bad_form():
    with pytest.raises(ValueError, match="form must be one of 1980, 2003, subtractive"):
        neo.s_response(np.ones(1), np.ones(1), 0.5, "1981")
