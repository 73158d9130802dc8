"""Two arrays element by element, sums of rows, rows by number: bounded by memory."""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import torch_peer
from fastnn import reference

SHAPES = {"4K": (64, 64), "256K": (512, 512), "16M": (4096, 4096)}
EPS = harness.eps(np.float32)
ROUNDS = {"16M": 5}


def add_relu(a, b, out):
    """In NumPy: two passes, the second in place."""
    np.add(a, b, out=out)
    return np.maximum(out, 0, out=out)


NUMPY = {
    "add": lambda a, b, out: {"add": partial(np.add, a, b, out=out)},
    "mul": lambda a, b, out: {"multiply": partial(np.multiply, a, b, out=out)},
    "add_relu": lambda a, b, out: {"add, maximum": partial(add_relu, a, b, out)},
}


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize(
    ("name", "rows"), [("add", True), ("add", False), ("mul", False), ("add_relu", True)]
)
def test_binary(compare, rng, threads, name, rows, size):
    a = rng.standard_normal(SHAPES[size], np.float32)
    b = rng.standard_normal(SHAPES[size] if rows else SHAPES[size][1:], np.float32)
    want = getattr(reference, name)(a, b)
    bound = EPS * (np.abs(a) + np.abs(b) + np.abs(want))

    compare(
        op=name,
        shape=f"{a.shape[0]} x {a.shape[1]}" + ("" if rows else ", a row"),
        dtype=np.float32,
        threads=threads,
        group="elementwise",
        ours=partial(getattr(fastnn, name), a, b, out=np.empty_like(a)),
        check=lambda y: harness.assert_within(y, want, bound),
        numpy=lambda: NUMPY[name](a, b, np.empty_like(a)),
        torch=lambda: torch_peer.binary(threads, name, a, b, np.empty_like(a)),
        from_torch=torch_peer.arrays,
        nbytes=(3 if rows else 2) * a.nbytes,
        rounds=ROUNDS.get(size, harness.ROUNDS),
    )


@pytest.mark.parametrize("size", SHAPES)
def test_row_sum(compare, rng, threads, size):
    x = rng.standard_normal(SHAPES[size], np.float32)
    want, bound = reference.row_sum(x), x.shape[1] * EPS * reference.row_sum(np.abs(x))
    out = np.empty(len(x), np.float32)

    compare(
        op="row_sum",
        shape=f"{x.shape[0]} x {x.shape[1]}",
        dtype=np.float32,
        threads=threads,
        group="elementwise",
        ours=partial(fastnn.row_sum, x, out=out),
        check=lambda y: harness.assert_within(y, want, bound),
        numpy=lambda: {
            "sum": partial(np.sum, x, axis=1, out=np.empty_like(out)),
            "matmul": partial(np.matmul, x, np.ones(x.shape[1], np.float32), out=out.copy()),
        },
        nbytes=x.nbytes,
        rounds=ROUNDS.get(size, harness.ROUNDS),
    )


@pytest.mark.parametrize("rows", [64, 4096])
def test_embedding(compare, rng, threads, rows):
    """Forward and backward, of 10,000 rows of 128."""
    weight = rng.standard_normal((10_000, 128), np.float32)
    indices, dy = rng.integers(0, 10_000, rows), rng.standard_normal((rows, 128), np.float32)
    y, dw = np.empty_like(dy), np.empty_like(weight)
    want = reference.embedding_backward(dy, indices, 10_000)

    def ours():
        fastnn.embedding(weight, indices, out=y)
        return fastnn.embedding_backward(dy, indices, 10_000, out=dw)

    def by_add_at(out, result):
        np.take(weight, indices, axis=0, out=out)
        result.fill(0)
        np.add.at(result, indices, dy)
        return result

    compare(
        op="embedding and its gradient",
        shape=f"{rows} of 10,000 x 128",
        dtype=np.float32,
        threads=threads,
        group="elementwise",
        ours=ours,
        check=lambda got: harness.assert_within(got, want, rows * EPS * np.abs(want)),
        numpy=lambda: {"take, add.at": partial(by_add_at, np.empty_like(y), np.empty_like(dw))},
    )
