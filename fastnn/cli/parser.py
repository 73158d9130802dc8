"""The arguments of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from fastnn import _core, data, models
from fastnn.cli import bench, evaluate, listing, predict, train
from fastnn.cli.augment import AUGMENT_HELP, parse_augment
from fastnn.cli.recipes import OPTIMIZERS, SCHEDULE_HELP, SCHEDULES
from fastnn.cli.types import count, natural, one_of, rate


class _Parser(argparse.ArgumentParser):
    """Reports bad arguments in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fastnn: error: {' '.join(message.split())} (see {self.prog} --help)\n")


_MAIN = """\
examples:
  fastnn train lenet5 --out runs/lenet5          train on the digits that come with the package
  fastnn eval runs/lenet5                        how good the result is
  fastnn predict runs/lenet5 digit.png           what is on a picture
  fastnn resume runs/lenet5                      go on after Ctrl-C, a crash or a power failure

exit status:
  0    done
  1    the run failed: the loss became infinite or NaN, or a file could not be written
  2    bad arguments, or files that are missing, damaged or do not fit
  130  interrupted by Ctrl-C; what was learnt is saved if there is --out
  141  the reader of the output went away
"""
_TRAIN = """\
Train a model; print its test accuracy and the confusion matrix.

With --out DIR the model (model.npz), the figures of all epochs (history.json) and pictures
(curves.png, mistakes.png; needs matplotlib) are saved, and a checkpoint from which
'fastnn resume DIR' goes on to the same bits as if nothing had happened.
"""
_TRAIN_EXAMPLES = """\
examples:
  fastnn train lenet5 --out runs/lenet5
  fastnn train lenet5 --data mnist --data-dir ~/mnist --epochs 10
  fastnn train mlp --data fashion-mnist --download --optimizer adam --lr 0.001
  fastnn train lenet5 --data mnist --augment shift,elastic --schedule cosine

Defaults of the options depend on the model and the data: history.json has them as "recipe".
"""
_RESUME = """\
Go on with a run of 'fastnn train --out DIR' that was interrupted, killed or cut off, from its last
checkpoint. The results have the same bits as those of a run that was not.
"""
_EVAL = """\
Print the test accuracy and the confusion matrix of a model made by 'fastnn train'.
"""
_EVAL_EXAMPLES = """\
examples:
  fastnn eval runs/lenet5
  fastnn eval runs/lenet5/model.npz --data mnist --data-dir ~/mnist --json
  fastnn eval runs/lenet5 --plot pictures
"""
_PREDICT = """\
Say what is on images, with probabilities. An image becomes grey if the model's are, is padded to
their shape with its own background and resized; it is inverted if its background is bright and
those of the training images were dark. Formats: PGM, PPM, npy; with Pillow PNG, JPEG and others.
"""
_PREDICT_EXAMPLES = """\
examples:
  fastnn predict runs/lenet5 digit.png
  fastnn predict runs/lenet5/model.npz *.pgm --json
"""
_BENCH = """\
Time the main kernels against NumPy on this machine, in about ten seconds.
"""

Run = Callable[[argparse.Namespace], int]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; ``parse_args(...).run`` is the function of the command."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="fastnn",
        description="Small, fast, exact neural networks on NumPy.",
        epilog=_MAIN,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"fastnn {_core.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Run, short: str, text: str = "", examples: str = "") -> Any:
        added = commands.add_parser(
            name, help=short, description=text or short, epilog=examples, formatter_class=raw
        )
        added.set_defaults(run=run)
        return added.add_argument

    add = command("train", train.run, "train a model", _TRAIN, _TRAIN_EXAMPLES)
    _add_train(add)
    add = command("resume", train.resume, "go on with an interrupted run", _RESUME)
    add("out", metavar="DIR", help="directory of 'fastnn train --out'")
    add("--download", action="store_true", help="fetch the data if they are not there")
    _add_output(add)
    add = command("eval", evaluate.run, "evaluate a model", _EVAL, _EVAL_EXAMPLES)
    add("model", metavar="MODEL", help="file made by 'fastnn train --out', or its directory")
    _add_data(add, None)
    add("--plot", metavar="DIR", help="draw mistakes, confusion matrix, filters, feature maps")
    _add_common(add)
    add = command("predict", predict.run, "classify images", _PREDICT, _PREDICT_EXAMPLES)
    add("model", metavar="MODEL", help="file made by 'fastnn train --out', or its directory")
    add("image", metavar="IMAGE", nargs="+", help="image files")
    _add_common(add)
    add = command("models", listing.list_models, "list the models")
    _add_json(add)
    add = command("data", listing.list_data, "list the data sets")
    _add_json(add)
    add = command("bench", bench.run, "time the main kernels against NumPy", _BENCH)
    add("--seconds", type=rate, default=10.0, metavar="X", help="how long; default 10")
    _add_common(add)
    add = command("info", listing.info, "show version, instruction set and threads")
    _add_json(add)
    return parser


def _add_train(add: Any) -> None:
    names = models.names()
    add("model", metavar="MODEL", type=one_of("model", names), help=", ".join(names))
    _add_data(add, "digits")
    add("--epochs", type=count, metavar="N", help="passes over the training images")
    add("--batch-size", type=count, metavar="N", help="images per step")
    optimizers = tuple(OPTIMIZERS)
    add(
        "--optimizer",
        type=one_of("optimizer", optimizers),
        metavar="NAME",
        help=", ".join(optimizers),
    )
    add("--lr", type=rate, metavar="X", help="learning rate of the first step")
    add("--momentum", type=rate, metavar="X", help="of sgd and rmsprop, less than 1")
    add("--weight-decay", type=rate, metavar="X", help="factor of the penalty on weights")
    schedules = one_of("schedule", SCHEDULES)
    add("--schedule", type=schedules, metavar="NAME", help=SCHEDULE_HELP)
    add("--clip-norm", type=rate, metavar="X", help="largest norm of the gradients")
    add("--augment", type=_augment, metavar="NAMES", help=AUGMENT_HELP)
    add("--seed", type=natural, default=0, metavar="N", help="of all random numbers; default 0")
    add("--out", metavar="DIR", help="save everything there")
    _add_output(add)


def _add_output(add: Any) -> None:
    text = "batches between checkpoints; default: an epoch"
    add("--checkpoint-every", type=count, metavar="N", help=text)
    text = "draw confusion matrix, first filters and feature maps too"
    add("--plot", action="store_true", help=text)
    _add_common(add)


def _add_data(add: Any, default: str | None) -> None:
    names = data.names()
    text = f"{', '.join(names)}; default: {default or 'as trained'}"
    add("--data", type=one_of("data set", names), default=default, metavar="NAME", help=text)
    text = "where its files are; default: the environment variable FASTNN_DATA, or the cache"
    add("--data-dir", metavar="DIR", help=text)
    add("--download", action="store_true", help="fetch the files if they are not there")


def _add_common(add: Any) -> None:
    add("--threads", type=count, metavar="N", help="threads of the kernels; default: all")
    _add_json(add)


def _add_json(add: Any) -> None:
    add("--json", action="store_true", help="print JSON, for machines")


def _augment(text: str) -> str:
    try:
        return parse_augment(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
