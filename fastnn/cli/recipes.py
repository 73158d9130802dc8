"""How models are trained unless the command line says otherwise."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import optim

if TYPE_CHECKING:
    from fastnn.nn import Module

OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "rmsprop": optim.RMSprop,
    "adagrad": optim.Adagrad,
    "adadelta": optim.Adadelta,
}
RATES = {"sgd": 0.02, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3, "adagrad": 1e-2, "adadelta": 1}
SCHEDULES = ("linear", "cosine", "step", "inverse", "constant")
SCHEDULE_HELP = (
    "how the learning rate changes: linear and cosine fall to 0, step falls by 10 after each third "
    "of the epochs, inverse is Caffe's, constant stays"
)


class Recipe(NamedTuple):
    """How to train."""

    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "linear"
    clip_norm: float | None = None
    augment: str = ""


RECIPES = {
    ("lenet5", "digits"): Recipe(12, 32),
    ("lenet5", "mnist"): Recipe(3),
    ("mlp", "digits"): Recipe(15, 32, lr=0.05),
    ("mlp", "mnist"): Recipe(5, lr=0.05),
    ("mlp", "fashion-mnist"): Recipe(10, lr=0.05),
}
FAMILIES = {
    "lenet1": Recipe(20, 32),
    "lenet5-1998": Recipe(20, 32, lr=0.0005),  # a sum over 84 units, as in the paper
    "mlp-300": Recipe(20, 32, lr=0.01, momentum=0.0),  # a sum over tanh units, easily saturated
    "mlp-800": Recipe(lr=0.05),
    "mlp": Recipe(lr=0.01),
    "vgg": Recipe(20, lr=0.01, weight_decay=5e-4, clip_norm=5.0, augment="flip,crop"),
}


def recipe_for(model: str, data: str, given: dict[str, Any]) -> Recipe:
    """Return the recipe of a model on a data set, changed by the options that were given."""
    family = next((recipe for name, recipe in FAMILIES.items() if model.startswith(name)), Recipe())
    if not data.startswith("cifar"):
        family = family._replace(augment="")  # a digit that was flipped is none
    recipe = RECIPES.get((model, data), family)
    optimizer = given.get("optimizer", recipe.optimizer)
    if optimizer != recipe.optimizer:
        recipe = recipe._replace(optimizer=optimizer, lr=RATES[optimizer])
    if optimizer != "sgd":
        recipe = recipe._replace(momentum=0.0)
        if given.get("momentum") and optimizer != "rmsprop":
            raise ValueError(f"{optimizer} has no --momentum")
    return recipe._replace(**given)


def build_optimizer(model: Module, recipe: Recipe) -> optim.Optimizer:
    """Return the optimizer of a recipe."""
    options: dict[str, Any] = {"weight_decay": recipe.weight_decay}
    if recipe.momentum:
        options["momentum"] = recipe.momentum
    return OPTIMIZERS[recipe.optimizer](model, lr=recipe.lr, **options)


def build_schedule(
    optimizer: optim.Optimizer, recipe: Recipe, steps_per_epoch: int
) -> optim.Schedule | None:
    """Return the schedule of a recipe, stepped after every batch."""
    steps = max(recipe.epochs * steps_per_epoch, 1)
    third = -(-recipe.epochs // 3) * steps_per_epoch
    make: dict[str, Callable[[], optim.Schedule | None]] = {
        "linear": functools.partial(optim.LinearLR, optimizer, 1.0, 0.0, steps),
        "cosine": functools.partial(optim.CosineAnnealingLR, optimizer, steps),
        "step": functools.partial(optim.StepLR, optimizer, third),
        "inverse": functools.partial(optim.InverseLR, optimizer),
        "constant": lambda: None,
    }
    return make[recipe.schedule]()
