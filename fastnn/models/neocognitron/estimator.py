"""A classifier of digits: edges, features added where all cells were silent, labelled vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastnn import _core
from fastnn.models.neocognitron.cells import blur_window, c_cells, s_cells, s_window
from fastnn.models.neocognitron.contrast import contrast, contrast_kernel, edge_weights
from fastnn.models.neocognitron.learning import add_if_silent

if TYPE_CHECKING:
    from fastnn._core import Array


class NeocognitronConfig(NamedTuple):
    """Constants of `Neocognitron`; the defaults are ours, for digits of 28 x 28 pixels."""

    edge_theta: float = 0.55
    learn_theta: float = 0.7
    theta: float = 0.5
    radius: float = 2.5
    max_planes: int = 100
    gain: float = 100.0


class Neocognitron:
    """Two stages of S- and C-cells and a top stage of labelled vectors.

    The first stage knows 16 edges (2003), the second learns by `add_if_silent` (2013). On top, each
    training image is a reference vector, and the label of the most similar one wins: simpler than
    the paper's interpolating vectors. Images are (N, H, W, 1) with ink 1 and background 0.
    """

    def __init__(self, config: NeocognitronConfig | None = None) -> None:
        self.config = NeocognitronConfig() if config is None else config
        self._c = s_window(5, 2.5, 0.7)
        self._g = contrast_kernel(5, 2.3, 1.0)
        self._edges = (self.config.gain * edge_weights(self._g, self._c)).astype(np.float32)
        self.fields: Array | None = None
        self.references: Array | None = None
        self.labels: Array | None = None

    def fit(self, images: Array, labels: Array) -> Neocognitron:
        """Learn the features of the second stage and the labelled vectors; return self."""
        if len(images) != len(labels) or not len(images):
            raise ValueError(
                f"Neocognitron.fit: images and labels must be as many and not none, "
                f"got {len(images)} and {len(labels)}"
            )
        first = self._chunks(images)
        cf = self.config
        fields = add_if_silent(first, self._c, cf.learn_theta, cf.radius, cf.max_planes)
        self.fields = cf.gain * fields
        self.labels = np.array(labels)
        self.references = self._second(first)
        return self

    def predict(self, images: Array) -> Array:
        """Return the labels (N,) of images."""
        if self.references is None or self.labels is None:
            raise ValueError("Neocognitron.predict: fit it first")
        similar = _core.gemm(self._second(self._chunks(images)), self.references, trans_b=True)
        return np.asarray(self.labels[similar.argmax(axis=1)])

    def score(self, images: Array, labels: Array) -> float:
        """Return the part of the images whose labels are right."""
        return float((self.predict(images) == labels).mean())

    def _chunks(self, images: Array) -> Array:
        if images.ndim != 4 or images.shape[3] != 1:
            raise ValueError(f"Neocognitron: images must be (N, H, W, 1), got {images.shape}")
        d, b = blur_window(7, 3.4, 1.0, 0.7), np.array([self.config.gain], np.float32)
        unit = _norms(self._edges, self._c)
        edges = self._edges * (b / unit)[:, None, None, None]
        return np.concatenate(
            [
                c_cells(s_cells(contrast(x, self._g), edges, b, self._c, self.config.edge_theta), d)
                for x in (_padded(images[i : i + 250]) for i in range(0, len(images), 250))
            ]
        )

    def _second(self, first: Array) -> Array:
        assert self.fields is not None
        d, b = blur_window(5, 2.5, 1.0, 0.7), np.array([self.config.gain], np.float32)
        parts = [first[i : i + 250] for i in range(0, len(first), 250)]
        y = [c_cells(s_cells(x, self.fields, b, self._c, self.config.theta), d) for x in parts]
        rows = np.concatenate([part.reshape(len(part), -1) for part in y])
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(norms > 0, norms, 1))


def _norms(a: Array, c: Array) -> Array:
    inverse = np.divide(1, c, out=np.zeros_like(c), where=c > 0)
    return np.asarray(np.sqrt(np.einsum("kijc,ij->k", a * a, inverse)), np.float32)


def _padded(images: Array) -> Array:
    return np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))).astype(np.float32)
