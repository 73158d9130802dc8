"""matmul: numpy.matmul's rules of broadcasting, gemm's bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastnn
from arrays import (
    LAYOUTS,
    OUT_LAYOUTS,
    assert_nothing_else_written,
    integers,
    nan_out,
    normal,
)
from bits import assert_same_bits

pytestmark = pytest.mark.isa

# Shapes of a and b: equal batches, broadcast ones, none on one side, axes missing, empty ones.
SHAPES = [
    ((3, 4), (4, 5)),
    ((7, 3, 4), (7, 4, 5)),
    ((7, 3, 4), (4, 5)),
    ((3, 4), (7, 4, 5)),
    ((7, 3, 4), (1, 4, 5)),
    ((1, 3, 4), (7, 4, 5)),
    ((2, 1, 3, 4), (7, 4, 5)),
    ((2, 7, 3, 4), (2, 1, 4, 5)),
    ((2, 1, 6, 3, 4), (7, 1, 4, 5)),
    ((2, 3, 1, 2, 3, 4), (1, 1, 5, 1, 4, 5)),
    ((2, 1, 2, 1, 2, 1, 4), (2, 1, 2, 1, 4, 1)),
    ((4,), (4,)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((4,), (7, 4, 5)),
    ((7, 3, 4), (4,)),
    ((2, 7, 3, 4), (4,)),
    ((4,), (2, 7, 4, 5)),
    ((4,), (4, 1)),
    ((1, 4), (4,)),
    ((1,), (1,)),
    ((7, 1, 4), (7, 4, 1)),
    ((7, 9, 1), (7, 1, 9)),
    ((0, 3, 4), (0, 4, 5)),
    ((0, 3, 4), (1, 4, 5)),
    ((1, 3, 4), (0, 4, 5)),
    ((2, 0, 3, 4), (4, 5)),
    ((7, 0, 4), (4, 5)),
    ((7, 3, 4), (4, 0)),
    ((7, 3, 0), (0, 5)),
    ((7, 3, 0), (7, 0, 5)),
    ((0,), (0,)),
    ((0,), (7, 0, 5)),
    ((7, 3, 0), (0,)),
    ((0, 0, 0), (0, 0, 0)),
    ((5, 13, 70), (5, 70, 33)),
    ((1, 33, 300), (2, 300, 17)),
    ((40, 1, 9), (9, 8)),
    ((3, 40, 2, 9), (9, 8)),
]


def by_gemm(a, b):
    """One gemm per matrix, and NumPy's rules for the rest."""
    left = a[None] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, batch + left.shape[-2:])
    right = np.broadcast_to(right, batch + right.shape[-2:])
    out = np.empty((*batch, left.shape[-2], right.shape[-1]), a.dtype)
    for i in np.ndindex(batch):
        fastnn.gemm(left[i], right[i], out=out[i])
    if a.ndim == 1:
        out = out[..., 0, :]
    return out[..., 0] if b.ndim == 1 else out


def assert_is_gemm(a, b, **options):
    assert_same_bits(fastnn.matmul(a, b, **options), by_gemm(a, b))


@pytest.mark.parametrize(("a", "b"), SHAPES, ids=str)
def test_shapes(rng, dtype, a, b):
    x, y = integers(rng, a, dtype), integers(rng, b, dtype)
    got = fastnn.matmul(x, y)
    want = np.matmul(x, y)
    assert isinstance(got, np.ndarray)
    assert got.dtype == dtype
    assert got.shape == want.shape
    np.testing.assert_array_equal(got, want)
    assert_is_gemm(normal(rng, a, dtype), normal(rng, b, dtype))


