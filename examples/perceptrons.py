"""Perceptrons from the ground up: gradients by hand, a network step by step, and why depth is hard.

    python examples/perceptrons.py [picture.png]

Prints the worked examples, and measures vanishing gradients and dead ReLUs. With the name of a
picture (needs matplotlib) it draws what it measured.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import fastnn
from fastnn import init, models, nn, optim

CS231N = ([[0.1, 0.5], [-0.3, 0.8]], [0.2, 0.4])
"""W and x of the course CS231n (Stanford), lecture on backpropagation: f = 0.116."""

OTHER = ([[0.2, 0.5], [-0.1, 0.8]], [0.2, 0.5])
"""One W, x with f = 0.2285; others fit as well."""


def squared_norm(w: np.ndarray, x: np.ndarray) -> dict[str, Any]:
    """q = Wx, f = |q|^2, and the two gradients.

    Forward, each part in turn; backward, each part's derivative times what came from above:

        df/dq = 2 q          since f = sum of q_i^2
        df/dW = df/dq x^T    since dq_i/dW_ij = x_j
        df/dx = W^T df/dq    since dq_i/dx_j = W_ij

    The 1 that is often drawn at the output is df/df, where backward starts: no target.
    The gradient is a direction. The weights after a step are W - lr * df/dW.
    """
    w, x = np.asarray(w, np.float64), np.asarray(x, np.float64)
    layer = nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=np.float64)
    layer.weight.data = w
    q, backward = layer.forward(x[None, :])
    f = float((q * q).sum())
    dx = backward(2 * q)
    assert dx is not None
    return {"q": q[0], "f": f, "dq": 2 * q[0], "dw": layer.weight.grad, "dx": dx[0]}


class Mazur:
    """The network of Matt Mazur's "A Step by Step Backpropagation Example" (2015).

    Two inputs, two hidden and two output units, all sigmoid; the error is the sum of
    (target - output)^2 / 2. As in the text, biases stay as they are.
    """

    x = np.array([[0.05, 0.10]])
    target = np.array([[0.01, 0.99]])

    def __init__(self) -> None:
        hidden, output = (nn.Linear(2, 2, dtype=np.float64) for _ in range(2))
        hidden.weight.data = np.array([[0.15, 0.20], [0.25, 0.30]])  # w1 w2, w3 w4
        output.weight.data = np.array([[0.40, 0.45], [0.50, 0.55]])  # w5 w6, w7 w8
        hidden.bias.data = np.full(2, 0.35)  # b1
        output.bias.data = np.full(2, 0.60)  # b2
        self.layers = (hidden, output)
        self.model = nn.Sequential(hidden, nn.Sigmoid(), output, nn.Sigmoid())
        weights = [hidden.weight, output.weight]
        self.optimizer = optim.SGD(weights, lr=0.5)

    def error(self) -> float:
        """Return the error with the weights as they are."""
        return self.loss(self.model(self.x))[0]

    def loss(self, y: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the error and its gradient, y - target."""
        loss, dy = fastnn.mse(y, self.target, reduction="sum")
        return loss / 2, dy / 2

    def step(self) -> float:
        """Make one step, and return the error before it."""
        y, backward = self.model.forward(self.x)
        loss, dy = self.loss(y)
        backward(dy)
        self.optimizer.step()
        return loss

    def weights(self) -> np.ndarray:
        """Return w1 to w8."""
        return np.concatenate([layer.weight.data.ravel() for layer in self.layers])

    def gradients(self) -> np.ndarray:
        """Return the derivatives of the error by w1 to w8, of the last step."""
        grads = [layer.weight.grad for layer in self.layers]
        return np.concatenate([grad.ravel() for grad in grads if grad is not None])


def gradient_norms(
    activation: str, weight_init: Any = None, depth: int = 10, units: int = 64
) -> list[float]:
    """Return the root mean square of each layer's weight gradient at the start, first layer first.

    A perceptron of that many hidden layers on the embedded digits, 256 of them.
    """
    (x, labels), _ = fastnn.data.load_digits(8)
    model = models.mlp((64, *[units] * depth, 10), activation, rng=0, dtype=np.float64)
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    if weight_init is not None:
        rng = np.random.default_rng(0)
        for layer in layers:
            layer.weight.data = weight_init(layer.weight.shape, rng=rng, dtype=np.float64)
    logits, backward = model.forward(x[:256].astype(np.float64))
    _, dlogits = fastnn.softmax_cross_entropy(logits, labels[:256])
    backward(dlogits)
    return [float(np.sqrt(np.mean(np.square(layer.weight.grad)))) for layer in layers]


