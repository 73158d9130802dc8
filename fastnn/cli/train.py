"""``fastnn train`` and ``fastnn resume``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _core, data, training
from fastnn.cli import results
from fastnn.cli.augment import build_transform
from fastnn.cli.catalog import MODEL_FILE, build_model, load_data, pixels_of, save_model
from fastnn.cli.errors import UserError, user_errors
from fastnn.cli.interrupt import INTERRUPTED, StopOnInterrupt
from fastnn.cli.recipes import Recipe, build_optimizer, build_schedule, recipe_for
from fastnn.io import atomic_write, remove_leftovers

if TYPE_CHECKING:
    from fastnn.nn import Module

FORMAT = "fastnn run 1"
RUN_FILE, CHECKPOINT, HISTORY = "run.json", "checkpoint.npz", "history.json"


class Plan(NamedTuple):
    """What decides about the weights in the end, and is kept in the run's directory."""

    model: str
    data: str
    data_dir: str | None
    seed: int
    recipe: Recipe


class Job(NamedTuple):
    """A plan with everything it takes to carry it out."""

    plan: Plan
    model: Module
    options: dict[str, Any]
    train: data.Split
    test: data.Split
    classes: tuple[str, ...]


def run(arguments: argparse.Namespace) -> int:
    """Train a model, print its results, save them."""
    with user_errors():
        _check_options(arguments)
        given = {
            name: value
            for name in Recipe._fields
            if (value := getattr(arguments, name)) is not None
        }
        recipe = recipe_for(arguments.model, arguments.data, given)
        plan = Plan(arguments.model, arguments.data, arguments.data_dir, arguments.seed, recipe)
        job = _prepare(plan, arguments)
        if arguments.out is not None:
            _start_directory(arguments.out, plan)
    return _execute(job, arguments, resume=False)


def resume(arguments: argparse.Namespace) -> int:
    """Go on with a run where its last checkpoint is."""
    with user_errors():
        _check_options(arguments)
        plan = _read_plan(os.path.join(arguments.out, RUN_FILE))
        job = _prepare(plan, arguments)
    return _execute(job, arguments, resume=True)


def _check_options(arguments: argparse.Namespace) -> None:
    if arguments.plot:
        if arguments.out is None:
            raise UserError("--plot needs --out")
        results.need_matplotlib("--plot")
    if arguments.out is None and arguments.checkpoint_every is not None:
        raise UserError("--checkpoint-every needs --out")


def _prepare(plan: Plan, arguments: argparse.Namespace) -> Job:
    """Check everything that can be wrong before the first step."""
    info = data.info(plan.data)
    weights_rng, _ = np.random.default_rng(plan.seed).spawn(2)
    model, options = build_model(plan.model, info, weights_rng)
    if any(model.parameters()):
        build_optimizer(model, plan.recipe)  # or its errors would come after the data
    train, test = load_data(plan.data, plan.data_dir, arguments.download)
    if arguments.threads:
        _core.set_num_threads(arguments.threads)
    return Job(plan, model, options, train, test, tuple(info.classes))


def _execute(job: Job, arguments: argparse.Namespace, *, resume: bool) -> int:
    plan, out = job.plan, arguments.out
    print(
        f"{plan.model}, {job.model.num_parameters():,} parameters, on {plan.data}: "
        f"{len(job.train.x):,} training and {len(job.test.x):,} test images, "
        f"{_core.get_num_threads()} threads, seed {plan.seed}",
        file=sys.stderr,
    )
    history = _fit(job, out, arguments.checkpoint_every, resume)
    result = training.evaluate(job.model, *job.test)
    report = _report(job, history, result)
    if out is not None:
        with user_errors(status=1):
            saved = _save(out, job, report, result, everything=arguments.plot)
        print(f"saved in {out}: {', '.join(saved)}", file=sys.stderr)
        if report["interrupted"]:
            print(f"to go on: fastnn resume {out}", file=sys.stderr)
    if arguments.json:
        results.print_json(report)
    else:
        results.print_summary(report)
    return 130 if report["interrupted"] else 0


