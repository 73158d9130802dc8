"""One call of every kernel, as data: for tests that are about threads, processes and memory."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import fastnn
from arrays import normal
from geometry import Conv

WINOGRAD = Conv((2, 6, 9, 19), 21, (3, 3), padding=1)
WINOGRAD_5X5 = Conv((1, 7, 11, 34), 36, (5, 5), padding=(2, 3), dilation=(1, 2), groups=2)


@dataclass(frozen=True)
class Call:
    """``run(*inputs, out)`` with ``out`` of that shape returns every result as a tuple of arrays.

    ``out_shape`` is None for what writes its inputs: sgd_step, and batch_norm's statistics.
    """

    name: str
    inputs: tuple[np.ndarray, ...]
    out_shape: tuple[int, ...] | None
    run: Callable[..., tuple[np.ndarray, ...]]

    def __str__(self):
        return self.name

    def __call__(self):
        """Run on copies of the inputs, with a new ``out``."""
        return self.run(*(x.copy() for x in self.inputs), self.nan_out())

    def nan_out(self):
        if self.out_shape is None:
            return None
        return np.full(self.out_shape, np.nan, dtype=self.inputs[0].dtype)


def as_array(number):
    """A loss as an array; the symbol that stands for it while a function is recorded as it is."""
    return number if isinstance(number, fastnn._core.Symbol) else np.array(number)


def calls(dtype, *, m, n, k, conv, activation="tanh"):
    """Every kernel: (m, k) times (k, n), that convolution, pools of its x, and m rows of n."""
    rng = np.random.default_rng(7)
    products = _products(rng, dtype, m, n, k, activation)
    images = _convolutions(rng, dtype, conv, activation)
    images += _pools(rng, dtype, conv.x) + _other_pools(rng, dtype, conv.x)
    images += _convolutions(rng, dtype, WINOGRAD, activation, " by Winograd")
    images += _convolutions(rng, dtype, WINOGRAD_5X5, activation, " by Winograd, 5x5")
    images += _norms(rng, dtype, conv.x) + _row_norms(rng, dtype, m, n)
    return products + images + _elementwise(rng, dtype, m, n) + _losses(rng, dtype, m, n)


def _products(rng, dtype, m, n, k, activation):
    a, b, at, bt = (normal(rng, s, dtype) for s in [(m, k), (k, n), (k, m), (n, k)])
    c, bias, dy = normal(rng, (m, n), dtype), normal(rng, n, dtype), normal(rng, (m, n), dtype)
    column, short = normal(rng, (m, 1), dtype), min(k, 40)
    wide = max(0, 2 * k - 1)
    a_wide, b_wide = normal(rng, (m, wide), dtype), normal(rng, (wide, n), dtype)
    at_wide, bt_wide = a_wide.T.copy(), b_wide.T.copy()
    batch, several = normal(rng, (5, m, short), dtype), normal(rng, (3, 1, short, n), dtype)

    def gemm(trans_a, trans_b):
        return lambda a, b, c, bias, out: (
            fastnn.gemm(
                a, b, trans_a=trans_a, trans_b=trans_b, alpha=0.5, beta=2.0, c=c, bias=bias, out=out
            ),
        )

    def linear(x, w, b, out):
        return (fastnn.linear(x, w, b, activation=activation, out=out),)

    def linear_packed(x, w, b, out):
        return (fastnn.linear(x, fastnn.pack(w), b, activation=activation, out=out),)

    def gemm_packed(a, b, c, column, out):
        packed = fastnn.pack(b, trans_b=False)
        return (fastnn.gemm(a, packed, alpha=0.5, beta=2.0, c=c, bias=column, out=out),)

    def gemm_mask_out(a, bt, column, out):
        mask = np.empty((m, n), bool)
        relu = {"activation": "relu", "mask_out": mask}
        return fastnn.gemm(a, bt, trans_b=True, bias=column, **relu, out=out), mask

    def gemm_mask(at, b, mask, out):
        return (fastnn.gemm(at, b, trans_a=True, mask=mask, out=out),)

    def gemm_strided(alpha):
        """Every second column of a, and every second row of b from the last one on."""
        return lambda a, b, out: (fastnn.gemm(a[:, ::2], b[::-2, ::-1], alpha=alpha, out=out),)

    def gemm_strided_tt(at, bt, out):
        return (fastnn.gemm(at[::2, ::-1].T, bt[:, ::-2].T, out=out),)

    def gemm_by_columns(a, b, c, column, out):
        """Column by column, from c by columns."""
        got = np.empty((n, m), dtype).T
        fastnn.gemm(a, b, beta=2.0, c=np.asfortranarray(c), bias=column, out=got)
        out[...] = got
        return (out,)

    def matmul(a, b, out):
        return (fastnn.matmul(a, b, out=out),)

    return [
        Call("gemm", (a, b, c, bias), (m, n), gemm(False, False)),
        Call("gemm nt", (a, bt, c, bias), (m, n), gemm(False, True)),
        Call("gemm tn", (at, b, c, bias), (m, n), gemm(True, False)),
        Call("gemm tt", (at, bt, c, bias), (m, n), gemm(True, True)),
        Call("gemm packed", (a, b, c, column), (m, n), gemm_packed),
        Call("gemm with mask_out", (a, bt, column), (m, n), gemm_mask_out),
        Call("gemm with mask", (at, b, dy > 0), (m, n), gemm_mask),
        Call("gemm strided", (a_wide, b_wide), (m, n), gemm_strided(1)),
        Call("gemm strided, packed", (a_wide, b_wide), (m, n), gemm_strided(0.5)),
        Call("gemm strided tt", (at_wide, bt_wide), (m, n), gemm_strided_tt),
        Call("gemm by columns", (a, b, c, column), (m, n), gemm_by_columns),
        Call("matmul", (a, b), (m, n), matmul),
        Call("matmul of a vector", (a, b[:, 0].copy()), (m,), matmul),
        Call("matmul of a batch", (batch, batch.swapaxes(1, 2).copy()), (5, m, m), matmul),
        Call("matmul of two batches", (batch, several), (3, 5, m, n), matmul),
        Call("linear", (a, bt, bias), (m, n), linear),
        Call("linear packed", (a, bt, bias), (m, n), linear_packed),
        Call("bias_backward", (dy,), (n,), lambda dy, out: (fastnn.bias_backward(dy, out=out),)),
    ]


def _convolutions(rng, dtype, conv, activation, suffix=""):
    x, w, b, dy = (normal(rng, shape, dtype) for shape in (conv.x, conv.w, conv.o, conv.y))
    options = conv.options
    window = {name: value for name, value in options.items() if name != "groups"}
    cols = fastnn.im2col(x, conv.kernel, **window)

    def forward(x, w, b, out):
        return (fastnn.conv2d(x, w, b, **options, activation=activation, out=out),)

    def backward_input(dy, w, out):
        return (fastnn.conv2d_backward_input(dy, w, conv.x, **options, out=out),)

    def backward_weight(dy, x, out):
        return (fastnn.conv2d_backward_weight(dy, x, conv.w, **options, out=out),)

    def im2col(x, out):
        return (fastnn.im2col(x, conv.kernel, **window, out=out),)

    def col2im(cols, out):
        return (fastnn.col2im(cols, conv.x, conv.kernel, **window, out=out),)

    def transposed(x, w, b, out):
        options = {"stride": 2, "padding": 1, "output_padding": 1, "groups": conv.groups}
        return (fastnn.conv_transpose2d(x, w, b, **options, activation=activation, out=out),)

    n, h, width, c = conv.x
    wt = normal(rng, (c, 3, 3, conv.o // conv.groups), dtype)
    return [
        Call("conv_transpose2d" + suffix, (x, wt, b), (n, 2 * h, 2 * width, conv.o), transposed),
        Call("conv2d" + suffix, (x, w, b), conv.y, forward),
        Call("conv2d_backward_input" + suffix, (dy, w), conv.x, backward_input),
        Call("conv2d_backward_weight" + suffix, (dy, x), conv.w, backward_weight),
        Call("im2col" + suffix, (x,), cols.shape, im2col),
        Call("col2im" + suffix, (cols,), conv.x, col2im),
    ]


def _pools(rng, dtype, shape):
    x = normal(rng, shape, dtype)
    window = {"kernel_size": 2, "stride": 1, "padding": 1}
    y, indices = fastnn.max_pool2d(x, return_indices=True, **window)
    dy = normal(rng, y.shape, dtype)

    def average(x, out):
        return (fastnn.avg_pool2d(x, count_include_pad=False, out=out, **window),)

    def average_backward(dy, out):
        return (fastnn.avg_pool2d_backward(dy, shape, count_include_pad=False, out=out, **window),)

    def maximum_backward(dy, indices, out):
        return (fastnn.max_pool2d_backward(dy, indices, shape, out=out, **window),)

    return [
        Call(
            "max_pool2d", (x,), y.shape, lambda x, out: (fastnn.max_pool2d(x, out=out, **window),)
        ),
        Call(
            "max_pool2d with indices",
            (x,),
            y.shape,
            lambda x, out: fastnn.max_pool2d(x, return_indices=True, out=out, **window),
        ),
        Call("max_pool2d_backward", (dy, indices), shape, maximum_backward),
        Call("avg_pool2d", (x,), y.shape, average),
        Call("avg_pool2d_backward", (dy,), shape, average_backward),
    ]


def _other_pools(rng, dtype, shape):
    """Windows apart, with ReLU; all of an image; and with a coefficient and bias."""
    x = normal(rng, shape, dtype)
    coefficient, bias = (normal(rng, shape[-1], dtype) for _ in range(2))
    ceil = {"kernel_size": 2, "ceil_mode": True, "activation": "relu"}
    apart, places = fastnn.max_pool2d(x, return_indices=True, **ceil)
    dapart = normal(rng, apart.shape, dtype)

    def apart_backward(dy, indices, out):
        return (fastnn.max_pool2d_backward(dy, indices, shape, 2, ceil_mode=True, out=out),)

    def subsample(x, a, b, out):
        return (fastnn.subsample2d(x, a, b, 2, stride=1, activation="tanh", out=out),)

    def subsample_input(dy, a, out):
        return (fastnn.subsample2d_backward_input(dy, a, shape, 2, stride=1, out=out),)

    def subsample_coefficient(dy, x, out):
        return (fastnn.subsample2d_backward_coefficient(dy, x, 2, stride=1, out=out),)

    small = (shape[0], shape[1] - 1, shape[2] - 1, shape[3])
    dsmall, dmean = normal(rng, small, dtype), normal(rng, (shape[0], shape[3]), dtype)
    return [
        Call(
            "max_pool2d with relu",
            (x,),
            apart.shape,
            lambda x, out: fastnn.max_pool2d(x, return_indices=True, out=out, **ceil),
        ),
        Call("max_pool2d_backward apart", (dapart, places), shape, apart_backward),
        Call(
            "global_avg_pool2d",
            (x,),
            dmean.shape,
            lambda x, out: (fastnn.global_avg_pool2d(x, out=out),),
        ),
        Call(
            "global_avg_pool2d_backward",
            (dmean,),
            shape,
            lambda dy, out: (fastnn.global_avg_pool2d_backward(dy, shape, out=out),),
        ),
        Call("subsample2d", (x, coefficient, bias), small, subsample),
        Call("subsample2d_backward_input", (dsmall, coefficient), shape, subsample_input),
        Call(
            "subsample2d_backward_coefficient",
            (dsmall, x),
            coefficient.shape,
            subsample_coefficient,
        ),
    ]


def _norms(rng, dtype, shape):
    """Over channels last: batch and group norm, local response normalisation, dropout."""
    c = shape[-1]
    x, dy = normal(rng, shape, dtype), normal(rng, shape, dtype)
    w, b, var = normal(rng, c, dtype), normal(rng, c, dtype), rng.random(c).astype(dtype)
    mean, inv_std = rng.standard_normal(c), rng.random(c)
    means, inv_stds = rng.standard_normal((shape[0], c)), rng.random((shape[0], c))

    def batch_norm(x, w, b, out):
        return fastnn.batch_norm(x, w, b, return_stats=True, activation="relu", out=out)

    def running(x, mean, var, out):
        return fastnn.batch_norm(x, None, None, mean, var), mean, var

    def evaluate(x, w, b, mean, var, out):
        return (fastnn.batch_norm(x, w, b, mean, var, training=False, out=out),)

    def batch_norm_backward(dy, x, mean, inv_std, w, y, out):
        return fastnn.batch_norm_backward(dy, x, mean, inv_std, w, y=y, out=out)

    def group_norm(x, w, b, out):
        return fastnn.group_norm(x, c, w, b, return_stats=True, out=out)

    def group_norm_backward(dy, x, mean, inv_std, w, out):
        return fastnn.group_norm_backward(dy, x, mean, inv_std, w, out=out)

    def response(x, out):
        return (fastnn.local_response_norm(x, 4, alpha=0.5, out=out),)

    def response_backward(dy, x, out):
        return (fastnn.local_response_norm_backward(dy, x, 4, alpha=0.5, out=out),)

    def dropout(x, out):
        return (fastnn.dropout(x, 0.3, seed=5, offset=3, out=out),)

    return [
        Call("batch_norm", (x, w, b), shape, batch_norm),
        Call("batch_norm with running statistics", (x, b, var), None, running),
        Call("batch_norm without training", (x, w, b, b.copy(), var), shape, evaluate),
        Call("batch_norm_backward", (dy, x, mean, inv_std, w, dy), shape, batch_norm_backward),
        Call("group_norm", (x, w, b), shape, group_norm),
        Call("group_norm_backward", (dy, x, means, inv_stds, w), shape, group_norm_backward),
        Call("local_response_norm", (x,), shape, response),
        Call("local_response_norm_backward", (dy, x), shape, response_backward),
        Call("dropout", (x,), shape, dropout),
    ]


def _row_norms(rng, dtype, m, n):
    x, dy = normal(rng, (m, n), dtype), normal(rng, (m, n), dtype)
    w, b, mean, inv_std = normal(rng, n, dtype), normal(rng, n, dtype), rng.random(m), rng.random(m)

    def layer_norm(x, w, b, out):
        return fastnn.layer_norm(x, n, w, b, return_stats=True, out=out)

    def layer_norm_backward(dy, x, mean, inv_std, w, out):
        return fastnn.layer_norm_backward(dy, x, mean, inv_std, w, out=out)

    def rms_norm(x, w, out):
        return fastnn.rms_norm(x, n, w, return_stats=True, out=out)

    def rms_norm_backward(dy, x, inv_rms, out):
        return fastnn.rms_norm_backward(dy, x, inv_rms, out=out)

    return [
        Call("layer_norm", (x, w, b), x.shape, layer_norm),
        Call("layer_norm_backward", (dy, x, mean, inv_std, w), x.shape, layer_norm_backward),
        Call("rms_norm", (x, w), x.shape, rms_norm),
        Call("rms_norm_backward", (dy, x, inv_std), x.shape, rms_norm_backward),
    ]


def _elementwise(rng, dtype, m, n):
    x, dy = normal(rng, (m, n), dtype), normal(rng, (m, n), dtype)
    result = []
    names = (
        "relu",
        "sigmoid",
        "tanh",
        "scaled_tanh",
        "leaky_relu",
        "elu",
        "softmax",
        "log_softmax",
    )
    for name in names:
        forward, backward = getattr(fastnn, name), getattr(fastnn, name + "_backward")
        y = forward(x)
        result += [
            Call(name, (x,), x.shape, lambda x, out, f=forward: (f(x, out=out),)),
            Call(
                name + "_backward",
                (dy, y),
                x.shape,
                lambda dy, y, out, f=backward: (f(dy, y, out=out),),
            ),
        ]
    return result + _along_axes(x, dy) + _broadcast(x, dy) + _rows_by_number(rng, x, dy)


def _broadcast(x, dy):
    """Two arrays, and the sums that are the gradient."""
    row, norm = x[0].copy(), fastnn.l2_norm(x)
    return [
        Call("add", (x, dy), x.shape, lambda x, y, out: (fastnn.add(x, y, out=out),)),
        Call("mul, a row", (x, row), x.shape, lambda x, y, out: (fastnn.mul(x, y, out=out),)),
        Call("add_relu", (x, dy), x.shape, lambda x, y, out: (fastnn.add_relu(x, y, out=out),)),
        Call("mul_backward", (dy, x, row), None, lambda *a: fastnn.mul_backward(*a[:3])),
        Call("prelu", (x, row), x.shape, lambda x, w, out: (fastnn.prelu(x, w, out=out),)),
        Call("prelu_backward", (dy, x, row), None, lambda *a: fastnn.prelu_backward(*a[:3])),
        Call("row_sum", (x,), x.shape[:1], lambda x, out: (fastnn.row_sum(x, out=out),)),
        Call("l2_norm", (x,), x.shape[:1], lambda x, out: (fastnn.l2_norm(x, out=out),)),
        Call(
            "l2_norm_backward",
            (norm, x, norm),
            None,
            lambda dy, x, y, out: (fastnn.l2_norm_backward(dy, x, y),),
        ),
    ]


def _rows_by_number(rng, table, dy):
    """Embedding; the numbers are captured."""
    rows = len(table)
    indices = rng.integers(0, rows, rows)
    return [
        Call(
            "embedding",
            (table,),
            table.shape,
            lambda w, out: (fastnn.embedding(w, indices, out=out),),
        ),
        Call(
            "embedding_backward",
            (dy,),
            table.shape,
            lambda dy, out: (fastnn.embedding_backward(dy, indices, rows, out=out),),
        ),
    ]


def _along_axes(x, dy):
    """Over the first axis, and logsumexp."""
    y, log_sum, by_columns = (
        fastnn.softmax(x, axis=0),
        fastnn.logsumexp(x),
        fastnn.logsumexp(x, axis=0),
    )
    return [
        Call("softmax axis 0", (x,), x.shape, lambda x, out: (fastnn.softmax(x, axis=0, out=out),)),
        Call(
            "softmax_backward axis 0",
            (dy, y),
            x.shape,
            lambda dy, y, out: (fastnn.softmax_backward(dy, y, axis=0, out=out),),
        ),
        Call("logsumexp", (x,), log_sum.shape, lambda x, out: (fastnn.logsumexp(x, out=out),)),
        Call(
            "logsumexp_backward",
            (dy[:, 0].copy(), x, log_sum),
            x.shape,
            lambda dy, x, y, out: (fastnn.logsumexp_backward(dy, x, y, out=out),),
        ),
        Call(
            "logsumexp_backward axis 0",
            (dy[0].copy(), x, by_columns),
            x.shape,
            lambda dy, x, y, out: (fastnn.logsumexp_backward(dy, x, y, axis=0, out=out),),
        ),
    ]


def _losses(rng, dtype, m, n):
    x, t = normal(rng, (m, n), dtype), normal(rng, (m, n), dtype)
    labels = rng.integers(0, n, m)
    hyper = np.array([0.1, 0.9, 1e-3])

    def with_array(loss_and_gradient):
        loss, gradient = loss_and_gradient
        return as_array(loss), gradient

    def sgd_step(w, dw, v, hyper, out):
        fastnn.sgd_step(w, dw, v, hyper, nesterov=True)
        return w, v

    weight, positive = np.abs(normal(rng, n, dtype)), np.abs(normal(rng, (m, n), dtype))
    probabilities = fastnn.softmax(t)
    some = np.where(rng.random(m) < 0.3, -100, labels)

    def class_loss(f, **options):
        return lambda x, labels, weight, out: with_array(
            f(x, labels, weight=weight, out=out, **options)
        )

    def loss(f, **options):
        return lambda y, t, out: with_array(f(y, t, out=out, **options))

    smooth = {"label_smoothing": 0.1}
    cross_entropy = fastnn.softmax_cross_entropy
    return [
        Call("softmax_cross_entropy", (x, labels), x.shape, loss(cross_entropy)),
        Call(
            "softmax_cross_entropy, smooth",
            (x, some, weight),
            x.shape,
            class_loss(cross_entropy, **smooth),
        ),
        Call(
            "softmax_cross_entropy, probabilities",
            (x, probabilities, weight),
            x.shape,
            class_loss(cross_entropy, reduction="none"),
        ),
        Call("nll", (x, some, weight), x.shape, class_loss(fastnn.nll)),
        Call("multi_margin", (x, labels, weight), x.shape, class_loss(fastnn.multi_margin, p=2)),
        Call("mse", (x, t), x.shape, loss(fastnn.mse)),
        Call("l1", (x, t), x.shape, loss(fastnn.l1, reduction="none")),
        Call("huber", (x, t), x.shape, loss(fastnn.huber, delta=0.5)),
        Call("hinge", (x, np.sign(t)), x.shape, loss(fastnn.hinge)),
        Call(
            "bce_with_logits",
            (x, probabilities, positive),
            x.shape,
            lambda x, t, positive, out: with_array(
                fastnn.bce_with_logits(x, t, weight=positive, pos_weight=positive, out=out)
            ),
        ),
        Call("sgd_step", (x.ravel(), t.ravel(), x[::-1].ravel(), hyper), None, sgd_step),
        *_optimizers(x.ravel(), t.ravel()),
        Call("vector_norm", (x,), None, lambda x, out: (as_array(fastnn.vector_norm(x)),)),
    ]


def _optimizers(x, t):
    def in_place(kernel):
        def run(*arrays):  # the last is out, None
            kernel(*arrays[:-1])
            return arrays[:-2]

        return run

    squares = x**2
    return [
        Call(
            name, (x, t, *(squares * i for i in range(1, more + 1)), hyper), None, in_place(kernel)
        )
        for name, more, hyper, kernel in (
            ("adam_step", 3, np.array([0.1, 0.9, 0.99, 1e-3, 0.1, 3]), fastnn.adam_step),
            ("rmsprop_step", 3, np.array([0.1, 0.9, 1e-3, 0.1, 0.9]), fastnn.rmsprop_step),
            ("adagrad_step", 1, np.array([0.1, 0.1, 1e-3, 0.1, 3]), fastnn.adagrad_step),
            ("adadelta_step", 2, np.array([0.1, 0.9, 1e-3, 0.1]), fastnn.adadelta_step),
        )
    ]


def large_calls(dtype):
    """Sizes at which every kernel has work for several threads."""
    return calls(dtype, m=389, n=523, k=307, conv=Conv((5, 31, 29, 24), 40, (3, 3), padding=1))
