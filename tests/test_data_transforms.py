"""Transforms by hand: what is whole is exact, what is random has the stated distribution."""

import numpy as np
import pytest

from fastnn import data
from fastnn.data import transforms
from fastnn.data.transforms import (
    Affine,
    Compose,
    Elastic,
    HorizontalFlip,
    Normalize,
    PadCrop,
    Shift,
    sample_bilinear,
)

ALL = [
    Shift(2),
    Shift(0),
    PadCrop(3),
    HorizontalFlip(),
    Affine(rotate=10, scale=0.1, shear=5, translate=1, fill=0),
    Elastic(),
    Normalize(0.5, 2),
    Compose(Shift(1), HorizontalFlip()),
]


def images(shape=(5, 6, 7, 2), dtype=np.float32):
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


def grid(h, w):
    return np.arange(h)[:, np.newaxis], np.arange(w)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("shape", [(5, 6, 7, 2), (1, 1, 1, 1), (0, 4, 4, 1), (3, 28, 28, 1)])
def test_keeps_shape_dtype_and_argument(transform, shape, dtype):
    x = images(shape, dtype)
    before = x.copy()
    y = transform(x, np.random.default_rng(0))
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert np.array_equal(x, before)
    assert np.array_equal(y, transform(x, np.random.default_rng(0)))
    assert np.isfinite(y).all()
    strided = np.repeat(x, 2, axis=2)[:, :, ::2]
    assert np.array_equal(transform(strided, np.random.default_rng(0)), y)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_bad_images(transform):
    name = "Shift" if isinstance(transform, Compose) else type(transform).__name__
    with pytest.raises(TypeError, match=f"{name}: x must be float32 or float64, got uint8"):
        transform(np.zeros((1, 2, 2, 1), np.uint8), np.random.default_rng(0))
    with pytest.raises(TypeError, match=f"{name}: x must be float32 or float64, got list"):
        transform([], np.random.default_rng(0))
    with pytest.raises(ValueError, match=rf"{name}: x must have the shape .*got \(2, 2\)"):
        transform(np.zeros((2, 2), np.float32), np.random.default_rng(0))


class TestSample:
    def test_between_pixels_by_hand(self):
        x = np.array([[[0.0, 4], [8, 16]]], np.float32)[..., np.newaxis]
        points = [(0, 0.25), (0.5, 0), (0.5, 0.5), (1, 1), (-9, -9), (0, 9), (0.5, 5)]
        r, c = np.array(points).T[:, np.newaxis, np.newaxis]
        assert sample_bilinear(x, r, c).ravel().tolist() == [1, 4, 7, 16, 0, 4, 10]

    def test_fill_by_hand(self):
        x = np.full((1, 2, 2, 2), 4, np.float32)
        r, c = np.array([[[0.0, -0.5, -1, -7, 1.25]], [[0.0, 0, 0, 0, 0]]])[:, np.newaxis]
        y = sample_bilinear(x, r, c, (0, 8))
        assert y[0, 0].tolist() == [[4, 4], [2, 6], [0, 8], [0, 8], [3, 5]]

    @pytest.mark.parametrize("c", [1, 2, 3, 4])
    @pytest.mark.parametrize("fill", [None, 0.5])
    def test_whole_points_are_pixels(self, c, fill):
        x = images((3, 6, 7, c))
        assert np.array_equal(sample_bilinear(x, *grid(6, 7), fill), x)
        r, j = np.random.default_rng(0).integers(-2, 9, (2, 3, 4, 5))
        inside = np.where((r >= 0) & (r < 6) & (j >= 0) & (j < 7), 1, 0)[..., np.newaxis]
        want = x[np.arange(3)[:, None, None], np.clip(r, 0, 5), np.clip(j, 0, 6)]
        if fill is not None:
            want = np.where(inside, want, np.float32(fill))
        assert np.array_equal(sample_bilinear(x, r, j, fill), want)

    def test_blocks_do_not_matter(self):
        x = images((30, 28, 28, 2))
        points = np.random.default_rng(0).uniform(-2, 30, (2, 30, 28, 28)).astype(np.float32)
        alone = [sample_bilinear(x[i : i + 1], *points[:, i : i + 1]) for i in range(30)]
        assert np.array_equal(sample_bilinear(x, *points), np.concatenate(alone))

    def test_a_plane_is_reproduced(self):
        """Bilinear interpolation is exact on a + b r + c s; all numbers here are dyadic."""
        r, s = grid(8, 8)
        x = (3 + 2.0 * r - 0.5 * s).astype(np.float32)[np.newaxis, ..., np.newaxis]
        at = np.random.default_rng(0).integers(0, 7 * 16, (2, 1, 5, 5)) / 16
        assert np.array_equal(sample_bilinear(x, *at)[..., 0], 3 + 2 * at[0] - 0.5 * at[1])


