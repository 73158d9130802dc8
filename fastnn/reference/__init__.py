"""Every kernel of fastnn again in plain NumPy float64: the specification and the tests' oracle.

The functions have the names and the arguments of the compiled kernels, less ``out=`` and
``accumulate=``. They convert floating-point inputs to float64 and return float64, modify no
argument but ``mask_out``, check nothing and do not look for speed. Layouts are those of the
kernels: images NHWC, convolution weights OHWI, linear weights (out, in).

Letters: ``N`` batch, ``I`` and ``O`` features in and out, ``H W C`` and ``OH OW O`` the image
before and after, ``KH KW`` the window, ``G`` groups.
"""

from fastnn.reference.activations import (
    relu,
    relu_backward,
    scaled_tanh,
    scaled_tanh_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from fastnn.reference.convolution import (
    col2im,
    conv2d,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv_transpose2d,
    conv_transpose2d_backward_input,
    conv_transpose2d_backward_weight,
    im2col,
)
from fastnn.reference.losses import (
    mse,
    softmax,
    softmax_backward,
    softmax_cross_entropy,
)
from fastnn.reference.optimizers import (
    adadelta_step,
    adagrad_step,
    adam_step,
    rmsprop_step,
    sgd_step,
    vector_norm,
)
from fastnn.reference.pooling import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
    subsample2d,
    subsample2d_backward_coefficient,
    subsample2d_backward_input,
)
from fastnn.reference.products import (
    bias_backward,
    gemm,
    linear,
    matmul,
    pack,
)

__all__ = [
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
    "conv_transpose2d",
    "conv_transpose2d_backward_input",
    "conv_transpose2d_backward_weight",
    "gemm",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "im2col",
    "linear",
    "matmul",
    "max_pool2d",
    "max_pool2d_backward",
    "mse",
    "pack",
    "relu",
    "relu_backward",
    "rmsprop_step",
    "scaled_tanh",
    "scaled_tanh_backward",
    "sgd_step",
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
    "vector_norm",
]
