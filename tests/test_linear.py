"""linear, and the gradient of its bias."""

import numpy as np
import pytest

import chain
import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, integers, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference

pytestmark = pytest.mark.isa

LEADING = [(), (0,), (1,), (7,), (3, 0, 2), (2, 5), (2, 3, 7), (64,), (211,)]
FEATURES = [(1, 1), (3, 2), (0, 5), (5, 0), (17, 33), (84, 10), (400, 120), (785, 61)]


@pytest.mark.parametrize("leading", LEADING, ids=str)
@pytest.mark.parametrize(("i", "o"), FEATURES)
def test_linear_is_the_chain(rng, dtype, leading, i, o):
    x, w, b = normal(rng, (*leading, i), dtype), normal(rng, (o, i), dtype), normal(rng, o, dtype)
    rows = x.reshape(int(np.prod(leading)), i)
    some = np.arange(0, len(rows), max(1, len(rows) // 16))
    want = chain.gemm(rows[some], w.T)
    got = fastnn.linear(x, w)
    assert got.shape == (*leading, o)
    assert_same_bits(got.reshape(len(rows), o)[some], want)
    got = fastnn.linear(x, w, b)
    assert_same_bits(got.reshape(len(rows), o)[some], want + b)


def test_linear_is_gemm(rng, dtype):
    x, w, b = normal(rng, (37, 300), dtype), normal(rng, (50, 300), dtype), normal(rng, 50, dtype)
    for activation in (None, "relu", "sigmoid", "tanh", "scaled_tanh"):
        got = fastnn.linear(x, w, b, activation=activation)
        want = fastnn.gemm(x, w, trans_b=True, bias=b, activation=activation)
        assert_same_bits(got, want)


def test_linear_batch_does_not_matter(rng, dtype):
    x, w, b = normal(rng, (67, 300), dtype), normal(rng, (50, 300), dtype), normal(rng, 50, dtype)
    whole = fastnn.linear(x, w, b, activation="tanh")
    for cut in (1, 2, 8, 33, 66):
        parts = [fastnn.linear(part, w, b, activation="tanh") for part in (x[:cut], x[cut:])]
        assert_same_bits(np.concatenate(parts), whole)
    assert_same_bits(fastnn.linear(x[5], w, b, activation="tanh"), whole[5])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_linear_input_layouts(rng, dtype, which, layout):
    args = [normal(rng, (3, 4, 19), dtype), normal(rng, (21, 19), dtype), normal(rng, 21, dtype)]
    args[which] = LAYOUTS[layout](args[which])
    assert_same_bits(fastnn.linear(*args), fastnn.linear(*map(np.ascontiguousarray, args)))


@pytest.mark.parametrize("layout", ["contiguous", *OUT_LAYOUTS])
def test_linear_out(rng, dtype, layout):
    x, w = normal(rng, (3, 4, 19), dtype), normal(rng, (21, 19), dtype)
    out = nan_out(layout, (3, 4, 21), dtype)
    assert fastnn.linear(x, w, out=out) is out
    assert_same_bits(out, fastnn.linear(x, w))
    assert_nothing_else_written(out)


@pytest.mark.parametrize("leading", [*LEADING, (4099,)], ids=str)
@pytest.mark.parametrize("o", [0, 1, 2, 7, 16, 33, 130])
def test_bias_backward(rng, dtype, leading, o):
    dy = integers(rng, (*leading, o), dtype)
    got = fastnn.bias_backward(dy)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, reference.bias_backward(dy))

    dy = normal(rng, (*leading, o), dtype)
    rows = int(np.prod(leading))
    bound = rows * roundoff(dtype) * reference.bias_backward(np.abs(dy))
    assert_within(fastnn.bias_backward(dy), reference.bias_backward(dy), bound)


def test_bias_backward_accumulates(rng, dtype):
    dy, db = normal(rng, (300, 19), dtype), normal(rng, 19, dtype)
    want = db + fastnn.bias_backward(dy)
    assert fastnn.bias_backward(dy, accumulate=True, out=db) is db
    assert_same_bits(db, want)
    out = np.full(19, np.nan, dtype=dtype)
    fastnn.bias_backward(dy, out=out)
    assert_same_bits(out, fastnn.bias_backward(dy))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bias_backward_layouts(rng, dtype, layout):
    dy = LAYOUTS[layout](normal(rng, (6, 50, 19), dtype))
    want = fastnn.bias_backward(np.ascontiguousarray(dy))
    assert_same_bits(fastnn.bias_backward(dy), want)
    for out_layout in OUT_LAYOUTS:
        out = nan_out(out_layout, (19,), dtype)
        fastnn.bias_backward(dy, out=out)
        assert_same_bits(out, want)
        assert_nothing_else_written(out)
