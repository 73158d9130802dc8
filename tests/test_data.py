"""Data sets and batches: contents, and every way in which a file can be wrong."""

import gzip
import hashlib
import os
import struct

import numpy as np
import pytest

from fastnn import data
from fastnn.data.digits import resize_bilinear

CODES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}


def idx_bytes(array, code=0x08):
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


class TestDigits:
    def test_are_the_published_ones(self):
        (x_train, y_train), (x_test, y_test) = data.load_digits(8, normalize=False)
        assert x_train.shape == (1438, 8, 8, 1)
        assert x_test.shape == (359, 8, 8, 1)
        assert np.bincount(y_train).tolist() == [142, 146, 142, 146, 145, 146, 145, 143, 139, 144]
        assert np.bincount(y_test).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
        pixels = np.concatenate([x_train, x_test]) * 16
        assert np.array_equal(np.unique(pixels), np.arange(17))
        assert pixels.sum() == 561718
        assert x_train.dtype == np.float32
        assert y_train.dtype == np.int64

    def test_file_has_not_changed(self):
        path = os.path.join(os.path.dirname(data.__file__), "digits.npz")
        with np.load(path) as file:
            images, labels, test = file["images"], file["labels"], file["test"]
        assert hashlib.sha256(images.tobytes()).hexdigest().startswith("8f26b2bd9d135c25")
        assert hashlib.sha256(labels.tobytes()).hexdigest().startswith("8ba4f891220f5e4c")
        rng = np.random.RandomState(1998)  # the stream of RandomState is frozen
        expected = np.zeros(1797, bool)
        for digit in range(10):
            rows = np.flatnonzero(labels == digit)
            expected[rng.permutation(rows)[: round(len(rows) / 5)]] = True
        assert np.array_equal(test, expected)
        assert os.path.getsize(path) < 50_000

    def test_same_as_scikit_learn(self):
        datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
        theirs = datasets.load_digits()
        with np.load(os.path.join(os.path.dirname(data.__file__), "digits.npz")) as file:
            assert np.array_equal(file["images"], theirs.images)
            assert np.array_equal(file["labels"], theirs.target)

    def test_splits_share_no_image(self):
        train, test = data.load_digits(8)
        rows = [{image.tobytes() for image in split.x} for split in (train, test)]
        assert not rows[0] & rows[1]

    def test_default_is_normalised_and_28_by_28(self):
        train, test = data.load_digits()
        assert train.x.shape == (1438, 28, 28, 1)
        assert test.x.shape == (359, 28, 28, 1)
        assert abs(train.x.mean(dtype=np.float64)) < 1e-6
        assert abs(train.x.std(dtype=np.float64) - 1) < 1e-6
        assert train.x.flags.c_contiguous

    @pytest.mark.parametrize(("size", "error"), [(7, ValueError), (28.0, TypeError)])
    def test_bad_size(self, size, error):
        with pytest.raises(error):
            data.load_digits(size)


class TestResize:
    def test_same_size_is_the_identity(self):
        x = np.random.default_rng(0).standard_normal((2, 3, 5))
        assert np.array_equal(resize_bilinear(x, (3, 5)), x)

    def test_doubling_by_hand(self):
        """Centres at -0.25, 0.25, 0.75, 1.25: the edges are repeated."""
        image = np.array([[[0.0, 4.0]]])
        assert resize_bilinear(image, (1, 4)).tolist() == [[[0, 1, 3, 4]]]
        assert resize_bilinear(image.transpose(0, 2, 1), (4, 1)).ravel().tolist() == [0, 1, 3, 4]

    def test_constant_and_ramp(self):
        ones = np.ones((1, 8, 8))
        np.testing.assert_allclose(resize_bilinear(ones, (28, 19)), 1, rtol=1e-15)
        ramp = np.broadcast_to(np.arange(8.0), (1, 8, 8))
        expected = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
        np.testing.assert_allclose(resize_bilinear(ramp, (28, 28))[0, 9], expected, rtol=1e-14)


