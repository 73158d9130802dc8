"""Ready-made models."""

from fastnn.models.lenet import LENET5_CONNECTIONS, lenet5
from fastnn.models.mlp import mlp
from fastnn.models.registry import ModelInfo, create, info, names

__all__ = ["LENET5_CONNECTIONS", "ModelInfo", "create", "info", "lenet5", "mlp", "names"]
