"""Arrays of every kind reach a kernel alike, whether read by their fields or by the buffer."""

import mmap
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, normal
from bits import assert_same_bits


class Subclass(np.ndarray):
    """Not exactly an ndarray: only the buffer protocol reads it."""


KERNELS = {
    "gemm": lambda x, y: fastnn.gemm(x, y, trans_b=True),
    "linear": lambda x, y: fastnn.linear(x, y),
    "matmul": lambda x, y: fastnn.matmul(x, y.T),
    "pack": lambda x, y: fastnn.linear(x, fastnn.pack(y)),
    "relu_backward": lambda x, y: fastnn.relu_backward(x, y),
    "softmax": lambda x, y: fastnn.softmax(x),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_fields_say_what_the_buffer_says(rng, dtype, name, layout):
    f = KERNELS[name]
    x, y = (LAYOUTS[layout](normal(rng, (6, 5), dtype)) for _ in range(2))
    want = f(x.copy(), y.copy())
    for a in (x, x.view(Subclass)):
        for b in (y, y.view(Subclass)):
            assert_same_bits(f(a, b), want)


def test_every_stride(rng, dtype):
    """Steps, negative ones, axes exchanged, none: a product is that of the copies."""
    base, other = normal(rng, (9, 8), dtype), normal(rng, (8, 7), dtype)
    for index in [np.s_[::2], np.s_[::-1], np.s_[1:2], np.s_[:0], np.s_[::-3, ::-1]]:
        for x in (base[index], base[index].view(Subclass)):
            assert_same_bits(fastnn.gemm(x, other), fastnn.gemm(x.copy(), other))
    for x in (base.T, base.T.view(Subclass)):
        assert_same_bits(fastnn.gemm(x, base), fastnn.gemm(x.copy(), base))
    zero = np.broadcast_to(base[0, 0], (9, 8))
    for x in (zero, zero.view(Subclass)):
        assert_same_bits(fastnn.gemm(x, other), fastnn.gemm(x.copy(), other))


def test_fractions_of_an_element(rng, dtype):
    """A stride that is no multiple of the item, aligned or not, is copied; as out it is refused."""
    item = np.dtype(dtype).itemsize
    raw = np.zeros(40 * item, np.uint8)
    for step in (item + 1, item + item // 2, item + 4, 3 * item - 1):
        for start in (0, 1, item // 2):
            x = np.ndarray((2, 5), dtype, raw.data, start, (12 * item, step))
            x[...] = normal(rng, (2, 5), dtype)
            for view in (x, x.view(Subclass), x[:, ::-1]):
                assert_same_bits(fastnn.relu(view), fastnn.relu(view.copy()))
                y = normal(rng, (5, 3), dtype)
                assert_same_bits(fastnn.gemm(view, y), fastnn.gemm(view.copy(), y))
            if step % item or start % item:
                kept = x.copy()
                with pytest.raises(ValueError, match="out must be aligned"):
                    fastnn.relu(np.ones((2, 5), dtype), out=x)
                assert_same_bits(x.copy(), kept)


@pytest.mark.parametrize(
    "view", [lambda x: x, lambda x: x.view(Subclass)], ids=["exact", "subclass"]
)
class TestKinds:
    def test_byte_order(self, dtype, view):
        swapped = np.ones((3, 4)).astype(np.dtype(dtype).newbyteorder())
        for case in [
            lambda: fastnn.relu(view(swapped)),
            lambda: fastnn.gemm(np.ones((2, 3), dtype), view(swapped)),
            lambda: fastnn.matmul(view(swapped), np.ones(4, dtype)),
            lambda: fastnn.pack(view(swapped)),
            lambda: fastnn.relu(np.ones((3, 4), dtype), out=view(swapped)),
        ]:
            with pytest.raises(TypeError, match="native byte order"):
                case()

    def test_another_dtype_object(self, dtype, view):
        """It is float32 all the same."""
        native = np.dtype(dtype)
        for same in (native.newbyteorder("="), np.dtype(dtype, metadata={"unit": "m"})):
            x = view(np.ones((3, 4)).astype(same))
            np.testing.assert_array_equal(fastnn.linear(x, np.ones((2, 4), dtype)), 4)

    def test_other_items_of_the_same_size(self, view):
        for code in ("i4", "u4", "i8", "c8", "m8[s]", "M8[s]", "S4", "U1", "V8", "f2", "O"):
            x = view(np.zeros((3, 4), code))
            with pytest.raises(TypeError, match="relu: x must be float32 or float64"):
                fastnn.relu(x)
            with pytest.raises(TypeError, match="gemm: b must be float32 or float64"):
                fastnn.gemm(np.ones((2, 3)), x)

    def test_no_dimensions(self, dtype, view):
        x = view(np.array(-2, dtype))
        assert fastnn.relu(x).shape == ()
        assert fastnn.relu(x) == 0
        for case in [
            lambda: fastnn.gemm(x, x),
            lambda: fastnn.linear(x, np.ones((2, 1), dtype)),
            lambda: fastnn.matmul(x, x),
            lambda: fastnn.pack(x),
        ]:
            with pytest.raises(ValueError, match="dimension"):
                case()

    def test_as_many_dimensions_as_there_are(self, dtype, view):
        most = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32
        x = view(np.full((1,) * (most - 2) + (2, 3), -1, dtype))
        out = fastnn.relu(x)
        assert out.shape == x.shape
        np.testing.assert_array_equal(out, 0)
        y = fastnn.linear(x, np.ones((5, 3), dtype))
        assert y.shape == (*x.shape[:-1], 5)
        np.testing.assert_array_equal(y, -3)
        with pytest.raises(ValueError, match="2 dimensions"):
            fastnn.gemm(x, x)

    def test_read_only(self, dtype, view):
        x = np.full((3, 4), -1, dtype)
        x.flags.writeable = False
        x = view(x)
        np.testing.assert_array_equal(fastnn.relu(x), 0)
        assert fastnn.gemm(x, x, trans_b=True)[0, 0] == 4
        for case in [
            lambda: fastnn.relu(np.ones((3, 4), dtype), out=x),
            lambda: fastnn.gemm(np.ones((3, 3), dtype), np.ones((3, 4), dtype), out=x),
            lambda: fastnn.matmul(np.ones((3, 3), dtype), np.ones((3, 4), dtype), out=x),
        ]:
            with pytest.raises(ValueError, match="out is read-only"):
                case()
        np.testing.assert_array_equal(x, -1)

    def test_no_elements(self, dtype, view):
        for shape in [(0, 4), (4, 0), (0, 0)]:
            x = view(np.empty(shape, dtype))
            assert fastnn.relu(x).shape == shape
            assert fastnn.gemm(x, x, trans_b=True).shape == (shape[0],) * 2


def test_native_byte_order_by_name(dtype):
    """A dtype swapped twice is native, but its buffer says "<f". In a process of its own."""
    code = (
        "import numpy as np, fastnn\n"
        f"swapped_twice = np.dtype('{np.dtype(dtype)}').newbyteorder().newbyteorder()\n"
        "x = -np.ones((3, 4)).astype(swapped_twice)\n"
        "fastnn.relu(x.copy(), out=x)\n"
        "print(fastnn.relu(x + 2).sum(), fastnn.gemm(x, x.T + 1).sum(), x.sum())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stdout == "24.0 0.0 0.0\n"


def test_memory_of_others(dtype):
    """Arrays that own nothing: a mmap, bytes."""
    memory = mmap.mmap(-1, 4096)
    x = np.frombuffer(memory, dtype, 12).reshape(3, 4)
    x[...] = -3
    np.testing.assert_array_equal(fastnn.relu(x), 0)
    frozen = np.frombuffer(np.full(12, 2, dtype).tobytes(), dtype).reshape(3, 4)
    np.testing.assert_array_equal(fastnn.gemm(frozen, x, trans_b=True), -24)
    with pytest.raises(ValueError, match="read-only"):
        fastnn.relu(x, out=frozen)


def test_arrays_change_under_their_name(dtype):
    """Shape, strides and flags are read at each call."""
    x = np.arange(-6, 6).astype(dtype)
    assert fastnn.relu(x).shape == (12,)
    x = x.reshape(3, 4)
    assert fastnn.relu(x).shape == (3, 4)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        fastnn.relu(x.copy(), out=x)
    x.flags.writeable = True
    fastnn.relu(x.copy(), out=x)
    assert x.min() == 0
