"""The reference itself: central differences, adjoints, and that it is complete."""

import inspect
import re

import numpy as np
import pytest

import fastnn
from arrays import integers
from fastnn import _core, reference
from geometry import CONVS


def numerical_gradient(f, x, h=1e-5):
    """Central differences: the error is of the order of h**2, and of eps * f / h, 1e-10 both."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        kept = x[i]
        x[i] = kept + h
        above = f()
        x[i] = kept - h
        below = f()
        x[i] = kept
        gradient[i] = (above - below) / (2 * h)
    return gradient


def assert_gradient(f, x, dy, dx):
    """dx is the gradient of <f(), dy> with respect to x, which f reads."""
    numerical = numerical_gradient(lambda: float((f() * dy).sum()), x)
    np.testing.assert_allclose(dx, numerical, rtol=1e-6, atol=1e-8)


class TestGradientsOfTheReference:
    def test_linear(self, rng):
        x, w, b = (rng.standard_normal(shape) for shape in [(3, 4), (5, 4), (5,)])
        dy = rng.standard_normal((3, 5))

        def f():
            return reference.linear(x, w, b)

        assert_gradient(f, x, dy, reference.gemm(dy, w))
        assert_gradient(f, w, dy, reference.gemm(dy, x, trans_a=True))
        assert_gradient(f, b, dy, reference.bias_backward(dy))

    @pytest.mark.parametrize("conv", [*CONVS[:1], *CONVS[7:10], CONVS[11], CONVS[16]], ids=str)
    def test_conv2d(self, rng, conv):
        x, w, b, dy = (rng.standard_normal(s) for s in (conv.x, conv.w, conv.o, conv.y))
        options = conv.options

        def f():
            return reference.conv2d(x, w, b, **options)

        assert_gradient(f, x, dy, reference.conv2d_backward_input(dy, w, conv.x, **options))
        assert_gradient(f, w, dy, reference.conv2d_backward_weight(dy, x, conv.w, **options))
        assert_gradient(f, b, dy, reference.bias_backward(dy))

    @pytest.mark.parametrize(
        "options", [{}, {"stride": 1, "padding": (1, 0)}, {"stride": 3}], ids=str
    )
    def test_pools(self, rng, options):
        shape, kernel = (2, 6, 5, 3), (3, 2)
        x = rng.permutation(180).reshape(shape) / 10.0  # no two values are near each other
        y, indices = reference.max_pool2d(x, kernel, return_indices=True, **options)
        dy = rng.standard_normal(y.shape)
        dx = reference.max_pool2d_backward(dy, indices, shape, kernel, **options)
        assert_gradient(lambda: reference.max_pool2d(x, kernel, **options), x, dy, dx)
        for include in (True, False):
            both = {**options, "count_include_pad": include}
            dx = reference.avg_pool2d_backward(dy, shape, kernel, **both)
            assert_gradient(lambda both=both: reference.avg_pool2d(x, kernel, **both), x, dy, dx)

    @pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "scaled_tanh", "softmax"])
    def test_activations(self, rng, name):
        x, dy = rng.standard_normal((3, 7)), rng.standard_normal((3, 7))
        x += np.copysign(0.1, x)  # away from the kink of relu
        f = getattr(reference, name)
        dx = getattr(reference, name + "_backward")(dy, f(x))
        assert_gradient(lambda: f(x), x, dy, dx)

    def test_losses(self, rng):
        logits, y, t = (rng.standard_normal((4, 6)) for _ in range(3))
        labels = rng.integers(0, 6, 4)
        _, dlogits = reference.softmax_cross_entropy(logits, labels)
        one = np.ones(())
        assert_gradient(
            lambda: np.array(reference.softmax_cross_entropy(logits, labels)[0]),
            logits,
            one,
            dlogits,
        )
        assert_gradient(lambda: np.array(reference.mse(y, t)[0]), y, one, reference.mse(y, t)[1])


@pytest.mark.parametrize("conv", CONVS, ids=str)
def test_adjoints_of_the_reference(rng, conv):
    """<conv(x, w), dy> = <x, dx> = <w, dw>, and col2im is im2col's adjoint: exact for integers."""
    x, w, dy = (integers(rng, shape, np.float64) for shape in (conv.x, conv.w, conv.y))
    options = conv.options
    product = (reference.conv2d(x, w, **options) * dy).sum()
    assert (x * reference.conv2d_backward_input(dy, w, conv.x, **options)).sum() == product
    assert (w * reference.conv2d_backward_weight(dy, x, conv.w, **options)).sum() == product

    window = {name: value for name, value in options.items() if name != "groups"}
    cols = reference.im2col(x, conv.kernel, **window)
    other = integers(rng, cols.shape, np.float64)
    back = reference.col2im(other, conv.x, conv.kernel, **window)
    assert (cols * other).sum() == (x * back).sum()
    if conv.groups == 1:
        y = reference.gemm(cols, w.reshape(conv.o, -1), trans_b=True).reshape(conv.y)
        np.testing.assert_array_equal(y, reference.conv2d(x, w, **options))


