"""Matrix products: squares, the shapes of networks, odd memory layouts, batches, and epilogues.

The network's shapes are those of perceptrons (784-128-10, 784-512, 4096-4096, VGG's 25088-4096) and
of convolutions as products with patches (56 x 56 and 14 x 14 pixels), forward and backward.
"""

from functools import partial

import numpy as np
import pytest

import fastnn
import harness
import numpy_baseline
import torch_peer

FLOATS = (np.float32, np.float64)
FORMS = {"NN": "gemm", "NT": "gemm NT", "TN": "gemm TN"}  # T: the operand's transpose is in memory

SQUARES = [(n, n, n) for n in (32, 48, 64, 128, 256, 512, 1024, 2048)]  # (M, N, K)
LARGE = [(128, 4096, 4096), (64, 4096, 25088)]  # 5 and 13 GFLOP: NN and NT, a layer's forward pass
NETWORK = [
    *((64, 128, 784), (256, 512, 784), *LARGE, (1, 4096, 4096)),
    *((64, 27, 3136), (27, 64, 3136), (64, 3136, 27), (27, 3136, 64), (3136, 64, 27)),
    *((3136, 27, 64), (128, 1152, 3136), (512, 4608, 196)),
    *((784, 128, 64), (64, 10, 128), (10, 128, 64), (128, 784, 64)),
]
ONLY_FLOAT32 = [(2048, 2048, 2048), (64, 4096, 25088)]  # in float64: half a minute; 0.8 GB


