"""Wrong masks of gemm, and products of more than 2**63 multiplications: errors, nothing written."""

import re
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from bad_calls import F32, F64, assert_raises, f32


def mask(*shape):
    return np.ones(shape or (3, 5), bool)


MASKS = [
    (TypeError, lambda: mask().astype(np.uint8)),
    (TypeError, lambda: mask().astype(np.int8)),
    (TypeError, lambda: mask().astype(F32)),
    (TypeError, lambda: mask().astype(object)),
    (TypeError, lambda: mask().view("V1")),
    (TypeError, lambda: mask().tolist()),
    (TypeError, lambda: True),
    (TypeError, lambda: np.ma.MaskedArray(mask())),
    (ValueError, lambda: mask(5, 3)),
    (ValueError, lambda: mask(1, 5)),
    (ValueError, lambda: mask(3, 1)),
    (ValueError, lambda: mask(15)),
    (ValueError, lambda: mask(1, 3, 5)),
    (ValueError, lambda: np.array(True)),
    (ValueError, lambda: mask(5, 3).T),
    (ValueError, lambda: mask(3, 6)[:, :5]),
    (ValueError, lambda: mask(6, 5)[::2]),
    (ValueError, lambda: mask()[::-1]),
    (ValueError, lambda: np.broadcast_to(mask(1, 5), (3, 5))),
]


@pytest.mark.parametrize(("error", "make"), MASKS, ids=map(str, range(len(MASKS))))
def test_masks(error, make):
    assert_raises(error, "gemm", "mask", mask=make())
    given = make()
    before = np.array(given, copy=True)
    assert_raises(error, "gemm", "mask_out", mask_out=given, activation="relu")
    np.testing.assert_array_equal(given, before)


def test_mask_out_is_for_relu():
    for activation in (None, "sigmoid", "tanh", "scaled_tanh"):
        given = mask()
        assert_raises(ValueError, "gemm", "mask_out", mask_out=given, activation=activation)
        assert given.all()


def test_read_only_mask_out():
    given = mask()
    given.flags.writeable = False
    assert_raises(ValueError, "gemm", "mask_out is read-only", mask_out=given, activation="relu")


@pytest.mark.parametrize("name", ["a", "b", "c", "bias", "mask", "out"])
def test_mask_out_overlaps(name):
    """One shared byte is too many."""
    arrays = {"a": f32(3, 4), "b": f32(4, 5), "c": f32(3, 5), "bias": f32(5), "out": f32(3, 5)}
    pool = np.ones(200, np.uint8)
    arrays["mask"] = mask()
    size = arrays[name].nbytes
    arrays[name] = pool[:size].view(arrays[name].dtype).reshape(arrays[name].shape)
    arrays[name][...] = 1
    kept = pool.copy()

    def multiply(start):
        mask_out = pool[start : start + 15].view(bool).reshape(3, 5)
        fastnn.gemm(**arrays, beta=1.0, activation="relu", mask_out=mask_out)

    for start in (0, size - 1):
        with pytest.raises(ValueError, match=rf"^gemm: mask_out overlaps {name}$"):
            multiply(start)
        np.testing.assert_array_equal(pool, kept)
    multiply(size)


def test_out_overlaps_mask():
    pool = np.ones(100, np.uint8)
    given = pool[:15].view(bool).reshape(3, 5)
    for start in (0, 12):
        out = pool[start : start + 60].view(F32).reshape(3, 5)
        with pytest.raises(ValueError, match=r"^gemm: out overlaps mask$"):
            fastnn.gemm(f32(3, 4), f32(4, 5), mask=given, out=out)
    np.testing.assert_array_equal(pool, 1)
    fastnn.gemm(f32(3, 4), f32(4, 5), mask=given, out=pool[16:76].view(F32).reshape(3, 5))
    np.testing.assert_array_equal(pool[16:76].view(F32), 4)


@pytest.mark.parametrize("name", ["a", "b", "bias"])
def test_out_overlaps_with_a_bias(name):
    """out may be c, and nothing else."""
    pool = f32(100)
    arrays = {"a": f32(3, 4), "b": f32(4, 5), "bias": f32(3, 1)}
    arrays[name] = pool[: arrays[name].size].reshape(arrays[name].shape)
    out = pool[arrays[name].size - 1 :][:15].reshape(3, 5)
    for c in (out, f32(3, 5)):
        with pytest.raises(ValueError, match=rf"^gemm: out overlaps {name}$"):
            fastnn.gemm(**arrays, beta=1.0, c=c, out=out)
    c = pool[arrays[name].size :][:15].reshape(3, 5)
    with pytest.raises(ValueError, match=r"^gemm: out overlaps c$"):
        fastnn.gemm(f32(3, 4), f32(4, 5), beta=1.0, c=c, out=out)
    np.testing.assert_array_equal(pool, 1)


