"""Types of the compiled kernels. Documentation: the docstrings of the module itself."""

from typing import Any, Literal, TypeAlias, TypedDict, final, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]
"""A float32 or float64 array; all arrays of one call have the same dtype."""
Activation: TypeAlias = Literal["relu", "sigmoid", "tanh", "scaled_tanh"] | None
ConvAlgorithm: TypeAlias = Literal["auto", "im2col"]
Pair: TypeAlias = int | tuple[int, int]
"""One value for height and width, or (height, width)."""
Padding: TypeAlias = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]
"""All sides, (height, width), or ((top, bottom), (left, right))."""
Word: TypeAlias = int | NDArray[np.uint64]
"""An integer, or a scalar array that it is read from when the kernel runs."""
Shape4: TypeAlias = tuple[int, int, int, int]

__version__: str

# Products
@final
class PackedMatrix:
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def trans_b(self) -> bool: ...

def pack(w: Array, *, trans_b: bool = True) -> PackedMatrix: ...
def matmul(a: Array, b: Array, *, out: Array | None = None) -> Array: ...
def gemm(
    a: Array,
    b: Array | PackedMatrix,
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    c: Array | None = None,
    bias: Array | None = None,
    activation: Activation = None,
    mask: NDArray[np.bool_] | None = None,
    mask_out: NDArray[np.bool_] | None = None,
    out: Array | None = None,
) -> Array: ...
def linear(
    x: Array,
    w: Array | PackedMatrix,
    b: Array | None = None,
    *,
    activation: Activation = None,
    out: Array | None = None,
) -> Array: ...
def bias_backward(dy: Array, *, accumulate: bool = False, out: Array | None = None) -> Array: ...

# Convolution: x (N, H, W, C), w (O, KH, KW, C // groups), y (N, OH, OW, O)
def conv2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    activation: Activation = None,
    out: Array | None = None,
) -> Array: ...
def conv2d_backward_input(
    dy: Array,
    w: Array,
    x_shape: Shape4,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    out: Array | None = None,
) -> Array: ...
def conv2d_backward_weight(
    dy: Array,
    x: Array,
    w_shape: Shape4,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    accumulate: bool = False,
    out: Array | None = None,
) -> Array: ...

