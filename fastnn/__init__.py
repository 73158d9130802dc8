"""Neural-network kernels for CPUs, forward and backward, on plain NumPy arrays.

The kernels are functions of this package: ``fastnn.conv2d`` and its siblings take and return NumPy
arrays. Built on them: `fastnn.nn` (layers), `fastnn.optim`, `fastnn.models`, `fastnn.data`,
`fastnn.init`, `fastnn.training`; `fastnn.reference` is every kernel again in plain NumPy. These are
imported when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastnn._core import (
    PackedMatrix,
    __version__,
    adadelta_step,
    adagrad_step,
    adam_step,
    avg_pool2d,
    avg_pool2d_backward,
    bias_backward,
    col2im,
    conv2d,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv_transpose2d,
    conv_transpose2d_backward_input,
    conv_transpose2d_backward_weight,
    gemm,
    get_config,
    get_conv2d_algorithms,
    get_conv_algorithm,
    get_num_threads,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    im2col,
    linear,
    matmul,
    max_pool2d,
    max_pool2d_backward,
    mse,
    pack,
    relu,
    relu_backward,
    rmsprop_step,
    scaled_tanh,
    scaled_tanh_backward,
    set_num_threads,
    sgd_step,
    sigmoid,
    sigmoid_backward,
    softmax,
    softmax_backward,
    softmax_cross_entropy,
    subsample2d,
    subsample2d_backward_coefficient,
    subsample2d_backward_input,
    tanh,
    tanh_backward,
    vector_norm,
)
from fastnn.gradcheck import GradcheckError, gradcheck
from fastnn.runtime import conv_algorithm, get_include, show_config, threads

if TYPE_CHECKING:
    from fastnn import data, init, io, models, nn, optim, plots, reference, training

_SUBMODULES = frozenset(
    ("data", "init", "io", "models", "nn", "optim", "plots", "reference", "training")
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"fastnn.{name}")
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})


__all__ = [
    "GradcheckError",
    "PackedMatrix",
    "__version__",
    "adadelta_step",
    "adagrad_step",
    "adam_step",
    "avg_pool2d",
    "avg_pool2d_backward",
    "bias_backward",
    "col2im",
    "conv2d",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv_algorithm",
    "conv_transpose2d",
    "conv_transpose2d_backward_input",
    "conv_transpose2d_backward_weight",
    "data",
    "gemm",
    "get_config",
    "get_conv2d_algorithms",
    "get_conv_algorithm",
    "get_include",
    "get_num_threads",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "gradcheck",
    "im2col",
    "init",
    "io",
    "linear",
    "matmul",
    "max_pool2d",
    "max_pool2d_backward",
    "models",
    "mse",
    "nn",
    "optim",
    "pack",
    "plots",
    "reference",
    "relu",
    "relu_backward",
    "rmsprop_step",
    "scaled_tanh",
    "scaled_tanh_backward",
    "set_num_threads",
    "sgd_step",
    "show_config",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "softmax_cross_entropy",
    "subsample2d",
    "subsample2d_backward_coefficient",
    "subsample2d_backward_input",
    "tanh",
    "tanh_backward",
    "threads",
    "training",
    "vector_norm",
]
