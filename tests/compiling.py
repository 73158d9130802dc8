"""Compiled functions beside the same functions as they are."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn
from fastnn import nn

Make = Callable[[], tuple[nn.Module, Any]]
"""Returns a model and an optimizer of it, the same ones every time."""


def training_step(model: nn.Module, optimizer: Any) -> Callable[..., float]:
    def step(x: Any, labels: Any) -> float:
        logits, backward = model.forward(x)
        loss, dlogits = fastnn.softmax_cross_entropy(logits, labels)
        backward(dlogits)
        optimizer.step()
        return loss

    return step


def state_of(model: nn.Module, optimizer: Any) -> dict[str, np.ndarray]:
    return {**model.state_dict(), **{f"o.{k}": v for k, v in optimizer.state_dict().items()}}


def assert_same_state(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert value.tobytes() == b[name].tobytes(), name


def assert_steps_equal(
    make: Make,
    batches: list[tuple[np.ndarray, np.ndarray]],
    threads: tuple[int, ...] = (1,),
    between: Callable[[Any], None] = lambda optimizer: None,
    **options: Any,
) -> Any:
    """Train a model as it is and compiled: losses and all state have the same bits.

    The steps are dealt out to the numbers of threads. `between` is called with the optimizer after
    every step. Returns the compiled function.
    """
    models = [make(), make()]
    eager = training_step(*models[0])
    compiled = fastnn.compile(training_step(*models[1]), **options)
    for i, batch in enumerate(batches):
        expected = eager(*batch)
        with fastnn.threads(threads[i % len(threads)]):
            actual = compiled(*batch)
        assert np.float64(actual).tobytes() == np.float64(expected).tobytes(), f"step {i}"
        for _, optimizer in models:
            between(optimizer)
    assert_same_state(state_of(*models[1]), state_of(*models[0]))
    return compiled


def image_batches(
    count: int,
    shape: tuple[int, ...] = (12, 12, 3),
    sizes: tuple[int, ...] = (4,),
    dtype: Any = np.float32,
    classes: int = 5,
) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(7)
    return [
        (rng.standard_normal((n, *shape)).astype(dtype), rng.integers(0, classes, n))
        for n in (sizes[i % len(sizes)] for i in range(count))
    ]


def twin(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module)
