"""The arguments of the command line."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn

from fastnn import _core
from fastnn.cli import evaluate, train
from fastnn.cli.catalog import DATA, MODELS


class _Parser(argparse.ArgumentParser):
    """Reports bad arguments in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastnn: error: {' '.join(message.split())} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; ``parse_args(...).run`` is the function of the command."""
    parser = _Parser(prog="fastnn", description="Small, fast, exact neural networks on NumPy.")
    parser.add_argument("--version", action="version", version=f"fastnn {_core.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_train(commands.add_parser("train", help="train a model", description=_TRAIN))
    _add_eval(commands.add_parser("eval", help="evaluate a model", description=_EVAL))
    info = commands.add_parser(
        "info", help="show version, instruction set and threads", description=_INFO
    )
    info.set_defaults(run=_info)
    return parser


_TRAIN = "Train a model; print its test accuracy and the confusion matrix."
_EVAL = "Print the test accuracy and the confusion matrix of a model made by 'fastnn train'."
_INFO = "Show version, compiler, instruction set and threads."


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", choices=MODELS, help=" or ".join(MODELS))
    _add_data(parser, "digits")
    add = parser.add_argument
    add("--epochs", type=_count, metavar="N", help="passes over the training images")
    add("--batch-size", type=_count, metavar="N", help="images per step")
    add("--lr", type=_rate, metavar="X", help="learning rate of the first step; it falls to 0")
    add("--momentum", type=_rate, metavar="X", help="momentum of SGD, less than 1")
    add("--seed", type=_natural, default=0, metavar="N", help="of all random numbers; default 0")
    add("--threads", type=_count, metavar="N", help="threads of the kernels; default: all")
    add("--out", metavar="DIR", help="save model.npz, history.json and pictures there")
    parser.epilog = "Defaults of epochs, batch size, lr, momentum: " + "; ".join(
        f"{model} on {data}: {', '.join(map(str, recipe))}"
        for (model, data), recipe in train.RECIPES.items()
    )
    parser.set_defaults(run=train.run)


def _add_eval(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL.npz", help="file made by 'fastnn train --out'")
    _add_data(parser, None)
    parser.add_argument("--threads", type=_count, metavar="N", help="default: all")
    parser.set_defaults(run=evaluate.run)


def _add_data(parser: argparse.ArgumentParser, default: str | None) -> None:
    text = "the built-in 8 x 8 digits, or MNIST from files; default: "
    parser.add_argument(
        "--data", choices=DATA, default=default, help=text + (default or "as trained")
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where the four MNIST files are; default: the environment variable FASTNN_DATA",
    )


def _info(arguments: argparse.Namespace) -> int:
    import fastnn

    fastnn.show_config()
    return 0


def _natural(text: str) -> int:
    """Parse an integer of at least 0."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected an integer, got {text!r}") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected at least 0, got {value}")
    return value


def _count(text: str) -> int:
    """Parse an integer of at least 1."""
    value = _natural(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def _rate(text: str) -> float:
    """Parse a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a finite number of at least 0, got {text}")
    return value
