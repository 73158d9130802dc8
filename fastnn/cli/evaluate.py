"""``fastnn eval``, and how results are printed."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING

from fastnn import _core, training
from fastnn.cli.catalog import load_data, load_model
from fastnn.cli.errors import user_errors

if TYPE_CHECKING:
    from fastnn._core import Array


def run(arguments: argparse.Namespace) -> int:
    """Evaluate a saved model."""
    with user_errors():
        model, metadata = load_model(arguments.model)
        name = arguments.data or metadata["data"]
        x, labels = load_data(name, arguments.data_dir).test
        if arguments.threads:
            _core.set_num_threads(arguments.threads)
    result = training.evaluate(model, x, labels)
    if not math.isfinite(result.loss):
        print("fastnn: warning: outputs of this model are not finite", file=sys.stderr)
    print(f"{metadata['model']} on {name}")
    print_result(labels, result.logits)
    return 0


def print_result(labels: Array, logits: Array) -> None:
    """Print accuracy and confusion matrix."""
    predictions = logits.argmax(1)
    matrix = training.confusion_matrix(labels, predictions, logits.shape[1])
    correct = int(matrix.trace())
    print(f"test accuracy {correct / len(labels):.2%} ({correct} of {len(labels)})")
    print("confusion matrix (row: label, column: prediction)")
    width = max(4, len(str(matrix.max())) + 1)
    print("   " + "".join(f"{j:{width}}" for j in range(len(matrix))))
    for i, row in enumerate(matrix.tolist()):
        print(f"{i:3}" + "".join(f"{n or '.':>{width}}" for n in row))
