"""gemm: out = activation(beta*c + (alpha*a) @ b + bias), one fma chain per output."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chain
import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, integers, nan_out, normal
from bits import assert_same_bits

pytestmark = pytest.mark.isa

# Around every register tile a variant may use: multiples of 6, 8, 12, 16, one less, one more.
SIZES = (0, 1, 2, 3, 5, 6, 7, 11, 12, 13, 15, 16, 17, 31, 32, 33, 47, 48, 49)
TRANSPOSES = [(False, False), (False, True), (True, False), (True, True)]


def stored(x, transpose):
    """The array to pass for x when it is given transposed."""
    return np.ascontiguousarray(x.T) if transpose else x


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_integers_are_exact(rng, dtype, trans_a, trans_b):
    a_all = integers(rng, (49, 65), dtype)
    b_all = integers(rng, (65, 49), dtype)
    for k in (1, 2, 7, 17, 64, 65):
        want = a_all[:, :k] @ b_all[:k]
        for m in SIZES:
            a = stored(a_all[:m, :k].copy(), trans_a)
            for n in SIZES:
                b = stored(b_all[:k, :n].copy(), trans_b)
                out = np.full((m, n), np.nan, dtype=dtype)
                got = fastnn.gemm(a, b, trans_a=trans_a, trans_b=trans_b, out=out)
                assert got is out
                assert np.array_equal(out, want[:m, :n])


@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_every_size_is_the_chain(rng, dtype, trans_a, trans_b):
    """Outputs do not depend on the size of the product that they are part of."""
    a_all, b_all = normal(rng, (49, 37), dtype), normal(rng, (37, 49), dtype)
    for k in (1, 37):
        want = chain.gemm(a_all[:, :k], b_all[:k])
        for m in SIZES:
            a = stored(a_all[:m, :k], trans_a)
            for n in SIZES:
                b = stored(b_all[:k, :n], trans_b)
                got = fastnn.gemm(a, b, trans_a=trans_a, trans_b=trans_b)
                assert_same_bits(got, want[:m, :n])


# Beyond every cache block; the last, and a long K, on few threads' worth of outputs.
LARGE = [(211, 1061, 521), (13, 37, 2063), (2, 1061, 300), (1031, 3, 259), (64, 2100, 65)]


@pytest.mark.parametrize(("m", "n", "k"), LARGE, ids=str)
@pytest.mark.parametrize(("trans_a", "trans_b"), TRANSPOSES)
def test_large(rng, dtype, m, n, k, trans_a, trans_b):
    """Exact everywhere for integers; the chain in rows and columns scattered over all blocks."""
    flags = {"trans_a": trans_a, "trans_b": trans_b}
    a, b = integers(rng, (m, k), dtype), integers(rng, (k, n), dtype)
    got = fastnn.gemm(stored(a, trans_a), stored(b, trans_b), **flags)
    np.testing.assert_array_equal(got, a @ b)

    a, b = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype)
    got = fastnn.gemm(stored(a, trans_a), stored(b, trans_b), **flags)
    rows = np.unique(np.append(rng.integers(0, m, 9), [0, m - 1]))
    columns = np.unique(np.append(rng.integers(0, n, 9), [0, n - 1]))
    assert_same_bits(got[np.ix_(rows, columns)], chain.gemm(a[rows], b[:, columns]))


@pytest.mark.parametrize("alpha", [1.0, 0.0, -0.5, 0.3])
@pytest.mark.parametrize("beta", [0.0, 1.0, -2.0, 0.7])
@pytest.mark.parametrize("with_bias", [False, True])
def test_alpha_beta_bias(rng, dtype, alpha, beta, with_bias):
    for m, n, k in [(1, 1, 1), (7, 19, 0), (13, 33, 5), (6, 64, 300), (130, 70, 530)]:
        a, b, c = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype), normal(rng, (m, n), dtype)
        bias = normal(rng, n, dtype) if with_bias else None
        start = np.zeros_like(c) if beta == 0 else dtype(beta) * c
        want = chain.gemm(dtype(alpha) * a, b, start)
        want = want if bias is None else want + bias
        kept = c.copy()
        got = fastnn.gemm(a, b, alpha=alpha, beta=beta, c=c, bias=bias)
        assert_same_bits(got, want)
        assert_same_bits(c, kept)
        assert fastnn.gemm(a, b, alpha=alpha, beta=beta, c=c, bias=bias, out=c) is c
        assert_same_bits(c, want)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "scaled_tanh"])
def test_fused_activation_is_the_activation(rng, dtype, activation):
    for m, n, k in [(1, 1, 1), (5, 17, 0), (7, 33, 9), (31, 130, 270), (200, 70, 600)]:
        a, b = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype)
        bias = normal(rng, n, dtype)
        plain = fastnn.gemm(a, b, alpha=0.25, bias=bias)
        got = fastnn.gemm(a, b, alpha=0.25, bias=bias, activation=activation)
        assert_same_bits(got, getattr(fastnn, activation)(plain))


def test_c_is_not_read_when_beta_is_zero(rng, dtype):
    a, b = normal(rng, (7, 5), dtype), normal(rng, (5, 19), dtype)
    c = np.full((7, 19), np.nan, dtype=dtype)
    assert_same_bits(fastnn.gemm(a, b, c=c), chain.gemm(a, b))
    assert_same_bits(fastnn.gemm(a, b, c=c, beta=0.0, out=c), chain.gemm(a, b))


def test_empty_sums(rng, dtype):
    """K = 0 leaves beta*c + bias."""
    a, b = np.empty((5, 0), dtype), np.empty((0, 18), dtype)
    c, bias = normal(rng, (5, 18), dtype), normal(rng, 18, dtype)
    assert_same_bits(fastnn.gemm(a, b), np.zeros((5, 18), dtype))
    assert_same_bits(fastnn.gemm(a, b, bias=bias), np.tile(bias, (5, 1)))
    assert_same_bits(fastnn.gemm(a, b, beta=0.5, c=c, bias=bias), dtype(0.5) * c + bias)


def test_not_finite(rng, dtype):
    """NaN and infinity spread exactly as the chain says: a zero times infinity is not skipped."""
    a, b = normal(rng, (19, 300), dtype), normal(rng, (300, 50), dtype)
    a[3, 7], a[5, 299], a[11, 2], a[12, 270] = np.nan, np.inf, 0.0, -np.inf
    b[2, 4], b[270, 9], b[0, 49] = np.inf, 0.0, np.nan
    assert_same_bits(fastnn.gemm(a, b), chain.gemm(a, b))


def test_subnormals_are_kept(rng):
    a = (rng.standard_normal((13, 40)) * 1e-20).astype(np.float32)
    b = (rng.standard_normal((40, 35)) * 1e-21).astype(np.float32)
    got = fastnn.gemm(a, b)
    assert_same_bits(got, chain.gemm(a, b))
    assert np.count_nonzero(got) > 0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", ["a", "b", "c", "bias"])
def test_input_layouts(rng, dtype, which, layout):
    for m, n, k in [(7, 21, 5), (50, 67, 140)]:
        for trans_a, trans_b in TRANSPOSES:
            args = {
                "a": normal(rng, (k, m) if trans_a else (m, k), dtype),
                "b": normal(rng, (n, k) if trans_b else (k, n), dtype),
                "c": normal(rng, (m, n), dtype),
                "bias": normal(rng, n, dtype),
            }
            args[which] = LAYOUTS[layout](args[which])
            flags = {"trans_a": trans_a, "trans_b": trans_b, "beta": 1.0}
            plain = {name: np.ascontiguousarray(x) for name, x in args.items()}
            assert_same_bits(fastnn.gemm(**args, **flags), fastnn.gemm(**plain, **flags))


@pytest.mark.parametrize("layout", OUT_LAYOUTS)
def test_out_layouts(rng, dtype, layout):
    for m, n, k in [(1, 1, 3), (7, 21, 5), (50, 67, 300)]:
        a, b, bias = normal(rng, (m, k), dtype), normal(rng, (k, n), dtype), normal(rng, n, dtype)
        out = nan_out(layout, (m, n), dtype)
        assert fastnn.gemm(a, b, bias=bias, activation="tanh", out=out) is out
        assert_same_bits(out, fastnn.gemm(a, b, bias=bias, activation="tanh"))
        assert_nothing_else_written(out)


def test_rows_and_columns_stand_alone(rng, dtype):
    """A batch cut anywhere, by rows or by columns, gives the same bits."""
    a, b = normal(rng, (45, 270), dtype), normal(rng, (270, 83), dtype)
    bias = normal(rng, 83, dtype)
    whole = fastnn.gemm(a, b, bias=bias, activation="sigmoid")
    for i in range(45):
        row = fastnn.gemm(a[i : i + 1], b, bias=bias, activation="sigmoid")
        assert_same_bits(row, whole[i : i + 1])
    for cut in (1, 6, 16, 17, 40, 82):
        left = fastnn.gemm(a, b[:, :cut], bias=bias[:cut], activation="sigmoid")
        right = fastnn.gemm(a, b[:, cut:], bias=bias[cut:], activation="sigmoid")
        assert_same_bits(np.hstack([left, right]), whole)


@given(data=st.data())
def test_any_call_is_the_chain(data):
    """Shapes, steps of the strides, flags and scalars at random."""
    sizes = st.integers(0, 70)
    m, n, k = (data.draw(sizes, name) for name in "mnk")
    dtype = data.draw(st.sampled_from([np.float32, np.float64]), "dtype")
    steps = st.sampled_from([1, 2, -1, -3])
    scalars = st.sampled_from([0.0, 1.0, -1.0, 0.1])
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))

    def strided(rows, columns):
        i, j = data.draw(steps), data.draw(steps)
        return normal(rng, (rows * abs(i), columns * abs(j)), dtype)[::i, ::j]

    trans_a, trans_b = data.draw(st.booleans(), "trans_a"), data.draw(st.booleans(), "trans_b")
    a = strided(k, m) if trans_a else strided(m, k)
    b = strided(n, k) if trans_b else strided(k, n)
    c, bias = strided(m, n), normal(rng, n, dtype)
    alpha, beta = data.draw(scalars, "alpha"), data.draw(scalars, "beta")

    flags = {"trans_a": trans_a, "trans_b": trans_b, "alpha": alpha, "beta": beta}
    start = np.zeros((m, n), dtype) if beta == 0 else dtype(beta) * c
    want = chain.gemm(dtype(alpha) * (a.T if trans_a else a), b.T if trans_b else b, start) + bias
    assert_same_bits(fastnn.gemm(a, b, c=c, bias=bias, **flags), want)
