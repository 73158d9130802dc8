"""Transforms that move points between pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn._core import matmul
from fastnn.data.transforms.sample import Fill, check_images, number, sample_bilinear

if TYPE_CHECKING:
    from fastnn._core import Array


class Affine:
    """Rotate, scale, shear and move each image about its centre, by bilinear interpolation.

    A point (row, column) relative to the centre is taken from ``M^-1`` times it, with
    ``M = scale * rotation(angle) @ [[1, 0], [tan(shear), 1]]``; all are uniform.

    Parameters
    ----------
    rotate : float
        Largest angle in degrees, either way; default 0.
    scale : float or (float, float)
        s for scales in [1 - s, 1 + s], s < 1; or the least and the largest; default 0.
    shear : float
        Largest angle in degrees, either way, less than 90; default 0.
    translate : float
        Largest shift in pixels along either axis, either way; default 0.
    fill : float, sequence of float or None
        What comes in: a value, one for each channel, or (None, the default) the border repeated.
    """

    def __init__(
        self,
        *,
        rotate: float = 0.0,
        scale: float | tuple[float, float] = 0.0,
        shear: float = 0.0,
        translate: float = 0.0,
        fill: Fill = None,
    ) -> None:
        self.rotate = number("Affine", "rotate", rotate)
        self.shear = number("Affine", "shear", shear)
        self.translate = number("Affine", "translate", translate)
        if isinstance(scale, tuple):
            low, high = (number("Affine", "scale", value) for value in scale)
        else:
            spread = number("Affine", "scale", scale)
            low, high = 1 - spread, 1 + spread
        if not 0 < low <= high:
            raise ValueError(f"Affine: scales must be positive and in order, got {scale}")
        if self.shear >= 90:
            raise ValueError(f"Affine: shear must be less than 90 degrees, got {shear}")
        self.scale, self.fill = (low, high), fill

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        check_images("Affine", x)
        n, h, w, _ = x.shape
        angle = np.radians(rng.uniform(-self.rotate, self.rotate, n))
        tangent = np.tan(np.radians(rng.uniform(-self.shear, self.shear, n)))
        scale = rng.uniform(*self.scale, n)
        moved = rng.uniform(-self.translate, self.translate, (2, n))
        cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
        # the inverses of scale * [[cos, sin], [-sin, cos]] @ [[1, 0], [t, 1]]
        inverse = (cosine, -sine, sine - tangent * cosine, cosine + tangent * sine)
        a, b, c, d = (value[:, np.newaxis, np.newaxis].astype(x.dtype) for value in inverse)
        by, bx = (value[:, np.newaxis, np.newaxis].astype(x.dtype) for value in moved)
        y = np.arange(h, dtype=x.dtype)[:, np.newaxis] - x.dtype.type((h - 1) / 2) - by
        z = np.arange(w, dtype=x.dtype) - x.dtype.type((w - 1) / 2) - bx
        rows = a * y + b * z + x.dtype.type((h - 1) / 2)
        columns = c * y + d * z + x.dtype.type((w - 1) / 2)
        return sample_bilinear(x, rows, columns, self.fill)


class Elastic:
    """Distort each image by a smooth random field of displacements.

    Each pixel's displacement is uniform in [-1, 1] along rows and along columns; both fields are
    convolved with a Gaussian, taken as 0 beyond the border, and multiplied by `alpha`. Far from
    the border a displacement has the standard deviation ``alpha * sum(g**2) / sqrt(3)``, about
    ``alpha / (2 * sigma * sqrt(3 * pi))``, where g is the Gaussian along one axis.

    Parameters
    ----------
    sigma : float
        Standard deviation of the Gaussian in pixels, positive; default 4.
    alpha : float
        Factor of the displacements; default 34. The paper uses sigma 4 and alpha 34 for MNIST. It
        also speaks of normalising the field; that factor is taken as part of alpha here.
    fill : float, sequence of float or None
        What comes in: a value, one for each channel, or (None, the default) the border repeated.

    References
    ----------
    P. Y. Simard, D. Steinkraus, J. C. Platt: Best practices for convolutional neural networks
    applied to visual document analysis. ICDAR 2003, section 2.
    """

    def __init__(self, sigma: float = 4.0, alpha: float = 34.0, *, fill: Fill = None) -> None:
        self.sigma = number("Elastic", "sigma", sigma)
        self.alpha = number("Elastic", "alpha", alpha)
        if not self.sigma:
            raise ValueError("Elastic: sigma must be positive")
        self.fill = fill

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        check_images("Elastic", x)
        n, h, w, _ = x.shape
        rows, columns = self.displacements(n, h, w, rng).astype(x.dtype, copy=False)
        rows += np.arange(h, dtype=x.dtype)[:, np.newaxis]
        columns += np.arange(w, dtype=x.dtype)
        return sample_bilinear(x, rows, columns, self.fill)

    def displacements(self, n: int, h: int, w: int, rng: np.random.Generator) -> Array:
        """Return random fields (2, n, h, w), float32: of the rows, of the columns."""
        noise = rng.random((2, n, h, w), dtype=np.float32)
        noise *= 2
        noise -= 1
        # products of this package: the same bits on any number of threads
        smooth: Array = matmul(matmul(self.alpha * self._gaussian(h), noise), self._gaussian(w))
        return smooth

    def _gaussian(self, size: int) -> Array:
        """Return the symmetric matrix that convolves an axis with the Gaussian."""
        reach = np.arange(-np.ceil(4 * self.sigma), np.ceil(4 * self.sigma) + 1)
        total = np.exp(-0.5 * (reach / self.sigma) ** 2).sum()
        apart = np.arange(size) - np.arange(size)[:, np.newaxis]
        weights: Array = (np.exp(-0.5 * (apart / self.sigma) ** 2) / total).astype(np.float32)
        return weights
