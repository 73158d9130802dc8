"""Where programs put things: no two live buffers share memory, nothing leaks."""

from __future__ import annotations

import gc
import itertools
import resource
import tracemalloc

import numpy as np
import pytest

import fastnn
from compiling import assert_same_state, image_batches, state_of, training_step
from fastnn import nn, optim
from fastnn.program.arena import Life, place
from fastnn.program.build import Plan
from test_compile import make


def plan_of(compiled: fastnn.program.CompiledFunction) -> Plan:
    return next(iter(compiled._plans.values()))[0]


def narrow_vgg() -> tuple[nn.Module, optim.SGD]:
    rng = np.random.default_rng(0)
    layers: list[nn.Module] = []
    channels = 3
    for width in (8, "M", 16, "M", 32, 32, "M", 32, 32, "M"):
        if width == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, width, 3, padding=1, rng=rng), nn.BatchNorm2d(width)]
        layers.append(nn.ReLU())
        channels = width
    model = nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(128, 64, rng=rng),
        nn.ReLU(),
        nn.Dropout(0.5, rng=rng),
        nn.Linear(64, 5, rng=rng),
    )
    return model, optim.SGD(model, lr=0.01, momentum=0.9)


@pytest.mark.parametrize("build", [make, narrow_vgg])
def test_live_buffers_do_not_share_memory(build: object) -> None:
    """An independent look: at every op, what it touches and what is needed later is apart."""
    step = fastnn.compile(training_step(*build()))
    step(*image_batches(1, (32, 32, 3) if build is narrow_vgg else (12, 12, 3))[0])
    plan = plan_of(step)
    ops, offsets = plan.ops, plan.placement.offsets
    written_before: set = set()
    for i, op in enumerate(ops):
        later = {o.buffer for rest in ops[i + 1 :] for o in rest.operands if o.reads}
        needed = {b for b in written_before & later if b.in_arena}
        touched = {o.buffer for o in op.operands if o.buffer.in_arena}
        for a, b in itertools.combinations(needed | touched, 2):
            apart = offsets[a] + a.nbytes <= offsets[b] or offsets[b] + b.nbytes <= offsets[a]
            # an op may write over what it reads for the last time
            in_place = {a, b} <= touched and offsets[a] == offsets[b] and not {a, b} <= needed
            assert apart or in_place, (i, op, a, b)
        written_before |= {o.buffer for o in op.operands if o.writes}
        for buffer in touched:
            assert offsets[buffer] + buffer.nbytes <= plan.placement.size


def test_the_arena_is_near_the_lower_bound() -> None:
    step = fastnn.compile(training_step(*narrow_vgg()))
    step(*image_batches(1, (32, 32, 3))[0])
    placement = plan_of(step).placement
    assert placement.bound <= placement.size <= 1.1 * placement.bound


def test_lives_are_those_of_the_ops() -> None:
    step = fastnn.compile(training_step(*make()))
    step(*image_batches(1)[0])
    plan = plan_of(step)
    for buffer, life in plan.placement.lives.items():
        users = [i for i, op in enumerate(plan.ops) for o in op.operands if o.buffer is buffer]
        last = len(plan.ops) if buffer.kind == "number" else max(users)
        assert life == Life(min(users), last)
    apart = place(plan.ops, reuse=False)
    assert apart.size >= sum(b.nbytes for b in apart.offsets)


@pytest.mark.parametrize("value", [0, 0xFF])
def test_nothing_is_read_that_was_not_written(value: int) -> None:
    models = [make(), make()]
    eager, compiled = training_step(*models[0]), fastnn.compile(training_step(*models[1]))
    for batch in image_batches(5):
        expected = eager(*batch)
        for plans in compiled._plans.values():
            plans[0].program.poison(value)  # 0xFF: NaN
        assert compiled(*batch) == expected
    assert_same_state(state_of(*models[1]), state_of(*models[0]))


def test_arguments_are_read_in_place() -> None:
    big = np.ones((1 << 12, 1 << 8), np.float32)
    norm = fastnn.compile(lambda x: fastnn.vector_norm(x))
    norm(big)
    tracemalloc.start()
    norm(big)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000


def test_ten_thousand_calls_leak_nothing() -> None:
    model, optimizer = make()
    step = fastnn.compile(training_step(model, optimizer))
    infer = fastnn.compile(lambda x: (fastnn.softmax(x), [fastnn.relu(x)]))
    batch = image_batches(1)[0]
    x = np.ones((3, 5))
    step(*batch), infer(x)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(5000):
        step(*batch)
        infer(x)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 5000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 20_000  # kB


def test_programs_are_freed() -> None:
    gc.collect()
    before = len(fastnn._core.programs)
    step = fastnn.compile(training_step(*make()))
    for n in (1, 2, 3):
        step(*image_batches(1, sizes=(n,))[0])
    assert len(fastnn._core.programs) == before + 3
    del step
    gc.collect()
    assert len(fastnn._core.programs) == before
