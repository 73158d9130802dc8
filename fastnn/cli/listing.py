"""``fastnn models``, ``fastnn data``, ``fastnn info``."""

from __future__ import annotations

import argparse
from typing import Any

from fastnn import _core
from fastnn.cli import results
from fastnn.cli.catalog import shape


def list_models(arguments: argparse.Namespace) -> int:
    """List the models with what they take."""
    from fastnn import models

    rows: list[dict[str, Any]] = []
    for name in models.names():
        info = models.info(name)
        rows.append(
            {
                "name": name,
                "input_shape": list(info.input_shape),
                "num_classes": info.num_classes,
                "loss": info.loss,
                "description": info.description,
            }
        )
    if arguments.json:
        results.print_json(rows)
    else:
        _print_table(rows, "input_shape")
    return 0


def list_data(arguments: argparse.Namespace) -> int:
    """List the data sets."""
    from fastnn import data

    rows: list[dict[str, Any]] = []
    for name in data.names():
        info = data.info(name)
        rows.append(
            {
                "name": name,
                "image_shape": list(info.image_shape),
                "num_classes": info.num_classes,
                "classes": list(info.classes),
                "description": info.description,
            }
        )
    if arguments.json:
        results.print_json(rows)
    else:
        _print_table(rows, "image_shape")
    return 0


def _print_table(rows: list[dict[str, Any]], sizes: str) -> None:
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        size = shape(tuple(row[sizes]))
        print(f"{row['name']:{width}}  {size:>9}  {row['num_classes']:>4}  {row['description']}")


def info(arguments: argparse.Namespace) -> int:
    """Show the configuration."""
    import fastnn

    if arguments.json:
        results.print_json(_core.get_config())
    else:
        fastnn.show_config()
    return 0
