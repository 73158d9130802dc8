"""Wrong arguments: the kind of error, function and argument named, and nothing written."""

import numpy as np
import pytest

import fastnn
from bad_calls import (
    ARRAYS,
    F32,
    F64,
    FLOATS,
    GOOD,
    HYPER,
    IN_PLACE,
    LABELS,
    WITH_OUT,
    assert_raises,
    call,
    f32,
    u8,
)


@pytest.mark.parametrize("name", GOOD)
def test_good_calls(name):
    """The calls that the others spoil are good ones."""
    shape = GOOD[name][2]
    call(name, out=None if shape is None else np.full(shape, np.nan, dtype=F32))


@pytest.mark.parametrize(("name", "argument"), FLOATS)
@pytest.mark.parametrize(
    "dtype", ["i4", "u1", "?", "f2", "c8", "O", "U3", "M8[s]", "V4", "swapped"]
)
def test_wrong_kind_of_array(name, argument, dtype):
    good = GOOD[name][0][argument]
    if dtype == "swapped":
        dtype = good.dtype.newbyteorder()
    assert_raises(TypeError, name, argument, **{argument: np.ones(good.shape).astype(dtype)})


@pytest.mark.parametrize(("name", "argument"), [*ARRAYS, *((name, "out") for name in WITH_OUT)])
@pytest.mark.parametrize(
    "what", ["list", "scalar", "string", "none", "memoryview", "masked", "no items"]
)
def test_not_an_array(name, argument, what):
    optional = {("linear", "b"), ("conv2d", "b"), ("conv_transpose2d", "b"), ("sgd_step", "v")}
    optional |= {("adam_step", "vmax"), ("rmsprop_step", "mean"), ("rmsprop_step", "b")}
    affine = "_norm" in name and argument in ("weight", "bias")
    if what == "none" and (argument == "out" or (name, argument) in optional or affine):
        return
    good = f32(*GOOD[name][2]) if argument == "out" else GOOD[name][0][argument]
    value = {
        "list": good.tolist(),
        "scalar": 1.0,
        "string": "weights",
        "none": None,
        "memoryview": memoryview(good),
        "masked": np.ma.MaskedArray(good),
        "no items": np.zeros(good.shape, dtype=[]),
    }[what]
    with pytest.raises(TypeError, match=rf"^{name}: .*\b{argument}\b"):
        call(name, **{argument: value})


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (n, a)
        for n, a in FLOATS
        if len(GOOD[n][0]) > 1 and a != "logits" and GOOD[n][0][a].dtype == F32
    ],
)
def test_mixed_dtypes(name, argument):
    """One float64 among float32: an error that names it, or the array that it disagrees with."""
    good = GOOD[name][0][argument]
    if sum(x.dtype == F32 for x in GOOD[name][0].values()) == 1:
        argument = "out"  # the only other array of the call
    changes = {argument: good.astype(F64)} if argument != "out" else {"out": f32(1).astype(F64)}
    with pytest.raises(TypeError, match=rf"^{name}: .*\b{argument}\b.*float(32|64)"):
        call(name, **changes)


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_wrong_rank(name, argument):
    """One axis too many; matmul, softmax, bias_backward, elementwise kernels take any number."""
    arrays = GOOD[name][0]
    if name == "matmul" or (name, argument) == ("logsumexp_backward", "x"):
        return
    if len(arrays) == 1 and name in (*IN_PLACE, "bias_backward", "logsumexp", "vector_norm"):
        return
    value = arrays[argument][None] if name != "linear" or argument != "x" else f32()
    if name in IN_PLACE and argument == next(iter(arrays)) and name != "softmax_cross_entropy":
        argument, value = list(arrays)[1], arrays[list(arrays)[1]][None]
    assert_raises(ValueError, name, argument, **{argument: value})


