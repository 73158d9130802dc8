"""``fastnn predict``: files, colours, sizes, backgrounds."""

import json
import re

import numpy as np
import pytest

from fastnn import data
from fastnn.cli import main
from fastnn.cli.catalog import load_model, pixels_of
from fastnn.cli.images import fit_image, read_image

CODING = {"black": [-0.5], "white": [2.5], "bright": False}
SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def digit():
    """A test image in [0, 1], bright on dark, and its label."""
    x, labels = data.load_digits(normalize=False).test
    return x[3], int(labels[3])


def write_pgm(path, pixels, header=b"P5\n# a comment\n%d %d\n255\n"):
    pixels = np.round(255 * pixels).astype(np.uint8)
    path.write_bytes(header % pixels.shape[1::-1] + pixels.tobytes())


class TestReading:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_pnm(self, tmp_path, channels):
        pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels)) / 255
        write_pgm(
            tmp_path / "a", pixels, {1: b"P5 %d\t%d 255\n", 3: b"P6\n%d\n%d\n255\n"}[channels]
        )
        assert np.array_equal(read_image(str(tmp_path / "a")), pixels)

    def test_pgm_of_two_bytes(self, tmp_path):
        (tmp_path / "a").write_bytes(b"P5 2 1 1000\n" + np.array([250, 1000], ">u2").tobytes())
        assert read_image(str(tmp_path / "a")).ravel().tolist() == [0.25, 1]

    @pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
    @pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3)])
    def test_npy(self, tmp_path, dtype, shape):
        values = np.random.default_rng(0).integers(0, 2, shape)
        np.save(tmp_path / "a.npy", (values * (255 if dtype == "u1" else 1)).astype(dtype))
        pixels = read_image(str(tmp_path / "a.npy"))
        assert np.array_equal(pixels, values.reshape(4, 6, -1))

    @pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "LA"])
    def test_png(self, tmp_path, mode):
        Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
        black_and_white = np.array([[0, 255], [255, 0]], np.uint8)
        Image.fromarray(black_and_white).convert(mode).save(tmp_path / "a.png")
        pixels = read_image(str(tmp_path / "a.png"))
        assert np.array_equal(pixels, np.repeat(black_and_white[..., None] / 255, 3, 2))

    def test_transparent_is_paper(self, tmp_path):
        Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
        Image.fromarray(np.zeros((2, 2, 4), np.uint8)).save(tmp_path / "a.png")
        assert np.array_equal(read_image(str(tmp_path / "a.png")), np.ones((2, 2, 3)))

    def test_without_pillow(self, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "PIL", None)
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n")
        with pytest.raises(ValueError, match=r"a\.png: reading this file needs Pillow"):
            read_image(str(tmp_path / "a.png"))
        write_pgm(tmp_path / "b", np.zeros((2, 2)))
        assert read_image(str(tmp_path / "b")).shape == (2, 2, 1)


class TestFitting:
    def test_nothing_to_do(self, digit):
        pixels = digit[0].astype(float)
        assert np.array_equal(fit_image(pixels, SHAPE, CODING)[0], np.float32(-0.5 + 3 * pixels))

    def test_bright_paper_is_inverted(self, digit):
        pixels = digit[0].astype(float)
        expected = fit_image(pixels, SHAPE, CODING)
        np.testing.assert_allclose(fit_image(1 - pixels, SHAPE, CODING), expected, atol=1e-6)
        bright = fit_image(pixels, SHAPE, {**CODING, "bright": True})
        np.testing.assert_allclose(bright, 2 - expected, atol=1e-6)

    def test_colours_become_grey(self):
        pixels = np.zeros((28, 28, 3))
        pixels[10:20, 10:20] = [1, 0.5, 0.25]
        grey = fit_image(pixels, SHAPE, CODING)[0, 15, 15, 0]
        assert grey == pytest.approx(-0.5 + 3 * (0.299 + 0.587 / 2 + 0.114 / 4))

    def test_grey_becomes_coloured_and_is_not_inverted(self):
        coding = {"black": [-1, -2, -3], "white": [1, 2, 3], "bright": False}
        x = fit_image(np.ones((4, 4, 1)), (8, 8, 3), coding)
        assert np.array_equal(x, np.broadcast_to(np.float32([1, 2, 3]), (1, 8, 8, 3)))

    @pytest.mark.parametrize("factor", [2, 3, 10])
    def test_enlarged_pictures_come_back(self, digit, factor):
        """A mean over triangles: constant areas stay, and little is lost elsewhere."""
        pixels = digit[0].astype(float)
        large = pixels.repeat(factor, 0).repeat(factor, 1)
        x = fit_image(large, SHAPE, CODING)
        assert np.abs(x - fit_image(pixels, SHAPE, CODING)).mean() < 0.15

    @pytest.mark.parametrize("shape", [(10, 40), (40, 10), (1, 1), (1, 300), (27, 29)])
    @pytest.mark.parametrize("value", [0.0, 0.3])
    def test_any_shape_is_padded_with_its_background(self, shape, value):
        pixels = np.full((*shape, 1), value)
        x = fit_image(pixels, SHAPE, CODING)
        assert x.shape == (1, 28, 28, 1)
        np.testing.assert_allclose(x, -0.5 + 3 * value, atol=1e-6)

    def test_the_middle_stays_in_the_middle(self):
        pixels = np.zeros((10, 30, 1))
        pixels[5:, 14:16] = 1
        x = fit_image(pixels, SHAPE, CODING)[0, :, :, 0]
        assert np.allclose(x, x[:, ::-1])
        assert x[14:, 13:15].max() > 0 > x[:13].max()

    def test_coding_of_data(self):
        coding = pixels_of(data.load_digits().train.x)
        assert coding["bright"] is False
        assert coding["black"][0] < 0 < coding["white"][0]
        assert pixels_of(1 - data.load_digits(normalize=False).train.x)["bright"] is True


