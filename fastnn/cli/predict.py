"""``fastnn predict``."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fastnn import _core, training
from fastnn.cli import results
from fastnn.cli.catalog import load_model
from fastnn.cli.errors import user_errors
from fastnn.cli.images import fit_image, read_image


def run(arguments: argparse.Namespace) -> int:
    """Say what is on images."""
    with user_errors():
        model, metadata = load_model(arguments.model)
        if arguments.threads:
            _core.set_num_threads(arguments.threads)
        shape = tuple(metadata["image_shape"])
        images = [
            fit_image(read_image(path), shape, metadata["pixels"]) for path in arguments.image
        ]
        x = np.concatenate(images)
        outputs = training.outputs(model, x)
        predictions = training.predict(model, x)
    classes = metadata["classes"]
    # scores that are no logits say nothing about probabilities
    scores = _core.softmax(outputs) if results.is_plain(model) else None
    rows = []
    for i, (path, label) in enumerate(zip(arguments.image, predictions.tolist(), strict=True)):
        row: dict[str, Any] = {"file": path, "class": label, "name": str(classes[label])}
        if scores is not None:
            row["probability"] = float(scores[i, label])
            row["probabilities"] = scores[i].tolist()
        rows.append(row)
    if arguments.json:
        results.print_json(rows)
        return 0
    for i, row in enumerate(rows):
        print(
            f"{row['file']}: {row['name']}{'' if scores is None else _others(scores[i], classes)}"
        )
    return 0


def _others(scores: Any, classes: list[str]) -> str:
    """Return the probability of the first class, and the two that come next."""
    first, *others = np.argsort(-scores, kind="stable")[:3]
    text = ", ".join(f"{classes[i]} {scores[i]:.1%}" for i in others)
    return f" ({scores[first]:.1%}; {text})"
