"""What a product does besides multiplying: starts from c, adds a bias, masks, stores anywhere."""

import numpy as np
import pytest

import chain
import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, nan_out, normal
from bits import assert_same_bits

pytestmark = pytest.mark.isa

# Low and high, narrow and wide, one block of K and more, N == 1 and M == 1.
SHAPES = [(1, 1, 1), (1, 9, 5), (9, 1, 5), (1, 300, 600), (300, 1, 600), (4, 33, 7), (7, 40, 300)]
SHAPES += [(13, 257, 65), (25, 17, 0), (97, 130, 270)]
ACTIVATIONS = [None, "relu", "tanh"]
BIASES = {"row": lambda m, n: (n,), "1 x N": lambda m, n: (1, n), "M x 1": lambda m, n: (m, 1)}


def operands(rng, dtype, m, n, k):
    return normal(rng, (m, k), dtype), normal(rng, (k, n), dtype)


def activate(x, activation):
    return getattr(fastnn, activation)(x) if activation else x


@pytest.mark.parametrize("kind", BIASES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias(rng, dtype, kind, activation):
    for m, n, k in SHAPES:
        a, b = operands(rng, dtype, m, n, k)
        bias = normal(rng, BIASES[kind](m, n), dtype)
        want = activate(fastnn.gemm(a, b) + bias, activation)
        assert_same_bits(fastnn.gemm(a, b, bias=bias, activation=activation), want)
        at, bt = a.T.copy(), b.T.copy()
        flags = {"trans_a": True, "trans_b": True, "bias": bias, "activation": activation}
        assert_same_bits(fastnn.gemm(at, bt, **flags), want)
        assert_same_bits(fastnn.gemm(at, fastnn.pack(bt), **flags), want)


@pytest.mark.parametrize("kind", BIASES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bias_layouts(rng, dtype, kind, layout):
    for m, n, k in [(1, 9, 5), (9, 1, 5), (7, 40, 300)]:
        a, b = operands(rng, dtype, m, n, k)
        bias = LAYOUTS[layout](normal(rng, BIASES[kind](m, n), dtype))
        want = fastnn.gemm(a, b) + bias
        assert_same_bits(fastnn.gemm(a, b, bias=bias), want)
        out = nan_out("fortran", (m, n), dtype)
        assert_same_bits(fastnn.gemm(a, b, bias=bias, out=out), want)


@pytest.mark.parametrize("layout", ["contiguous", *OUT_LAYOUTS])
@pytest.mark.parametrize("c_layout", ["contiguous", *OUT_LAYOUTS])
def test_out_and_c_of_any_strides(rng, dtype, layout, c_layout):
    """Computed transposed, or through a scratch tile; beta * c is there at the start, once."""
    for m, n, k in SHAPES:
        a, b = operands(rng, dtype, m, n, k)
        c = nan_out(c_layout, (m, n), dtype)
        c[...] = normal(rng, (m, n), dtype)
        kept = c.copy()
        for kind in BIASES:
            bias = normal(rng, BIASES[kind](m, n), dtype)
            want = np.maximum(fastnn.gemm(a, b, beta=-0.5, c=kept) + bias, 0)
            out = nan_out(layout, (m, n), dtype)
            options = {"beta": -0.5, "c": c, "bias": bias, "activation": "relu"}
            assert fastnn.gemm(a, b, **options, out=out) is out
            assert_same_bits(out, want)
            assert_nothing_else_written(out)
            assert_same_bits(c, kept)


@pytest.mark.parametrize("layout", ["contiguous", *OUT_LAYOUTS])
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_out_is_c(rng, dtype, layout, beta):
    """Against the chain itself, where that is short enough."""
    for m, n, k in [(1, 1, 3), (1, 19, 7), (19, 1, 7), (13, 33, 40), (3, 20, 600), (30, 1, 600)]:
        a, b = operands(rng, dtype, m, n, k)
        c = nan_out(layout, (m, n), dtype)
        c[...] = normal(rng, (m, n), dtype)
        kept = c.copy()
        want = fastnn.gemm(a, b, beta=beta, c=kept)
        if k < 100:
            assert_same_bits(want, chain.gemm(a, b, dtype(beta) * c))
        assert fastnn.gemm(a, b, beta=beta, c=c, out=c) is c
        assert_same_bits(c, want)
        assert_nothing_else_written(c)
        c[...] = kept
        assert fastnn.gemm(a, fastnn.pack(b, trans_b=False), beta=beta, c=c, out=c) is c
        assert_same_bits(c, want)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_column_one_row(rng, dtype, layout):
    for n, k in [(1, 1), (2, 5), (7, 37), (33, 9), (130, 37), (9, 300)]:
        matrix, vector = (LAYOUTS[layout](normal(rng, s, dtype)) for s in [(n, k), (k,)])
        want = chain.gemm(matrix, vector[:, None])
        assert_same_bits(fastnn.gemm(matrix, vector[:, None]), want)
        assert_same_bits(fastnn.gemm(matrix, vector[None], trans_b=True), want)
        assert_same_bits(fastnn.gemm(vector[None], matrix, trans_b=True), want.T)
        assert_same_bits(fastnn.linear(vector, matrix), want[:, 0])
        assert_same_bits(fastnn.linear(matrix, vector[None]), want)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layout", ["contiguous", *OUT_LAYOUTS])
def test_mask(rng, dtype, activation, layout):
    """0 where the mask is False, even in place of a NaN; elsewhere no bit changes."""
    for m, n, k in SHAPES:
        a, b = operands(rng, dtype, m, n, k)
        a[: m // 2, :1] = np.nan
        bias, mask = normal(rng, n, dtype), rng.random((m, n)) < 0.5
        options = {"bias": bias, "activation": activation}
        want = np.where(mask, fastnn.gemm(a, b, **options), dtype(0))
        out = nan_out(layout, (m, n), dtype)
        assert fastnn.gemm(a, b, **options, mask=mask, out=out) is out
        assert_same_bits(out, want)
        assert_nothing_else_written(out)
        packed = fastnn.pack(b, trans_b=False)
        assert_same_bits(fastnn.gemm(a, packed, **options, mask=mask), want)
        if layout != "contiguous":
            continue
        for other in (np.zeros_like(mask), np.ones_like(mask)):
            want = np.where(other, fastnn.gemm(a, b), dtype(0))
            assert_same_bits(fastnn.gemm(a, b, mask=other), want)


@pytest.mark.parametrize("layout", ["contiguous", *OUT_LAYOUTS])
def test_mask_out(rng, dtype, layout):
    """Where the result is not 0, to the byte; NaN is not 0. Results are those without it."""
    for m, n, k in SHAPES:
        a, b = operands(rng, dtype, m, n, k)
        if k > 0:
            a[m // 2, 0] = np.nan
        for options in ({}, {"bias": normal(rng, (m, 1), dtype)}, {"alpha": -1.5}):
            want = fastnn.gemm(a, b, **options, activation="relu")
            mask_out = np.full((m, n), 77, np.uint8).view(bool)
            out = nan_out(layout, (m, n), dtype)
            fastnn.gemm(a, b, **options, activation="relu", mask_out=mask_out, out=out)
            assert_same_bits(out, want)
            assert_nothing_else_written(out)
            np.testing.assert_array_equal(mask_out.view(np.uint8), (want != 0).astype(np.uint8))


def test_mask_and_mask_out(rng, dtype):
    """mask_out is what it is without the mask."""
    for m, n, k in SHAPES:
        a, b = operands(rng, dtype, m, n, k)
        mask, mask_out = rng.random((m, n)) < 0.5, np.empty((m, n), bool)
        plain = fastnn.gemm(a, b, activation="relu")
        got = fastnn.gemm(a, b, activation="relu", mask=mask, mask_out=mask_out)
        assert_same_bits(got, np.where(mask, plain, dtype(0)))
        np.testing.assert_array_equal(mask_out, plain != 0)


def test_masked_out_is_c(rng, dtype):
    """Strided out with a mask is computed elsewhere, then copied: c is still read before."""
    for layout in ("contiguous", *OUT_LAYOUTS):
        a, b = operands(rng, dtype, 13, 33, 600)
        c, mask = nan_out(layout, (13, 33), dtype), rng.random((13, 33)) < 0.5
        c[...] = normal(rng, (13, 33), dtype)
        want = np.where(mask, fastnn.gemm(a, b, beta=0.5, c=c.copy()), dtype(0))
        fastnn.gemm(a, b, beta=0.5, c=c, mask=mask, out=c)
        assert_same_bits(c, want)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_forward_and_backward_through_a_relu(rng, dtype, threads):
    """The pair of masks is relu and relu_backward, fused into the products around them."""
    x, w, bias = (
        normal(rng, (97, 270), dtype),
        normal(rng, (130, 270), dtype),
        normal(rng, 130, dtype),
    )
    dy, v = normal(rng, (97, 60), dtype), normal(rng, (60, 130), dtype)
    x[3, 5], v[7, 9] = np.nan, np.inf
    active = np.empty((97, 130), bool)
    with fastnn.threads(threads):
        h = fastnn.gemm(x, w, trans_b=True, bias=bias, activation="relu", mask_out=active)
        dh = fastnn.gemm(dy, v, mask=active)
    assert_same_bits(h, fastnn.relu(fastnn.linear(x, w, bias)))
    assert 0 < np.count_nonzero(active) < active.size
    assert_same_bits(dh, fastnn.relu_backward(fastnn.gemm(dy, v), h))


def test_read_only_and_shared_masks(rng, dtype):
    """Inputs alone may be read-only; one mask may serve as an input twice."""
    a, b = operands(rng, dtype, 7, 33, 5)
    mask = rng.random((7, 33)) < 0.5
    want = np.where(mask, fastnn.gemm(a, b), dtype(0))
    for layout in ("readonly", "misaligned"):
        assert_same_bits(fastnn.gemm(a, b, mask=LAYOUTS[layout](mask)), want)
    assert_same_bits(fastnn.gemm(a[:0], b, mask=mask[:0]), want[:0])
