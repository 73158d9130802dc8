"""Figures of a training run. Needs matplotlib, which only these functions import."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.io import atomic_write
from fastnn.nn import Conv2d, Linear, Module, Sequential

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
    predictions: Array | None = None,
    title: str = "",
    columns: int = 8,
    rows: int = 4,
) -> None:
    """Draw the images that were classified wrongly, the surest mistakes first, and save as PNG.

    Parameters
    ----------
    x : ndarray
        Images (N, H, W, 1), or of three channels.
    labels : ndarray
        (N,), integers.
    logits : ndarray
        (N, C).
    path : path-like
        The PNG file.
    predictions : ndarray, optional
        (N,), integers; default: the classes of the largest logits. Where they are given the logits
        say nothing, and mistakes are drawn in the order of the images.
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
    if predictions is None:
        predictions = logits.argmax(1)
        scores = np.exp(logits - logits.max(1, keepdims=True))
        sure = scores.max(1) / scores.sum(1)
    else:
        sure = np.full(len(x), np.nan)
    wrong = np.flatnonzero(predictions != labels)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")]
    shown: Sequence[int] = wrong[: columns * rows].tolist()
    used_rows = max(1, -(-len(shown) // columns))
    figure = _figure(1.05 * columns, 1.3 * used_rows + 0.5)
    ax = _tiles(figure, [_picture(x[i]) for i in shown], columns, 1.24, cmap="gray_r")
    for k, i in enumerate(shown):
        text = f"{labels[i]} as {predictions[i]}"
        text += "" if np.isnan(sure[i]) else f"  {sure[i]:.0%}"
        row, column = divmod(k, columns)
        place = (column + 0.48, 0.04 - 1.24 * row)
        ax.text(*place, text, fontsize=8, color="#b3261e", ha="center", va="bottom")
    first = f", the surest {len(shown)}" if len(shown) < len(wrong) else ""
    text = f"{title}{len(wrong)} of {len(labels)} test images classified wrongly{first}"
    figure.suptitle(text, x=0.01, ha="left", fontsize=10)
    _save(figure, path)


def plot_confusion(
    matrix: Array,
    path: str | os.PathLike[str],
    *,
    classes: Sequence[str] = (),
    title: str = "",
) -> None:
    """Draw a confusion matrix, and save the figure as PNG.

    Each row is shaded by the share of its label; the diagonal, which would drown the rest, is left
    white and shows the share in figures.

    Parameters
    ----------
    matrix : ndarray
        (C, C), integers; see `fastnn.training.confusion_matrix`.
    path : path-like
        The PNG file.
    classes : sequence of str
        Names of the classes; default: their numbers.
    title : str
        Above the figure.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    OSError
        If the file cannot be written.
    """
    n = len(matrix)
    names = list(classes) or [str(i) for i in range(n)]
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    shades = np.where(np.eye(n, dtype=bool), 0.0, shares)
    side = min(max(3.0, 0.42 * n + 1.5), 12.0)
    figure = _figure(side + 0.4, side)
    ax = figure.subplots()
    ax.imshow(shades, cmap="Reds", vmin=0, vmax=max(float(shades.max()), 0.01))
    if n <= 20:
        for i, j in np.ndindex(n, n):
            if i == j:
                ax.text(j, i, f"{shares[i, i]:.0%}", ha="center", va="center", fontsize=7)
            elif matrix[i, j]:
                colour = "white" if shades[i, j] > 0.6 * shades.max() else "black"
                text = str(matrix[i, j])
                ax.text(j, i, text, ha="center", va="center", fontsize=7, color=colour)
        ax.set_xticks(range(n), names, rotation=0 if max(map(len, names)) < 3 else 90)
        ax.set_yticks(range(n), names)
    ax.tick_params(labelsize=8, length=0)
    ax.set_xlabel("prediction", fontsize=9)
    ax.set_ylabel("label", fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    _save(figure, path)


def first_filters(model: Module, image_shape: Sequence[int]) -> Array | None:
    """Return the filters of the first layer, (number, H, W, C), or None if they are no images.

    Those of a `Conv2d`, or the weights of a `Linear` that sees the whole image.
    """
    for module in model.modules():
        if isinstance(module, Conv2d):
            return module.weight.data
        if isinstance(module, Linear):
            weight = module.weight.data
            fits = weight.shape[1] == np.prod(image_shape)
            return weight.reshape(-1, *image_shape) if fits else None
    return None


def plot_filters(
    model: Module,
    image_shape: Sequence[int],
    path: str | os.PathLike[str],
    *,
    title: str = "",
    columns: int = 8,
    rows: int = 8,
) -> None:
    """Draw the filters of the first layer, and save the figure as PNG.

    Those of one channel are blue where weights are negative, white at 0 and red where they are
    positive; those of three are colours, grey at 0.

    Parameters
    ----------
    model : Module
        Whose first layer with weights is a `Conv2d`, or a `Linear` that sees the whole image.
    image_shape : sequence of int
        (H, W, C).
    path : path-like
        The PNG file.
    title : str
        First words of the title.
    columns, rows : int
        How many filters at most; default 8 by 8.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    OSError
        If the file cannot be written.
    ValueError
        If the first layer is another.
    """
    filters = first_filters(model, image_shape)
    if filters is None:
        raise ValueError("plot_filters: the first layer of this model has no images for weights")
    shown = filters[: columns * rows]
    limit = max(float(np.abs(shown).max()), 1e-9)
    shown = 0.5 + 0.5 * shown / limit if shown.shape[3] == 3 else shown.mean(3)
    columns = min(columns, len(shown))
    figure = _figure(1.05 * max(columns, 4), 1.05 * -(-len(shown) // columns) + 0.4)
    _tiles(figure, shown, columns, 1.0, cmap="RdBu_r", vmin=-limit, vmax=limit)
    more = f", the first {len(shown)}" if len(shown) < len(filters) else ""
    text = f"{title}: " if title else ""
    figure.suptitle(f"{text}{len(filters)} filters{more}", x=0.01, ha="left", fontsize=10)
    _save(figure, path)


def feature_maps(model: Module, x: Array) -> list[tuple[str, Array]]:
    """Return (name, maps (N, H, W, C)) of each stage of a `Sequential`, for images (N, H, W, C).

    A stage ends where a layer changes the shape of the maps, after the activations that follow.
    """
    stages: list[tuple[str, Array]] = []
    for layer in _layers(model):
        y = layer(x)
        if y.ndim == 4:
            if y.shape == x.shape and stages:
                stages[-1] = stages[-1][0], y
            else:
                stages.append((type(layer).__name__, y))
        x = y
    return stages


def _layers(model: Module) -> Iterator[Module]:
    if not isinstance(model, Sequential):
        yield model
        return
    for layer in model:
        yield from _layers(layer)


def plot_feature_maps(
    model: Module,
    image: Array,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    columns: int = 16,
    rows: int = 8,
) -> None:
    """Draw what the stages of a model make of an image, and save the figure as PNG.

    Parameters
    ----------
    model : Module
        A `Sequential` of layers, or of such.
    image : ndarray
        (H, W, C), as the model takes it.
    path : path-like
        The PNG file.
    title : str
        First words of the title.
    columns, rows : int
        How many maps of a stage, and how many stages, at most; default 16, and 8, the first ones.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    OSError
        If the file cannot be written.
    ValueError
        If there are no maps: the model is no `Sequential` of layers that keep images.
    """
    stages = [("image", image[np.newaxis]), *feature_maps(model, image[np.newaxis])][: rows + 1]
    if len(stages) == 1:
        raise ValueError("plot_feature_maps: this model has no feature maps")
    figure = _figure(0.6 * columns + 0.8, 0.78 * len(stages) + 0.4)
    lines = figure.subplots(len(stages), 1, squeeze=False)[:, 0]
    for ax, (name, maps) in zip(lines, stages, strict=True):
        height, width, channels = maps.shape[1:]
        text = f"{name} {height}x{width}x{channels}"
        ax.set_title(text, loc="left", fontsize=7, pad=2, color="#555555")
        for i, channel in enumerate(np.moveaxis(maps[0], 2, 0)[:columns]):
            # many images on one axes: axes of their own would take seconds to lay out
            place = (i, i + 0.94, 0, 0.94)
            ax.imshow(channel, cmap="gray_r", interpolation="nearest", extent=place)
        ax.set(xlim=(0, columns), ylim=(0, 1))
        ax.set_axis_off()
    figure.suptitle(f"{title}: feature maps" if title else "", x=0.01, ha="left", fontsize=10)
    _save(figure, path)


def _picture(image: Array) -> Array:
    """Return an image (H, W, C) as matplotlib draws it: one channel, or three in [0, 1]."""
    if image.shape[2] != 3:
        channel: Array = image[..., 0]
        return channel
    low, high = image.min((0, 1)), image.max((0, 1))
    scaled: Array = (image - low) / np.maximum(high - low, 1e-9)
    return scaled


def _tiles(
    figure: Figure, images: Sequence[Array] | Array, columns: int, step: float, **style: Any
) -> Axes:
    """Draw images in rows on one axes, of which each has a column of width 1 and a row of `step`.

    Axes of their own would take seconds to lay out.
    """
    ax = figure.subplots()
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        top = -step * row
        place = (column, column + 0.96, top - 0.96, top)
        ax.imshow(image, interpolation="nearest", extent=place, **style)
    rows = max(-(-len(images) // columns), 1)
    ax.set(xlim=(0, columns), ylim=(-step * rows, step - 1), aspect="equal")
    ax.set_axis_off()
    return ax


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
