"""Kernels on arrays that lie directly before, or directly after, forbidden memory: a program.

``python guard.py DTYPE`` prints the name of each call before making it, so that the last name
printed is what died of a segmentation fault when one element too many was read or written. Threads
are two, so that members' first and last slices are tested as well.
"""

import ctypes
import faulthandler
import mmap
import sys

import numpy as np

import fastnn
from arrays import normal
from bits import assert_same_bits
from calls import calls, large_calls
from geometry import CONVS, Conv

LIBC = ctypes.CDLL(None, use_errno=True)
PROT_NONE = 0
PAGE = mmap.PAGESIZE

SIZES = [
    {"m": 1, "n": 1, "k": 1, "conv": Conv((1, 3, 3, 1), 1, (1, 1))},
    {"m": 7, "n": 13, "k": 5, "conv": CONVS[8]},
    {"m": 13, "n": 31, "k": 67, "conv": CONVS[9]},
    {"m": 5, "n": 49, "k": 300, "conv": CONVS[4]},
    {"m": 33, "n": 17, "k": 3, "conv": CONVS[15]},
    {"m": 50, "n": 97, "k": 19, "conv": CONVS[19]},
    {"m": 2, "n": 3, "k": 4, "conv": Conv((2, 9, 29, 3), 3, (3, 3))},  # of few channels: direct
    {"m": 3, "n": 2, "k": 5, "conv": Conv((1, 14, 14, 6), 16, (5, 5))},
    {"m": 4, "n": 5, "k": 2, "conv": Conv((1, 8, 19, 3), 13, (3, 3), stride=2, padding=1)},
    {"m": 5, "n": 4, "k": 3, "conv": Conv((1, 7, 21, 2), 6, (3, 3), stride=(1, 2), dilation=2)},
]


def guarded(x, side):
    """A copy of x that ends where a forbidden page begins ("after"), or begins where one ends."""
    pages = -(-x.nbytes // PAGE) or 1
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (0, pages + 1):
        if LIBC.mprotect(ctypes.c_void_p(address + page * PAGE), PAGE, PROT_NONE) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = PAGE if side == "before" else (pages + 1) * PAGE - x.nbytes
    copy = np.frombuffer(memory, dtype=x.dtype, count=x.size, offset=offset).reshape(x.shape)
    copy[...] = x
    return copy


def check(call, side):
    print(f"{call} {[x.shape for x in call.inputs]} guard {side}", flush=True)
    inputs = [guarded(x, side) for x in call.inputs]
    out = call.nan_out()
    results = call.run(*inputs, None if out is None else guarded(out, side))
    for result, want in zip(results, call(), strict=True):
        assert_same_bits(result, want)


def check_strided(dtype, side):
    """gemm reads a and b where they lie: rows and columns with gaps, up to the very end."""
    rng = np.random.default_rng(3)
    for m, n, k in [(7, 33, 5), (30, 50, 70), (1, 19, 40)]:
        a, b, out = (guarded(normal(rng, s, dtype), side) for s in [(m, 2 * k), (k, n + 3), (m, n)])
        print(f"gemm on slices {m, n, k} guard {side}", flush=True)
        for a_view, b_view in [
            (a[:, ::2], b[:, 3:]),
            (a[:, 1::2], b[:, :n]),
            (a[:, :k], b[:, -n:]),
        ]:
            fastnn.gemm(a_view, b_view, out=out)
            assert_same_bits(out, fastnn.gemm(a_view.copy(), b_view.copy()))
            fastnn.gemm(a_view[:, ::-1], b_view[::-1], out=out)
            assert_same_bits(out, fastnn.gemm(a_view[:, ::-1].copy(), b_view[::-1].copy()))


def check_gaps(dtype, side):
    """Rows apart: what lies behind a row's end is the gap, or, behind the last row, nothing."""
    rng = np.random.default_rng(4)

    def block(rows, columns):
        """The last columns of a guarded matrix that ends with them, or the first."""
        whole = guarded(normal(rng, (rows, columns + 5), dtype), side)
        return whole[:, 5:] if side == "after" else whole[:, :columns]

    for m, n, k in [(1, 33, 9), (3, 21, 67), (4, 16, 64), (7, 33, 5), (13, 130, 40), (30, 50, 300)]:
        a, at, b, bt = block(m, k), block(k, m), block(k, n), block(n, k)
        print(f"products with gaps {m, n, k} guard {side}", flush=True)
        c, column, out = block(m, n), block(m, 2)[:, 1:], block(m, n)
        mask, mask_out = (
            guarded(rng.random((m, n)) < 0.5, side),
            guarded(np.empty((m, n), bool), side),
        )
        for left, right, flags in [
            (a, b, {}),
            (a, bt, {"trans_b": True}),
            (at, b, {"trans_a": True}),
            (at, bt, {"trans_a": True, "trans_b": True}),
            (a, fastnn.pack(b, trans_b=False), {}),
            (a, fastnn.pack(bt), {"trans_b": True}),
        ]:
            for more in (
                {"bias": column},
                {"alpha": 0.5, "beta": 2.0, "c": c},
                {"mask": mask, "activation": "relu", "mask_out": mask_out},
            ):
                plain = {name: getattr(x, "copy", lambda x=x: x)() for name, x in more.items()}
                want = fastnn.gemm(np.copy(left), right, **flags, **plain)
                assert_same_bits(fastnn.gemm(left, right, out=out, **flags, **more), want)
                by_columns = block(n, m).T
                assert_same_bits(fastnn.gemm(left, right, out=by_columns, **flags, **more), want)
        assert_same_bits(fastnn.matmul(a, b, out=out), fastnn.gemm(a.copy(), b.copy()))
        assert_same_bits(fastnn.matmul(a, b[:, 0]), fastnn.matmul(a.copy(), b[:, 0].copy()))
        x, y = (guarded(normal(rng, (3, *s), dtype), side) for s in [(m, k + 2), (k, n + 1)])
        x, y = (x[..., 2:], y[..., 1:]) if side == "after" else (x[..., :k], y[..., :n])
        assert_same_bits(fastnn.matmul(x, y), fastnn.matmul(x.copy(), y.copy()))
        assert_same_bits(fastnn.matmul(x[::-1], y[0]), fastnn.matmul(x[::-1].copy(), y[0].copy()))


def main(dtype):
    faulthandler.enable()
    fastnn.set_num_threads(2)
    for side in ("before", "after"):
        for sizes in SIZES:
            for call in calls(dtype, **sizes):
                check(call, side)
        for call in large_calls(dtype):
            check(call, side)
        check_strided(dtype, side)
        check_gaps(dtype, side)


if __name__ == "__main__":
    main(np.dtype(sys.argv[1]).type)