def test_products_of_the_reference():
    """By hand: the bias of a row and of a column, masks, a batch, a vector."""
    a, b = [[1, 2], [3, 4]], [[1, 0, -1], [2, 1, -2]]
    np.testing.assert_array_equal(reference.gemm(a, b), [[5, 2, -5], [11, 4, -11]])
    got = reference.gemm(a, b, bias=[0, 1, 2])
    np.testing.assert_array_equal(got, [[5, 3, -3], [11, 5, -9]])
    np.testing.assert_array_equal(reference.gemm(a, b, bias=[[0, 1, 2]]), got)
    np.testing.assert_array_equal(
        reference.gemm(a, b, bias=[[10], [-4]]), [[15, 12, 5], [7, 0, -15]]
    )
    active = np.empty((2, 3), bool)
    h = reference.gemm(a, b, bias=[[10], [-4]], activation="relu", mask_out=active)
    np.testing.assert_array_equal(h, [[15, 12, 5], [7, 0, 0]])
    np.testing.assert_array_equal(active, [[True, True, True], [True, False, False]])
    got = reference.gemm(a, b, mask=active)
    np.testing.assert_array_equal(got, [[5, 2, -5], [11, 0, 0]])

    np.testing.assert_array_equal(reference.matmul([a, a], a)[1], [[7, 10], [15, 22]])
    np.testing.assert_array_equal(reference.matmul([1, 2], b), [5, 2, -5])
    assert reference.matmul([1, 2], [3, 4]) == 11
    for trans_b in (False, True):
        w = np.array([[1.0, 2.0]])
        packed = reference.pack(w, trans_b=trans_b)
        np.testing.assert_array_equal(packed, w)
        assert not np.shares_memory(packed, w)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_agree_with_the_reference(rng, dtype):
    """Every argument at once, exactly: the numbers are small integers."""
    x, w, c = (integers(rng, shape, dtype) for shape in [(7, 40), (33, 40), (7, 33)])
    for bias in (
        integers(rng, 33, dtype),
        integers(rng, (1, 33), dtype),
        integers(rng, (7, 1), dtype),
    ):
        masks = [np.empty((7, 33), bool) for _ in range(2)]
        options = {"alpha": -2, "beta": 3, "c": c, "bias": bias, "trans_b": True}
        options |= {"activation": "relu", "mask": c > 0}
        got = _core.gemm(x, w, **options, mask_out=masks[0])
        want = reference.gemm(x, w, **options, mask_out=masks[1])
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(*masks)
        got = _core.gemm(x, _core.pack(w), **options)
        np.testing.assert_array_equal(got, reference.gemm(x, reference.pack(w), **options))
    a, b = integers(rng, (2, 1, 7, 4), dtype), integers(rng, (3, 4, 5), dtype)
    np.testing.assert_array_equal(_core.matmul(a, b), reference.matmul(a, b))


def test_it_takes_any_input_and_returns_float64():
    """Lists, integers and float32 alike; no argument is modified."""
    x = np.array([[1.0, -2.0]], dtype=np.float32)
    for y in (
        reference.relu([[1, -2]]),
        reference.linear(x, [[1, 2]], [3]),
        reference.linear(x, reference.pack([[1, 2]])),
        reference.matmul([1, 2], x.T),
        reference.softmax(x),
        reference.gemm(x, x, trans_b=True, beta=1, c=[[1]]),
        reference.sgd_step(x[0], x[0], x[0], [0.1, 0.9, 0.0])[0],
    ):
        assert y.dtype == np.float64
    np.testing.assert_array_equal(x, [[1, -2]])


def test_every_kernel_has_a_reference():
    """And with the same arguments, less those that say where the result goes."""
    runtime = re.compile(r"_|get_|set_|require_")
    kernels = {
        name: f
        for name, f in vars(_core).items()
        if name in fastnn.__all__ and not isinstance(f, type) and not runtime.match(name)
    }
    assert len(kernels) > 20
    for name, kernel in kernels.items():
        theirs = [p for p in inspect.signature(kernel).parameters if p not in ("out", "accumulate")]
        ours = list(inspect.signature(getattr(reference, name)).parameters)
        assert ours == theirs, name