@pytest.mark.parametrize(("a", "b"), SHAPES, ids=str)
@pytest.mark.parametrize("layout", ["contiguous", *OUT_LAYOUTS])
def test_out(rng, dtype, a, b, layout):
    a, b = normal(rng, a, dtype), normal(rng, b, dtype)
    want = by_gemm(a, b)
    out = nan_out(layout if want.ndim else "contiguous", want.shape, dtype)
    assert fastnn.matmul(a, b, out=out) is out
    assert_same_bits(out, want)
    if out.size:
        assert_nothing_else_written(out)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("a", "b"),
    [((5, 4, 3), (5, 3, 6)), ((2, 5, 4, 3), (3, 6)), ((3,), (5, 3, 6)), ((5, 4, 30), (1, 30, 19))],
    ids=str,
)
def test_input_layouts(rng, dtype, layout, a, b):
    change = LAYOUTS[layout]
    a, b = normal(rng, a, dtype), normal(rng, b, dtype)
    assert_is_gemm(change(a), b)
    assert_is_gemm(a, change(b))
    assert_is_gemm(change(a), change(b))


def test_views_of_batches(rng, dtype):
    """Axes exchanged, reversed, repeated: whatever may be merged into more rows, or not."""
    a, b = normal(rng, (4, 3, 5, 7), dtype), normal(rng, (4, 3, 7, 6), dtype)
    shared = b[0, 0]
    for left, right in [
        (a.transpose(1, 0, 2, 3), b.transpose(1, 0, 2, 3)),
        (a.transpose(1, 0, 2, 3), shared),
        (a.transpose(0, 2, 1, 3), shared),  # rows of one matrix lie between those of others
        (a.transpose(2, 0, 1, 3), shared),
        (a[::-1], b[:, ::-1]),
        (a[::-1], shared),
        (a[:, ::-1], shared),
        (a[::2, ::2], b[1::2, 1:]),
        (a[::2], shared),
        (a[:, :2], shared),
        (a[..., ::-1, :], shared),
        (a[..., :3, :], shared),
        (a[:, :, :1], shared),
        (np.broadcast_to(a[0, 0], (4, 3, 5, 7)), b),
        (np.broadcast_to(a[:, :1], (4, 3, 5, 7)), shared),
        (a, np.broadcast_to(b[:1], (4, 3, 7, 6))),
        (np.broadcast_to(a[0, 0], (4, 3, 5, 7)), np.broadcast_to(shared, (4, 3, 7, 6))),
        (a, b.swapaxes(-1, -2).copy().swapaxes(-1, -2)),
        (a.swapaxes(-1, -2).copy().swapaxes(-1, -2), shared),
        (a.transpose(3, 2, 1, 0), normal(rng, (4, 2), dtype)),
        (a[0, 0, 0], b[::-1, ::2]),
        (a[::-1, ::2], b[0, 0, :, 0]),
        (a[:, 0, 0, 0], normal(rng, (3, 4, 2), dtype)[::-1]),
    ]:
        assert_is_gemm(left, right)


def test_views_of_out(rng, dtype):
    """Matrices of out whose rows, columns or batch axes lie anyhow; the gaps are not written."""
    a, b = normal(rng, (4, 3, 5, 7), dtype), normal(rng, (7, 6), dtype)
    want = by_gemm(a, b)
    for order in [(1, 0, 2, 3), (0, 2, 1, 3), (2, 0, 1, 3), (3, 0, 1, 2), (3, 2, 1, 0)]:
        base = np.full([want.shape[i] for i in order], np.nan, dtype)
        out = base.transpose(np.argsort(order))
        assert out.shape == want.shape
        fastnn.matmul(a, b, out=out)
        assert_same_bits(out, want)
    base = np.full((4, 3, 5, 13), np.nan, dtype)
    fastnn.matmul(a, b, out=base[..., 6:0:-1])
    assert_same_bits(base[..., 6:0:-1], want)
    assert np.isnan(base).sum() == base.size - want.size