CASES = [
    # gemm, linear
    ("gemm", ValueError, "b", {"b": f32(3, 5)}),
    ("gemm", ValueError, "a", {"a": f32(3, 4), "trans_a": True}),
    ("gemm", ValueError, "b", {"trans_b": True}),
    ("gemm", ValueError, "c", {"beta": 1.0}),
    ("gemm", ValueError, "c", {"beta": 1.0, "c": f32(5, 3)}),
    ("gemm", ValueError, "c", {"c": f32(5)}),
    ("gemm", TypeError, "c", {"beta": 1.0, "c": np.ones((3, 5))}),
    ("gemm", ValueError, "bias", {"bias": f32(3)}),
    ("gemm", ValueError, "bias", {"bias": f32(5, 1)}),
    ("gemm", ValueError, "bias", {"bias": f32(1, 3)}),
    ("gemm", ValueError, "bias", {"bias": f32(3, 5)}),
    ("gemm", ValueError, "bias", {"bias": f32(1, 1)}),
    ("gemm", ValueError, "bias", {"bias": f32()}),
    ("gemm", ValueError, "bias", {"bias": f32(1, 1, 5)}),
    ("gemm", TypeError, "bias", {"bias": np.ones(5)}),
    ("gemm", ValueError, "activation", {"activation": "gelu"}),
    ("gemm", TypeError, "activation", {"activation": 1}),
    ("linear", ValueError, "w", {"w": f32(4, 5)}),
    ("linear", ValueError, "b", {"b": f32(4)}),
    ("linear", ValueError, "activation", {"activation": "ReLU"}),
    ("bias_backward", ValueError, "dy", {"dy": f32()}),
    ("bias_backward", ValueError, "out", {"accumulate": True, "out": None}),
    # convolution
    ("conv2d", ValueError, "w", {"w": f32(4, 3, 2, 5)}),
    ("conv2d", ValueError, "x", {"x": f32(2, 5, 6, 2)}),
    ("conv2d", ValueError, "b", {"b": f32(3)}),
    ("conv2d", ValueError, "groups", {"groups": 2}),
    ("conv2d", ValueError, "groups", {"w": f32(4, 3, 2, 1), "groups": 3}),
    ("conv2d", ValueError, "groups", {"groups": 0}),
    ("conv2d", ValueError, "groups", {"groups": -1}),
    ("conv2d", TypeError, "groups", {"groups": 1.0}),
    ("conv2d", ValueError, "activation", {"activation": "swish"}),
    ("conv2d_backward_input", ValueError, "dy", {"dy": f32(2, 3, 5, 5)}),
    ("conv2d_backward_input", ValueError, "dy", {"dy": f32(2, 4, 5, 4)}),
    ("conv2d_backward_input", ValueError, "dy", {"dy": f32(1, 3, 5, 4)}),
    ("conv2d_backward_input", ValueError, "w", {"w": f32(4, 3, 2, 2)}),
    ("conv2d_backward_input", ValueError, "x_shape", {"x_shape": (2, 5, 6)}),
    ("conv2d_backward_input", ValueError, "x_shape", {"x_shape": (2, 5, -6, 3)}),
    ("conv2d_backward_input", TypeError, "x_shape", {"x_shape": (2, 5, 6.0, 3)}),
    ("conv2d_backward_input", TypeError, "x_shape", {"x_shape": None}),
    ("conv2d_backward_weight", ValueError, "dy", {"dy": f32(2, 3, 4, 4)}),
    ("conv2d_backward_weight", ValueError, "w", {"w_shape": (4, 3, 2, 1)}),
    ("conv2d_backward_weight", ValueError, "w_shape", {"w_shape": (4, 3, 2, 3, 1)}),
    ("conv2d_backward_weight", ValueError, "w_shape", {"w_shape": (-4, 3, 2, 3)}),
    ("conv2d_backward_weight", TypeError, "w_shape", {"w_shape": 4}),
    ("conv2d_backward_weight", ValueError, "out", {"accumulate": True, "out": None}),
    ("col2im", ValueError, "cols", {"cols": f32(30, 17)}),
    ("col2im", ValueError, "cols", {"x_shape": (3, 5, 6, 3)}),
    # pools
    ("max_pool2d", ValueError, "padding", {"padding": 2}),
    ("max_pool2d", ValueError, "padding", {"padding": ((0, 2), (0, 0))}),
    ("avg_pool2d", ValueError, "padding", {"padding": (0, 2)}),
    ("max_pool2d", ValueError, "kernel_size", {"x": f32(1, 16, 16, 1), "kernel_size": 16}),
    ("max_pool2d_backward", ValueError, "dy", {"dy": f32(2, 2, 3, 2)}),
    ("max_pool2d_backward", ValueError, "indices", {"indices": u8(2, 2, 3, 2)}),
    ("max_pool2d_backward", TypeError, "indices", {"indices": np.zeros((2, 2, 3, 3), int)}),
    ("max_pool2d_backward", TypeError, "indices", {"indices": f32(2, 2, 3, 3)}),
    ("max_pool2d_backward", ValueError, "x_shape", {"x_shape": (2, 5)}),
    ("avg_pool2d_backward", ValueError, "dy", {"dy": f32(2, 2, 3, 2)}),
    ("max_pool2d", ValueError, "x", {"x": f32(2, 0, 6, 3), "padding": 1}),
    ("max_pool2d", ValueError, "activation", {"activation": "tanh"}),
    ("max_pool2d", TypeError, "activation", {"activation": True}),
    ("avg_pool2d", ValueError, "kernel", {"kernel_size": 7, "stride": 2, "ceil_mode": True}),
    ("global_avg_pool2d", ValueError, "x", {"x": f32(2, 3, 0, 3)}),
    ("global_avg_pool2d_backward", ValueError, "dy", {"dy": f32(2, 2)}),
    ("global_avg_pool2d_backward", ValueError, "x_shape", {"x_shape": (2, 0, 6, 3)}),
    ("subsample2d", ValueError, "coefficient", {"coefficient": f32(2)}),
    ("subsample2d", ValueError, "bias", {"bias": f32(3, 1)}),
    ("subsample2d", ValueError, "activation", {"activation": "softmax"}),
    ("subsample2d_backward_input", ValueError, "dy", {"dy": f32(2, 2, 3, 2)}),
    ("subsample2d_backward_input", ValueError, "coefficient", {"coefficient": f32(4)}),
    ("subsample2d_backward_coefficient", ValueError, "dy", {"dy": f32(2, 3, 3, 3)}),
    ("subsample2d_backward_coefficient", ValueError, "out", {"accumulate": True, "out": None}),
    # elementwise, losses
    ("relu_backward", ValueError, "y", {"y": f32(5, 3)}),
    ("sigmoid_backward", ValueError, "y", {"y": f32(3, 1)}),
    ("softmax", ValueError, "x", {"x": f32()}),
    ("softmax_backward", ValueError, "y", {"y": f32(5)}),
    ("log_softmax", ValueError, "axis", {"axis": 2}),
    ("log_softmax_backward", ValueError, "axis", {"axis": -3}),
    ("logsumexp", TypeError, "axis", {"axis": 0.0}),
    ("logsumexp_backward", ValueError, "axis", {"axis": 5}),
    ("logsumexp_backward", ValueError, "y", {"y": f32(5)}),
    ("logsumexp_backward", ValueError, "dy", {"keepdims": True}),
    ("softmax_cross_entropy", ValueError, "labels", {"labels": np.array([0, 5, 1])}),
    ("softmax_cross_entropy", ValueError, "labels", {"labels": np.array([0, 1, -1])}),
    ("softmax_cross_entropy", ValueError, "labels", {"labels": np.array([0, 1, 2**40])}),
    (
        "softmax_cross_entropy",
        ValueError,
        "labels",
        {"labels": np.array([0, 1, 2**63 + 1], dtype=np.uint64)},
    ),
    ("softmax_cross_entropy", ValueError, "labels", {"labels": np.array([0, 1])}),
    ("softmax_cross_entropy", ValueError, "labels", {"labels": LABELS[:, None]}),
    ("softmax_cross_entropy", TypeError, "labels", {"labels": LABELS.astype(float)}),
    ("softmax_cross_entropy", TypeError, "labels", {"labels": LABELS == 0}),
    ("softmax_cross_entropy", TypeError, "labels", {"labels": LABELS.astype(object)}),
    ("softmax_cross_entropy", ValueError, "logits", {"logits": f32(0, 5), "labels": LABELS[:0]}),
    ("softmax_cross_entropy", ValueError, "logits", {"logits": f32(3, 0)}),
    ("softmax_cross_entropy", ValueError, "logits", {"logits": f32(3)}),
    ("softmax_cross_entropy", ValueError, "labels", {"ignore_index": None, "labels": LABELS - 100}),
    ("softmax_cross_entropy", ValueError, "labels", {"ignore_index": 7, "labels": LABELS - 100}),
    ("softmax_cross_entropy", ValueError, "labels", {"labels": f32(3, 4)}),
    ("softmax_cross_entropy", TypeError, "labels", {"labels": f32(3, 5).astype(F64)}),
    ("softmax_cross_entropy", TypeError, "labels", {"labels": f32(3, 5).astype(np.float16)}),
    ("softmax_cross_entropy", ValueError, "ignore_index", {"labels": f32(3, 5), "ignore_index": 0}),
    ("softmax_cross_entropy", ValueError, "ignore_index", {"ignore_index": 2**63}),
    ("softmax_cross_entropy", TypeError, "ignore_index", {"ignore_index": 1.0}),
    ("softmax_cross_entropy", ValueError, "weight", {"weight": f32(4)}),
    ("softmax_cross_entropy", ValueError, "weight", {"weight": f32(5, 1)}),
    ("softmax_cross_entropy", TypeError, "weight", {"weight": f32(5).astype(F64)}),
    ("softmax_cross_entropy", TypeError, "weight", {"weight": [1.0] * 5}),
    ("softmax_cross_entropy", ValueError, "label_smoothing", {"label_smoothing": -0.1}),
    ("softmax_cross_entropy", ValueError, "label_smoothing", {"label_smoothing": 1.1}),
    ("softmax_cross_entropy", ValueError, "label_smoothing", {"label_smoothing": np.nan}),
    ("softmax_cross_entropy", TypeError, "label_smoothing", {"label_smoothing": None}),
    ("softmax_cross_entropy", TypeError, "label_smoothing", {"label_smoothing": "0.1"}),
    ("softmax_cross_entropy", ValueError, "reduction", {"reduction": "avg"}),
    ("softmax_cross_entropy", TypeError, "reduction", {"reduction": None}),
    ("nll", ValueError, "labels", {"labels": np.array([0, 5, 1])}),
    ("nll", TypeError, "labels", {"labels": f32(3, 5)}),
    (
        "nll",
        ValueError,
        "log_probabilities",
        {"log_probabilities": f32(0, 5), "labels": LABELS[:0]},
    ),
    ("nll", ValueError, "weight", {"weight": f32(3)}),
    ("multi_margin", ValueError, "labels", {"labels": LABELS - 100}),
    ("multi_margin", ValueError, "p", {"p": 3}),
    ("multi_margin", ValueError, "p", {"p": 0}),
    ("multi_margin", TypeError, "p", {"p": 1.0}),
    ("multi_margin", ValueError, "margin", {"margin": 0.0}),
    ("multi_margin", TypeError, "margin", {"margin": None}),
    ("huber", ValueError, "delta", {"delta": 0}),
    ("huber", ValueError, "delta", {"delta": np.nan}),
    ("huber", ValueError, "delta", {"delta": np.inf}),
    ("huber", TypeError, "delta", {"delta": "1"}),
    ("hinge", ValueError, "margin", {"margin": -1.0}),
    ("l1", ValueError, "t", {"t": f32(5, 3)}),
    ("l1", ValueError, "reduction", {"reduction": ""}),
    ("bce_with_logits", ValueError, "targets", {"targets": f32(3)}),
    ("bce_with_logits", ValueError, "weight", {"weight": f32(3)}),
    ("bce_with_logits", ValueError, "weight", {"weight": f32(2, 3, 5)}),
    ("bce_with_logits", TypeError, "pos_weight", {"pos_weight": f32(5).astype(F64)}),
    ("bce_with_logits", TypeError, "pos_weight", {"pos_weight": 2.0}),
    ("mse", ValueError, "t", {"t": f32(5, 3)}),
    ("mse", ValueError, "y", {"y": f32(0, 5), "t": f32(0, 5)}),
    # sgd_step
    ("sgd_step", ValueError, "dw", {"dw": f32(4)}),
    ("sgd_step", ValueError, "v", {"v": f32(4)}),
    ("sgd_step", ValueError, "hyper", {"hyper": HYPER[:2]}),
    ("sgd_step", TypeError, "hyper", {"hyper": HYPER.astype(F32)}),
    ("sgd_step", TypeError, "hyper", {"hyper": (0.1, 0.9, 0.0)}),
    ("sgd_step", ValueError, "w", {"w": f32(10)[::2]}),
    ("sgd_step", ValueError, "dw", {"dw": f32(10)[::2]}),
    ("sgd_step", ValueError, "v", {"v": f32(5)[::-1]}),
]


