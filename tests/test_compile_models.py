"""Every model by name: compiled steps have the bits of the steps themselves."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from compiling import assert_same_state, state_of
from fastnn import models, optim

STEPS = 20
NARROW = {"width": 1 / 32, "num_classes": 10, "input_shape": (32, 32, 3)}
NAMES = [
    name
    for name in models.names()
    if not hasattr(models.create(name, **(NARROW if name.startswith("vgg") else {})), "fit")
]


@pytest.mark.parametrize("name", NAMES)
def test_twenty_steps(name: str) -> None:
    options = NARROW if name.startswith("vgg") else {}
    shape = options.get("input_shape", models.info(name).input_shape)
    rng = np.random.default_rng(0)
    runs = []
    for compiled in (False, True):
        model = models.create(name, rng=0, **options)
        optimizer = optim.SGD(model, lr=1e-3, momentum=0.9, weight_decay=1e-4)
        loss_of = getattr(model, "loss", fastnn.softmax_cross_entropy)

        def step(x, labels, model=model, optimizer=optimizer, loss_of=loss_of):
            outputs, backward = model.forward(x)
            loss, dy = loss_of(outputs, labels)
            fastnn.require_finite(loss)
            backward(dy)
            optim.clip_grad_norm(optimizer, 5.0)
            optimizer.step()
            return loss, outputs

        runs.append((model, optimizer, fastnn.compile(step) if compiled else step))
    for i in range(STEPS):
        n = (2, 5)[i % 3 == 2]
        x, labels = rng.standard_normal((n, *shape), np.float32), rng.integers(0, 10, n)
        (loss, outputs), (same_loss, same_outputs) = (run(x, labels) for *_, run in runs)
        assert loss == same_loss, i
        assert outputs.tobytes() == same_outputs.tobytes(), i
    assert_same_state(state_of(*runs[1][:2]), state_of(*runs[0][:2]))


@pytest.mark.parametrize("name", NAMES)
def test_inference(name: str) -> None:
    options = NARROW if name.startswith("vgg") else {}
    shape = options.get("input_shape", models.info(name).input_shape)
    model = models.create(name, rng=0, **options)
    infer = fastnn.compile(lambda x: model(x))
    for n in (1, 3):
        x = np.random.default_rng(n).standard_normal((n, *shape), np.float32)
        assert infer(x).tobytes() == model(x).tobytes()