class TestShift:
    @pytest.mark.parametrize("fill", [None, -1.0, (2.0, 3.0)])
    def test_every_shift_is_exact(self, fill):
        x = np.repeat(images((1, 4, 5, 2)), 500, 0)
        y = Shift(1, fill=fill)(x, np.random.default_rng(0))
        found = set()
        for dr in (-1, 0, 1):
            for dc in (-1, 0, 1):
                r, c = grid(4, 5)
                r, c = r + dr, c + dc
                want = x[0, np.clip(r, 0, 3), np.clip(c, 0, 4)]
                if fill is not None:
                    inside = (r >= 0) & (r < 4) & (c >= 0) & (c < 5)
                    want = np.where(inside[..., np.newaxis], want, np.float32(fill))
                same = (y == want).all((1, 2, 3))
                assert 20 < same.sum() < 100  # 500 / 9, 5 standard deviations of 7
                found |= set(np.flatnonzero(same))
        assert len(found) == 500

    def test_zero_is_the_identity(self):
        x = images()
        assert np.array_equal(Shift(0)(x, np.random.default_rng(0)), x)
        assert PadCrop().fill == 0
        assert PadCrop().pixels == 4


class TestFlip:
    def test_all_none_half(self):
        x = images((1000, 2, 3, 1))
        rng = np.random.default_rng(0)
        assert np.array_equal(HorizontalFlip(1)(x, rng), x[:, :, ::-1])
        assert np.array_equal(HorizontalFlip(0)(x, rng), x)
        y = HorizontalFlip()(x, rng)
        flipped = (y == x[:, :, ::-1]).all((1, 2, 3))
        assert (flipped | (y == x).all((1, 2, 3))).all()
        assert abs(flipped.sum() - 500) < 80  # 5 standard deviations


class TestAffine:
    def test_nothing_is_the_identity(self):
        for shape in ((2, 6, 7, 2), (2, 28, 28, 1)):
            x = images(shape)
            assert np.array_equal(Affine()(x, np.random.default_rng(0)), x)

    def test_a_quarter_turn(self):
        """Of a random angle in [-90, 90] only the ends are whole; they are set by hand."""
        x = images((1, 5, 5, 1), np.float64)

        class Ends:
            def uniform(self, low, high, size):
                return np.full(size, high)

        y = Affine(rotate=90)(x, Ends())
        # cos(90 degrees) is 6e-17 in floats: points are off by less than 1e-15
        np.testing.assert_allclose(y[0, ..., 0], np.rot90(x[0, ..., 0], -1).copy(), atol=1e-14)

    def test_scale_by_hand(self):
        """Twice as large: output r is taken from input centre + (r - centre) / 2."""
        x = np.arange(5.0).reshape(1, 1, 5, 1)
        y = Affine(scale=(2.0, 2.0))(x, np.random.default_rng(0))
        assert y.ravel().tolist() == [1, 1.5, 2, 2.5, 3]

    def test_shear_by_hand(self):
        class Ends:
            def uniform(self, low, high, size):
                return np.full(size, high)

        x = np.broadcast_to(np.arange(5.0), (5, 5)).reshape(1, 5, 5, 1)
        y = Affine(shear=45)(x, Ends())[0, ..., 0]
        r, c = grid(5, 5)
        np.testing.assert_allclose(y, np.clip(c - (r - 2), 0, 4), atol=1e-14)

    @pytest.mark.parametrize(
        ("options", "error", "match"),
        [
            ({"rotate": -1}, ValueError, "rotate must be finite and at least 0, got -1"),
            ({"rotate": "x"}, TypeError, "rotate must be a number, not str"),
            ({"translate": np.nan}, ValueError, "translate must be finite"),
            ({"scale": 1}, ValueError, "scales must be positive"),
            ({"scale": (2.0, 1.0)}, ValueError, "scales must be positive and in order"),
            ({"shear": 90}, ValueError, "shear must be less than 90 degrees"),
        ],
    )
    def test_bad_arguments(self, options, error, match):
        with pytest.raises(error, match=f"Affine: {match}"):
            Affine(**options)


