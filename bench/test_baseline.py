"""The baseline computes what it is compared with, and the harness refuses what would mislead."""

import os
import subprocess
import sys

import numpy as np
import pytest

import environment
import harness
import mkl_preload
import numpy_baseline
import numpy_conv2d
import numpy_depthwise
import numpy_norm
import peak
from fastnn import reference

CONVS = [  # N, size, C, O, k, padding
    (1, 6, 1, 3, 3, 0),
    (4, 7, 2, 5, 3, 1),
    (6, 9, 3, 4, 5, 2),
    (2, 28, 1, 6, 5, 2),
    (3, 5, 2, 2, 1, 0),
]


def integers(rng, *shape):
    """Small enough for exact sums in float32."""
    return rng.integers(-3, 4, shape).astype(np.float32)


def check_all(candidates, want):
    assert candidates
    for name, run in candidates.items():
        for _ in range(2):  # buffers are used again
            np.testing.assert_array_equal(run(), want, err_msg=name)


def test_norms():
    """In float64, within the rounding of sums of 60 terms around 1."""
    rng = np.random.default_rng(5)
    x, dy, y, dx = (rng.standard_normal((3, 20, 6)) for _ in range(4))
    weight, bias = rng.standard_normal(6), rng.standard_normal(6)
    rows = [z.reshape(60, 6) for z in (x, dy, y, dx)]

    def check(candidates, want_y, want):
        assert candidates
        for run in candidates.values():
            for _ in range(2):
                np.testing.assert_allclose(run().reshape(x.shape), want, rtol=0, atol=1e-12)
                np.testing.assert_allclose(y, want_y, rtol=0, atol=1e-12)

    out, *stats = reference.batch_norm(x, weight, bias, return_stats=True)
    want = reference.batch_norm_backward(dy, x, *stats, weight)[0]
    check(numpy_norm.batch_norm_step(*rows[:2], weight, bias, *rows[2:]), out, want)
    out, *stats = reference.layer_norm(x, 6, weight, bias, return_stats=True)
    want = reference.layer_norm_backward(dy, x, *stats, weight)[0]
    check(numpy_norm.layer_norm_step(*rows[:2], weight, bias, *rows[2:]), out, want)
    out, *stats = reference.group_norm(x, 3, return_stats=True)
    want = reference.group_norm_backward(dy, x, *stats)[0]
    check(numpy_norm.group_norm_step(x, dy, 3, y, dx), out, want)
    for size in (1, 2, 5):
        out = reference.local_response_norm(x, size)
        check(numpy_norm.local_response_norm(rows[0], size, rows[2]), out, out)
    for run in numpy_norm.dropout(x, 0.5, y).values():
        assert set(np.unique(run() / x)) == {0, 2}


@pytest.mark.parametrize("patches", [numpy_conv2d.PATCHES, 1])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("conv", CONVS, ids=str)
def test_conv2d(monkeypatch, rng, conv, stride, dilation, patches):
    monkeypatch.setattr(numpy_conv2d, "PATCHES", patches)  # 1: one image at a time
    n, size, c, o, k, padding = conv
    size += (dilation - 1) * (k - 1)
    x, w, b = integers(rng, n, size, size, c), integers(rng, o, k, k, c), integers(rng, o)
    options = {"padding": padding, "stride": stride, "dilation": dilation}
    y = reference.conv2d(x, w, b, **options)
    dy = integers(rng, *y.shape)
    check_all(numpy_conv2d.conv2d(x, w, b, **options), y)
    check_all(
        numpy_conv2d.conv2d_backward_input(dy, w, x.shape, **options),
        reference.conv2d_backward_input(dy, w, x.shape, **options),
    )
    check_all(
        numpy_conv2d.conv2d_backward_weight(dy, x, w.shape, **options),
        reference.conv2d_backward_weight(dy, x, w.shape, **options),
    )


