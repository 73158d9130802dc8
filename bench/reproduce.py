"""Train the networks of published figures, each with a fixed seed, and print both figures.

The four files of MNIST are read from ``--data-dir``, else from the folder that FASTNN_DATA names.
Nothing here looks at the test images but the one evaluation after the training: what is to be
chosen is chosen with ``--held-out``, which trains on the first 55,000 images and evaluates on the
other 5,000.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastnn
from fastnn import data, models, optim
from fastnn.data import transforms

HELD_OUT = 5000
VGG = "vgg"
"""The row that is a comparison with PyTorch, and not with a paper."""


class Row(NamedTuple):
    """A published figure, and how the network is trained here."""

    name: str
    network: str
    published: str
    floor: float
    """The accuracy to reach, in percent."""
    model: Callable[..., Any]
    """Called with ``rng=``."""
    training: str
    """Everything below in words."""
    epochs: int
    batch_size: int
    optimizer: Callable[[Any], optim.Optimizer]
    schedule: Callable[[optim.Optimizer, int], optim.Schedule]
    """Called with the optimizer and the number of steps; stepped after every batch."""
    steps: int | None = None
    """Where to end, if that is within an epoch."""
    seconds: float = math.inf
    """How long the training may take on two cores."""
    pixels: tuple[float, float] = (0.1307, 0.3081)
    """Mean and standard deviation: images are (pixel / 255 - mean) / deviation."""
    transform: Callable[..., Any] | None = None


class Result(NamedTuple):
    """How one training ended."""

    seed: int
    accuracy: float
    """Percent."""
    seconds: float
    """Of the training alone: no data are read in it, nothing is evaluated."""
    cpu_seconds: float
    """Of all threads; on a machine that others use too, less than the seconds."""


def sgd(lr: float, momentum: float = 0.9, weight_decay: float = 0.0) -> Callable[..., optim.SGD]:
    """Return what makes the optimizer of a model."""
    return lambda model: optim.SGD(model, lr, momentum=momentum, weight_decay=weight_decay)


def caffe_solver(model: Any) -> optim.SGD:
    """Return the optimizer of Caffe's lenet_solver.prototxt: biases learn twice as fast."""
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if name.endswith("bias") is bias], "lr": lr}
        for bias, lr in ((False, 0.01), (True, 0.02))
    ]
    return optim.SGD(groups, momentum=0.9, weight_decay=5e-4)


def to_zero(optimizer: optim.Optimizer, steps: int) -> optim.Schedule:
    """Return the schedule that falls straight to 0."""
    return optim.LinearLR(optimizer, 1.0, 0.0, steps)


def one_cycle(optimizer: optim.Optimizer, steps: int) -> optim.Schedule:
    """Return a rise over a tenth of the steps, and a straight fall to 0."""
    warmup = steps // 10
    return optim.LinearWarmup(optim.LinearLR(optimizer, 1.0, 0.0, steps - warmup), warmup)


def caffe_rates(optimizer: optim.Optimizer, steps: int) -> optim.Schedule:
    """Return Caffe's policy "inv"."""
    return optim.InverseLR(optimizer, 1e-4, 0.75)


DISTORTIONS = transforms.Elastic(
    5.0, 30.0, affine=transforms.Affine(rotate=10, scale=0.1, shear=8, translate=1.5)
)