class TestElastic:
    def test_no_displacement_is_the_identity(self):
        x = images((3, 9, 8, 2))
        assert np.array_equal(Elastic(alpha=0)(x, np.random.default_rng(0)), x)

    @pytest.mark.parametrize("shape", [(3, 9, 8, 2), (40, 28, 28, 1)])
    def test_affine_at_once(self, shape):
        x, affine = images(shape), Affine(rotate=20, scale=0.2, shear=10, translate=2)
        assert np.array_equal(Elastic(affine=Affine(), alpha=0)(x, np.random.default_rng(0)), x)
        both = Elastic(affine=affine, alpha=0)(x, np.random.default_rng(0))
        assert np.array_equal(both, affine(x, np.random.default_rng(0)))
        moved = Elastic(1, 5, affine=Affine(scale=(2.0, 2.0)))(x, np.random.default_rng(0))
        assert not np.array_equal(moved, Affine(scale=(2.0, 2.0))(x, np.random.default_rng(0)))
        with pytest.raises(TypeError, match="Elastic: affine must be an Affine, not int"):
            Elastic(affine=3)

    def test_statistics_of_the_field(self):
        """In the middle: mean 0, std alpha sum(g^2) / sqrt(3); neighbours as the Gaussian says."""
        sigma, alpha, n = 2.0, 10.0, 2000
        field = Elastic(sigma, alpha).displacements(n, 33, 33, np.random.default_rng(0))
        g = np.exp(-0.5 * (np.arange(-16, 17) / sigma) ** 2)
        g /= g.sum()
        std = alpha * (g**2).sum() / np.sqrt(3)
        middle = field[:, :, 16, 16].astype(np.float64)
        assert abs(middle.mean()) < 5 * std / np.sqrt(2 * n)
        assert abs(middle.std() / std - 1) < 5 / np.sqrt(4 * n)
        assert abs(std / (alpha / (2 * sigma * np.sqrt(3 * np.pi))) - 1) < 1e-6
        next_to = field[:, :, 16, 18].astype(np.float64)
        correlation = (middle * next_to).mean() / std**2
        want = (g[2:] * g[:-2]).sum() / (g**2).sum()
        assert abs(correlation - want) < 5 / np.sqrt(2 * n)
        assert abs((field[0, :, 16, 16] * field[1, :, 16, 16]).mean()) < 5 * std**2 / np.sqrt(n)

    def test_field_is_the_convolution(self):
        field = Elastic(1.5, 3).displacements(1, 5, 4, np.random.default_rng(0))
        noise = 2 * np.random.default_rng(0).random((2, 1, 5, 4), dtype=np.float32) - 1
        g = np.exp(-0.5 * (np.arange(-6, 7) / 1.5) ** 2)
        g /= g.sum()
        want = np.zeros((2, 1, 5, 4))
        for r in range(5):
            for c in range(4):
                for i in range(5):
                    for j in range(4):
                        want[..., r, c] += 3 * g[6 + i - r] * g[6 + j - c] * noise[..., i, j]
        # two chains of 5 and 4 products, weights rounded once each
        bound = 16 * np.finfo(np.float32).eps * 3
        np.testing.assert_allclose(field, want, rtol=0, atol=bound)

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="Elastic: sigma must be positive"):
            Elastic(sigma=0)
        with pytest.raises(ValueError, match="Elastic: alpha must be finite"):
            Elastic(alpha=-1)


def test_normalize_channels():
    x = np.array([1.0, 4.0], np.float32).reshape(1, 1, 1, 2)
    assert Normalize((1, 2), (2, 4))(x).ravel().tolist() == [0, 0.5]
    with pytest.raises(ValueError, match="std not 0"):
        Normalize(0, (1, 0))


def test_compose_draws_from_one_generator():
    x = images()
    rng = np.random.default_rng(7)
    want = HorizontalFlip()(Shift(2)(x, rng), rng)
    assert np.array_equal(Compose(Shift(2), HorizontalFlip())(x, np.random.default_rng(7)), want)
    assert Compose()(x, rng) is x
    with pytest.raises(TypeError, match=r"Compose: .* not int"):
        Compose(3)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Shift(-1), ValueError, "Shift: pixels must be at least 0, got -1"),
        (lambda: PadCrop(1.0), TypeError, "PadCrop: pixels must be an integer, not float"),
        (lambda: HorizontalFlip(2), ValueError, "HorizontalFlip: probability must be at most 1"),
        (lambda: HorizontalFlip(None), TypeError, "probability must be a number, not NoneType"),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_loader_with_transforms():
    x = images((20, 8, 8, 1))
    y = np.arange(20)
    passes = []
    for prefetch in (0, 2):
        transform = transforms.Compose(Elastic(2, 5), Shift(1))
        loader = data.batches(x, y, 6, shuffle=True, rng=3, transform=transform, prefetch=prefetch)
        passes.append([part.tobytes() for _ in range(2) for part, _ in loader])
    assert passes[0] == passes[1]
