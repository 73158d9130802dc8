"""``fastnn bench``: the main kernels against NumPy, in ten seconds."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, models, optim
from fastnn.cli import results
from fastnn.training.step import make_step

if TYPE_CHECKING:
    from fastnn._core import Array

NOTE = (
    "Best of alternating calls in one process, float32. NumPy's side is what its functions can do "
    "in a few lines; its BLAS uses its own number of threads."
)


def run(arguments: argparse.Namespace) -> int:
    """Time, and print a table."""
    if arguments.threads:
        _core.set_num_threads(arguments.threads)
    config = _core.get_config()
    cases = _cases(np.random.default_rng(0))
    seconds = arguments.seconds / len(cases)
    rows: list[dict[str, Any]] = []
    for name, ours, theirs in cases:
        best = _race(ours, theirs, seconds)
        rows.append(
            {
                "name": name,
                "fastnn_us": best[0] * 1e6,
                "numpy_us": None if theirs is None else best[1] * 1e6,
                "speedup": None if theirs is None else best[1] / best[0],
            }
        )
        print(f"\r{len(rows)}/{len(cases)}", end="", file=sys.stderr, flush=True)
    print("\r     \r", end="", file=sys.stderr)
    report = {"isa": config["isa"], "threads": _core.get_num_threads(), "rows": rows}
    if arguments.json:
        results.print_json(report)
        return 0
    print(f"{report['isa']}, {report['threads']} threads, NumPy {np.__version__}")
    print(f"{'':42}{'fastnn':>12}{'NumPy':>12}{'ratio':>8}")
    for row in rows:
        line = f"{row['name']:42}{row['fastnn_us']:>9,.1f} us"
        if row["speedup"] is not None:
            line += f"{row['numpy_us']:>9,.1f} us{row['speedup']:>8.2f}"
        print(line)
    print(NOTE)
    return 0


def _race(
    ours: Callable[[], Any], theirs: Callable[[], Any] | None, seconds: float
) -> tuple[float, float]:
    """Return the shortest time of each, called in turn for so many seconds."""
    best = [float("inf"), float("inf")]
    runners = [ours] if theirs is None else [ours, theirs]
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        for i, call in enumerate(runners):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], time.perf_counter() - start)
        rounds += 1
    return best[0], best[1]


Case = tuple[str, "Callable[[], Any]", "Callable[[], Any] | None"]


def _cases(rng: np.random.Generator) -> list[Case]:
    def normal(*sizes: int) -> Array:
        return rng.standard_normal(sizes, np.float32)

    a, b = normal(256, 256), normal(256, 256)
    x, w, bias = normal(64, 784), normal(128, 784), normal(128)
    images, filters = normal(16, 16, 16, 32), normal(32, 3, 3, 32)
    maps, logits = normal(64, 28, 28, 8), normal(64, 1000)
    labels = rng.integers(0, 1000, 64)
    cases: list[Case] = [
        ("gemm 256 x 256 x 256", lambda: _core.gemm(a, b), lambda: a @ b),
        (
            "linear 64 x 784 to 128, ReLU",
            lambda: _core.linear(x, w, bias, activation="relu"),
            lambda: np.maximum(x @ w.T + bias, 0),
        ),
        (
            "conv2d 16 x 16 x 16 x 32 to 32, 3 x 3",
            lambda: _core.conv2d(images, filters, padding=1),
            lambda: _convolve(images, filters),
        ),
        (
            "max_pool2d 64 x 28 x 28 x 8, 2 x 2",
            lambda: _core.max_pool2d(maps, 2),
            lambda: maps.reshape(64, 14, 2, 14, 2, 8).max((2, 4)),
        ),
        ("tanh of 401,408", lambda: _core.tanh(maps), lambda: np.tanh(maps)),
        (
            "softmax_cross_entropy 64 x 1000",
            lambda: _core.softmax_cross_entropy(logits, labels),
            lambda: _cross_entropy(logits, labels),
        ),
    ]
    for name, batch in (("lenet5", 64), ("mlp", 64)):
        cases.append((f"training step of {name}, batch {batch}", _step(name, batch, rng), None))
    return cases


def _convolve(images: Array, filters: Array) -> Array:
    """Return the 3x3 convolution with padding 1: a product with image patches."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, filters[0].size)
    product: Array = patches @ filters.reshape(len(filters), -1).T
    return product


def _cross_entropy(logits: Array, labels: Array) -> tuple[Any, Array]:
    exps = np.exp(logits - logits.max(1, keepdims=True))
    p = exps / exps.sum(1, keepdims=True)
    rows = np.arange(len(p))
    loss = -np.log(p[rows, labels]).mean()
    p[rows, labels] -= 1
    return loss, p / len(p)


def _step(name: str, batch: int, rng: np.random.Generator) -> Callable[[], Any]:
    model = models.create(name, rng=0)
    step = make_step(model, _core.softmax_cross_entropy, optim.SGD(model, 0.01, momentum=0.9))
    x = rng.standard_normal((batch, *models.info(name).input_shape), np.float32)
    labels = rng.integers(0, 10, batch)
    return lambda: step(x, labels)
