"""Layers: ``y = layer(x)`` infers, ``y, backward = layer.forward(x)`` trains."""

from fastnn.nn.activation import ReLU, ScaledTanh, Sigmoid, Softmax, Tanh
from fastnn.nn.conv2d import Conv2d
from fastnn.nn.conv_transpose2d import ConvTranspose2d
from fastnn.nn.flatten import Flatten
from fastnn.nn.linear import Linear
from fastnn.nn.module import Backward, Module
from fastnn.nn.parameter import Parameter
from fastnn.nn.pool import AvgPool2d, GlobalAvgPool2d, MaxPool2d, Subsample2d
from fastnn.nn.sequential import Sequential

__all__ = [
    "AvgPool2d",
    "Backward",
    "Conv2d",
    "ConvTranspose2d",
    "Flatten",
    "GlobalAvgPool2d",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "ScaledTanh",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Subsample2d",
    "Tanh",
]