@pytest.mark.parametrize("cached", [numpy_depthwise.CACHED, 1])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise(monkeypatch, rng, stride, cached):
    monkeypatch.setattr(numpy_depthwise, "CACHED", cached)  # 1: one row at a time
    x, w, b = integers(rng, 2, 9, 8, 5), integers(rng, 5, 3, 3, 1), integers(rng, 5)
    options = {"stride": stride, "padding": 1, "groups": 5}
    y = reference.conv2d(x, w, b, **options)
    dy = integers(rng, *y.shape)
    check_all(numpy_depthwise.forward(x, w, b, stride, 1, y.shape), y)
    check_all(
        numpy_depthwise.backward_input(dy, w, stride, 1, x.shape),
        reference.conv2d_backward_input(dy, w, x.shape, **options),
    )
    check_all(
        numpy_depthwise.backward_weight(dy, x, stride, 1, w.shape),
        reference.conv2d_backward_weight(dy, x, w.shape, **options),
    )


def test_conv_transpose2d(rng):
    x, w, b = integers(rng, 3, 5, 4, 6), integers(rng, 6, 4, 4, 2), integers(rng, 2)
    check_all(
        numpy_conv2d.conv_transpose2d(x, w, b, 2, 1),
        reference.conv_transpose2d(x, w, b, stride=2, padding=1),
    )


def test_products_and_pools(rng):
    a, b = integers(rng, 5, 7), integers(rng, 7, 4)
    check_all(numpy_baseline.gemm(a, b, np.empty((5, 4), np.float32)), reference.gemm(a, b))
    assert len(numpy_baseline.gemm_strided(a, b, np.empty((5, 4), np.float32))) == 3
    check_all(
        numpy_baseline.gemm_strided(a[::-2, ::2], b[6::-2], np.empty((3, 4), np.float32)),
        reference.gemm(a[::-2, ::2].copy(), b[6::-2].copy()),
    )
    db = np.empty(7, np.float32)
    check_all(numpy_baseline.bias_backward(a, db), reference.bias_backward(a))
    x = rng.permutation(2 * 6 * 4 * 3).reshape(2, 6, 4, 3).astype(np.float32)  # no ties
    y, indices = reference.max_pool2d(x, 2, return_indices=True)
    y, dy, dx = y.astype(np.float32), integers(rng, *y.shape), np.empty_like(x)
    out = np.empty_like(y)
    check_all(numpy_baseline.max_pool2d(x, 2, out), y)
    check_all(
        numpy_baseline.max_pool2d_backward(dy, x, y, 2, dx),
        reference.max_pool2d_backward(dy, indices, x.shape, 2),
    )
    check_all(numpy_baseline.avg_pool2d(x, 2, out), reference.avg_pool2d(x, 2))
    check_all(
        numpy_baseline.avg_pool2d_backward(dy, 2, dx),
        reference.avg_pool2d_backward(dy, x.shape, 2),
    )