# x (N, H, W, I), w (I, KH, KW, O // groups), y (N, OH, OW, O)
def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    activation: Activation = None,
    out: Array | None = None,
) -> Array: ...
def conv_transpose2d_backward_input(
    dy: Array,
    w: Array,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    out: Array | None = None,
) -> Array: ...
def conv_transpose2d_backward_weight(
    dy: Array,
    x: Array,
    w_shape: Shape4,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    accumulate: bool = False,
    out: Array | None = None,
) -> Array: ...
def get_conv_algorithm() -> ConvAlgorithm: ...
def set_conv_algorithm(name: ConvAlgorithm) -> None: ...
def get_conv2d_algorithms(
    x_shape: Shape4,
    w_shape: Shape4,
    *,
    dtype: DTypeLike = ...,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> dict[str, str]: ...
def im2col(
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    out: Array | None = None,
) -> Array: ...
def col2im(
    cols: Array,
    x_shape: Shape4,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    out: Array | None = None,
) -> Array: ...

# Pooling: x (N, H, W, C), y (N, OH, OW, C)
@overload
def max_pool2d(
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    activation: Literal["relu"] | None = None,
    return_indices: Literal[False] = False,
    out: Array | None = None,
) -> Array: ...
@overload
def max_pool2d(
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    activation: Literal["relu"] | None = None,
    return_indices: Literal[True],
    out: Array | None = None,
) -> tuple[Array, NDArray[np.uint8]]: ...
def max_pool2d_backward(
    dy: Array,
    indices: NDArray[np.uint8],
    x_shape: Shape4,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    out: Array | None = None,
) -> Array: ...
def avg_pool2d(
    x: Array,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    out: Array | None = None,
) -> Array: ...
def avg_pool2d_backward(
    dy: Array,
    x_shape: Shape4,
    kernel_size: Pair,
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    out: Array | None = None,
) -> Array: ...
def global_avg_pool2d(x: Array, *, out: Array | None = None) -> Array: ...
def global_avg_pool2d_backward(
    dy: Array, x_shape: Shape4, *, out: Array | None = None
) -> Array: ...
def subsample2d(
    x: Array,
    coefficient: Array,
    bias: Array,
    kernel_size: Pair = 2,
    *,
    stride: Pair | None = None,
    activation: Activation = None,
    out: Array | None = None,
) -> Array: ...
def subsample2d_backward_input(
    dy: Array,
    coefficient: Array,
    x_shape: Shape4,
    kernel_size: Pair = 2,
    *,
    stride: Pair | None = None,
    out: Array | None = None,
) -> Array: ...
def subsample2d_backward_coefficient(
    dy: Array,
    x: Array,
    kernel_size: Pair = 2,
    *,
    stride: Pair | None = None,
    accumulate: bool = False,
    out: Array | None = None,
) -> Array: ...

# Normalisation: channels last; statistics are float64
Stats: TypeAlias = tuple[Array, NDArray[np.float64], NDArray[np.float64]]
Gradients: TypeAlias = tuple[Array, Array, Array]

@overload
def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: Literal["relu"] | None = None,
    return_stats: Literal[False] = False,
    batches: NDArray[np.int64] | None = None,
    out: Array | None = None,
) -> Array: ...
@overload
def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: Literal["relu"] | None = None,
    return_stats: Literal[True],
    batches: NDArray[np.int64] | None = None,
    out: Array | None = None,
) -> Stats: ...
def batch_norm_backward(
    dy: Array,
    x: Array,
    mean: NDArray[np.float64],
    inv_std: NDArray[np.float64],
    weight: Array | None = None,
    *,
    y: Array | None = None,
    out: Array | None = None,
) -> Gradients: ...
@overload
def group_norm(
    x: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float = 1e-5,
    return_stats: Literal[False] = False,
    out: Array | None = None,
) -> Array: ...
@overload
def group_norm(
    x: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float = 1e-5,
    return_stats: Literal[True],
    out: Array | None = None,
) -> Stats: ...
def group_norm_backward(
    dy: Array,
    x: Array,
    mean: NDArray[np.float64],
    inv_std: NDArray[np.float64],
    weight: Array | None = None,
    *,
    out: Array | None = None,
) -> Gradients: ...
@overload
def layer_norm(
    x: Array,
    normalized_shape: int | tuple[int, ...],
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float = 1e-5,
    return_stats: Literal[False] = False,
    out: Array | None = None,
) -> Array: ...
@overload
def layer_norm(
    x: Array,
    normalized_shape: int | tuple[int, ...],
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    eps: float = 1e-5,
    return_stats: Literal[True],
    out: Array | None = None,
) -> Stats: ...
def layer_norm_backward(
    dy: Array,
    x: Array,
    mean: NDArray[np.float64],
    inv_std: NDArray[np.float64],
    weight: Array | None = None,
    *,
    out: Array | None = None,
) -> Gradients: ...
@overload
def rms_norm(
    x: Array,
    normalized_shape: int | tuple[int, ...],
    weight: Array | None = None,
    *,
    eps: float | None = None,
    return_stats: Literal[False] = False,
    out: Array | None = None,
) -> Array: ...
@overload
def rms_norm(
    x: Array,
    normalized_shape: int | tuple[int, ...],
    weight: Array | None = None,
    *,
    eps: float | None = None,
    return_stats: Literal[True],
    out: Array | None = None,
) -> tuple[Array, NDArray[np.float64]]: ...
def rms_norm_backward(
    dy: Array,
    x: Array,
    inv_rms: NDArray[np.float64],
    weight: Array | None = None,
    *,
    out: Array | None = None,
) -> tuple[Array, Array]: ...
def local_response_norm(
    x: Array,
    size: int,
    *,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    out: Array | None = None,
) -> Array: ...
def local_response_norm_backward(
    dy: Array,
    x: Array,
    size: int,
    *,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    out: Array | None = None,
) -> Array: ...
def dropout(
    x: Array, p: float = 0.5, *, seed: Word, offset: Word = 0, out: Array | None = None
) -> Array: ...
def dropout_backward(
    dy: Array, p: float = 0.5, *, seed: Word, offset: Word = 0, out: Array | None = None
) -> Array: ...