def _fit(job: Job, out: str | None, every: int | None, resume: bool) -> training.History:
    recipe, model = job.plan.recipe, job.model
    own = getattr(model, "fit", None)
    if own is not None:  # learns without gradients, in one go
        own(*job.train)
        return training.History()
    _, order_rng = np.random.default_rng(job.plan.seed).spawn(2)
    transform = build_transform(recipe.augment)
    batches = data.batches(
        *job.train,
        recipe.batch_size,
        shuffle=True,
        rng=order_rng,
        transform=transform,
        prefetch=2 if transform else 0,  # distorting a batch takes as long as a step
    )
    optimizer = build_optimizer(model, recipe)
    with StopOnInterrupt() as interrupt, user_errors(status=1):
        try:
            return training.fit(
                model,
                batches,
                job.test,
                optimizer=optimizer,
                epochs=recipe.epochs,
                schedule=build_schedule(optimizer, recipe, len(batches)),
                callbacks=[interrupt, training.ProgressDisplay("test")],
                clip_norm=recipe.clip_norm,
                checkpoint=None if out is None else os.path.join(out, CHECKPOINT),
                checkpoint_every=every,
                resume=resume,
                progress=False,
            )
        except FloatingPointError as error:
            text = str(error).removeprefix("fit: ")
            raise UserError(f"{text}; a smaller --lr may help", status=1) from error


def _report(job: Job, history: training.History, result: training.Evaluation) -> dict[str, Any]:
    plan = job.plan
    epochs = [
        {
            **{key.replace("validation", "test"): value for key, value in row._asdict().items()},
            "images_per_second": row.examples_per_second,
        }
        for row in history.epochs
    ]
    return {
        "fastnn": _core.__version__,
        "model": plan.model,
        "options": job.options,
        "data": plan.data,
        "seed": plan.seed,
        "recipe": plan.recipe._asdict(),
        "parameters": job.model.num_parameters(),
        "interrupted": history.stopped == INTERRUPTED,
        "epochs": epochs,
        **results.summary(job.test, result, job.classes),
    }


def _start_directory(directory: str, plan: Plan) -> None:
    """Make the output directory, see now whether files can be made in it, and note the plan."""
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass
    for name in (CHECKPOINT, RUN_FILE):
        remove_leftovers(os.path.join(directory, name))
    # first the checkpoint of an earlier run goes, so that it can never be taken for one of this
    if os.path.exists(path := os.path.join(directory, CHECKPOINT)):
        os.unlink(path)
    state = {"format": FORMAT, **plan._asdict(), "recipe": plan.recipe._asdict()}
    if plan.data_dir is not None:
        state["data_dir"] = os.path.abspath(plan.data_dir)
    _write_json(os.path.join(directory, RUN_FILE), state)


def _read_plan(path: str) -> Plan:
    with open(path, "rb") as file:
        try:
            state = json.load(file)
            if state["format"] != FORMAT:
                raise ValueError(f"format {state['format']!r}, expected {FORMAT!r}")
            recipe = Recipe(**state["recipe"])
            return Plan(**{name: state[name] for name in Plan._fields} | {"recipe": recipe})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not the file of a run ({error})") from error


def _write_json(path: str, value: Any) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(value, indent=1, allow_nan=False).encode() + b"\n")


def _save(
    directory: str,
    job: Job,
    report: dict[str, Any],
    result: training.Evaluation,
    *,
    everything: bool,
) -> list[str]:
    """Write all files and return their names."""
    metadata = {key: value for key, value in report.items() if key != "epochs"}
    metadata |= {
        "image_shape": list(job.train.x.shape[1:]),
        "classes": list(job.classes),
        "pixels": pixels_of(job.train.x),
    }
    save_model(os.path.join(directory, MODEL_FILE), job.model, metadata)
    _write_json(os.path.join(directory, HISTORY), report)
    saved = [MODEL_FILE, HISTORY]
    if not results.have_matplotlib():
        print("no pictures: matplotlib is not installed", file=sys.stderr)
        return saved
    if report["epochs"]:
        from fastnn import plots

        plots.plot_curves(report, os.path.join(directory, "curves.png"))
        saved.append("curves.png")
    title = f"{job.plan.model} on {job.plan.data}"
    return saved + results.draw(
        directory, job.model, job.test, result, job.classes, title, everything=everything
    )