@pytest.mark.parametrize("rows", [5, 2 * numpy_baseline.BLOCK // 3 + 1])
def test_products_with_more_to_them(rng, rows):
    a, b = integers(rng, rows, 4), integers(rng, 4, 3)
    for bias in (integers(rng, 1, 3), integers(rng, rows, 1)):
        candidates = numpy_baseline.gemm_bias_relu(a, b, bias, np.empty((rows, 3), np.float32))
        assert len(candidates) == (2 if rows == 5 else 4)  # blocks of rows, where there are many
        check_all(candidates, np.maximum(a @ b + bias, 0))
    out = np.empty((rows, 3), np.float32)
    check_all(numpy_baseline.linear(a, b.T, b[0], out), a @ b + b[0])
    check_all(numpy_baseline.linear_constant(a, b.T.copy(), out), a @ b)


@pytest.mark.parametrize("n", [9, 40])
def test_batched_products(rng, n):
    a, b = integers(rng, 3, n, 4), integers(rng, 3, 4, n)
    candidates = numpy_baseline.matmul(a, b, np.empty((3, n, n), np.float32))
    assert len(candidates) == (2 if n == 9 else 1)
    check_all(candidates, np.stack([reference.gemm(*pair) for pair in zip(a, b, strict=True)]))


@pytest.mark.parametrize("size", [5, 2 * numpy_baseline.BLOCK + 3])
def test_elementwise(rng, size):
    x, dy = rng.standard_normal((2, size)).astype(np.float32)
    out = np.empty_like(x)
    eps = harness.eps(np.float32)
    check_all(numpy_baseline.relu(x, out), reference.relu(x))
    check_all(numpy_baseline.relu_backward(dy, x, out), dy * (x > 0))
    for candidates, want in (
        (numpy_baseline.sigmoid(x, out), reference.sigmoid(x)),
        (numpy_baseline.tanh(x, out), reference.tanh(x)),
    ):
        for run in candidates.values():
            harness.assert_within(run(), want, 8 * eps)
    w, v = rng.standard_normal((2, size)).astype(np.float32)
    for name in numpy_baseline.sgd_step(w, dy, v, 0.5, 0.25):
        w1, v1 = w.copy(), v.copy()
        run = numpy_baseline.sgd_step(w1, dy, v1, 0.5, 0.25)[name]
        assert run() is w1
        harness.assert_within(v1, 0.25 * v.astype(float) + dy, eps * (np.abs(v) + np.abs(dy)))
        np.testing.assert_array_equal(w1, w - np.float32(0.5) * v1)


@pytest.mark.parametrize(
    ("name", "buffers", "hyper"),
    [
        # a late step, when the bias needs no correction
        ("adam_step", "mv", (0.25, 0.9, 0.999, 1e-8, 0, 1e6)),
        ("rmsprop_step", "v", (0.25, 0.99, 1e-8, 0, 0)),
        ("adagrad_step", "v", (0.25, 0, 1e-10, 0, 1)),
        ("adadelta_step", "vd", (0.25, 0.9, 1e-6, 0)),
    ],
)
def test_steps(rng, name, buffers, hyper):
    w, dw = rng.standard_normal((2, 2 * numpy_baseline.BLOCK + 5))
    state = [rng.uniform(1, 2, w.size) for _ in buffers]
    more = {"adam_step": [None], "rmsprop_step": [None, None]}.get(name, [])
    want = getattr(reference, name)(w, dw, *state, *more, hyper)
    make = getattr(numpy_baseline, name)
    for way in make(w, dw, *state, 0.25):
        new_w, new_state = w.copy(), [buffer.copy() for buffer in state]
        assert make(new_w, dw, *new_state, 0.25)[way]() is new_w
        for got, expected in zip((new_w, *new_state), want, strict=False):
            harness.assert_within(got, expected, 32 * harness.eps(np.float64))


def test_cross_entropy(rng):
    logits, labels = rng.standard_normal((4, 3)), np.array([0, 2, 1, 1])
    want_loss, want = reference.softmax_cross_entropy(logits, labels)
    out = np.empty_like(logits)
    for run in numpy_baseline.softmax_cross_entropy(logits, labels, out).values():
        loss, dlogits = run()
        harness.assert_within(loss, want_loss, 16 * harness.eps(np.float64))
        harness.assert_within(dlogits, want, 16 * harness.eps(np.float64))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(rng, axis):
    x, dy = rng.standard_normal((2, 3, 4, 5))
    y = reference.softmax(x, axis=axis)
    log_y = reference.log_softmax(x, axis=axis)
    out, reduced = np.empty_like(x), np.empty_like(x.sum(axis=axis))
    for candidates, want in (
        (numpy_baseline.softmax(x, axis, out), y),
        (numpy_baseline.log_softmax(x, axis, out), log_y),
        (numpy_baseline.logsumexp(x, axis, reduced), reference.logsumexp(x, axis=axis)),
        (
            numpy_baseline.softmax_backward(dy, y, axis, out),
            reference.softmax_backward(dy, y, axis=axis),
        ),
        (
            numpy_baseline.log_softmax_backward(dy, log_y, axis, out),
            reference.log_softmax_backward(dy, log_y, axis=axis),
        ),
    ):
        for run in candidates.values():
            harness.assert_within(run(), want, 64 * harness.eps(np.float64))


@pytest.mark.parametrize("name", ["mse", "l1", "huber", "hinge", "bce_with_logits"])
def test_losses(rng, name):
    y, t = rng.standard_normal((2, 40)) * 2
    t = np.sign(t) if name == "hinge" else np.clip(t, 0, 1) if name[0] == "b" else t
    want_loss, want = getattr(reference, name)(y, t)
    for run in getattr(numpy_baseline, name)(y, t, np.empty_like(y)).values():
        loss, dy = run()
        harness.assert_within(loss, want_loss, 64 * harness.eps(np.float64) * want_loss)
        harness.assert_within(dy, want, 16 * harness.eps(np.float64))


def test_cross_entropy_of_targets(rng):
    logits, p = rng.standard_normal((4, 3)), reference.softmax(rng.standard_normal((4, 3)))
    want_loss, want = reference.softmax_cross_entropy(logits, p)
    for run in numpy_baseline.cross_entropy_of_targets(logits, p, np.empty_like(p)).values():
        loss, dlogits = run()
        harness.assert_within(loss, want_loss, 16 * harness.eps(np.float64))
        harness.assert_within(dlogits, want, 16 * harness.eps(np.float64))


def test_assert_within_refuses():
    harness.assert_within(np.float32([1, 2]), [1, 2.5], [0, 0.5])
    with pytest.raises(AssertionError, match="2 times its bound"):
        harness.assert_within([1.0], 2.0, 0.5)
    with pytest.raises(AssertionError, match="nan times"):
        harness.assert_within([np.nan], 0.0, 1.0)


def test_ratio_to_held_back_numpy_is_refused():
    assert environment.refusal("Haswell", ("baseline", "avx2", "avx512"))
    assert environment.refusal("Haswell", ("baseline", "avx2")) is None
    assert environment.refusal("SkylakeX", ("baseline", "avx2", "avx512")) is None


def test_blas_variables_are_unset():
    settings = {"OPENBLAS_CORETYPE": "Haswell", "PATH": "/bin"}
    assert "OPENBLAS_CORETYPE=Haswell" in environment.clear_blas_variables(settings)
    assert settings == {"PATH": "/bin"}
    assert environment.clear_blas_variables(settings) is None


def test_timing_stops_where_numpy_was_loaded_too_early(request):
    """With the variable set, and NumPy loaded before this folder's conftest, nothing is timed."""
    folder = request.path.parent
    process = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-p", "numpy"),
            *("--benchmark-enable", str(folder / "bench_overhead.py"), "-k", "relu and 1-thread"),
        ],
        env={**os.environ, "OPENBLAS_CORETYPE": "Haswell"},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 4
    assert "OPENBLAS_CORETYPE=Haswell" in process.stderr


def test_mkl_is_told_that_the_cpu_is_intels(tmp_path):
    """In a process that preloads the library, and in no other."""
    try:
        library = mkl_preload.build(tmp_path)
    except mkl_preload.NoPreloadError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-c", "import mkl_preload; print(mkl_preload.preloaded())"]
    folder = os.path.dirname(mkl_preload.__file__)
    for told in (False, True):
        environ = {**os.environ, "PYTHONPATH": folder}
        environ.pop("LD_PRELOAD", None)  # this process may be one that was told
        if told:
            mkl_preload.preload(library, environ)
        process = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        assert process.stdout.strip() == str(told)


def test_mkl_needs_a_compiler(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(mkl_preload.NoPreloadError, match="no C compiler"):
        mkl_preload.build(tmp_path)


def test_peak_is_measured():
    """A multiply-add loop beats 1 GFLOP/s on any CPU of this century, and is not optimized away."""
    try:
        rate = peak.fma_rate("float32", "baseline", 1)
    except peak.NoPeakError as error:
        pytest.skip(str(error))
    assert 1e9 < rate < 1e12
