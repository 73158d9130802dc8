"""Random stacks of layers: compiled steps have the bits of the steps themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compiling import assert_steps_equal, image_batches
from fastnn import nn, optim

POINTWISE = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.SiLU, nn.GELU, nn.LeakyReLU, nn.Softplus)


@st.composite
def stacks(draw: st.DrawFn) -> tuple[list[tuple], int]:
    """Descriptions of layers for images 10 x 10 x 3, which `build` makes."""
    layers: list[tuple] = []
    size, channels = 10, 3
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["conv", "pool", "mean", "norm", "point", "point", "drop"]))
        if kind == "conv":
            out = draw(st.sampled_from([1, 4, 16, 20]))
            taps = draw(st.sampled_from([1, 3]))
            layers.append(("conv", channels, out, taps, draw(st.booleans())))
            channels = out
        elif kind in ("pool", "mean") and size >= 4:
            layers.append((kind,))
            size //= 2
        elif kind == "norm":
            layers.append(
                ("norm", channels, draw(st.sampled_from(["batch", "batch relu", "group"])))
            )
        elif kind == "point":
            layers.append(("point", draw(st.integers(0, len(POINTWISE) - 1))))
        elif kind == "drop":
            layers.append(("drop",))
    features = size * size * channels
    for _ in range(draw(st.integers(0, 2))):
        units = draw(st.integers(1, 20))
        layers.append(("linear", features, units, draw(st.booleans())))
        layers.append(("point", draw(st.integers(0, len(POINTWISE) - 1))))
        features = units
    layers.append(("linear", features, 5, True))
    return layers, draw(st.integers(0, 5))


def build(layers: list[tuple]) -> nn.Sequential:
    rng = np.random.default_rng(11)
    made: list[nn.Module] = []
    flat = False
    for kind, *values in layers:
        if kind == "conv":
            inputs, outputs, taps, bias = values
            padding = taps // 2
            made.append(nn.Conv2d(inputs, outputs, taps, padding=padding, bias=bias, rng=rng))
        elif kind == "pool":
            made.append(nn.MaxPool2d(2))
        elif kind == "mean":
            made.append(nn.AvgPool2d(2))
        elif kind == "norm":
            channels, which = values
            relu = "relu" if which.endswith("relu") else None
            made.append(
                nn.GroupNorm(1, channels)
                if which == "group"
                else nn.BatchNorm2d(channels, activation=relu)
            )
        elif kind == "point":
            made.append(POINTWISE[values[0]]())
        elif kind == "drop":
            made.append(nn.Dropout(0.25, rng=rng))
        else:
            if not flat:
                made.append(nn.Flatten())
                flat = True
            made.append(nn.Linear(values[0], values[1], bias=values[2], rng=rng))
    return nn.Sequential(*made)


def optimizer_of(model: nn.Module, which: int) -> optim.Optimizer:
    kinds = (
        lambda: optim.SGD(model, lr=0.01),
        lambda: optim.SGD(model, lr=0.01, momentum=0.9, nesterov=True),
        lambda: optim.Adam(model, lr=1e-3),
        lambda: optim.AdamW(model, lr=1e-3, amsgrad=True),
        lambda: optim.RMSprop(model, lr=1e-3),
        lambda: optim.Adadelta(model, lr=0.5),
    )
    return kinds[which]()


@settings(max_examples=60, deadline=None)
@given(stacks())
def test_random_stacks(drawn: tuple[list[tuple], int]) -> None:
    layers, which = drawn

    def make() -> tuple[nn.Module, optim.Optimizer]:
        model = build(layers)
        return model, optimizer_of(model, which)

    batches = image_batches(4, (10, 10, 3), sizes=(3, 2))
    assert_steps_equal(make, batches, threads=(1, 2))