def name(value):
    """The id of a shape; pytest's own where it is no shape."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else None


def cases():
    """Return every (group, form, shape, dtype)."""
    return [
        pytest.param(group, form, shape, dtype, id=f"{form}-{name(shape)}-{dtype.__name__}")
        for group, shapes in (("squares", SQUARES), ("network", NETWORK))
        for shape in shapes
        for form in FORMS
        if form == "NN" or (group == "network" and (form == "NT" or shape not in LARGE))
        for dtype in FLOATS
        if dtype == np.float32 or shape not in ONLY_FLOAT32
    ]


every_dtype = pytest.mark.parametrize("dtype", FLOATS, ids=["float32", "float64"])


def normal(rng, dtype, *shape):
    """Random numbers; those of a large array repeat, as it takes a while to draw millions.

    The period is a prime, so that no two rows are the same.
    """
    return np.resize(rng.standard_normal(min(np.prod(shape), 65521), dtype), shape)


def some(size, most):
    """Up to `most` places of an axis, both ends among them: what is checked of a large array."""
    return np.unique(np.linspace(0, size - 1, most, dtype=int))


def checker(a, b, finish=lambda y, rows, columns: y, roundings=0):
    """Return a function that checks finish(a @ b), at up to 16 rows and 64 columns.

    Each of K products and sums rounds at most once, whatever the order, and `finish` rounds
    values about as large that often.
    """
    rows, columns = some(a.shape[-2], 16), some(b.shape[-1], 64)
    left, right = a[..., rows, :].astype(np.float64), b[..., columns].astype(np.float64)
    want = finish(left @ right, rows, columns)
    size = np.abs(left) @ np.abs(right) + roundings
    bound = (a.shape[-1] + roundings) * harness.eps(a.dtype) * size
    return lambda y: harness.assert_within(y[..., rows[:, None], columns], want, bound)


def rounds_of(flops, dtype, threads):
    """Return 9, or 6 with threads, as each pauses; down to 3 where a call takes 50 ms.

    There are 300 rows here; they shall take no longer than six minutes.
    """
    most = 9 if threads == 1 else 6
    return int(np.clip(6e10 / np.dtype(dtype).itemsize / flops, 3, most))


def product(compare, a, b, threads, **options):
    """`compare` for a @ b, with what all products have in common filled in."""
    (M, K), N = a.shape[-2:], b.shape[-1]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    flops = 2 * M * N * K * int(np.prod(batch))
    compare(
        **{
            "shape": " x ".join(map(str, (*batch, M, N, K))),
            "dtype": a.dtype,
            "threads": threads,
            "from_torch": torch_peer.arrays,
            "flops": flops,
            "rounds": rounds_of(flops, a.dtype, threads),
            **options,
        }
    )


@pytest.mark.parametrize(("group", "form", "shape", "dtype"), cases())
def test_gemm(compare, rng, threads, group, form, shape, dtype):
    M, N, K = shape
    a_in_memory = normal(rng, dtype, *((K, M) if form == "TN" else (M, K)))
    b_in_memory = normal(rng, dtype, *((N, K) if form == "NT" else (K, N)))
    a = a_in_memory.T if form == "TN" else a_in_memory
    b = b_in_memory.T if form == "NT" else b_in_memory
    c = np.empty((M, N), dtype)
    transposed = {"trans_a": form == "TN", "trans_b": form == "NT"}

    product(
        *(compare, a, b, threads),
        op=FORMS[form],
        group=group,
        ours=partial(fastnn.gemm, a_in_memory, b_in_memory, **transposed, out=c),
        check=checker(a, b),
        numpy=lambda: numpy_baseline.gemm(a, b, np.empty_like(c)),
        torch=lambda: torch_peer.gemm(threads, a, b, np.empty_like(c)),
    )


VIEWS = {  # of memory with twice the rows and columns
    "column-major": lambda x: np.asfortranarray(x[::2, ::2]),
    "sliced rows": lambda x: x[::2, : x.shape[1] // 2],
    "sliced": lambda x: x[::2, ::2],
    "reversed": lambda x: np.ascontiguousarray(x[::2, ::2])[::-1, ::-1],
}


@every_dtype
@pytest.mark.parametrize("layout", VIEWS)
def test_gemm_strided(compare, rng, threads, layout, dtype):
    n = 512
    a, b = (VIEWS[layout](normal(rng, dtype, 2 * n, 2 * n)) for _ in range(2))
    c = np.empty((n, n), dtype)

    product(
        *(compare, a, b, threads),
        op=f"gemm, {layout}",
        group="strided",
        ours=partial(fastnn.gemm, a, b, out=c),
        check=checker(a, b),
        numpy=lambda: numpy_baseline.gemm_strided(a, b, np.empty_like(c)),
        torch=lambda: torch_peer.gemm_strided(threads, a, b, np.empty_like(c)),
    )


@every_dtype
@pytest.mark.parametrize("layer", [(784, 128), (4096, 4096)], ids=["784-128", "4096-4096"])
@pytest.mark.parametrize("batch", [1, 8, 64])
def test_gemm_packed(compare, rng, threads, batch, layer, dtype):
    """A layer with constant weights: all may lay them out beforehand."""
    x, w = normal(rng, dtype, batch, layer[0]), normal(rng, dtype, *layer[::-1])
    y = np.empty((batch, layer[1]), dtype)

    product(
        *(compare, x, w.T, threads),
        op="linear, packed",
        group="packed",
        ours=partial(fastnn.linear, x, fastnn.pack(w), out=y),
        check=checker(x, w.T),
        numpy=lambda: numpy_baseline.linear_constant(x, w, np.empty_like(y)),
        torch=lambda: torch_peer.linear_constant(threads, x, w, np.empty_like(y)),
    )


BATCHED = [(10000, 9, 9, 9), (1000, 32, 32, 32), (64, 128, 128, 128), (256, 64, 10, 64)]


@every_dtype
@pytest.mark.parametrize("shape", BATCHED, ids=name)
def test_gemm_batched(compare, rng, threads, shape, dtype):
    batch, M, N, K = shape
    a, b = normal(rng, dtype, batch, M, K), normal(rng, dtype, batch, K, N)
    c = np.empty((batch, M, N), dtype)

    product(
        *(compare, a, b, threads),
        op="matmul",
        group="batched",
        ours=partial(fastnn.matmul, a, b, out=c),
        check=checker(a, b),
        numpy=lambda: numpy_baseline.matmul(a, b, np.empty_like(c)),
        torch=lambda: torch_peer.matmul(threads, a, b, np.empty_like(c)),
    )


EPILOGUES = {  # a bias per column, of layers; per row, of convolutions with channels first
    "bias, relu": [(64, 128, 784), (256, 512, 784), (3136, 64, 27), (512, 512, 512)],
    "bias per row, relu": [(64, 3136, 27), (128, 784, 64)],
}


@every_dtype
@pytest.mark.parametrize(
    ("what", "shape"),
    [(what, shape) for what, shapes in EPILOGUES.items() for shape in shapes],
    ids=name,
)
def test_gemm_epilogue(compare, rng, threads, what, shape, dtype):
    M, N, K = shape
    a, b = normal(rng, dtype, M, K), normal(rng, dtype, K, N)
    bias = rng.standard_normal((M, 1) if "row" in what else (1, N), dtype)
    c = np.empty((M, N), dtype)

    def finish(y, rows, columns):
        return np.maximum(y + np.broadcast_to(bias, c.shape)[rows[:, None], columns], 0)

    product(
        *(compare, a, b, threads),
        op=f"gemm + {what}",
        group="epilogue",
        ours=partial(fastnn.gemm, a, b, bias=bias, activation="relu", out=c),
        check=checker(a, b, finish, roundings=float(1 + np.abs(bias).max())),
        numpy=lambda: numpy_baseline.gemm_bias_relu(a, b, bias, np.empty_like(c)),
        torch=lambda: torch_peer.gemm_bias_relu(threads, a, b, bias, np.empty_like(c)),
    )
