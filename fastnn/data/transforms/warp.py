"""Transforms that move points between pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._core import matmul
from fastnn.data.transforms.sample import Fill, Sampler, check_images, number

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
        rows, columns = np.arange(h, dtype=x.dtype)[:, np.newaxis], np.arange(w, dtype=x.dtype)
        inverse = self.inverse(n, rng, x.dtype)
        sampler = Sampler(x, (h, w), self.fill)
        for part in sampler.blocks():
            sampler.sample(part, *pull_back(inverse[:, part], (h, w), rows, columns))
        return sampler.result

    def inverse(self, n: int, rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
        """Return n random maps from points of the result to points of the image, (6, n, 1, 1).

        The first four are M^-1 by rows, the others what is subtracted from a point before it.
        """
        angle = np.radians(rng.uniform(-self.rotate, self.rotate, n))
        tangent = np.tan(np.radians(rng.uniform(-self.shear, self.shear, n)))
        scale = rng.uniform(*self.scale, n)
        moved = rng.uniform(-self.translate, self.translate, (2, n))
        cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
        # the inverses of scale * [[cos, sin], [-sin, cos]] @ [[1, 0], [t, 1]]
        maps = (cosine, -sine, sine - tangent * cosine, cosine + tangent * sine, *moved)
        return np.array(maps, dtype)[..., np.newaxis, np.newaxis]


def pull_back(
    inverse: Array, size: tuple[int, int], rows: Array, columns: Array
) -> tuple[Array, Array]:
    """Return where `Affine.inverse` puts points of images of some size (H, W)."""
    a, b, c, d, down, aside = inverse
    y0, z0 = (inverse.dtype.type((extent - 1) / 2) for extent in size)
    y, z = rows - (y0 + down), columns - (z0 + aside)
    return a * y + y0 + b * z, c * y + z0 + d * z


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
    affine : Affine, optional
        Displaced points are then taken from where it says: both at once cost less than one after
        the other, and images are interpolated once. Its `fill` is not used.
    fill : float, sequence of float or None
        What comes in: a value, one for each channel, or (None, the default) the border repeated.

    References
    ----------
    P. Y. Simard, D. Steinkraus, J. C. Platt: Best practices for convolutional neural networks
    applied to visual document analysis. ICDAR 2003, section 2.
    """

    def __init__(
        self,
        sigma: float = 4.0,
        alpha: float = 34.0,
        *,
        affine: Affine | None = None,
        fill: Fill = None,
    ) -> None:
        self.sigma = number("Elastic", "sigma", sigma)
        self.alpha = number("Elastic", "alpha", alpha)
        if not self.sigma:
            raise ValueError("Elastic: sigma must be positive")
        if affine is not None and not isinstance(affine, Affine):
            raise TypeError(f"Elastic: affine must be an Affine, not {type(affine).__name__}")
        self.affine, self.fill = affine, fill

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        check_images("Elastic", x)
        n, h, w, _ = x.shape
        inverse = None if self.affine is None else self.affine.inverse(n, rng, x.dtype)
        vertical, horizontal = 2 * self.alpha * self._gaussian(h), self._gaussian(w)
        sampler = Sampler(x, (h, w), self.fill)
        for part in sampler.blocks():
            size = min(n - part.start, sampler.step)
            field = _smooth_noise(size, vertical, horizontal, rng)
            rows, columns = field.astype(x.dtype, copy=False)
            rows += np.arange(h, dtype=x.dtype)[:, np.newaxis]
            columns += np.arange(w, dtype=x.dtype)
            if inverse is not None:
                rows, columns = pull_back(inverse[:, part], (h, w), rows, columns)
            sampler.sample(part, rows, columns)
        return sampler.result

    def displacements(self, n: int, h: int, w: int, rng: np.random.Generator) -> Array:
        """Return random fields (2, n, h, w), float32: of the rows, of the columns."""
        return _smooth_noise(n, 2 * self.alpha * self._gaussian(h), self._gaussian(w), rng)

    def _gaussian(self, size: int) -> Array:
        """Return the symmetric matrix that convolves an axis with the Gaussian."""
        reach = np.arange(-np.ceil(4 * self.sigma), np.ceil(4 * self.sigma) + 1)
        total = np.exp(-0.5 * (reach / self.sigma) ** 2).sum()
        apart = np.arange(size) - np.arange(size)[:, np.newaxis]
        weights: Array = (np.exp(-0.5 * (apart / self.sigma) ** 2) / total).astype(np.float32)
        return weights


def _smooth_noise(n: int, vertical: Array, horizontal: Array, rng: np.random.Generator) -> Array:
    noise = rng.random((2, n, len(vertical), len(horizontal)), dtype=np.float32)
    noise -= 0.5
    # products of this package: the same bits on any number of threads
    smooth: Array = matmul(matmul(vertical, noise), horizontal)
    return smooth
