"""Optimizers: ``optimizer.step()`` applies the gradients of the last backward passes."""

from fastnn.optim.adadelta import Adadelta
from fastnn.optim.adagrad import Adagrad
from fastnn.optim.adam import Adam, AdamW
from fastnn.optim.clip import clip_grad_norm
from fastnn.optim.optimizer import Optimizer
from fastnn.optim.plateau import ReduceLROnPlateau
from fastnn.optim.rmsprop import RMSprop
from fastnn.optim.schedule import (
    CosineAnnealingLR,
    ExponentialLR,
    InverseLR,
    LinearLR,
    LinearWarmup,
    MultiStepLR,
    Schedule,
    StepLR,
)
from fastnn.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "InverseLR",
    "LinearLR",
    "LinearWarmup",
    "MultiStepLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "Schedule",
    "StepLR",
    "clip_grad_norm",
]
