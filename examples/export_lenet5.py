"""Train LeNet-5 on the embedded digits and export it for C.

``python examples/export_lenet5.py [FOLDER]`` writes ``lenet5.fnn``, the program that classifies one
image, ``digit.raw``, an image that the network has not seen, and prints its label. What
``classify.c`` prints for them should be the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

import fastnn


def main(folder: Path, epochs: int = 3) -> int:
    """Write the files and return the label of the image."""
    (x, labels), (x_test, labels_test) = fastnn.data.load_digits()
    model = fastnn.models.lenet5(rng=0)
    optimizer = fastnn.optim.SGD(model, lr=0.02, momentum=0.9)

    @fastnn.compile
    def step(x, labels):
        logits, backward = model.forward(x)
        loss, dlogits = fastnn.softmax_cross_entropy(logits, labels)
        backward(dlogits)
        optimizer.step()
        return loss

    loader = fastnn.data.batches(x, labels, 32, shuffle=True, rng=0)
    for _ in range(epochs):
        for batch in loader:
            step(*batch)

    @fastnn.compile
    def classify(x):
        return model(x)

    image = x_test[:1]
    classify(image)
    classify.save(folder / "lenet5.fnn")
    (folder / "digit.raw").write_bytes(image.tobytes())
    return int(labels_test[0])


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
