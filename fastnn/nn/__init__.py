"""Layers: ``y = layer(x)`` infers, ``y, backward = layer.forward(x)`` trains."""

from fastnn.nn.activation import ReLU, ScaledTanh, Sigmoid, Softmax, Tanh
from fastnn.nn.buffer import Buffer
from fastnn.nn.conv2d import Conv2d
from fastnn.nn.conv_transpose2d import ConvTranspose2d
from fastnn.nn.dropout import Dropout
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
from fastnn.nn.sequential import Sequential

__all__ = [
    "AvgPool2d",
    "Backward",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "GroupNorm",
    "LayerNorm",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "Module",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "ScaledTanh",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Subsample2d",
    "Tanh",
]
