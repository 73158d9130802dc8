"""A run with everything that has a state, for the tests of resumption; also a program:

python long_run.py CHECKPOINT trains, or goes on training, and prints the digest of the bits.
"""

import hashlib
import json
import sys

import numpy as np

import fastnn
from fastnn import nn, optim, training

EPOCHS = 6


def jitter(x, rng):
    """A transform that draws random numbers."""
    return x + rng.standard_normal(x.shape, dtype=np.float32) / 8


class Noise(nn.Module):
    """A layer that draws from a NumPy generator."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, x):
        return x

    def forward(self, x):
        factor = self.rng.uniform(0.9, 1.1, x.shape).astype(x.dtype)
        return x * factor, lambda dy: dy * factor


def data(n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    return (rng.standard_normal((n, 4)) + 2 * np.eye(3, 4)[labels]).astype(np.float32), labels


def build():
    model = nn.Sequential(
        nn.Linear(4, 16, rng=1),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        Noise(2),
        nn.Dropout(0.25, rng=3),
        nn.Linear(16, 3, rng=4),
    )
    optimizer = optim.Adam(model, lr=0.01, amsgrad=True)
    schedule = optim.LinearWarmup(optim.CosineAnnealingLR(optimizer, 60), 10)
    return model, optimizer, schedule


def execute(checkpoint=None, callbacks=(), epochs=EPOCHS, every=1, resume=True):
    """Return the arrays there are in the end, and the history without its times."""
    model, optimizer, schedule = build()
    stopping = training.EarlyStopping(patience=epochs, min_delta=10)  # the first epoch is best
    keep = {} if checkpoint is None else {"checkpoint_every": every, "resume": resume}
    history = fastnn.fit(
        model,
        data(90, 5),
        data(30, 6),
        optimizer=optimizer,
        schedule=schedule,
        callbacks=[stopping, *callbacks],
        epochs=epochs,
        batch_size=8,
        clip_norm=1.0,
        transform=jitter,
        rng=7,
        checkpoint=checkpoint,
        progress=False,
        **keep,
        compile=False,  # Noise draws from NumPy
    )
    arrays = {f"model {name}": array for name, array in model.state_dict().items()}
    arrays |= {f"optimizer {name}": array for name, array in optimizer.state_dict().items()}
    arrays |= {f"schedule {name}": array for name, array in schedule.state_dict().items()}
    rows = [row._replace(seconds=0) for row in history.epochs]
    return arrays, [*rows, stopping.state_dict()]


def digest(arrays, rows):
    bits = hashlib.sha256(json.dumps(rows).encode())
    for name, array in arrays.items():
        bits.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return bits.hexdigest()


if __name__ == "__main__":
    print("ready", flush=True)
    print(digest(*execute(sys.argv[1], epochs=int(sys.argv[2]))), flush=True)
