"""Ready-made models: perceptrons, LeNet, VGG; by function, or by name through `create`."""

from fastnn.models.count import (
    LayerCount,
    count_connections,
    count_layers,
    count_macs,
)
from fastnn.models.lenet import LENET5_CONNECTIONS, caffe_lenet, lenet5
from fastnn.models.lenet_historical import (
    DIGIT_CODES,
    LENET1_CONNECTIONS,
    Frame,
    lenet1,
    lenet5_1998,
)
from fastnn.models.mlp import mlp, mlp_squared
from fastnn.models.outputs import RBF, MeanSquaredClassifier, PenaltyClassifier
from fastnn.models.registry import ModelInfo, create, info, names
from fastnn.models.torchvision import load_torchvision, to_torchvision
from fastnn.models.vgg import Layer, vgg, vgg_layers

__all__ = [
    "DIGIT_CODES",
    "LENET1_CONNECTIONS",
    "LENET5_CONNECTIONS",
    "RBF",
    "Frame",
    "Layer",
    "LayerCount",
    "MeanSquaredClassifier",
    "ModelInfo",
    "PenaltyClassifier",
    "caffe_lenet",
    "count_connections",
    "count_layers",
    "count_macs",
    "create",
    "info",
    "lenet1",
    "lenet5",
    "lenet5_1998",
    "load_torchvision",
    "mlp",
    "mlp_squared",
    "names",
    "to_torchvision",
    "vgg",
    "vgg_layers",
]