@pytest.mark.parametrize(
    ("name", "error", "argument", "changes"),
    CASES,
    ids=[f"{name}-{argument}-{i}" for i, (name, _, argument, _) in enumerate(CASES)],
)
def test_bad_arguments(name, error, argument, changes):
    assert_raises(error, name, argument, **changes)


WINDOWS = [
    "conv2d",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "im2col",
    "col2im",
    "max_pool2d",
    "max_pool2d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
]


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize(
    ("argument", "error", "values"),
    [
        ("stride", ValueError, [0, -1, (1, 0), (1,), (1, 1, 1), 2**31, 2**70, (2**63, 1)]),
        ("stride", TypeError, [1.0, "1", (1, 1.5), (1, None)]),
        ("padding", ValueError, [-1, (0, -1), ((0, 0), (0, -1)), (1,), (1, 1, 1), ((1, 1), (1,))]),
        ("padding", ValueError, [2**31, 2**70, ((0, 2**62), (0, 0))]),
        ("padding", TypeError, [0.0, "same", None, ((0, 0), (0, 0.5))]),
        ("dilation", ValueError, [0, -1, (1, 0), (1,), 2**31, 2**70]),
        ("dilation", TypeError, [1.0, "1", None]),
        ("kernel_size", ValueError, [0, -1, (2, 0), (2,), (2, 2, 2), 2**31, 2**70]),
        ("kernel_size", TypeError, [2.0, "2", None, (2, 2.0)]),
    ],
    ids=lambda z: z if isinstance(z, str) else getattr(z, "__name__", ""),
)
def test_bad_windows(name, argument, error, values):
    known = {
        "dilation": not name.endswith(("pool2d", "pool2d_backward")),
        "kernel_size": not name.startswith("conv2d"),
    }
    for value in values if known.get(argument, True) else ():
        assert_raises(error, name, argument, **{argument: value})


