"""Products around the constants by which they are cut: tiles, blocks of K, N, M, operands in place.

One large product per dtype and K is compared with the chain; since an output does not depend on the
product it is part of, every smaller one, however it is computed, must have the same bits.
"""

import functools

import numpy as np
import pytest

import chain
import fastnn
from arrays import integers, normal
from bits import assert_same_bits, assert_within, roundoff

pytestmark = pytest.mark.isa

# Tiles are 6 or 12 rows; up to 4 rows are computed with b transposed on its way into registers.
ROWS = (*range(1, 15), 23, 24, 25, 72, 73, 97)
# Vectors are 2 to 16 numbers, tiles 1 to 8 vectors, blocks of N 128 or 256 where L2 is 512 KB.
COLUMNS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 97)
WIDE = (127, 128, 129, 255, 256, 257, 511, 512, 513, 1025)
# Blocks of K are 128, 256 or 512; steps come in fours.
DEPTHS = (1, 2, 3, 4, 5, 8, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1025)


def with_row_length(x, length):
    """x in a matrix with longer rows: of 2**i numbers, they fall into few sets of a cache."""
    base = np.full((x.shape[0], length), np.nan, x.dtype)
    base[:, : x.shape[1]] = x
    return base[:, : x.shape[1]]


def reverse(x):
    """x from back to front: both strides are negative."""
    return x[::-1, ::-1].copy()[::-1, ::-1]


def spread(x):
    """x in every second column of a matrix: neither axis is contiguous."""
    base = np.full((x.shape[0], 2 * x.shape[1]), np.nan, x.dtype)
    base[:, ::2] = x
    return base[:, ::2]


class Whole:
    """A product of 97 rows and 1025 columns, its operands stored in several ways."""

    def __init__(self, dtype, k):
        rng = np.random.default_rng(k)
        a, b = normal(rng, (97, k), dtype), normal(rng, (k, 1025), dtype)
        self.a, self.at, self.b, self.bt = a, a.T.copy(), b, b.T.copy()
        self.half = a / 2
        self.half_t = self.half.T.copy()
        self.half_spread, self.half_t_spread = spread(self.half), spread(self.half_t)
        self.a_spread, self.b_spread = spread(a), spread(b)
        self.at_spread, self.bt_spread = spread(self.at), spread(self.bt)
        self.a_back, self.b_back = reverse(a), reverse(b)
        self.at_back, self.bt_back = reverse(self.at), reverse(self.bt)
        self.at_aliasing = with_row_length(self.at, 1024)
        self.b_aliasing = with_row_length(b, 2048)
        self.bt_aliasing = with_row_length(self.bt, 2048)
        self.want = fastnn.gemm(a, b)
        self.check(rng, dtype, k)

    def check(self, rng, dtype, k):
        """The chain here and there, and about the right value everywhere."""
        rows, columns = np.r_[0, 95, 96, rng.integers(97, size=5)], rng.integers(1025, size=24)
        columns[:4] = 0, 255, 256, 1024
        assert_same_bits(
            self.want[np.ix_(rows, columns)], chain.gemm(self.a[rows], self.b[:, columns])
        )
        a, b = self.a.astype(np.float64), self.b.astype(np.float64)
        assert_within(self.want, a @ b, 2 * k * roundoff(dtype) * (np.abs(a) @ np.abs(b)))


@functools.lru_cache(maxsize=2)  # they are large; tests that share one follow each other
def whole(dtype, k):
    return Whole(dtype, k)


WAYS = {
    "nn": lambda p, m, n: fastnn.gemm(p.a[:m], p.b[:, :n]),
    "nt": lambda p, m, n: fastnn.gemm(p.a[:m], p.bt[:n], trans_b=True),
    "tn": lambda p, m, n: fastnn.gemm(p.at[:, :m], p.b[:, :n], trans_a=True),
    "tt": lambda p, m, n: fastnn.gemm(p.at[:, :m], p.bt[:n], trans_a=True, trans_b=True),
    "nn aliasing": lambda p, m, n: fastnn.gemm(p.a[:m], p.b_aliasing[:, :n]),
    "nt aliasing": lambda p, m, n: fastnn.gemm(p.a[:m], p.bt_aliasing[:n], trans_b=True),
    "tn aliasing": lambda p, m, n: fastnn.gemm(p.at_aliasing[:, :m], p.b[:, :n], trans_a=True),
    "strided": lambda p, m, n: fastnn.gemm(p.a_spread[:m], p.b_spread[:, :n]),
    "strided tt": lambda p, m, n: fastnn.gemm(p.at_spread[:, :m].T, p.bt_spread[:n].T),
    "reversed": lambda p, m, n: fastnn.gemm(p.a_back[:m], p.b_back[:, :n]),
    "reversed tt": lambda p, m, n: fastnn.gemm(p.at_back[:, :m].T, p.bt_back[:n].T),
    "strided alpha": lambda p, m, n: fastnn.gemm(
        p.half_spread[:m] if m % 2 else p.half_t_spread[:, :m].T, p.b[:, :n], alpha=2
    ),
    "alpha": lambda p, m, n: fastnn.gemm(p.half[:m], p.b[:, :n], alpha=2),
    "tn alpha": lambda p, m, n: fastnn.gemm(p.half_t[:, :m], p.b[:, :n], trans_a=True, alpha=2),
    "packed": lambda p, m, n: fastnn.gemm(p.a[:m], fastnn.pack(p.b[:, :n], trans_b=False)),
    "linear packed": lambda p, m, n: fastnn.linear(p.a[:m], fastnn.pack(p.bt[:n])),
    "by columns": lambda p, m, n: fastnn.gemm(
        p.a[:m], p.b[:, :n], out=np.full((n, m), np.nan, p.a.dtype).T
    ),
    "scattered": lambda p, m, n: fastnn.gemm(
        p.a[:m], p.b[:, :n], out=spread(np.full((m, n), np.nan, p.a.dtype))
    ),
}
"""name -> function(whole, m, n): the first m rows and n columns of that product."""


