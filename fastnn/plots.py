"""Figures of a training run. Needs matplotlib, which only these functions import."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.io import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastnn._core import Array

TRAIN, TEST = "#9aa0a6", "#1f5fbf"  # the training curve in the background, the test curve in front


def plot_curves(history: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Draw loss and accuracy over the epochs, and save the figure as PNG.

    Parameters
    ----------
    history : mapping
        As in the ``history.json`` of ``fastnn train``: "model", "data", and "epochs", a list with
        "epoch", "loss", "accuracy", "test_loss" and "test_accuracy" each.
    path : path-like
        The PNG file.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    OSError
        If the file cannot be written.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    epochs = history["epochs"]
    numbers = [row["epoch"] for row in epochs]
    style = {"marker": "o" if len(numbers) <= 20 else "", "markersize": 3.5}
    figure = _figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    for ax, key in ((left, "loss"), (right, "accuracy")):
        ends = []
        for prefix, label, colour in (("", "training", TRAIN), ("test_", "test", TEST)):
            values = np.array([row[prefix + key] for row in epochs], np.float64)
            # a loss that has become 0 would have no place on the logarithmic axis
            values = np.maximum(values, 1e-9) if key == "loss" else 100 * values
            ax.plot(numbers, values, color=colour, label=label, **style)
            ends.append((float(values[-1]), colour))
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="#eeeeee")
        ax.set_axisbelow(True)
        _label_ends(ax, ends, "{:.2g}" if key == "loss" else "{:.2f} %")
    left.set_title("cross-entropy", loc="left", fontsize=10)
    left.set_yscale("log")
    left.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter(NullFormatter())
    right.set_title("accuracy, %", loc="left", fontsize=10)
    right.set_ylim(top=100.5)
    left.legend(frameon=False)
    figure.suptitle(f"{history['model']} on {history['data']}", x=0.01, ha="left", fontsize=11)
    _save(figure, path)


def plot_mistakes(
    x: Array,
    labels: Array,
    logits: Array,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    columns: int = 8,
    rows: int = 4,
) -> None:
    """Draw the images that were classified wrongly, the surest mistakes first, and save as PNG.

    Parameters
    ----------
    x : ndarray
        Images (N, H, W, 1).
    labels : ndarray
        (N,), integers.
    logits : ndarray
        (N, C).
    path : path-like
        The PNG file.
    title : str
        First words of the title.
    columns, rows : int
        How many images at most; default 8 by 4.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    OSError
        If the file cannot be written.
    """
    predictions = logits.argmax(1)
    scores = np.exp(logits - logits.max(1, keepdims=True))
    sure = scores.max(1) / scores.sum(1)
    wrong = np.flatnonzero(predictions != labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    shown: Sequence[int] = wrong[: columns * rows].tolist()
    used_rows = max(1, -(-len(shown) // columns))
    figure = _figure(1.05 * columns, 1.3 * used_rows + 0.5)
    axes = figure.subplots(used_rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, i in zip(axes, shown, strict=False):
        ax.imshow(x[i, :, :, 0], cmap="gray_r", interpolation="nearest")
        ax.set_title(
            f"{labels[i]} as {predictions[i]}  {sure[i]:.0%}", fontsize=8, pad=3, color="#b3261e"
        )
    first = f", the surest {len(shown)}" if len(shown) < len(wrong) else ""
    text = f"{title}{len(wrong)} of {len(labels)} test images classified wrongly{first}"
    figure.suptitle(text, x=0.01, ha="left", fontsize=10)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    # Figure, not pyplot: no window system, no global state
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    with atomic_write(path) as file:
        figure.savefig(file, format="png")


def _label_ends(ax: Axes, ends: Sequence[tuple[float, str]], text: str) -> None:
    """Write the last value of each curve at the right edge, the larger one above."""
    order = sorted(ends, key=lambda end: end[0])
    for i, (value, colour) in enumerate(order):
        ax.annotate(
            text.format(value),
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(3, 5 if i else -5),
            textcoords="offset points",
            color=colour,
            fontsize=8,
            va="center",
        )
