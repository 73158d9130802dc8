"""Ready-made models."""

from fastnn.models.counting import (
    LayerCounts,
    count_connections,
    count_layers,
    count_macs,
    summary,
)
from fastnn.models.digit_codes import DIGIT_CODES
from fastnn.models.lenet import LENET5_CONNECTIONS, lenet5, lenet_caffe
from fastnn.models.lenet_1998 import (
    LENET1_CONNECTIONS,
    LeNet5,
    PixelRange,
    lenet1,
    lenet5_1998,
    map_loss,
)
from fastnn.models.mlp import mlp, mlp_300, mlp_800
from fastnn.models.registry import ModelInfo, create, info, names
from fastnn.models.sign_targets import SignTargets
from fastnn.models.torchvision import load_torchvision, to_torchvision
from fastnn.models.vgg import VGG, VGG_CONFIGURATIONS, vgg

__all__ = [
    "DIGIT_CODES",
    "LENET1_CONNECTIONS",
    "LENET5_CONNECTIONS",
    "VGG",
    "VGG_CONFIGURATIONS",
    "LayerCounts",
    "LeNet5",
    "ModelInfo",
    "PixelRange",
    "SignTargets",
    "count_connections",
    "count_layers",
    "count_macs",
    "create",
    "info",
    "lenet1",
    "lenet5",
    "lenet5_1998",
    "lenet_caffe",
    "load_torchvision",
    "map_loss",
    "mlp",
    "mlp_300",
    "mlp_800",
    "names",
    "summary",
    "to_torchvision",
    "vgg",
]
