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

# Activations, any shape; backward takes the output y
def relu(x: Array, *, out: Array | None = None) -> Array: ...
def relu_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def sigmoid(x: Array, *, out: Array | None = None) -> Array: ...
def sigmoid_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def tanh(x: Array, *, out: Array | None = None) -> Array: ...
def tanh_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def scaled_tanh(x: Array, *, out: Array | None = None) -> Array: ...
def scaled_tanh_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...

# Losses
def softmax(x: Array, *, out: Array | None = None) -> Array: ...
def softmax_backward(dy: Array, y: Array, *, out: Array | None = None) -> Array: ...
def softmax_cross_entropy(
    logits: Array, labels: NDArray[np.integer[Any]], *, out: Array | None = None
) -> tuple[float, Array]: ...
def mse(y: Array, t: Array, *, out: Array | None = None) -> tuple[float, Array]: ...

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
def vector_norm(x: Array, *, ord: float = 2) -> float: ...

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