# Activations, any shape; backward takes the output y
def relu(x: Array, *, out: Array | None = None) -> Array: ...
def relu_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def sigmoid(x: Array, *, out: Array | None = None) -> Array: ...
def sigmoid_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def tanh(x: Array, *, out: Array | None = None) -> Array: ...
def tanh_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def scaled_tanh(x: Array, *, out: Array | None = None) -> Array: ...
def scaled_tanh_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...

# Those whose backward takes x need it
def leaky_relu(x: Array, negative_slope: float = ..., *, out: Array | None = None) -> Array: ...
def leaky_relu_backward(
    dy: Array, y: Array, negative_slope: float = ..., *, out: Array | None = None
) -> Array: ...
def hard_sigmoid(x: Array, *, out: Array | None = None) -> Array: ...
def hard_sigmoid_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def hard_swish(x: Array, *, out: Array | None = None) -> Array: ...
def hard_swish_backward(dy: Array, x: Array, *, out: Array | None = None) -> Array: ...
def hard_tanh(
    x: Array, min_val: float = ..., max_val: float = ..., *, out: Array | None = None
) -> Array: ...
def hard_tanh_backward(
    dy: Array, y: Array, min_val: float = ..., max_val: float = ..., *, out: Array | None = None
) -> Array: ...
def relu6(x: Array, *, out: Array | None = None) -> Array: ...
def relu6_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def threshold(x: Array, threshold: float, value: float, *, out: Array | None = None) -> Array: ...
def threshold_backward(
    dy: Array, x: Array, threshold: float, value: float, *, out: Array | None = None
) -> Array: ...
def softsign(x: Array, *, out: Array | None = None) -> Array: ...
def softsign_backward(dy: Array, x: Array, *, out: Array | None = None) -> Array: ...
def elu(x: Array, alpha: float = ..., *, out: Array | None = None) -> Array: ...
def elu_backward(dy: Array, y: Array, alpha: float = ..., *, out: Array | None = None) -> Array: ...
def selu(x: Array, *, out: Array | None = None) -> Array: ...
def selu_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def celu(x: Array, alpha: float = ..., *, out: Array | None = None) -> Array: ...
def celu_backward(
    dy: Array, y: Array, alpha: float = ..., *, out: Array | None = None
) -> Array: ...
def exp(x: Array, *, out: Array | None = None) -> Array: ...
def exp_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def log(x: Array, *, out: Array | None = None) -> Array: ...
def log_backward(dy: Array, x: Array, *, out: Array | None = None) -> Array: ...
def softplus(
    x: Array, beta: float = ..., threshold: float = ..., *, out: Array | None = None
) -> Array: ...
def softplus_backward(
    dy: Array, y: Array, beta: float = ..., threshold: float = ..., *, out: Array | None = None
) -> Array: ...
def log_sigmoid(x: Array, *, out: Array | None = None) -> Array: ...
def log_sigmoid_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def silu(x: Array, *, out: Array | None = None) -> Array: ...
def silu_backward(dy: Array, x: Array, *, out: Array | None = None) -> Array: ...
def mish(x: Array, *, out: Array | None = None) -> Array: ...
def mish_backward(dy: Array, x: Array, *, out: Array | None = None) -> Array: ...
def gelu(x: Array, *, approximate: str = ..., out: Array | None = None) -> Array: ...
def gelu_backward(
    dy: Array, x: Array, *, approximate: str = ..., out: Array | None = None
) -> Array: ...

# Softmax
def softmax(x: Array, *, axis: int = -1, out: Array | None = None) -> Array: ...
def softmax_backward(dy: Array, y: Array, *, axis: int = -1, out: Array | None = None) -> Array: ...
def log_softmax(x: Array, *, axis: int = -1, out: Array | None = None) -> Array: ...
def log_softmax_backward(
    dy: Array, y: Array, *, axis: int = -1, out: Array | None = None
) -> Array: ...
def logsumexp(
    x: Array, *, axis: int = -1, keepdims: bool = False, out: Array | None = None
) -> Array: ...
def logsumexp_backward(
    dy: Array,
    x: Array,
    y: Array,
    *,
    axis: int = -1,
    keepdims: bool = False,
    out: Array | None = None,
) -> Array: ...