ROWS = (
    Row(
        "lenet5-10s",
        "LeNet-5 as used today, in seconds",
        "(98.5 % in 10 s)",
        98.5,
        models.lenet5,
        "SGD, momentum 0.9, lr 0.03 after a warm-up, to 0; batch 64, 2 passes",
        *(2, 64, sgd(0.03), one_cycle),
        seconds=10,
    ),
    Row(
        "mlp-300",
        "784-300-10, tanh, squared error",
        "4.7 % error",
        95.3,
        models.mlp_300,
        "SGD, lr 0.01 to 0; batch 32, 10 passes",
        *(10, 32, sgd(0.01, 0.0), to_zero),
    ),
    Row(
        "lenet5-60s",
        "LeNet-5 as used today, 10 passes",
        "(99.0 % in 60 s)",
        99.0,
        models.lenet5,
        "SGD, momentum 0.9, lr 0.05 after a warm-up, to 0, decay 2e-4; batch 64, 10 passes, "
        "moved by up to a pixel",
        *(10, 64, sgd(0.05, weight_decay=2e-4), one_cycle),
        seconds=60,
        transform=transforms.Shift(1),
    ),
    Row(
        "mlp-800",
        "784-800-10, cross-entropy",
        "1.6 % error",
        98.3,
        models.mlp_800,
        "SGD, momentum 0.9, lr 0.1 to 0, decay 2e-4; batch 64, 12 passes",
        *(12, 64, sgd(0.1, weight_decay=2e-4), to_zero),
    ),
    Row(
        "lenet1",
        "LeNet-1",
        "1.7 % error",
        98.3,
        models.lenet1,
        "SGD, momentum 0.9, lr 0.01 after a warm-up, to 0; batch 32, 20 passes",
        *(20, 32, sgd(0.01), one_cycle),
    ),
    Row(
        "lenet5-1998",
        "LeNet-5 of 1998, 20 passes",
        "0.95 % error",
        98.9,
        models.lenet5_1998,
        "SGD, momentum 0.9, lr 0.001 to 0; batch 32, 20 passes",
        *(20, 32, sgd(0.001), to_zero),
    ),
    Row(
        "lenet-caffe",
        "Caffe's LeNet, its solver, 10,000 steps",
        "0.9 % error",
        99.0,
        models.lenet_caffe,
        "SGD, momentum 0.9, lr 0.01 (1 + 1e-4 t)^-0.75, biases twice that, decay 5e-4; batch 64, "
        "10,000 steps",
        *(11, 64, caffe_solver, caffe_rates),
        steps=10_000,
        pixels=(0.0, 256 / 255),
    ),
    Row(
        "lenet5-distorted",
        "LeNet-5 with distortions",
        "0.8 % error",
        99.2,
        models.lenet5,
        "SGD, momentum 0.9, lr 0.03 after a warm-up, to 0; batch 64, 20 passes, distorted anew "
        "in each",
        *(20, 64, sgd(0.03), one_cycle),
        transform=DISTORTIONS,
    ),
)