def test_a_subclass_may_lie_about_its_mask():
    """Its bytes count: a mask is read, and written, within its buffer."""

    class Liar(np.ndarray):
        shape = property(lambda self: (3, 5))
        flags = property(lambda self: np.ones(3).flags)

    with pytest.raises(ValueError, match=r"^gemm: mask must have shape \(3, 5\), not \(2, 2\)"):
        fastnn.gemm(f32(3, 4), f32(4, 5), mask=mask(2, 2).view(Liar))
    with pytest.raises(ValueError, match=r"^gemm: mask_out must have shape \(3, 5\), not \(1,\)"):
        fastnn.gemm(f32(3, 4), f32(4, 5), activation="relu", mask_out=mask(1).view(Liar))


# 8 * 8 * 2**57 = 2**63: one more than fits, of arrays that take no memory.
K = 2**57


def wide(*shape, dtype=F32):
    return np.broadcast_to(np.ones((), dtype), shape)


@pytest.mark.parametrize(
    ("shape", "call"),
    [
        ((8, 8), lambda out: fastnn.gemm(wide(8, K), wide(K, 8), out=out)),
        ((8, 8), lambda out: fastnn.gemm(wide(K, 8), wide(K, 8), trans_a=True, out=out)),
        ((8, 8), lambda out: fastnn.gemm(wide(8, K), wide(K, 8), beta=1.0, c=out, out=out)),
        ((8, 8), lambda out: fastnn.gemm(wide(8, K), wide(K, 8), mask=mask(8, 8), out=out)),
        ((8, 8), lambda out: fastnn.linear(wide(8, K), wide(8, K), f32(8), out=out)),
        ((2, 4, 8), lambda out: fastnn.linear(wide(2, 4, K), wide(8, K), out=out)),
        ((8, 8), lambda out: fastnn.matmul(wide(8, K), wide(K, 8), out=out)),
        ((2, 4, 8), lambda out: fastnn.matmul(wide(2, 4, K), wide(K, 8), out=out)),
        ((2, 8, 8), lambda out: fastnn.matmul(wide(2, 8, K // 2), wide(2, K // 2, 8), out=out)),
        ((8, 8, 2), lambda out: fastnn.matmul(wide(2, 8, K // 2), wide(1, K // 2, 8), out=out.T)),
        ((2, 8, 4, 1), lambda out: fastnn.matmul(wide(2, 1, 4, K), wide(8, K, 1), out=out)),
    ],
    ids=map(str, range(11)),
)
def test_more_multiplications_than_fit(shape, call):
    """An error before anything is read or written; the product would take some thousand years."""
    out = np.full(shape, 7, F32)
    with pytest.raises(ValueError, match=r"^(gemm|linear|matmul): .*overflows"):
        call(out)
    np.testing.assert_array_equal(out, 7)


def test_overflow_without_out():
    """2**64 is 0 in 64 bits, and 2**64 + 2**32 small: the product of sizes is not just computed."""
    for m, n, k in [(2**12, 2**12, 2**40), (2**12, 2**12, 2**40 + 2**8), (2**5, 2**5, 2**54)]:
        for dtype in (F32, F64):
            a, b = wide(m, k, dtype=dtype), wide(k, n, dtype=dtype)
            for case in [
                lambda a=a, b=b: fastnn.gemm(a, b),
                lambda a=a, b=b: fastnn.linear(a, b.T),
                lambda a=a, b=b: fastnn.matmul(a, b),
            ]:
                with pytest.raises(ValueError, match=re.escape("overflows")):
                    case()


def test_nothing_to_compute_does_not_overflow():
    """M or N of 0 makes no multiplications, K whatever it is."""
    for m, n in [(0, 2), (2, 0), (0, 0)]:
        a, b = wide(m, K), wide(K, n)
        assert fastnn.gemm(a, b).shape == (m, n)
        assert fastnn.linear(a, b.T).shape == (m, n)
        assert fastnn.matmul(a, b).shape == (m, n)
        assert fastnn.matmul(wide(3, m, K), b).shape == (3, m, n)


@pytest.mark.parametrize("shape", [(1, 2**57), (1, 2**58), (3, 2**57), (2**18, 2**40)], ids=str)
def test_packing_what_no_memory_holds(shape):
    """In a process of its own: panels are padded, so that 2**57 numbers may need 2**64 bytes."""
    code = (
        "import numpy as np, fastnn\n"
        f"w = np.broadcast_to(np.float32(1), {shape})\n"
        "for trans_b in (False, True):\n"
        "    try: fastnn.pack(w if trans_b else w.T, trans_b=trans_b)\n"
        "    except (MemoryError, ValueError) as error: print(str(error)[:6])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.returncode
    assert done.stdout == "pack: \npack: \n", done.stderr