# Losses: (loss, gradient), the loss an array for reduction="none"
@overload
def softmax_cross_entropy(
    logits: Array,
    labels: NDArray[Any],
    *,
    label_smoothing: float = 0.0,
    weight: Array | None = None,
    ignore_index: int | None = -100,
    reduction: Literal["mean", "sum"] = "mean",
    out: Array | None = None,
) -> tuple[float, Array]: ...
@overload
def softmax_cross_entropy(
    logits: Array,
    labels: NDArray[Any],
    *,
    label_smoothing: float = 0.0,
    weight: Array | None = None,
    ignore_index: int | None = -100,
    reduction: Literal["none"],
    out: Array | None = None,
) -> tuple[Array, Array]: ...
@overload
def nll(
    log_probabilities: Array,
    labels: NDArray[np.integer[Any]],
    *,
    weight: Array | None = None,
    ignore_index: int | None = -100,
    reduction: Literal["mean", "sum"] = "mean",
    out: Array | None = None,
) -> tuple[float, Array]: ...
@overload
def nll(
    log_probabilities: Array,
    labels: NDArray[np.integer[Any]],
    *,
    weight: Array | None = None,
    ignore_index: int | None = -100,
    reduction: Literal["none"],
    out: Array | None = None,
) -> tuple[Array, Array]: ...
@overload
def multi_margin(
    scores: Array,
    labels: NDArray[np.integer[Any]],
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: Array | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    out: Array | None = None,
) -> tuple[float, Array]: ...
@overload
def multi_margin(
    scores: Array,
    labels: NDArray[np.integer[Any]],
    *,
    p: int = 1,
    margin: float = 1.0,
    weight: Array | None = None,
    reduction: Literal["none"],
    out: Array | None = None,
) -> tuple[Array, Array]: ...
@overload
def mse(
    y: Array,
    t: Array,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    out: Array | None = None,
) -> tuple[float, Array]: ...
@overload
def mse(
    y: Array,
    t: Array,
    *,
    reduction: Literal["none"],
    out: Array | None = None,
) -> tuple[Array, Array]: ...
@overload
def l1(
    y: Array,
    t: Array,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    out: Array | None = None,
) -> tuple[float, Array]: ...
@overload
def l1(
    y: Array,
    t: Array,
    *,
    reduction: Literal["none"],
    out: Array | None = None,
) -> tuple[Array, Array]: ...
@overload
def huber(
    y: Array,
    t: Array,
    *,
    delta: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
    out: Array | None = None,
) -> tuple[float, Array]: ...
@overload
def huber(
    y: Array,
    t: Array,
    *,
    delta: float = 1.0,
    reduction: Literal["none"],
    out: Array | None = None,
) -> tuple[Array, Array]: ...
@overload
def hinge(
    y: Array,
    t: Array,
    *,
    margin: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
    out: Array | None = None,
) -> tuple[float, Array]: ...
@overload
def hinge(
    y: Array,
    t: Array,
    *,
    margin: float = 1.0,
    reduction: Literal["none"],
    out: Array | None = None,
) -> tuple[Array, Array]: ...
@overload
def bce_with_logits(
    logits: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    out: Array | None = None,
) -> tuple[float, Array]: ...
@overload
def bce_with_logits(
    logits: Array,
    targets: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: Literal["none"],
    out: Array | None = None,
) -> tuple[Array, Array]: ...

# Elementwise, with NumPy's broadcasting, and sums
def add(a: Array, b: Array, *, out: Array | None = None) -> Array: ...
def add_backward(
    dy: Array, a_shape: tuple[int, ...], b_shape: tuple[int, ...]
) -> tuple[Array, Array]: ...
def mul(a: Array, b: Array, *, out: Array | None = None) -> Array: ...
def mul_backward(dy: Array, a: Array, b: Array) -> tuple[Array, Array]: ...
def add_relu(a: Array, b: Array, *, out: Array | None = None) -> Array: ...
def column_sum(x: Array, *, out: Array | None = None) -> Array: ...
def row_sum(x: Array, *, out: Array | None = None) -> Array: ...
def l2_norm(x: Array, *, out: Array | None = None) -> Array: ...
def l2_norm_backward(dy: Array, x: Array, y: Array) -> Array: ...
def prelu(x: Array, w: Array, *, out: Array | None = None) -> Array: ...
def prelu_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array]: ...

# Embedding
def embedding(
    weight: Array, indices: NDArray[np.integer[Any]], *, out: Array | None = None
) -> Array: ...
def embedding_backward(
    dy: Array,
    indices: NDArray[np.integer[Any]],
    num_embeddings: int,
    *,
    padding_index: int | None = None,
    accumulate: bool = False,
    out: Array | None = None,
) -> Array: ...