class TestIdx:
    @pytest.mark.parametrize("code", CODES)
    @pytest.mark.parametrize("shape", [(0,), (5,), (2, 3), (2, 0, 4), (2, 3, 4), (1, 2, 1, 3)])
    @pytest.mark.parametrize("compress", [bytes, gzip.compress])
    def test_round_trip(self, tmp_path, code, shape, compress):
        values = np.random.default_rng(code).integers(0, 100, shape).astype(CODES[code])
        path = tmp_path / "file"
        path.write_bytes(compress(idx_bytes(values, code)))
        result = data.read_idx(path)
        assert result.dtype == np.dtype(CODES[code])
        assert result.dtype.isnative
        assert result.flags.writeable
        assert np.array_equal(result, values)

    @pytest.mark.parametrize(
        ("contents", "match"),
        [
            (b"", "only 0 bytes"),
            (b"\0\0\x08", "only 3 bytes"),
            (b"\0\1\x08\1" + bytes(4), "starts with 00 01 08 01"),
            (b"\x89PNG\r\n", "starts with 89 50 4e 47"),
            (b"\0\0\x0a\1" + bytes(4), "unknown idx element type 0x0a"),
            (b"\0\0\x08\0", "0 axes"),
            (b"\0\0\x08\3" + bytes(8), "3 axes in a file of 12 bytes"),
            (idx_bytes(np.zeros(5, "u1"))[:-1], r"12 bytes, but .* \(5,\), uint8\) calls for 13"),
            (idx_bytes(np.zeros(5, "u1")) + b"x", "14 bytes, but"),
            (idx_bytes(np.zeros(5, "i2"), 0x0B)[:-1], "17 bytes, but"),
            (b"\0\0\x0e\xff" + b"\xff" * 1020, "1024 bytes, but the header"),
        ],
    )
    def test_wrong_contents(self, tmp_path, contents, match):
        for name, stored in (("plain", contents), ("packed.gz", gzip.compress(contents))):
            path = tmp_path / name
            path.write_bytes(stored)
            with pytest.raises(ValueError, match=rf"{name}: .*{match}"):
                data.read_idx(path)

    def test_damaged_gzip(self, tmp_path):
        whole = gzip.compress(idx_bytes(np.arange(200, dtype="u1")))
        path = tmp_path / "train.gz"
        for length in (2, 5, 15, len(whole) // 2, len(whole) - 8, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"train\.gz: damaged gzip file"):
                data.read_idx(path)
        for position in (3, 12, 40, len(whole) - 6, len(whole) - 2):
            spoiled = bytearray(whole)
            spoiled[position] ^= 0xFF
            path.write_bytes(spoiled)
            with pytest.raises(ValueError, match=r"train\.gz: "):
                data.read_idx(path)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            data.read_idx(tmp_path / "none")


NAMES = [f"{s}-{k}" for s in ("train", "t10k") for k in ("images-idx3-ubyte", "labels-idx1-ubyte")]


@pytest.fixture
def small_mnist(tmp_path):
    """Four files of MNIST's names: 6 training and 4 test images, half of the files compressed."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(NAMES):
        n = 6 if name.startswith("train") else 4
        values = rng.integers(0, 256, (n, 28, 28)) if "images" in name else np.arange(n) + 3
        contents = idx_bytes(values.astype("u1"))
        if i % 2:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(contents))
        else:
            (tmp_path / name).write_bytes(contents)
    return tmp_path


class TestMnist:
    def test_reads_four_files(self, small_mnist):
        (x_train, y_train), (x_test, y_test) = data.load_mnist(small_mnist)
        assert x_train.shape == (6, 28, 28, 1)
        assert x_test.shape == (4, 28, 28, 1)
        assert y_train.tolist() == [3, 4, 5, 6, 7, 8]
        assert y_test.tolist() == [3, 4, 5, 6]
        assert (x_train.dtype, y_train.dtype) == (np.float32, np.int64)
        raw = data.read_idx(small_mnist / NAMES[0])
        assert np.array_equal(x_train[..., 0], ((raw / 255 - 0.1307) / 0.3081).astype(np.float32))

    def test_normalisation(self, small_mnist):
        x = data.load_mnist(small_mnist, mean=0, std=1).train.x
        assert 0 <= x.min() < x.max() <= 1

    @pytest.mark.parametrize(
        ("name", "values", "match"),
        [
            (NAMES[0], np.zeros((6, 28, 27), "u1"), r"expected uint8 images \(N, 28, 28\), got u"),
            (NAMES[0], np.zeros((6, 784), "u1"), "expected uint8 images"),
            (NAMES[2], np.zeros((0, 28, 28), "u1"), "4 labels for 0 images"),
            (NAMES[1], np.zeros((6, 1), "u1"), r"expected uint8 labels \(N,\), got uint8"),
            (NAMES[1], np.zeros(5, "u1"), "5 labels for 6 images"),
            (NAMES[1], np.full(6, 10, "u1"), "label 10, expected 0 to 9"),
        ],
    )
    def test_wrong_files(self, small_mnist, name, values, match):
        (small_mnist / name).write_bytes(idx_bytes(values))
        with pytest.raises(ValueError, match=f"idx.-ubyte.*{match}"):
            data.load_mnist(small_mnist)

    def test_no_images(self, small_mnist):
        (small_mnist / NAMES[2]).write_bytes(idx_bytes(np.zeros((0, 28, 28), "u1")))
        (small_mnist / NAMES[3]).write_bytes(idx_bytes(np.zeros(0, "u1")))
        with pytest.raises(ValueError, match="t10k-images-idx3-ubyte: no images"):
            data.load_mnist(small_mnist)

    def test_missing_file(self, small_mnist):
        (small_mnist / NAMES[2]).unlink()
        with pytest.raises(FileNotFoundError, match=r"neither t10k-images-idx3-ubyte nor .*gz"):
            data.load_mnist(small_mnist)


class TestBatches:
    x, y = np.arange(20).reshape(10, 2), np.arange(10)

    def test_in_order_and_views(self):
        loader = data.batches(self.x, self.y, 4)
        assert len(loader) == 3
        for _ in range(2):
            parts = list(loader)
            assert [y.tolist() for _, y in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
            assert all(np.shares_memory(x, self.x) for x, _ in parts)

    @pytest.mark.parametrize(("n", "size", "count"), [(10, 5, 2), (10, 3, 3), (2, 3, 0), (0, 3, 0)])
    def test_drop_last(self, n, size, count):
        loader = data.batches(self.x[:n], self.y[:n], size, drop_last=True)
        assert len(loader) == len(list(loader)) == count
        assert loader.num_examples == count * size
        assert all(len(y) == size for _, y in loader)

    def test_shuffled_passes_are_permutations_and_differ(self):
        loader = data.batches(self.x, self.y, 3, shuffle=True, rng=0)
        passes = []
        for _ in range(3):
            xs, ys = zip(*loader, strict=True)
            assert np.array_equal(np.concatenate(xs)[:, 0] // 2, np.concatenate(ys))
            passes.append(tuple(np.concatenate(ys).tolist()))
            assert sorted(passes[-1]) == list(range(10))
        assert len(set(passes)) == 3

    def test_seed_repeats_the_run(self):
        def run(rng):
            loader = data.batches(self.x, self.y, 3, shuffle=True, rng=rng)
            return [y.tolist() for _ in range(3) for _, y in loader]

        assert run(1) == run(1) == run(np.random.default_rng(1)) != run(2)
        assert run(None) != run(None)

    @pytest.mark.parametrize(
        ("arguments", "options", "error", "match"),
        [
            ((x, y[:9], 3), {}, ValueError, "x has 10 rows, y has 9"),
            ((x, y, 0), {}, ValueError, "batch_size must be at least 1, got 0"),
            ((x, y, 2.0), {}, TypeError, "batch_size must be an integer, not float"),
            ((x, y, 2), {"rng": 0}, ValueError, "rng has no effect without shuffle=True or a"),
        ],
    )
    def test_bad_arguments(self, arguments, options, error, match):
        with pytest.raises(error, match=f"batches: {match}"):
            data.batches(*arguments, **options)
