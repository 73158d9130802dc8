"""Whole training steps, SGD with momentum: LeNet-5 and a perceptron 784-128-10."""

import numpy as np
import pytest

import environment
import fastnn
import fastnn.models
import fastnn.optim
import harness
import numpy_steps
import torch_peer

MODELS = {
    "lenet5": (
        fastnn.models.lenet5,
        [numpy_steps.LeNet5Step, numpy_steps.LeNet5StepByTaps],
        torch_peer.lenet5_step,
    ),
    "mlp": (
        lambda **options: fastnn.models.mlp((784, 128, 10), **options),
        [numpy_steps.MLPStep],
        torch_peer.mlp_step,
    ),
}
# So small that hundreds of steps on the same batch do not change what is being timed.
OPTIONS = {"lr": 1e-6, "momentum": 0.9}


def batch_of(n, dtype):
    rng = np.random.default_rng(1998)
    return rng.standard_normal((n, 28, 28, 1)).astype(dtype), rng.integers(0, 10, n)


def make_step(model, x, labels, **options):
    optimizer = fastnn.optim.SGD(model, **options)

    def step():
        logits, backward = model.forward(x)
        loss, dlogits = fastnn.softmax_cross_entropy(logits, labels)
        backward(dlogits)
        optimizer.step()
        return loss

    return step


def parameters(model):
    return [p.data.copy() for p in model.parameters()]


@pytest.mark.parametrize("n", [1, 64, 256])
@pytest.mark.parametrize("name", MODELS)
def test_step(compare, threads, name, n):
    make, kinds, torch_step = MODELS[name]
    x, labels = batch_of(n, np.float32)
    model = make(rng=7)
    start = parameters(model)
    want = next(iter(numpy_steps.steps(kinds, *doubled(x, labels, start), **OPTIONS).values()))()
    # every product, sum and exponential on the way to the loss rounds; 784 is the longest sum
    bound = 784 * harness.eps(np.float32) * want

    compare(
        op=f"{name} training step",
        shape=f"batch {n}",
        dtype=np.float32,
        threads=threads,
        ours=make_step(model, x, labels, **OPTIONS),
        check=lambda loss: harness.assert_within(loss, want, bound),
        numpy=lambda: numpy_steps.steps(kinds, x, labels, start, **OPTIONS),
        torch=lambda: torch_step(threads, x, labels, start, **OPTIONS),
        from_torch=lambda loss: loss.item(),
    )


def doubled(x, labels, start):
    return x.astype(np.float64), labels, [p.astype(np.float64) for p in start]


@pytest.mark.parametrize("n", [1, 32])
@pytest.mark.parametrize("name", MODELS)
def test_numpy_makes_the_same_steps(name, n):
    """Three steps in float64 by fastnn and by every candidate end at the same parameters."""
    make, kinds, _ = MODELS[name]
    x, labels = batch_of(n, np.float64)
    options = {"lr": 0.01, "momentum": 0.9}
    start = parameters(make(rng=7, dtype=np.float64))
    for candidate in numpy_steps.steps(kinds, x, labels, start, **options).values():
        model = make(rng=7, dtype=np.float64)
        ours = make_step(model, x, labels, **options)
        with environment.limit_threads(1):  # others may be waiting for the CPUs
            for _ in range(3):
                assert ours() == pytest.approx(candidate(), rel=784 * harness.eps(np.float64))
        moved = np.concatenate([p.ravel() for p in parameters(model)])
        way = np.linalg.norm(moved - np.concatenate([p.ravel() for p in start]))
        # the longest chain of roundings is the gradient of a kernel: a sum over all pixels
        bound = 3 * n * 784 * harness.eps(np.float64) * way
        assert np.linalg.norm(moved - candidate.w) <= bound