@pytest.mark.parametrize("name", WINDOWS)
def test_kernel_larger_than_the_padded_image(name):
    """The message gives both sizes."""
    bad = {
        "conv2d": {"w": f32(4, 6, 2, 3)},
        "conv2d_backward_input": {"w": f32(4, 6, 2, 3)},
        "conv2d_backward_weight": {"w_shape": (4, 6, 2, 3)},
    }.get(name, {"kernel_size": (6, 2)})
    assert_raises(ValueError, name, "6.*5", **bad)
    if "pool" not in name:
        assert_raises(ValueError, name, "7.*6", dilation=(1, 6))


@pytest.mark.parametrize("name", ["conv2d", "conv2d_backward_input", "conv2d_backward_weight"])
def test_empty_kernel(name):
    bad = {"w_shape": (4, 0, 2, 3)} if name.endswith("weight") else {"w": f32(4, 0, 2, 3)}
    assert_raises(ValueError, name, "kernel", **bad)


def test_sizes_whose_product_overflows():
    """Results of 2**62 bytes and more, from inputs that take no memory: an error, at once."""
    image = np.broadcast_to(f32(1, 1, 1, 1), (1, 2**30, 2**30, 1))
    column = np.broadcast_to(f32(1, 1), (2**31, 1))
    largest = (2**31 - 1,) * 4
    one = f32(1, 1, 1, 1)
    for case in [
        lambda: fastnn.gemm(column, column, trans_b=True),
        lambda: fastnn.linear(np.broadcast_to(f32(1), (2**31, 2**20, 1)), column),
        lambda: fastnn.matmul(column, column.T),
        lambda: fastnn.im2col(image, 2**14, padding=2**13),
        lambda: fastnn.conv2d(image, np.broadcast_to(one, (2**20, 1, 1, 1))),
        lambda: fastnn.conv2d(image, one, padding=2**31 - 1),
        lambda: fastnn.conv2d_backward_input(one, one, largest),
        lambda: fastnn.conv2d_backward_weight(one, one, largest, padding=2**31 - 1),
        lambda: fastnn.col2im(f32(1, 1), largest, 1),
        lambda: fastnn.avg_pool2d_backward(one, largest, 1),
        lambda: fastnn.max_pool2d_backward(one, u8(1, 1, 1, 1), (2**40, 1, 1, 1), 1),
    ]:
        with pytest.raises(ValueError, match=r"^[a-z0-9_]+: "):
            case()
    for case in [
        lambda: fastnn.relu(image),
        lambda: fastnn.softmax(image),
        lambda: fastnn.mse(image, image),
        lambda: fastnn.bias_backward(image),
        lambda: fastnn.max_pool2d(image, 1),
        lambda: fastnn.avg_pool2d(image, 2, stride=1),
    ]:
        with pytest.raises(MemoryError):
            case()


