"""Each pass by itself: what it joins, and what it must leave alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import fastnn
from fastnn.program.build import Plan

X = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32)
A = np.random.default_rng(2).standard_normal((6, 5)).astype(np.float32)
B = np.random.default_rng(3).standard_normal((5, 7)).astype(np.float32)
C = np.random.default_rng(4).standard_normal((7, 9)).astype(np.float32)


def ops_of(function: Callable, *args: np.ndarray, disable: tuple[str, ...] = ()) -> list[str]:
    """Compile, compare every result with the function's own, and return the ops' names."""
    compiled = fastnn.compile(function, disable=disable)
    for _ in range(2):
        actual, wanted = compiled(*args), function(*args)
        actual = actual if isinstance(actual, tuple) else (actual,)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        for a, b in zip(actual, wanted, strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    plan: Plan = next(iter(compiled._plans.values()))[0]
    return [op.name for op in plan.ops]


@pytest.mark.parametrize("f", [fastnn.relu, fastnn.sigmoid, fastnn.tanh, fastnn.scaled_tanh])
def test_an_activation_becomes_an_epilogue(f: Callable) -> None:
    assert ops_of(lambda x: f(fastnn.conv2d(x, W)), X) == ["conv2d_forward"]
    assert ops_of(lambda a: f(fastnn.gemm(a, B)), A) == ["gemm"]
    assert ops_of(lambda a: f(fastnn.linear(a, B.T)), A) == ["gemm"]
    two = ["gemm", "activation_forward"]
    assert ops_of(lambda a: f(fastnn.gemm(a, B)), A, disable=("fusion",)) == two


def test_other_activations_do_not() -> None:
    assert ops_of(lambda a: fastnn.elu(fastnn.gemm(a, B)), A) == ["gemm", "activation_forward"]


def test_an_activation_of_what_is_used_again_does_not() -> None:
    def returned(a: np.ndarray) -> tuple:
        y = fastnn.gemm(a, B)
        return fastnn.relu(y), y

    def read(a: np.ndarray) -> tuple:
        y = fastnn.gemm(a, B)
        return fastnn.relu(y), fastnn.gemm(y, C)

    def part(a: np.ndarray) -> np.ndarray:
        return fastnn.relu(fastnn.gemm(a, B)[2:4])

    def columns(a: np.ndarray) -> np.ndarray:
        return fastnn.relu(fastnn.gemm(a, B)[:, ::2])

    assert ops_of(returned, A) == ["gemm", "activation_forward"]
    assert sorted(ops_of(read, A)) == ["activation_forward", "gemm", "gemm"]
    assert ops_of(part, A) == ["gemm", "activation_forward"]
    assert ops_of(columns, A) == ["gemm", "copy", "activation_forward"]


def test_an_activation_after_an_activation_does_not() -> None:
    function = lambda a: fastnn.tanh(fastnn.gemm(a, B, activation="relu"))  # noqa: E731
    assert ops_of(function, A) == ["gemm", "activation_forward"]


def pooled(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    r = fastnn.relu(x)
    y, indices = fastnn.max_pool2d(r, 2, return_indices=True)
    dr = fastnn.max_pool2d_backward(dy, indices, x.shape, 2)
    return y, fastnn.relu_backward(dr, r)


DY = np.random.default_rng(5).standard_normal((2, 4, 4, 3)).astype(np.float32)


def test_relu_becomes_part_of_pooling() -> None:
    assert ops_of(pooled, X, DY) == ["max_pool2d_forward", "max_pool2d_backward"]
    assert ops_of(lambda x: fastnn.max_pool2d(fastnn.relu(x), 2), X) == ["max_pool2d_forward"]
    assert len(ops_of(pooled, X, DY, disable=("fusion",))) == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0])
def test_relu_and_pooling_of_special_values(value: float) -> None:
    x = X.copy()
    x[:, ::3] = value
    x[:, :, 1::4] = -value
    ops_of(pooled, x, DY)
    ops_of(pooled, np.full_like(X, value), DY)


def test_relu_whose_result_is_used_again_stays() -> None:
    def returned(x: np.ndarray) -> tuple:
        r = fastnn.relu(x)
        return fastnn.max_pool2d(r, 2), r

    def two_pools(x: np.ndarray) -> tuple:
        r = fastnn.relu(x)
        return fastnn.max_pool2d(r, 2), fastnn.max_pool2d(r, 3)

    def gradient_used_twice(x: np.ndarray, dy: np.ndarray) -> tuple:
        r = fastnn.relu(x)
        y, indices = fastnn.max_pool2d(r, 2, return_indices=True)
        dr = fastnn.max_pool2d_backward(dy, indices, x.shape, 2)
        return y, fastnn.relu_backward(dr, r), fastnn.tanh(dr)

    assert len(ops_of(returned, X)) == 2
    assert len(ops_of(two_pools, X)) == 3
    assert len(ops_of(gradient_used_twice, X, DY)) == 5


def through_relu(a: np.ndarray, dy: np.ndarray) -> tuple:
    """Two layers with ReLU between them, and their gradients."""
    r = fastnn.relu(fastnn.gemm(a, B))
    dr = fastnn.gemm(dy, C, trans_b=True)
    dx = fastnn.relu_backward(dr, r)
    return fastnn.gemm(r, C), fastnn.gemm(dx, B, trans_b=True)


def test_the_gradient_of_relu_becomes_a_mask() -> None:
    dy = np.random.default_rng(6).standard_normal((6, 9)).astype(np.float32)
    assert ops_of(through_relu, A, dy) == ["gemm"] * 4
    a = A.copy()
    a[2], a[3] = np.nan, 0
    ops_of(through_relu, a, dy)
    ops_of(through_relu, A, np.full_like(dy, np.nan))


def normalised(x: np.ndarray, dy: np.ndarray) -> tuple:
    """Batch norm with ReLU behind it, and their gradients."""
    y, mean, inv_std = fastnn.batch_norm(x, GAIN, GAIN, return_stats=True)
    r = fastnn.relu(y)
    return r, *fastnn.batch_norm_backward(fastnn.relu_backward(dy, r), x, mean, inv_std, GAIN)


GAIN = np.array([0.5, -1.0, 2.0], np.float32)
DX = np.random.default_rng(7).standard_normal((2, 8, 8, 3)).astype(np.float32)


def test_relu_becomes_part_of_batch_norm() -> None:
    assert ops_of(normalised, X, DX) == ["batch_norm_forward", "batch_norm_backward"]
    assert len(ops_of(normalised, X, DX, disable=("fusion",))) == 4
    two = (GAIN, GAIN, GAIN, np.abs(GAIN))
    infer = lambda x: fastnn.relu(fastnn.batch_norm(x, *two, training=False))  # noqa: E731
    assert ops_of(infer, X) == ["batch_norm_forward"]
    x, dx = X.copy(), DX.copy()
    x[0, 0, 0, 1], dx[1, 2] = np.nan, np.nan
    ops_of(normalised, x, DX)
    ops_of(normalised, X, dx)


def test_relu_after_batch_norm_that_is_used_again_stays() -> None:
    def y_returned(x: np.ndarray) -> tuple:
        y = fastnn.batch_norm(x)
        return fastnn.relu(y), y

    def part(x: np.ndarray) -> np.ndarray:
        return fastnn.relu(fastnn.batch_norm(x)[:1])

    def gradient_used_twice(x: np.ndarray, dy: np.ndarray) -> tuple:
        y, mean, inv_std = fastnn.batch_norm(x, return_stats=True)
        r = fastnn.relu(y)
        dr = fastnn.relu_backward(dy, r)
        return r, dr, fastnn.batch_norm_backward(dr, x, mean, inv_std)[0]

    def gradient_overwritten(x: np.ndarray, dy: np.ndarray) -> tuple:
        y, mean, inv_std = fastnn.batch_norm(x, return_stats=True)
        r = fastnn.relu(y)
        twice = fastnn.add(dy, dy)
        dr = fastnn.relu_backward(twice, r)
        fastnn.exp(twice, out=twice)
        return r, twice, fastnn.batch_norm_backward(dr, x, mean, inv_std)[0]

    assert len(ops_of(y_returned, X)) == 2
    assert len(ops_of(part, X)) == 2
    assert len(ops_of(gradient_used_twice, X, DX)) == 3
    assert len(ops_of(gradient_overwritten, X, DX)) == 5


def test_what_nobody_reads_is_left_out() -> None:
    def unused(a: np.ndarray) -> np.ndarray:
        fastnn.exp(fastnn.gemm(a, B))
        return fastnn.relu(a)

    assert ops_of(unused, A) == ["activation_forward"]
    assert len(ops_of(unused, A, disable=("dead_code", "fusion"))) == 3


def test_what_is_written_outside_is_not() -> None:
    out = np.zeros_like(A)

    def kept(a: np.ndarray) -> np.ndarray:
        fastnn.exp(a, out=out)
        return fastnn.relu(a)

    assert len(ops_of(kept, A)) == 2
    assert np.array_equal(out, fastnn.exp(A))


def test_results_take_the_place_of_what_is_read_last() -> None:
    chain = lambda a: fastnn.tanh(fastnn.elu(fastnn.exp(fastnn.softsign(a))))  # noqa: E731

    def size(*disable: str) -> int:
        compiled = fastnn.compile(chain, disable=disable)
        assert np.array_equal(compiled(A), chain(A))
        return next(iter(compiled._plans.values()))[0].placement.size

    one = -(-A.nbytes // 64) * 64
    assert (size(), size("in_place"), size("reuse")) == (one, 2 * one, 3 * one)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_steps_that_wait_for_single_members(threads: int) -> None:
    """Small ops between large ones: those of one member and those of several in all orders."""
    big = np.random.default_rng(8).standard_normal((300, 300))
    small = np.random.default_rng(9).standard_normal((4, 4))

    def mixed(a: np.ndarray, b: np.ndarray) -> tuple:
        first = fastnn.gemm(a, a)
        little = fastnn.gemm(b, b)
        corner = fastnn.gemm(first[:4, :4], little)
        second = fastnn.gemm(first, a)
        corner = fastnn.gemm(corner, second[-4:, -4:])
        third = fastnn.gemm(second, first, out=None)
        return fastnn.gemm(corner, little), third, fastnn.tanh(third), fastnn.relu(second)

    with fastnn.threads(threads):
        compiled = fastnn.compile(mixed)
        wanted = mixed(big, small)
        for _ in range(20):
            for a, b in zip(compiled(big, small), wanted, strict=True):
                assert np.array_equal(a, b)


def test_an_activation_of_part_of_a_convolution_does_not() -> None:
    two = ["conv2d_forward", "activation_forward"]
    for part in (slice(0, 1), slice(1, 2)):
        assert ops_of(lambda x, part=part: fastnn.relu(fastnn.conv2d(x, W)[part]), X) == two


def test_relu_of_what_is_overwritten_before_the_pooling_stays() -> None:
    zero = np.zeros(1, np.float32)

    def f(x: np.ndarray) -> np.ndarray:
        r = fastnn.relu(x)
        fastnn.mul(x, zero, out=x)
        return fastnn.max_pool2d(r, 2)

    assert np.array_equal(fastnn.compile(f)(X.copy()), f(X.copy()))


def pooled_with_indices(x: np.ndarray) -> tuple:
    return fastnn.max_pool2d(fastnn.relu(x), 2, return_indices=True)


def gradient_of_pooling_alone(x: np.ndarray) -> np.ndarray:
    y, indices = pooled_with_indices(x)
    return fastnn.max_pool2d_backward(y, indices, x.shape, 2)


@pytest.mark.parametrize("f", [pooled_with_indices, gradient_of_pooling_alone])
def test_relu_stays_where_the_indices_of_the_pooling_are_used(f: Callable) -> None:
    assert "activation_forward" in ops_of(f, -np.abs(X))


@pytest.mark.parametrize("of_dr", [slice(0, 1), slice(0, 2)])
def test_parts_of_gradients_of_relu_and_pooling_stay(of_dr: slice) -> None:
    x = np.concatenate([X, X[::-1]])

    def f(x: np.ndarray) -> tuple:
        r = fastnn.relu(x)
        y, indices = fastnn.max_pool2d(r[:2], 2, return_indices=True)
        dr = fastnn.max_pool2d_backward(y, indices, X.shape, 2)
        part = dr[of_dr]
        return y, fastnn.relu_backward(part, r[1 : 1 + len(part)])

    assert "activation_backward" in ops_of(f, x)


def test_a_mask_is_not_read_before_it_is_written() -> None:
    def f(a: np.ndarray, dy: np.ndarray) -> np.ndarray:
        dr = fastnn.gemm(dy, B)
        return fastnn.relu_backward(dr, fastnn.relu(fastnn.gemm(a, B)))

    assert "activation_backward" in ops_of(f, A, A[::-1].copy())
