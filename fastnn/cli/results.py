"""How results are printed, and the pictures of them."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastnn import training
from fastnn.cli.errors import UserError

if TYPE_CHECKING:
    from fastnn.data import Split
    from fastnn.nn import Module


def is_plain(model: Module) -> bool:
    """Return whether a model's outputs are logits, of which the largest wins."""
    return not any(hasattr(model, name) for name in ("loss", "classify", "predict"))


def summary(test: Split, result: training.Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return what is known about a model on test data, as JSON can express it."""
    matrix = training.confusion_matrix(test.y, result.predictions, len(classes))
    if result.outputs.size and not math.isfinite(result.loss):
        print("fastnn: warning: outputs of this model are not finite", file=sys.stderr)
    return {
        "test_loss": result.loss if math.isfinite(result.loss) else None,
        "test_accuracy": result.accuracy,
        "test_images": len(test.y),
        "confusion_matrix": matrix.tolist(),
    }


def print_summary(report: dict[str, Any]) -> None:
    """Print accuracy and, of up to 20 classes, the confusion matrix."""
    matrix = report["confusion_matrix"]
    correct = sum(matrix[i][i] for i in range(len(matrix)))
    print(f"test accuracy {report['test_accuracy']:.2%} ({correct} of {report['test_images']})")
    if len(matrix) > 20:
        return
    print("confusion matrix (row: label, column: prediction)")
    width = max(4, len(str(max(map(max, matrix)))) + 1)
    print("   " + "".join(f"{j:{width}}" for j in range(len(matrix))))
    for i, row in enumerate(matrix):
        print(f"{i:3}" + "".join(f"{n or '.':>{width}}" for n in row))


def print_json(report: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(report, indent=1, allow_nan=False))


def have_matplotlib() -> bool:
    """Return whether pictures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def need_matplotlib(option: str) -> None:
    """Raise if pictures that were asked for cannot be drawn."""
    if not have_matplotlib():
        raise UserError(f"{option} needs matplotlib, which is not installed")


def draw(
    directory: str,
    model: Module,
    test: Split,
    result: training.Evaluation,
    classes: Sequence[str],
    title: str,
    *,
    everything: bool,
) -> list[str]:
    """Draw the mistakes, or everything that can be drawn; return the names of the files."""
    from fastnn import plots

    def path(name: str) -> str:
        names.append(name)
        return os.path.join(directory, name)

    names: list[str] = []
    own = None if is_plain(model) else result.predictions
    plots.plot_mistakes(
        *test, result.outputs, path("mistakes.png"), predictions=own, title=f"{title}: "
    )
    if everything:
        matrix = training.confusion_matrix(test.y, result.predictions, len(classes))
        plots.plot_confusion(matrix, path("confusion.png"), classes=classes, title=title)
        if plots.first_filters(model, test.x.shape[1:]) is not None:
            plots.plot_filters(model, test.x.shape[1:], path("filters.png"), title=title)
        if plots.feature_maps(model, test.x[:1]):
            plots.plot_feature_maps(model, test.x[0], path("maps.png"), title=title)
    return names
