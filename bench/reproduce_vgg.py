"""A narrow VGG on some images of CIFAR-10, here and in PyTorch, for as many seconds each.

Both begin with the same weights, and see the same distortions of the same batches in the same
order, made by the loader of this package; the learning rate falls to 0 with the time that is left.
They take turns of a few seconds, so that what else the machine does hits both.
"""

from __future__ import annotations

import copy
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import fastnn
from fastnn import data, models, nn, optim
from fastnn.data import transforms
from fastnn.training import Callback

BATCH_SIZE = 64
TURN = 3.0
SGD = {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
NETWORK = "VGG-11 with batch norm, a quarter as wide, on 5,000 images of CIFAR-10"
TRAINING = (
    "SGD, momentum 0.9, lr 0.05 to 0, decay 5e-4; batch 64; flipped, and cut from a border of 4"
)


def make_model(seed: Any) -> models.VGG:
    """Return the network: 579,786 parameters."""
    return models.vgg("A", 10, (32, 32, 3), batch_norm=True, width=0.25, rng=seed)


def make_loader(train: data.Split, seed: Any) -> data.Batches:
    """Return batches; two of the same seed are the same."""
    transform = transforms.Compose(transforms.HorizontalFlip(), transforms.PadCrop(4))
    options = {"shuffle": True, "transform": transform, "prefetch": 2}
    return data.batches(*train, BATCH_SIZE, rng=np.random.default_rng(seed), **options)


class UntilTimeIsUp(optim.Schedule):
    """``lr = base * (1 - the part of the time that is gone)``."""

    def __init__(self, optimizer: optim.Optimizer, gone: Callable[[], float]) -> None:
        self.gone = gone
        super().__init__(optimizer)

    def rate(self, base_lr: float, count: int) -> float:
        """Return the learning rate now."""
        return base_lr * max(1.0 - self.gone(), 0.0)


class Peer:
    """The same network in PyTorch, eager, in the layout that is faster."""

    def __init__(self, model: models.VGG, loader: data.Batches, seconds: float) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch
        self.torch, self.seconds, self.spent, self.steps = torch, seconds, 0.0, 0
        torch.set_num_threads(fastnn.get_num_threads())
        self.net = torch_network(torch, model)
        self._batches = endless(loader)
        x, y = loader.x[:BATCH_SIZE], loader.y[:BATCH_SIZE]
        self.layout = min(
            (torch.contiguous_format, torch.channels_last),
            key=lambda layout: self._duration(x, y, layout),
        )
        self.net = self.net.to(memory_format=self.layout)
        self.optimizer = torch.optim.SGD(self.net.parameters(), **SGD)

    def _duration(self, x: Any, y: Any, layout: Any) -> float:
        """Return the time of the fastest of some steps of a copy."""
        self.layout = layout
        net = copy.deepcopy(self.net).to(memory_format=layout)
        optimizer = self.torch.optim.SGD(net.parameters(), **SGD)
        times = []
        for _ in range(3):
            begin = time.perf_counter()
            self._step(net, optimizer, x, y)
            times.append(time.perf_counter() - begin)
        return min(times)

    def _step(self, net: Any, optimizer: Any, x: Any, y: Any) -> None:
        torch = self.torch
        images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=self.layout)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), torch.from_numpy(y)).backward()
        optimizer.step()

    def train_until(self, seconds: float) -> None:
        """Train until that much time has been spent altogether."""
        mark = time.perf_counter()
        while self.spent < seconds:
            x, y = next(self._batches)
            rate = SGD["lr"] * max(1.0 - self.spent / self.seconds, 0.0)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self._step(self.net, self.optimizer, x, y)
            self.steps += 1
            now = time.perf_counter()
            self.spent, mark = self.spent + now - mark, now

    def accuracy(self, test: data.Split) -> float:
        """Return the fraction of the test images classified correctly."""
        torch = self.torch
        self.net.eval()
        with torch.no_grad():
            logits = self.net(torch.from_numpy(test.x).permute(0, 3, 1, 2)).numpy()
        return float(np.mean(logits.argmax(1) == test.y))