@pytest.mark.parametrize("way", WAYS)
def test_rows_and_columns_of_tiles(dtype, way):
    p = whole(dtype, 37)
    for m in ROWS:
        for n in COLUMNS:
            assert_same_bits(WAYS[way](p, m, n), p.want[:m, :n])


@pytest.mark.parametrize("way", WAYS)
def test_wide_rows(dtype, way):
    """Low tiles are wider ones, and N is cut in blocks."""
    p = whole(dtype, 37)
    for m in (1, 2, 3, 4, 5, 7, 8, 13, 14, 25, 73):
        for n in WIDE:
            assert_same_bits(WAYS[way](p, m, n), p.want[:m, :n])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("k", DEPTHS)
def test_blocks_of_k(dtype, way, k):
    p = whole(dtype, k)
    for m, n in [(1, 1025), (2, 40), (4, 257), (5, 17), (7, 97), (13, 129), (25, 1), (97, 70)]:
        assert_same_bits(WAYS[way](p, m, n), p.want[:m, :n])


@pytest.mark.parametrize("way", WAYS)
def test_blocks_of_k_and_n_together(dtype, way):
    for k in (257, 513):
        p = whole(dtype, k)
        for m, n in [(97, 257), (73, 513), (13, 1025)]:
            assert_same_bits(WAYS[way](p, m, n), p.want[:m, :n])


@pytest.mark.parametrize("way", WAYS)
def test_threads(restore_num_threads, dtype, way):
    """Members get blocks of rows or of columns, whatever is packed."""
    p = whole(dtype, 257)
    for threads in (2, 3, 5):
        fastnn.set_num_threads(threads)
        for m, n in [(1, 1025), (4, 1025), (25, 513), (97, 1), (97, 270)]:
            assert_same_bits(WAYS[way](p, m, n), p.want[:m, :n])


def test_blocks_of_m(rng, dtype):
    """Packed rows come in blocks of 2 MB: 1024 or 2048 rows of a full block of K."""
    a, b = normal(rng, (2103, 512), dtype), normal(rng, (512, 5), dtype)
    some = np.r_[0, 5, 6, 1022:1026, 2046:2050, 2102, rng.integers(2103, size=9)]
    want = chain.gemm(dtype(-0.5) * a[some], b)
    assert_same_bits(fastnn.gemm(a, b, alpha=-0.5)[some], want)
    assert_same_bits(fastnn.gemm(a.T.copy(), b, trans_a=True, alpha=-0.5)[some], want)
    a, b = integers(rng, (2103, 512), dtype), integers(rng, (512, 5), dtype)
    np.testing.assert_array_equal(fastnn.gemm(spread(a), b), a @ b)
    np.testing.assert_array_equal(fastnn.gemm(a[:, ::-1], b), a[:, ::-1] @ b)


@pytest.mark.parametrize("k", [37, 257])
def test_each_row_alone(dtype, k):
    p = whole(dtype, k)
    packed = fastnn.pack(p.bt)
    for i in (0, 1, 12, 13, 50, 96):
        row, want = p.a[i : i + 1], p.want[i : i + 1]
        assert_same_bits(fastnn.gemm(row, p.b), want)
        assert_same_bits(fastnn.gemm(p.at[:, i : i + 1], p.b, trans_a=True), want)
        assert_same_bits(fastnn.gemm(p.a_spread[i : i + 1], p.b_spread), want)
        assert_same_bits(fastnn.linear(row, p.bt), want)
        assert_same_bits(fastnn.linear(p.a[i], packed), want[0])
