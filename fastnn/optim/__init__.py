"""Optimizers: ``optimizer.step()`` applies the gradients of the last backward passes."""

from fastnn.optim.sgd import SGD

__all__ = ["SGD"]