class StopAfter(fastnn.training.Callback):
    """End a run after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_batch(self, run: Any) -> None:
        """Count."""
        self.left -= 1
        if not self.left:
            run.stop("as many steps as asked for")


def load(name: str, directory: str | None, pixels: tuple[float, float]) -> data.Dataset:
    """Return MNIST, or the embedded digits, with such pixels."""
    mean, deviation = pixels
    if name == "digits":
        splits = data.load_digits(normalize=False)
        return data.Dataset(*(s._replace(x=(s.x - mean) / deviation) for s in splits))
    folder = Path(directory or os.environ.get("FASTNN_DATA") or ".")
    below = folder / name
    return data.load_mnist(below if below.is_dir() else folder, mean=mean, std=deviation)


def hold_out(dataset: data.Dataset) -> data.Dataset:
    """Return another data set, without the test images: the last training images test."""
    (x, y), cut = dataset.train, len(dataset.train.y) - HELD_OUT
    return data.Dataset(data.Split(x[:cut], y[:cut]), data.Split(x[cut:], y[cut:]))


def train(
    row: Row, dataset: data.Dataset, seed: int, limit: int | None = None, progress: bool = False
) -> Result:
    """Train the network of a row and evaluate it once; `limit` ends the training early."""
    orders, weights = np.random.SeedSequence(seed).spawn(2)
    model = row.model(rng=weights)
    loader = data.batches(
        *dataset.train,
        row.batch_size,
        shuffle=True,
        rng=orders,
        transform=row.transform,
        prefetch=4 if row.transform else 0,
    )
    steps = row.steps or row.epochs * len(loader)
    optimizer = row.optimizer(model)
    schedule = row.schedule(optimizer, steps)
    ends = [StopAfter(min(steps, limit or steps))]
    begin, cpu_begin = time.perf_counter(), time.process_time()
    fastnn.fit(
        model,
        loader,
        optimizer=optimizer,
        schedule=schedule,
        epochs=row.epochs,
        callbacks=ends,
        progress=progress,
    )
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
    accuracy = 100 * fastnn.evaluate(model, *dataset.test).accuracy
    return Result(seed, accuracy, seconds, cpu_seconds)


def record(row: Row, results: Sequence[Result]) -> dict[str, Any]:
    """Return what is known about a row, as JSON can express it."""
    accuracy = statistics.fmean(r.accuracy for r in results)
    seconds = statistics.fmean(r.seconds for r in results)
    return {
        "row": row.name,
        "network": row.network,
        "training": row.training,
        "published": row.published,
        "floor": row.floor,
        "error": 100 - accuracy,
        "accuracy": accuracy,
        "seconds": seconds,
        "cpu_seconds": statistics.fmean(r.cpu_seconds for r in results),
        "threads": fastnn.get_num_threads(),
        "reached": accuracy >= row.floor and seconds <= row.seconds,
        "runs": [r._asdict() for r in results],
    }


def line(entry: dict[str, Any]) -> str:
    """Return a row of the table."""
    errors = [100 - run["accuracy"] for run in entry["runs"]]
    several = f" ({min(errors):.2f} to {max(errors):.2f})" if len(errors) > 1 else ""
    ours = f"{entry['error']:.2f} % error{several}"
    missed = "" if entry["reached"] else ", missed"
    return f"{entry['network']} | {entry['published']} | {ours}{missed} | {entry['seconds']:.1f}"


def save(path: str, entries: Sequence[dict[str, Any]]) -> None:
    """Write all rows so far; the file is replaced at once."""
    with fastnn.io.atomic_write(path) as file:
        file.write((json.dumps(entries, indent=1) + "\n").encode())


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*(row.name for row in ROWS), VGG]
    parser.add_argument("--rows", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--data-dir", help="where the files are; default: FASTNN_DATA")
    parser.add_argument("--data", choices=("mnist", "digits"), default="mnist")
    parser.add_argument("--seed", type=int, default=0, help="the first one; default 0")
    parser.add_argument("--seeds", type=int, default=1, help="how many; rows are means of all")
    parser.add_argument("--json", metavar="FILE", help="written after every training")
    parser.add_argument("--steps", type=int, help="end every training after so many steps")
    parser.add_argument("--held-out", action="store_true", help="leave the test images alone")
    parser.add_argument(
        "--vgg-seconds", type=float, default=60, help="for each of the two networks; default 60"
    )
    parser.add_argument("--progress", action="store_true", help="a line for every epoch")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the rows that were asked for; 1 if one does not reach its figure."""
    options = parse(arguments)
    rows = [row for row in ROWS if row.name in options.rows]
    print("row | published | ours | seconds", flush=True)
    entries: list[dict[str, Any]] = []
    for row in rows:
        dataset = load(options.data, options.data_dir, row.pixels)
        if options.held_out:
            dataset = hold_out(dataset)
        results: list[Result] = []
        for seed in range(options.seed, options.seed + options.seeds):
            results.append(train(row, dataset, seed, options.steps, options.progress))
            if options.json:
                save(options.json, [*entries, record(row, results)])
        entries.append(record(row, results))
        print(line(entries[-1]), flush=True)
    if VGG in options.rows:
        import reproduce_vgg

        dataset = data.load("cifar10", directory=options.data_dir)
        entries.append(reproduce_vgg.compare(dataset, options.seed, options.vgg_seconds))
        print(line(entries[-1]), flush=True)
        if options.json:
            save(options.json, entries)
    return 0 if all(entry["reached"] for entry in entries) else 1


if __name__ == "__main__":
    sys.exit(main())