def test_wrong_indices_stay_inside(rng):
    """Indices that no forward pass can give reach no memory outside dx."""
    dy = np.ones((2, 2, 3, 3), F32)
    for value in (4, 200, 255):
        indices = np.full(dy.shape, value, np.uint8)
        dx = fastnn.max_pool2d_backward(dy, indices, (2, 5, 6, 3), 2)
        np.testing.assert_array_equal(dx, 0)
    padded = fastnn.max_pool2d_backward(
        np.ones((1, 1, 1, 1), F32), u8(1, 1, 1, 1), (1, 1, 1, 1), 2, padding=((1, 0), (1, 0))
    )
    np.testing.assert_array_equal(padded, 0)  # tap 0 lies in the padding


def test_sgd_step_overlap_and_read_only():
    pool = f32(12)
    for w, dw, v in [
        (pool[:5], pool[4:9], f32(5)),
        (pool[:5], f32(5), pool[3:8]),
        (f32(5), pool[:5], pool[:5]),
        (pool[:5], pool[:5], None),
    ]:
        with pytest.raises(ValueError, match=r"^sgd_step: .*overlaps"):
            fastnn.sgd_step(w, dw, v, HYPER)
    frozen = f32(5)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=r"^sgd_step: w is read-only"):
        fastnn.sgd_step(frozen, f32(5), None, HYPER)
    with pytest.raises(ValueError, match=r"^sgd_step: v is read-only"):
        fastnn.sgd_step(f32(5), f32(5), frozen, HYPER)
    fastnn.sgd_step(f32(5), frozen, None, HYPER)
    np.testing.assert_array_equal(pool, 1)


