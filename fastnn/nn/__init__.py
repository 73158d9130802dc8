"""Layers: ``y = layer(x)`` infers, ``y, backward = layer.forward(x)`` trains."""

from fastnn.nn.activation import LogSoftmax, ReLU, ScaledTanh, Sigmoid, Softmax, Tanh
from fastnn.nn.activations import (
    CELU,
    ELU,
    GELU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    Mish,
    ReLU6,
    SiLU,
    Softplus,
    Softsign,
    Threshold,
)
from fastnn.nn.buffer import Buffer
from fastnn.nn.conv2d import Conv2d
from fastnn.nn.conv_transpose2d import ConvTranspose2d
from fastnn.nn.dropout import Dropout
from fastnn.nn.embedding import Embedding
from fastnn.nn.flatten import Flatten
from fastnn.nn.linear import Linear
from fastnn.nn.module import Backward, Module
from fastnn.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    LayerNorm,
    LocalResponseNorm,
    RMSNorm,
)
from fastnn.nn.parameter import Parameter
from fastnn.nn.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d, Subsample2d
from fastnn.nn.prelu import PReLU
from fastnn.nn.rbf import RBF
from fastnn.nn.residual import Residual
from fastnn.nn.sequential import Sequential

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "RBF",
    "SELU",
    "AvgPool2d",
    "Backward",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool2d",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "MaxPool2d",
    "Mish",
    "Module",
    "PReLU",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "ReLU6",
    "Residual",
    "ScaledTanh",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Subsample2d",
    "Tanh",
    "Threshold",
]
