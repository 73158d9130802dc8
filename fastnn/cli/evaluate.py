"""``fastnn eval``."""

from __future__ import annotations

import argparse
import os
from typing import Any

from fastnn import _core, training
from fastnn.cli import results
from fastnn.cli.catalog import load_data, load_model, shape
from fastnn.cli.errors import UserError, user_errors


def run(arguments: argparse.Namespace) -> int:
    """Evaluate a saved model."""
    with user_errors():
        if arguments.plot is not None:
            results.need_matplotlib("--plot")
        model, metadata = load_model(arguments.model)
        name = arguments.data or metadata["data"]
        test = load_data(name, arguments.data_dir, arguments.download).test
        _check_fit(metadata, name, test.x.shape[1:], int(test.y.max()))
        if arguments.threads:
            _core.set_num_threads(arguments.threads)
        if arguments.plot is not None:
            os.makedirs(arguments.plot, exist_ok=True)
        result = training.evaluate(model, *test)
    classes, title = metadata["classes"], f"{metadata['model']} on {name}"
    report = {"model": metadata["model"], "data": name}
    report |= results.summary(test, result, classes)
    if arguments.plot is not None:
        with user_errors(status=1):
            results.draw(arguments.plot, model, test, result, classes, title, everything=True)
    if arguments.json:
        results.print_json(report)
    else:
        print(title)
        results.print_summary(report)
    return 0


def _check_fit(metadata: dict[str, Any], name: str, image: tuple[int, ...], label: int) -> None:
    expected, classes = tuple(metadata["image_shape"]), metadata["classes"]
    if expected != image:
        raise UserError(
            f"the model takes images of {shape(expected)}, those of {name} have {shape(image)}"
        )
    if label >= len(classes):
        raise UserError(f"the model has {len(classes)} classes, {name} has label {label}")
