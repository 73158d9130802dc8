"""Ready-made models."""

from fastnn.models.lenet import lenet5
from fastnn.models.mlp import mlp

__all__ = ["lenet5", "mlp"]