def dead_units(lr: float, steps: int = 60, depth: int = 4, units: int = 64) -> list[float]:
    """Return the share of ReLUs in each hidden layer that no example switches on, after training.

    Such a unit gets no gradient from these examples any more. Plain gradient descent on the
    embedded digits; a step that is too long moves biases so far that units never come back.
    """
    (x, labels), _ = fastnn.data.load_digits(8)
    model = models.mlp((64, *[units] * depth, 10), rng=0)
    optimizer = optim.SGD(model, lr=lr)
    batches = fastnn.data.batches(x, labels, 64, shuffle=True, rng=0)
    done = 0
    while done < steps:
        for images, classes in batches:
            logits, backward = model.forward(images)
            _, dlogits = fastnn.softmax_cross_entropy(logits, classes)
            backward(dlogits)
            optimizer.step()
            done += 1
            if done == steps:
                break
    shares, y = [], x
    for layer in model:
        y = layer(y)
        if isinstance(layer, nn.ReLU):
            shares.append(float(np.mean((y <= 0).all(0))))
    return shares


VANISHING = {
    "sigmoid, Glorot": ("sigmoid", None),
    "tanh, Glorot": ("tanh", None),
    "ReLU, He": ("relu", None),
    "ReLU, Glorot": ("relu", init.glorot_normal),
}
RATES = (0.03, 0.3, 1.0)


def measure() -> dict[str, dict[Any, list[float]]]:
    """Return the gradients of `VANISHING` and the dead units of `RATES`."""
    return {
        "gradients": {name: gradient_norms(*how) for name, how in VANISHING.items()},
        "dead": {lr: dead_units(lr) for lr in RATES},
    }


def draw(path: str, measured: dict[str, dict[Any, list[float]]]) -> None:
    """Write a picture of what was measured."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, norms in measured["gradients"].items():
        left.semilogy(range(1, len(norms) + 1), norms, marker="o", label=name)
    left.set(xlabel="layer", ylabel="gradient of the weights (RMS)", title="before training")
    left.legend(fontsize="small")
    for lr, shares in measured["dead"].items():
        layers = range(1, len(shares) + 1)
        right.plot(layers, [100 * s for s in shares], marker="o", label=f"lr {lr:g}")
    right.set(xlabel="hidden layer", ylabel="dead ReLUs (%)", title="after 60 steps", xticks=layers)
    right.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main(arguments: list[str]) -> None:
    """Print all of it; the first argument names a picture to draw."""
    print("1. q = Wx, f = |q|^2, and its gradients")
    for title, (w, x) in (("CS231n's", CS231N), ("another, with f = 0.2285", OTHER)):
        print(f"   {title}: W = {w}, x = {x}")
        for name, value in squared_norm(w, x).items():
            print(f"      {name:2} = {np.round(value, 6).tolist()}")

    print("2. Matt Mazur's network, step by step")
    mazur = Mazur()
    print(f"   outputs {mazur.model(mazur.x)[0].round(9).tolist()}, error {mazur.error():.9f}")
    mazur.step()
    print(f"   gradients {mazur.gradients().round(9).tolist()}")
    print(f"   new weights {mazur.weights().round(9).tolist()}")
    print(f"   error after 1 step {mazur.error():.9f}")
    for _ in range(9_999):
        mazur.step()
    print(f"   error after 10,000 steps {mazur.error():.10f}")

    measured = measure()
    print("3. Gradients of ten hidden layers before training, first to last layer (RMS)")
    for name, norms in measured["gradients"].items():
        print(f"   {name:16}", " ".join(f"{norm:.0e}" for norm in norms))
    print("4. ReLUs that are off for all 1438 digits after 60 steps, by hidden layer")
    for lr, shares in measured["dead"].items():
        print(f"   learning rate {lr:<5g}", " ".join(f"{share:5.0%}" for share in shares))
    if arguments:
        draw(arguments[0], measured)


if __name__ == "__main__":
    main(sys.argv[1:])
