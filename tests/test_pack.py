"""pack: a right operand laid out once, for the bits that it would give anyway."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, integers, normal
from bits import assert_same_bits

pytestmark = pytest.mark.isa

ROWS = (1, 2, 4, 5, 7, 12, 13, 25, 97)
# (N, K): around vectors, tiles, blocks of N (128, 256) and of K (128, 256, 512).
SHAPES = [(1, 1), (3, 2), (8, 5), (16, 4), (17, 9), (33, 257), (64, 64), (127, 128), (128, 129)]
SHAPES += [(255, 37), (257, 256), (513, 300), (1025, 65), (5, 1025), (40, 513)]


@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_same_bits_as_unpacked(rng, dtype, n, k):
    w, bias = normal(rng, (n, k), dtype), normal(rng, n, dtype)
    b = w.T.copy()
    packed, packed_b = fastnn.pack(w), fastnn.pack(b, trans_b=False)
    for m in ROWS:
        x, c = normal(rng, (m, k), dtype), normal(rng, (m, n), dtype)
        want = fastnn.linear(x, w, bias, activation="relu")
        assert_same_bits(fastnn.linear(x, packed, bias, activation="relu"), want)
        options = {"alpha": 0.3, "beta": -0.5, "c": c, "bias": bias}
        want = fastnn.gemm(x, b, **options)
        assert_same_bits(fastnn.gemm(x, packed_b, **options), want)
        assert_same_bits(fastnn.gemm(x, packed, trans_b=True, **options), want)
        xt = x.T.copy()
        assert_same_bits(fastnn.gemm(xt, packed_b, trans_a=True, **options), want)


@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("layout", [*LAYOUTS, "transposed"])
def test_source_layouts(rng, dtype, layout, trans_b):
    for shape in [(1, 1), (3, 5), (33, 70), (300, 41)]:
        w = normal(rng, shape, dtype)
        w = w.T if layout == "transposed" else LAYOUTS[layout](w)
        plain = np.ascontiguousarray(w)
        x = normal(rng, (7, w.shape[1] if trans_b else w.shape[0]), dtype)
        got = fastnn.gemm(x, fastnn.pack(w, trans_b=trans_b), trans_b=trans_b)
        assert_same_bits(got, fastnn.gemm(x, plain, trans_b=trans_b))


def test_threads(restore_num_threads, rng, dtype):
    """As many members pack as compute, or fewer, or more."""
    x, w = normal(rng, (37, 611), dtype), normal(rng, (1025, 611), dtype)
    fastnn.set_num_threads(1)
    want = fastnn.linear(x, w)
    for n in range(1, 6):
        fastnn.set_num_threads(n)
        packed, packed_b = fastnn.pack(w), fastnn.pack(w.T.copy(), trans_b=False)
        for other in range(1, 6):
            fastnn.set_num_threads(other)
            for m in (1, 37):
                assert_same_bits(fastnn.linear(x[:m], packed), want[:m])
                assert_same_bits(fastnn.gemm(x[:m], packed_b), want[:m])


def test_more_axes(rng, dtype):
    x, w = normal(rng, (2, 3, 19), dtype), normal(rng, (21, 19), dtype)
    packed = fastnn.pack(w)
    for leading in (x, x[0], x[0, 0], x[:, :0], x.transpose(1, 0, 2)):
        assert_same_bits(fastnn.linear(leading, packed), fastnn.linear(leading, w))
    out = np.full((2, 3, 21), np.nan, dtype)
    assert fastnn.linear(x, packed, out=out) is out
    assert_same_bits(out, fastnn.linear(x, w))


def test_it_is_a_copy(rng, dtype):
    x, w = normal(rng, (7, 19), dtype), normal(rng, (21, 19), dtype)
    want, packed = fastnn.linear(x, w), fastnn.pack(w)
    w[...] = np.nan
    del w
    assert_same_bits(fastnn.linear(x, packed), want)
    assert_same_bits(fastnn.linear(x, packed), want)


@pytest.mark.parametrize("trans_b", [False, True])
def test_no_elements(rng, dtype, trans_b):
    for n, k in [(0, 0), (0, 5), (5, 0)]:
        w = np.empty((n, k) if trans_b else (k, n), dtype)
        packed = fastnn.pack(w, trans_b=trans_b)
        assert packed.shape == w.shape
        bias = normal(rng, n, dtype)
        for m in (0, 1, 7):
            got = fastnn.gemm(np.empty((m, k), dtype), packed, trans_b=trans_b, bias=bias)
            assert_same_bits(got, np.tile(bias, (m, 1)))


def test_attributes(dtype):
    w = np.ones((70, 300), dtype)
    for trans_b in (False, True):
        packed = fastnn.pack(w, trans_b=trans_b)
        assert isinstance(packed, fastnn.PackedMatrix)
        assert packed.shape == (70, 300)
        assert packed.dtype == dtype
        assert packed.trans_b is trans_b
        assert w.nbytes <= packed.nbytes <= 2 * w.nbytes
        name = np.dtype(dtype).name
        assert repr(packed) == f"PackedMatrix(shape=(70, 300), dtype={name}, trans_b={trans_b})"
        for attribute in ("shape", "dtype", "nbytes", "trans_b"):
            with pytest.raises(AttributeError):
                setattr(packed, attribute, None)


@pytest.mark.parametrize(
    "make",
    [
        fastnn.PackedMatrix,
        lambda: fastnn.PackedMatrix(np.ones((2, 2))),
        lambda: pickle.dumps(fastnn.pack(np.ones((2, 2)))),
        lambda: copy.copy(fastnn.pack(np.ones((2, 2)))),
        lambda: copy.deepcopy(fastnn.pack(np.ones((2, 2)))),
        lambda: type("Mine", (fastnn.PackedMatrix,), {}),
    ],
    ids=["constructor", "constructor with array", "pickle", "copy", "deepcopy", "subclass"],
)
def test_made_by_pack_alone(make):
    with pytest.raises(TypeError):
        make()


def test_the_constructor_says_what_to_call():
    with pytest.raises(TypeError, match=r"^PackedMatrix: use fastnn\.pack$"):
        fastnn.PackedMatrix()


def test_new_cannot_be_used_by_mistake():
    """An object that pack has not filled holds no pointer that a product follows."""
    with pytest.raises((TypeError, ValueError)):
        fastnn.gemm(np.ones((3, 4)), fastnn.PackedMatrix.__new__(fastnn.PackedMatrix))
    empty = fastnn.PackedMatrix.__new__(fastnn.PackedMatrix)
    got = fastnn.gemm(np.ones((3, 0), np.float32), empty, trans_b=empty.trans_b)
    assert got.shape == (3, 0)


def test_another_use_is_an_error(dtype):
    x = np.ones((3, 4), dtype)
    packed, packed_b = fastnn.pack(np.ones((5, 4), dtype)), fastnn.pack(x.T.copy(), trans_b=False)
    other = np.float64 if dtype == np.float32 else np.float32
    out = np.full((3, 5), 7, dtype)
    for case, match in [
        (lambda: fastnn.linear(x.astype(other), packed), "packed as"),
        (lambda: fastnn.gemm(x.astype(other), packed, trans_b=True), "packed as"),
        (lambda: fastnn.linear(x[:, :3], packed, out=out), "K = 4.*K = 3"),
        (lambda: fastnn.gemm(x.T, packed, trans_b=True), "K = 4.*K = 3"),
        (lambda: fastnn.gemm(x, packed, out=out), "trans_b=True"),
        (lambda: fastnn.gemm(x, packed_b, trans_b=True), "trans_b=False"),
        (lambda: fastnn.linear(x, packed_b), "trans_b=False"),
        (lambda: fastnn.linear(x, packed, np.ones(4, dtype), out=out), r"\bb must have shape"),
        (lambda: fastnn.linear(x, packed, out=out.T), r"out must have shape"),
    ]:
        with pytest.raises(ValueError, match=rf"^(linear|gemm): .*{match}"):
            case()
    np.testing.assert_array_equal(out, 7)


def test_only_as_the_right_operand(dtype):
    x, packed = np.ones((4, 4), dtype), fastnn.pack(np.ones((4, 4), dtype))
    for case in [
        lambda: fastnn.gemm(packed, x),
        lambda: fastnn.linear(packed, x),
        lambda: fastnn.matmul(x, packed),
        lambda: fastnn.pack(packed),
        lambda: fastnn.gemm(x, x, c=packed, beta=1),
        lambda: fastnn.linear(x, x, out=packed),
    ]:
        with pytest.raises(TypeError, match="must be a NumPy array, not PackedMatrix"):
            case()


def test_many_products_with_one_packed_matrix(rng, dtype):
    """It is read, not written: results stay exact however often it is used."""
    w = integers(rng, (300, 270), dtype)
    packed = fastnn.pack(w)
    for m in (1, 5, 64, 2, 97):
        x = integers(rng, (m, 270), dtype)
        np.testing.assert_array_equal(fastnn.linear(x, packed), x @ w.T)
