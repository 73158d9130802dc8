"""Ready-made models."""

from fastnn.models.lenet import LENET5_CONNECTIONS, lenet5
from fastnn.models.mlp import mlp, mlp_300, mlp_800
from fastnn.models.registry import ModelInfo, create, info, names
from fastnn.models.sign_targets import SignTargets

__all__ = [
    "LENET5_CONNECTIONS",
    "ModelInfo",
    "SignTargets",
    "create",
    "info",
    "lenet5",
    "mlp",
    "mlp_300",
    "mlp_800",
    "names",
]
