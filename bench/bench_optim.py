"""Steps of optimizers, from Python: ``optimizer.step()`` of a small model and of a large one."""

from functools import partial

import numpy as np
import pytest

import harness
import numpy_baseline
import torch_peer
from fastnn import nn, optim, reference

EPS = harness.eps(np.float32)
SIZES = {"10K": 10_000, "15M": 15_000_000}
PARAMETERS = 8  # of equal size
LR = 1e-3

# name, options, arrays read and written, arrays altogether
STEPS = {
    "SGD": ({"momentum": 0.9}, 5, 3),
    "Adam": ({}, 7, 4),
    "RMSprop": ({}, 5, 3),
    "Adagrad": ({}, 5, 3),
    "Adadelta": ({}, 7, 4),
}


def first_step(name, w, dw):
    """The parameters after one step, in float64."""
    zero = np.zeros(w.shape)
    return {
        "SGD": lambda: reference.sgd_step(w, dw, zero, (LR, 0.9, 0)),
        "Adam": lambda: reference.adam_step(w, dw, zero, zero, None, (LR, 0.9, 0.999, 1e-8, 0, 1)),
        "RMSprop": lambda: reference.rmsprop_step(w, dw, zero, None, None, (LR, 0.99, 1e-8, 0, 0)),
        "Adagrad": lambda: reference.adagrad_step(w, dw, zero, (LR, 0, 1e-10, 0, 1)),
        "Adadelta": lambda: reference.adadelta_step(w, dw, zero, zero, (LR, 0.9, 1e-6, 0)),
    }[name]()[0]


def step(optimizer, parameters):
    """A step with the gradients of the last one, counted as new."""
    for p in parameters:
        p.grad = p.grad
    optimizer.step()
    return parameters[0].data


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", STEPS)
def test_optimizer(compare, rng, threads, name, size):
    options, moved, arrays = STEPS[name]
    shape = (PARAMETERS, size // PARAMETERS)
    w, dw = (np.resize(rng.standard_normal(65536, np.float32), shape) for _ in range(2))
    dw += np.copysign(np.float32(0.25), dw)  # away from 0, where a root magnifies roundings
    parameters = [nn.Parameter(part) for part in w]
    optimizer = getattr(optim, name)(parameters, lr=LR, **options)
    for p, grad in zip(parameters, dw, strict=True):
        p.grad = grad
    want = first_step(name, w[0], dw[0])
    # the rounding of w, and some twenty of a step of at most 10 lr * max(1, |dw|)
    bound = EPS * (np.abs(w[0]) + 10 * LR * 20 * np.maximum(1, np.abs(dw[0])))
    flat_w, flat_dw = w.ravel(), dw.ravel()

    def numpy_step():
        zeros = [np.zeros(flat_w.shape, np.float32) for _ in range(arrays - 2)]
        own = flat_w.copy()
        if name == "SGD":
            return numpy_baseline.sgd_step(own, flat_dw, *zeros, LR, 0.9)
        # the first of Adam's corrects for the bias, as with a smaller lr
        lr = LR * (1 - 0.999) ** 0.5 / (1 - 0.9) if name == "Adam" else LR
        make = getattr(numpy_baseline, f"{name.lower()}_step")
        return make(own, flat_dw, *zeros, lr)

    compare(
        op=f"{name}.step",
        shape=f"{size:,}",
        dtype=np.float32,
        threads=threads,
        ours=partial(step, optimizer, parameters),
        check=lambda result: harness.assert_within(result.ravel()[: shape[1]], want, bound),
        numpy=lambda: {way: numpy_step()[way] for way in numpy_step()},
        torch=lambda: torch_peer.optimizer_step(threads, name, w, dw, {"lr": LR, **options}),
        from_torch=torch_peer.arrays,
        nbytes=moved * w.nbytes,
        footprint=arrays * w.nbytes,
    )
