"""Rows of a table by number, and the gradient of the table."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from bits import assert_same_bits
from fastnn import nn, optim, reference

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 4), (2, 0, 3)])
@pytest.mark.parametrize("width", [1, 5, 16, 33])
def test_forward_and_backward(shape: tuple, width: int, dtype: type) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-9, 10, (6, width)).astype(dtype)
    indices = np.asarray(rng.integers(0, 6, shape))
    assert_same_bits(fastnn.embedding(weight, indices), weight[indices])
    dy = np.asarray(rng.integers(-9, 10, (*shape, width))).astype(dtype)
    want = reference.embedding_backward(dy, indices, 6)
    assert np.array_equal(fastnn.embedding_backward(dy, indices, 6), want)
    dw = weight.copy()
    fastnn.embedding_backward(dy, indices, 6, accumulate=True, out=dw)
    assert np.array_equal(dw, weight + want)
    padded = reference.embedding_backward(dy, indices, 6, padding_index=2)
    assert np.array_equal(fastnn.embedding_backward(dy, indices, 6, padding_index=2), padded)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.uint64])
def test_any_integers(dtype: type) -> None:
    weight = np.arange(12.0).reshape(4, 3)
    indices = np.array([[3, 0], [1, 1]], dtype)
    assert np.array_equal(fastnn.embedding(weight, indices), weight[indices.astype(int)])
    strided = np.array([3, 9, 0, 9, 1], dtype)[::2]
    assert np.array_equal(fastnn.embedding(weight, strided), weight[[3, 0, 1]])


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_repeated_rows_add_up_in_one_order(threads: int) -> None:
    """Each sum is the chain over the indices, ascending, whatever the team."""
    rng = np.random.default_rng(1)
    dy = rng.standard_normal((3000, 70)).astype(np.float32)
    indices = rng.integers(0, 4, 3000)
    chain = np.zeros((4, 70), np.float32)
    for row, i in zip(dy, indices, strict=True):
        chain[i] += row
    with fastnn.threads(threads):
        assert_same_bits(fastnn.embedding_backward(dy, indices, 4), chain)


@pytest.mark.parametrize("bad", [-1, 4, 2**40])
def test_indices_out_of_range(bad: int) -> None:
    weight, indices = np.ones((4, 3)), np.array([0, bad, 1])
    with pytest.raises(ValueError, match=rf"embedding: indices\[1\] is {bad}, not a row from 0 to"):
        fastnn.embedding(weight, indices)
    with pytest.raises(ValueError, match=rf"indices\[1\] is {bad}, not a row from 0 to 3"):
        fastnn.embedding_backward(np.ones((3, 3)), indices, 4)
    lookup = fastnn.compile(lambda i: fastnn.embedding(weight, i))
    lookup(np.array([0, 3, 1]))
    with pytest.raises(ValueError, match=rf"indices\[1\] is {bad}, not a row from 0 to 3"):
        lookup(indices)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda w: fastnn.embedding(w, np.array([0.0])), TypeError, "indices must be integers"),
        (lambda w: fastnn.embedding(w, [0]), TypeError, "indices must be a NumPy array, not list"),
        (lambda w: fastnn.embedding(w, np.array([True])), TypeError, "integers, not bool"),
        (lambda w: fastnn.embedding(w[0], np.array([0])), ValueError, "must have 2 dimensions"),
        (lambda w: fastnn.embedding(w, np.array([0, 1]), out=w[:2]), ValueError, "out overlaps"),
        (
            lambda w: fastnn.embedding_backward(w, np.array([0]), 4),
            ValueError,
            "dy must have shape",
        ),
        (
            lambda w: fastnn.embedding_backward(w, np.zeros(4, int), 4, accumulate=True),
            *(ValueError, "accumulate needs out"),
        ),
        (lambda w: nn.Embedding(0, 3), ValueError, "num_embeddings must be at least 1"),
        (
            lambda w: nn.Embedding(3, 3, padding_idx=3),
            ValueError,
            "padding_idx must be from 0 to 2",
        ),
    ],
)
def test_bad_arguments(call: object, error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        call(np.ones((4, 3)))


def test_layer() -> None:
    layer = nn.Embedding(5, 4, padding_idx=0, rng=0, dtype=np.float64)
    assert not layer.weight.data[0].any()
    x = np.array([[1, 0], [4, 1]])
    y, backward = layer.forward(x)
    assert np.array_equal(y, layer.weight.data[x])
    dy = np.random.default_rng(0).standard_normal(y.shape)
    assert backward(dy) is None
    want = reference.embedding_backward(dy, x, 5, padding_index=0)
    assert np.array_equal(layer.weight.grad, want)
    assert repr(layer) == "Embedding(5, 4, padding_idx=0)"


def test_it_learns_and_compiles() -> None:
    """Which of two things comes with which number."""
    results = []
    for compiled in (False, True):
        model = nn.Sequential(nn.Embedding(6, 3, rng=0), nn.Flatten(), nn.Linear(6, 2, rng=1))
        optimizer = optim.SGD(model, lr=0.5)

        def step(x, labels, model=model, optimizer=optimizer):
            logits, backward = model.forward(x)
            loss, dlogits = fastnn.softmax_cross_entropy(logits, labels)
            backward(dlogits)
            optimizer.step()
            return loss

        run = fastnn.compile(step) if compiled else step
        x = np.array([[0, 1], [2, 3], [4, 5], [1, 4]])
        losses = [run(x, np.array([0, 1, 0, 1])) for _ in range(30)]
        assert losses[-1] < 0.1 * losses[0]
        results.append((losses, model.state_dict()))
    assert results[0][0] == results[1][0]
    for name, value in results[0][1].items():
        assert np.array_equal(value, results[1][1][name])
