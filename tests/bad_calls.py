"""One correct call of every kernel, to be spoiled, and what must happen then."""

import re

import numpy as np
import pytest

import fastnn

F32, F64 = np.float32, np.float64


def f32(*shape):
    return np.ones(shape, dtype=F32)


def u8(*shape):
    return np.zeros(shape, dtype=np.uint8)


def f64(*shape):
    return np.ones(shape, dtype=F64)


HYPER = np.array([0.1, 0.9, 0.0])
LABELS = np.array([0, 1, 2])

# A correct call of every kernel: positional array arguments by name, then the rest.
GOOD = {
    "gemm": ({"a": f32(3, 4), "b": f32(4, 5)}, {}, (3, 5)),
    "matmul": ({"a": f32(3, 4), "b": f32(4, 5)}, {}, (3, 5)),
    "pack": ({"w": f32(5, 4)}, {}, None),
    "linear": ({"x": f32(3, 4), "w": f32(5, 4), "b": f32(5)}, {}, (3, 5)),
    "bias_backward": ({"dy": f32(3, 5)}, {}, (5,)),
    "conv2d": ({"x": f32(2, 5, 6, 3), "w": f32(4, 3, 2, 3), "b": f32(4)}, {}, (2, 3, 5, 4)),
    "conv2d_backward_input": (
        {"dy": f32(2, 3, 5, 4), "w": f32(4, 3, 2, 3)},
        {"x_shape": (2, 5, 6, 3)},
        (2, 5, 6, 3),
    ),
    "conv2d_backward_weight": (
        {"dy": f32(2, 3, 5, 4), "x": f32(2, 5, 6, 3)},
        {"w_shape": (4, 3, 2, 3)},
        (4, 3, 2, 3),
    ),
    "conv_transpose2d": (
        {"x": f32(2, 5, 6, 3), "w": f32(3, 3, 2, 4), "b": f32(4)},
        {},
        (2, 7, 7, 4),
    ),
    "conv_transpose2d_backward_input": (
        {"dy": f32(2, 7, 7, 4), "w": f32(3, 3, 2, 4)},
        {},
        (2, 5, 6, 3),
    ),
    "conv_transpose2d_backward_weight": (
        {"dy": f32(2, 7, 7, 4), "x": f32(2, 5, 6, 3)},
        {"w_shape": (3, 3, 2, 4)},
        (3, 3, 2, 4),
    ),
    "im2col": ({"x": f32(2, 5, 6, 3)}, {"kernel_size": (3, 2)}, (30, 18)),
    "col2im": (
        {"cols": f32(30, 18)},
        {"x_shape": (2, 5, 6, 3), "kernel_size": (3, 2)},
        (2, 5, 6, 3),
    ),
    "max_pool2d": ({"x": f32(2, 5, 6, 3)}, {"kernel_size": 2}, (2, 2, 3, 3)),
    "max_pool2d_backward": (
        {"dy": f32(2, 2, 3, 3), "indices": u8(2, 2, 3, 3)},
        {"x_shape": (2, 5, 6, 3), "kernel_size": 2},
        (2, 5, 6, 3),
    ),
    "avg_pool2d": ({"x": f32(2, 5, 6, 3)}, {"kernel_size": 2}, (2, 2, 3, 3)),
    "avg_pool2d_backward": (
        {"dy": f32(2, 2, 3, 3)},
        {"x_shape": (2, 5, 6, 3), "kernel_size": 2},
        (2, 5, 6, 3),
    ),
    "global_avg_pool2d": ({"x": f32(2, 5, 6, 3)}, {}, (2, 3)),
    "global_avg_pool2d_backward": ({"dy": f32(2, 3)}, {"x_shape": (2, 5, 6, 3)}, (2, 5, 6, 3)),
    "subsample2d": (
        {"x": f32(2, 5, 6, 3), "coefficient": f32(3), "bias": f32(3)},
        {},
        (2, 2, 3, 3),
    ),
    "subsample2d_backward_input": (
        {"dy": f32(2, 2, 3, 3), "coefficient": f32(3)},
        {"x_shape": (2, 5, 6, 3)},
        (2, 5, 6, 3),
    ),
    "subsample2d_backward_coefficient": (
        {"dy": f32(2, 2, 3, 3), "x": f32(2, 5, 6, 3)},
        {},
        (3,),
    ),
    "batch_norm": ({"x": f32(3, 5), "weight": f32(5), "bias": f32(5)}, {}, (3, 5)),
    "batch_norm_backward": (
        {"dy": f32(3, 5), "x": f32(3, 5), "mean": f64(5), "inv_std": f64(5), "weight": f32(5)},
        {},
        (3, 5),
    ),
    "group_norm": ({"x": f32(3, 6)}, {"num_groups": 2}, (3, 6)),
    "group_norm_backward": (
        {"dy": f32(3, 6), "x": f32(3, 6), "mean": f64(3, 2), "inv_std": f64(3, 2)},
        {},
        (3, 6),
    ),
    "layer_norm": ({"x": f32(3, 5)}, {"normalized_shape": 5}, (3, 5)),
    "layer_norm_backward": (
        {"dy": f32(3, 5), "x": f32(3, 5), "mean": f64(3), "inv_std": f64(3), "weight": f32(5)},
        {},
        (3, 5),
    ),
    "rms_norm": ({"x": f32(3, 5)}, {"normalized_shape": (5,)}, (3, 5)),
    "rms_norm_backward": (
        {"dy": f32(3, 5), "x": f32(3, 5), "inv_rms": f64(3), "weight": f32(5)},
        {},
        (3, 5),
    ),
    "local_response_norm": ({"x": f32(3, 5)}, {"size": 3}, (3, 5)),
    "local_response_norm_backward": ({"dy": f32(3, 5), "x": f32(3, 5)}, {"size": 3}, (3, 5)),
    "dropout": ({"x": f32(3, 5)}, {"seed": 1}, (3, 5)),
    "dropout_backward": ({"dy": f32(3, 5)}, {"seed": 1}, (3, 5)),
    **{
        name: ({"x": f32(3, 5)}, {}, (3, 5))
        for name in ("relu", "sigmoid", "tanh", "scaled_tanh", "leaky_relu", "elu", "gelu")
    },
    **{
        name + "_backward": ({"dy": f32(3, 5), "y": f32(3, 5)}, {}, (3, 5))
        for name in ("relu", "sigmoid", "tanh", "scaled_tanh", "elu", "softmax", "log_softmax")
    },
    "gelu_backward": ({"dy": f32(3, 5), "x": f32(3, 5)}, {}, (3, 5)),
    "softmax": ({"x": f32(3, 5)}, {}, (3, 5)),
    "log_softmax": ({"x": f32(3, 5)}, {}, (3, 5)),
    "logsumexp": ({"x": f32(3, 5)}, {}, (3,)),
    "logsumexp_backward": ({"dy": f32(3), "x": f32(3, 5), "y": f32(3)}, {}, (3, 5)),
    "softmax_cross_entropy": ({"logits": f32(3, 5), "labels": LABELS}, {}, (3, 5)),
    "nll": ({"log_probabilities": f32(3, 5), "labels": LABELS}, {}, (3, 5)),
    "multi_margin": ({"scores": f32(3, 5), "labels": LABELS}, {}, (3, 5)),
    **{
        name: ({"y": f32(3, 5), "t": f32(3, 5)}, {}, (3, 5))
        for name in ("mse", "l1", "huber", "hinge")
    },
    "bce_with_logits": ({"logits": f32(3, 5), "targets": f32(3, 5)}, {}, (3, 5)),
    "sgd_step": ({"w": f32(5), "dw": f32(5), "v": f32(5), "hyper": HYPER}, {}, None),
    **{
        name: ({**{b: f32(5) for b in buffers.split()}, "hyper": np.full(size, 0.5)}, {}, None)
        for name, buffers, size in (
            ("adam_step", "w dw m v vmax", 6),
            ("rmsprop_step", "w dw v mean b", 5),
            ("adagrad_step", "w dw v", 5),
            ("adadelta_step", "w dw v d", 4),
        )
    },
    "vector_norm": ({"x": f32(3, 5)}, {}, None),
}
IN_PLACE = {  # kernels whose out may be exactly an input
    name
    for name in GOOD
    if re.match(
        r"relu|sigmoid|tanh|scaled_tanh|leaky|elu|gelu|(log_)?softmax|nll|multi|mse|l1|huber|hinge|bce|dropout",
        name,
    )
} | {  # or the first one
    name for name in GOOD if "_norm" in name
}
ARRAYS = [(name, argument) for name, (arrays, _, _) in GOOD.items() for argument in arrays]
FLOATS = [(name, argument) for name, argument in ARRAYS if argument not in ("indices", "labels")]
WITH_OUT = [name for name, (_, _, out) in GOOD.items() if out is not None]


def call(name, *, out=None, **changes):
    """The good call with some arguments replaced; arrays are copied, so that none can change."""
    arrays, rest, _ = GOOD[name]
    arrays = {key: changes.pop(key) if key in changes else x.copy() for key, x in arrays.items()}
    if out is not None:
        changes["out"] = out
    return getattr(fastnn, name)(*arrays.values(), **{**rest, **changes})


def assert_raises(error, name, argument, **changes):
    """The call raises ``error`` with "name: ... argument ...", and does not touch ``out``."""
    shape = GOOD[name][2]
    out = changes.pop("out", None if shape is None else np.full(shape, 7, dtype=F32))
    before = None if out is None else np.array(out, copy=True)
    with pytest.raises((TypeError, ValueError)) as caught:
        call(name, out=out, **changes)
    assert caught.type is error, caught.value
    message = str(caught.value)
    assert message.startswith(name + ": ")
    assert re.search(rf"\b{argument}\b", message), message
    if out is not None:
        np.testing.assert_array_equal(out, before)