class InTurns(Callback):
    """Counts the seconds of `fit`, and lets the peer have as many in between."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.spent, self.steps = seconds, 0.0, 0
        self.peer: Peer | None = None
        self._mark = 0.0

    def on_start(self, run: Any) -> None:
        """Begin to count."""
        self._mark = time.perf_counter()

    def on_batch(self, run: Any) -> None:
        """Count, hand over, and stop when the time is up."""
        self.spent += time.perf_counter() - self._mark
        self.steps += 1
        over = self.spent >= self.seconds
        if self.peer is not None and (over or self.spent >= self.peer.spent + TURN):
            self.peer.train_until(min(self.spent, self.seconds))
        if over:
            run.stop("the time is up")
        self._mark = time.perf_counter()


def endless(loader: data.Batches) -> Iterator[tuple[Any, Any]]:
    """Yield the batches of pass after pass."""
    while True:
        yield from loader


def torch_network(torch: Any, model: models.VGG) -> Any:
    """Return the layers of a VGG without hidden layers, and its weights."""
    layers: list[Any] = []
    for layer in model.features:
        if isinstance(layer, nn.Conv2d):
            outputs, kernel, _, inputs = layer.weight.shape
            layers.append(torch.nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2))
            layers += [torch.nn.BatchNorm2d(outputs), torch.nn.ReLU()]
        elif isinstance(layer, nn.MaxPool2d):
            layers.append(torch.nn.MaxPool2d(2))
    (last,) = model.classifier
    outputs, inputs = last.weight.shape
    parts = {
        "features": torch.nn.Sequential(*layers),
        "flatten": torch.nn.Flatten(),
        "classifier": torch.nn.Sequential(torch.nn.Linear(inputs, outputs)),
    }
    net = torch.nn.Sequential()
    for name, part in parts.items():
        net.add_module(name, part)
    state = models.to_torchvision(model)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in state.items()}
    # PyTorch also counts batches, which nothing here depends on
    missing, unexpected = net.load_state_dict(tensors, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return net


def compare(dataset: data.Dataset, seed: int, seconds: float) -> dict[str, Any]:
    """Train both, and return the row."""
    orders, weights = np.random.SeedSequence(seed).spawn(2)
    model = make_model(weights)
    turns = InTurns(seconds)
    if importlib.util.find_spec("torch") is not None:
        turns.peer = Peer(model, make_loader(dataset.train, orders), seconds)
    optimizer = optim.SGD(model, **SGD)
    schedule = UntilTimeIsUp(optimizer, lambda: turns.spent / seconds)
    options = {"schedule": schedule, "callbacks": [turns], "epochs": 10**6, "progress": False}
    fastnn.fit(model, make_loader(dataset.train, orders), optimizer=optimizer, **options)
    ours = 100 * fastnn.evaluate(model, *dataset.test).accuracy
    passes = BATCH_SIZE / len(dataset.train.y)
    theirs, published = None, "PyTorch is not installed"
    if turns.peer is not None:
        theirs = 100 * turns.peer.accuracy(dataset.test)
        version, peer_passes = turns.peer.torch.__version__, turns.peer.steps * passes
        published = f"PyTorch {version}: {100 - theirs:.2f} % error, {peer_passes:.1f} passes"
    return {
        "row": "vgg",
        "network": f"{NETWORK}, {turns.steps * passes:.1f} passes",
        "training": TRAINING,
        "published": published,
        "floor": theirs,
        "error": 100 - ours,
        "accuracy": ours,
        "seconds": turns.spent,
        "cpu_seconds": None,
        "threads": fastnn.get_num_threads(),
        "reached": theirs is None or ours > theirs,
        "runs": [{"seed": seed, "accuracy": ours, "seconds": turns.spent}],
    }
