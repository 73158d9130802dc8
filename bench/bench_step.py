"""Whole training steps, SGD with momentum, and inference: compiled, and kernel by kernel."""

from functools import partial

import numpy as np
import pytest

import environment
import fastnn
import fastnn.models
import fastnn.optim
import harness
import numpy_steps
import torch_peer

LENET = [numpy_steps.LeNet5Step, numpy_steps.LeNet5StepByTaps]
MLP = [numpy_steps.MLPStep]


def mlp(*sizes):
    return lambda **options: fastnn.models.mlp(sizes, **options)


def vgg(configuration, size):
    shape = (size, size, 3)
    return lambda **options: fastnn.models.vgg(
        configuration, num_classes=10 if size == 32 else 1000, input_shape=shape, **options
    )


# how it is made, the NumPy steps there are, the image, batches, rounds
MODELS = {
    "MLP 784-128-10": (mlp(784, 128, 10), MLP, (28, 28, 1), (1, 64, 256), 11),
    "MLP 784-512-512-10": (mlp(784, 512, 512, 10), [], (28, 28, 1), (128,), 11),
    "LeNet-5": (fastnn.models.lenet5, LENET, (28, 28, 1), (1, 64, 256), 11),
    "VGG-11 at 32": (vgg("A", 32), [], (32, 32, 3), (64,), 5),
    "VGG-16 at 32": (vgg("D", 32), [], (32, 32, 3), (64,), 5),
}
STEPS = [(name, n) for name, (*_, batches, _) in MODELS.items() for n in batches]
# So small that hundreds of steps on the same batch do not change what is being timed.
OPTIONS = {"lr": 1e-6, "momentum": 0.9}


def batch_of(shape, n, dtype):
    rng = np.random.default_rng(1998)
    return rng.standard_normal((n, *shape)).astype(dtype), rng.integers(0, 10, n)


def make_step(model, **options):
    optimizer = fastnn.optim.SGD(model, **options)

    def step(x, labels):
        logits, backward = model.forward(x)
        loss, dlogits = fastnn.softmax_cross_entropy(logits, labels)
        backward(dlogits)
        optimizer.step()
        return loss

    return step


def parameters(model):
    return [p.data.copy() for p in model.parameters()]


@pytest.mark.parametrize("way", ["compiled", "eager"])
@pytest.mark.parametrize(("name", "n"), STEPS, ids=[f"{name}, batch {n}" for name, n in STEPS])
def test_step(compare, threads, name, n, way):
    make, kinds, shape, _, rounds = MODELS[name]
    x, labels = batch_of(shape, n, np.float32)
    if not compare.args[0].enabled and name.startswith("VGG"):
        pytest.skip("seconds for a check that LeNet-5 makes too")
    model = make(rng=7)
    start = parameters(model)
    step = make_step(model, **OPTIONS)
    want = make_step(make(rng=7), **OPTIONS)(x, labels)
    if kinds:
        args = doubled(x, labels, start)
        want = next(iter(numpy_steps.steps(kinds, *args, **OPTIONS).values()))()
    # every product, sum and exponential on the way to the loss rounds; 784 is the longest sum
    bound = 784 * harness.eps(np.float32) * want

    compare(
        op=f"{name}, a training step, {way}",
        shape=f"batch {n}",
        dtype=np.float32,
        threads=threads,
        ours=partial(fastnn.compile(step) if way == "compiled" else step, x, labels),
        check=lambda loss: harness.assert_within(loss, want, bound),
        numpy=lambda: numpy_steps.steps(kinds, x, labels, start, **OPTIONS) if kinds else {},
        torch=lambda: torch_peer.training_step(threads, make(rng=7), x, labels, **OPTIONS),
        from_torch=lambda loss: loss.item(),
        group=f"steps, {way}",
        rounds=rounds,
    )


INFERENCE = {
    "LeNet-5": (fastnn.models.lenet5, (28, 28, 1), 11),
    "VGG-16 at 224": (vgg("D", 224), (224, 224, 3), 5),
}


@pytest.mark.parametrize("way", ["compiled", "eager"])
@pytest.mark.parametrize("name", INFERENCE)
def test_inference(compare, threads, name, way):
    make, shape, rounds = INFERENCE[name]
    if not compare.args[0].enabled and name.startswith("VGG"):
        pytest.skip("500 MB of weights for a check that LeNet-5 makes too")
    x, _ = batch_of(shape, 1, np.float32)
    model = make(rng=7)
    want = model(x)
    run = fastnn.compile(lambda x: model(x)) if way == "compiled" else model

    compare(
        op=f"{name}, inference, {way}",
        shape="batch 1",
        dtype=np.float32,
        threads=threads,
        ours=partial(run, x),
        check=lambda y: harness.assert_within(y, want, 25088 * harness.eps(np.float32)),
        numpy=dict,
        torch=lambda: torch_peer.inference(threads, model, x),
        from_torch=torch_peer.arrays,
        group=f"inference, {way}",
        rounds=rounds,
    )


def doubled(x, labels, start):
    return x.astype(np.float64), labels, [p.astype(np.float64) for p in start]


@pytest.mark.parametrize("n", [1, 32])
@pytest.mark.parametrize("name", ["MLP 784-128-10", "LeNet-5"])
def test_numpy_makes_the_same_steps(name, n):
    """Three steps in float64 by fastnn and by every candidate end at the same parameters."""
    make, kinds, shape, *_ = MODELS[name]
    x, labels = batch_of(shape, n, np.float64)
    options = {"lr": 0.01, "momentum": 0.9}
    start = parameters(make(rng=7, dtype=np.float64))
    for candidate in numpy_steps.steps(kinds, x, labels, start, **options).values():
        model = make(rng=7, dtype=np.float64)
        ours = partial(make_step(model, **options), x, labels)
        with environment.limit_threads(1):  # others may be waiting for the CPUs
            for _ in range(3):
                assert ours() == pytest.approx(candidate(), rel=784 * harness.eps(np.float64))
        moved = np.concatenate([p.ravel() for p in parameters(model)])
        way = np.linalg.norm(moved - np.concatenate([p.ravel() for p in start]))
        # the longest chain of roundings is the gradient of a kernel: a sum over all pixels
        bound = 3 * n * 784 * harness.eps(np.float64) * way
        assert np.linalg.norm(moved - candidate.w) <= bound
