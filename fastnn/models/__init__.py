"""Ready-made models."""

from fastnn.models.lenet import LENET5_CONNECTIONS, lenet5
from fastnn.models.mlp import mlp

__all__ = ["LENET5_CONNECTIONS", "lenet5", "mlp"]