def test_many_axes(rng, dtype):
    """Axes of one element, and those that lie as one, count for nothing."""
    most = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32
    ones = (1,) * (most - 4)
    a, b = normal(rng, (2, 3, 4, 5), dtype), normal(rng, (3, 5, 2), dtype)
    got = fastnn.matmul(a.reshape(2, *ones, 3, 4, 5), b)
    assert_same_bits(got, by_gemm(a, b).reshape(2, *ones, 3, 4, 2))
    got = fastnn.matmul(a.reshape(*ones, 2, 3, 4, 5)[..., ::-1, ::-1, :, :], b)
    assert_same_bits(got, by_gemm(a[::-1, ::-1], b).reshape(*ones, 2, 3, 4, 2))
    a, b = normal(rng, (2,) * 12, dtype), normal(rng, (2,) * 9, dtype)
    assert_is_gemm(a, b)
    assert_is_gemm(a.T, b)
    assert_is_gemm(a, b.T)


# Small products are cut in strips of 1 to 8 vectors of 2 to 16 numbers, those in blocks of rows.
SMALL = [
    *((m, n, k) for m in (1, 2, 3, 5, 9, 13) for n in (*range(1, 18), 24, 25, 33) for k in (1, 9)),
    *((m, n, 6) for m in (1, 2, 4) for n in (47, 48, 49, 63, 64, 65, 127, 128, 129, 145)),
    *((m, 8, 3) for m in (4, 6, 7, 8, 10, 11, 12, 64)),
    (64, 64, 64),
    (65, 64, 64),  # no longer small
    (1, 90, 91),  # as many numbers as an L1 has room for
    (1, 91, 91),
    (2, 3, 513),
    (3, 17, 0),
]


def test_small(rng, dtype):
    """Each way to read b, and nothing but the outputs written."""
    for m, n, k in SMALL:
        a, b = normal(rng, (3, m, k), dtype), normal(rng, (3, k, n), dtype)
        want = by_gemm(a, b)
        spread = nan_out("sliced", b.shape, dtype)
        spread[...] = b
        for left, right in [
            (a, b),
            (np.asfortranarray(a), np.asfortranarray(b)),
            (a, b.swapaxes(1, 2).copy().swapaxes(1, 2)),
            (a.swapaxes(1, 2).copy().swapaxes(1, 2), spread),
            (a[:, ::-1, ::-1].copy()[:, ::-1, ::-1], b[:, ::-1].copy()[:, ::-1]),
        ]:
            out = nan_out("rows_apart", want.shape, dtype)
            fastnn.matmul(left, right, out=out)
            assert_same_bits(out, want)
            assert_nothing_else_written(out)
        assert_same_bits(fastnn.matmul(a, b[:1]), by_gemm(a, b[:1]))
        assert_same_bits(fastnn.matmul(a[:1], b), by_gemm(a[:1], b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((64, 17, 33), (64, 33, 40)),  # many products for all members
        ((3, 61, 211), (3, 211, 70)),  # fewer than members, each too small to share
        ((2, 150, 260), (2, 260, 300)),  # few that are each work for all
        ((1000, 5, 3), (1000, 3, 7)),
        ((5, 4, 50, 64), (4, 64, 50)),
        ((700, 1, 64), (64, 50)),  # one product of 700 rows
        ((257, 64), (9, 64, 33)),
        ((300,), (50, 300, 90)),
        ((50, 90, 300), (300,)),
    ],
    ids=str,
)
def test_threads(restore_num_threads, rng, dtype, a, b):
    a, b = normal(rng, a, dtype), normal(rng, b, dtype)
    fastnn.set_num_threads(1)
    want = by_gemm(a, b)
    for n in (1, 2, 3, 5):
        fastnn.set_num_threads(n)
        assert_same_bits(fastnn.matmul(a, b), want)
        out = nan_out("sliced", want.shape, dtype)
        fastnn.matmul(a, b, out=out)
        assert_same_bits(out, want)