@pytest.mark.parametrize("name", GOOD)
def test_unknown_and_missing_arguments(name):
    with pytest.raises(TypeError, match="colour"):
        call(name, colour="red")
    with pytest.raises(TypeError, match="argument"):
        getattr(fastnn, name)()


def test_a_subclass_may_lie_about_itself():
    """Kernels go by the buffer, not by attributes that a subclass can override."""

    class Liar(np.ndarray):
        shape = property(lambda self: (7,))
        dtype = property(lambda self: np.dtype(F64))

    out = np.zeros((4, 4), F32).view(Liar)[:, ::2]
    fastnn.relu(f32(4, 2), out=out)
    np.testing.assert_array_equal(out.view(np.ndarray), 1)
    logits = f32(3, 4)
    with pytest.raises(ValueError, match="labels must have shape"):
        fastnn.softmax_cross_entropy(logits, np.zeros(2, np.int64).view(Liar))


def test_misaligned_labels():
    labels = np.frombuffer(b"\0" + np.array([3, 1, 0]).tobytes(), np.int64, offset=1)
    logits = np.arange(12, dtype=F32).reshape(3, 4)
    loss, _ = fastnn.softmax_cross_entropy(logits, labels)
    assert loss == fastnn.softmax_cross_entropy(logits, labels.copy())[0]


def test_hyper_parameters_are_not_the_velocity():
    v = np.ones(3)
    with pytest.raises(ValueError, match="sgd_step: out overlaps hyper"):
        fastnn.sgd_step(np.ones(3), np.ones(3), v, v)