class TestCommand:
    def test_a_digit(self, trained, tmp_path, digit, capsys):
        """Black on white, larger, as from a scan: recognised as the image itself is."""
        pixels, label = digit
        write_pgm(tmp_path / "scan.pgm", 1 - pixels.repeat(4, 0).repeat(4, 1))
        assert main(["predict", str(trained[0]), str(tmp_path / "scan.pgm")]) == 0
        line = capsys.readouterr().out.removeprefix(f"{tmp_path}/")
        pattern = rf"scan\.pgm: {label} \(\d+\.\d%; \d [\d.]+%, \d [\d.]+%\)\n"
        assert re.fullmatch(pattern, line)

    def test_json(self, trained, tmp_path, digit, capsys, restore_num_threads):
        write_pgm(tmp_path / "a.pgm", digit[0])
        np.save(tmp_path / "b.npy", digit[0])
        files = [str(tmp_path / name) for name in ("a.pgm", "b.npy")]
        path = str(trained[0] / "model.npz")
        assert main(["predict", path, *files, "--json", "--threads", "1"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert [row["file"] for row in rows] == files
        for row in rows:
            assert row["class"] == digit[1]
            assert row["name"] == str(digit[1])
            assert row["probability"] == max(row["probabilities"])
            assert sum(row["probabilities"]) == pytest.approx(1)

    def test_coding_makes_the_models_own_input(self, trained, digit):
        """What comes out is what the data set's loader makes of the same pixels."""
        _, metadata = load_model(str(trained[0]))
        x = fit_image(digit[0].astype(float), SHAPE, metadata["pixels"])
        np.testing.assert_allclose(x[0], data.load_digits().test.x[3], atol=2e-6)

    @pytest.mark.parametrize(
        ("contents", "match"),
        [
            (b"", ""),
            (b"junk", ""),
            (b"P5 3", "header"),
            (b"P5 # no end", "header"),
            (b"P5 2 2 255\n\0\0\0", "truncated"),
            (b"P5 2 2 0\n\0\0\0\0", "damaged"),
            (b"P5 0 0 255\n", "without pixels"),
            (b"\x93NUMPY", ""),
        ],
    )
    def test_damaged_images(self, assert_refused, trained, tmp_path, contents, match):
        path = tmp_path / "a.png"
        path.write_bytes(contents)
        assert_refused("predict", trained[0], path, match=rf"a\.png: .*{match}")

    @pytest.mark.parametrize(
        ("array", "match"),
        [
            (np.zeros((2, 2, 2)), r"expected an image .*got \(2, 2, 2\)"),
            (np.zeros(3), "expected an image"),
            (np.zeros((2, 2), int), "expected uint8 or floats"),
            (np.full((2, 2), 2.0), r"expected floats in \[0, 1\]"),
            (np.full((2, 2), np.nan), r"expected floats in \[0, 1\]"),
        ],
    )
    def test_arrays_that_are_no_images(self, assert_refused, trained, tmp_path, array, match):
        np.save(tmp_path / "a.npy", array)
        assert_refused("predict", trained[0], tmp_path / "a.npy", match=rf"a\.npy: {match}")

    def test_pickles_are_not_opened(self, assert_refused, trained, tmp_path):
        np.save(tmp_path / "a.npy", np.array([print], object), allow_pickle=True)
        assert_refused("predict", trained[0], tmp_path / "a.npy", match=r"a\.npy: Object arrays")

    def test_a_missing_file(self, assert_refused, trained):
        assert_refused("predict", trained[0], "b.png", match=r"b\.png: No such file")