@given(data=st.data())
def test_any_call_is_gemm(data):
    """Batches, broadcast axes and steps of the strides at random."""
    sizes, steps = st.integers(1, 9), st.sampled_from([1, 2, -1])
    m, n, k = (data.draw(sizes, name) for name in "mnk")
    batch = data.draw(st.lists(st.integers(1, 4), max_size=4), "batch")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]), "dtype")
    threads = data.draw(st.integers(1, 3), "threads")

    def operand(matrix):
        own = batch[data.draw(st.integers(0, len(batch))) :]
        shape = [1 if data.draw(st.booleans()) else size for size in own] + matrix
        stride = [data.draw(steps) for _ in shape]
        whole = normal(
            rng, [size * abs(step) for size, step in zip(shape, stride, strict=True)], dtype
        )
        return whole[tuple(slice(None, None, step) for step in stride)]

    a, b = operand([m, k]), operand([k, n])
    with fastnn.threads(threads):
        assert_is_gemm(a, b)
        want = by_gemm(a, b)
        axes = data.draw(st.permutations(range(want.ndim)), "axes")
        out = np.empty([want.shape[i] for i in axes], dtype).transpose(np.argsort(axes))
        assert_same_bits(fastnn.matmul(a, b, out=out), want)


@pytest.mark.parametrize(
    ("a", "b", "match"),
    [
        ((), (4, 5), "a must have at least 1 dimension"),
        ((3, 4), (), "b must have at least 1 dimension"),
        ((3, 4), (3, 5), "b has K = 3, a has K = 4"),
        ((4,), (3,), "b has K = 3, a has K = 4"),
        ((4,), (1, 3, 5), "b has K = 3, a has K = 4"),
        ((7, 3, 4), (3,), "b has K = 3, a has K = 4"),
        ((3, 1), (4, 5), "b has K = 4, a has K = 1"),
        ((3, 0), (1, 5), "b has K = 1, a has K = 0"),
        ((7, 3, 4), (6, 4, 5), "cannot be broadcast"),
        ((0, 3, 4), (6, 4, 5), "cannot be broadcast"),
        ((2, 7, 3, 4), (3, 7, 4, 5), "cannot be broadcast"),
        ((7, 2, 3, 4), (2, 6, 2, 4, 5), "cannot be broadcast"),
    ],
    ids=str,
)
def test_shapes_that_do_not_match(dtype, a, b, match):
    a, b = np.ones(a, dtype), np.ones(b, dtype)
    with pytest.raises(ValueError, match=rf"^matmul: .*{match}"):
        fastnn.matmul(a, b)


def test_bad_out(dtype):
    a, b = np.ones((7, 3, 4), dtype), np.ones((4, 5), dtype)
    for shape in [(3, 5), (7, 3, 4), (7, 5, 3), (1, 7, 3, 5), (21, 5), ()]:
        out = np.full(shape, 9, dtype)
        with pytest.raises(ValueError, match=r"^matmul: out must have shape \(7, 3, 5\)"):
            fastnn.matmul(a, b, out=out)
        np.testing.assert_array_equal(out, 9)
    pool = np.ones((7, 3, 9), dtype)
    kept = pool.copy()
    for left, right, out, name in [
        (pool[..., :4], b, pool[..., 2:7], "a"),
        (np.ones((7, 3, 3), dtype), pool[3, :, :5], pool[..., 4:], "b"),
        (pool[6, 2, :4], np.ones((4, 9), dtype), pool[6, 2], "a"),
    ]:
        with pytest.raises(ValueError, match=rf"^matmul: out overlaps {name}"):
            fastnn.matmul(left, right, out=out)
    np.testing.assert_array_equal(pool, kept)
    fastnn.matmul(pool[..., :4], b, out=pool[..., 4:])  # side by side
    np.testing.assert_array_equal(pool[..., 4:], 4)


def test_both_one_dimensional_into_out(rng, dtype):
    a, b = integers(rng, 19, dtype), integers(rng, 19, dtype)
    out = np.full((), np.nan, dtype)
    assert fastnn.matmul(a[::-1], b, out=out) is out
    assert out == a[::-1] @ b


def test_not_finite(rng, dtype):
    """A NaN stays in its own row of its own matrix."""
    a, b = integers(rng, (5, 7, 9), dtype), integers(rng, (9, 6), dtype)
    a[2, 3, 4] = np.nan
    got = fastnn.matmul(a, b)
    where = np.zeros(got.shape, bool)
    where[2, 3] = True
    np.testing.assert_array_equal(np.isnan(got), where)