# Optimizers
def sgd_step(
    w: Array,
    dw: Array,
    v: Array | None,
    hyper: NDArray[np.float64],
    *,
    nesterov: bool = False,
) -> None: ...
def adam_step(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    vmax: Array | None,
    hyper: NDArray[np.float64],
    *,
    decoupled: bool = False,
) -> None: ...
def rmsprop_step(
    w: Array,
    dw: Array,
    v: Array,
    mean: Array | None,
    b: Array | None,
    hyper: NDArray[np.float64],
) -> None: ...
def adagrad_step(w: Array, dw: Array, v: Array, hyper: NDArray[np.float64]) -> None: ...
def adadelta_step(w: Array, dw: Array, v: Array, d: Array, hyper: NDArray[np.float64]) -> None: ...
@overload
def vector_norm(x: Array, *, ord: float = 2, out: None = None) -> float: ...
@overload
def vector_norm(x: Array, *, ord: float = 2, out: NDArray[np.float64]) -> NDArray[np.float64]: ...
def clip(x: Array, norm: NDArray[np.float64], max_norm: float) -> None: ...

# Memory and counters, also while a function is recorded
def assign(
    out: Array,
    x: Array | None,
    *,
    accumulate: bool = False,
    mask: NDArray[np.bool_] | None = None,
) -> None: ...
def advance(counter: Array, amount: int, *, before: bool = False) -> Array: ...
def check_labels(caller: str, labels: Array, N: int, C: int) -> None: ...
def require_finite(loss: float) -> None: ...
def empty(shape: tuple[int, ...], dtype: DTypeLike) -> Array: ...
def scratch(shape: tuple[int, ...]) -> NDArray[np.float64]: ...

# Programs
class Symbol:
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int
    nbytes: int

class RecordingError(TypeError): ...

class Recorder:
    ops: list[tuple[int, int, bytes, int]]
    symbols: list[Symbol]
    captured: dict[int, Array]
    checks: list[tuple[Any, ...]]
    parameters: dict[int, tuple[Any, tuple[bool, bool]]]
    def __init__(self, code: Any) -> None: ...
    def __enter__(self) -> Recorder: ...
    def __exit__(self, *_: object) -> None: ...
    def symbol(self, shape: tuple[int, ...], dtype: DTypeLike) -> Symbol: ...
    def is_number(self, symbol: Symbol) -> bool: ...
    def refusal(self, operation: str) -> TypeError: ...

@final
class Program:
    inputs: list[tuple[Any, ...]]
    outputs: list[tuple[Any, ...]]
    statics: list[tuple[int, Any]]
    arena_bytes: int
    calls: int
    changes: int
    def __init__(self, *args: Any) -> None: ...
    def run(self, args: tuple[Any, ...]) -> Any: ...
    def profile(self, on: bool) -> None: ...
    def get_seconds(self) -> NDArray[np.float64] | None: ...
    def poison(self, value: int) -> None: ...

class Model:
    inputs: list[tuple[np.dtype[Any], tuple[int, ...]]]
    outputs: list[tuple[np.dtype[Any], tuple[int, ...]]]
    def __init__(self, path: str) -> None: ...
    def run(self, arrays: tuple[Array, ...]) -> list[Array]: ...

MISS: object
STALE: object

def get_recorder() -> Recorder | None: ...
def note_change() -> None: ...
def get_changes() -> int: ...
def get_ops() -> list[tuple[str, list[tuple[str, int, int, int]]]]: ...
def get_fields() -> dict[str, dict[str, tuple[int, str]]]: ...
def get_address(array: Array | Symbol) -> int: ...
def get_bytes(address: int, nbytes: int) -> bytes: ...
def get_algorithm(name: str, dtype: int, args: bytes) -> str | None: ...

# Runtime
class Config(TypedDict):
    version: str
    compiler: str
    isa_requested: str | None
    isa: str
    isa_built: tuple[str, ...]
    isa_available: tuple[str, ...]
    num_threads: int
    num_threads_source: str

def get_config() -> Config: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
def get_thread_limit() -> int | None: ...
def set_thread_limit(n: int | None) -> None: ...
