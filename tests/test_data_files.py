"""CIFAR, archives and folders: round trips, wrong contents, and files damaged at any byte."""

import gzip
import hashlib
import io
import os
import pickle
import sys
import tarfile
import types

import numpy as np
import pytest

from fastnn import data
from fastnn.data import cifar, download
from fastnn.data.cifar import CIFAR10
from fastnn.data.pickled import read_pickled

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 3072), dtype=np.uint8)
LABELS = np.arange(24) % 10
NAMES10 = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Expect files of 4 images."""
    for name in ("CIFAR10", "CIFAR100"):
        monkeypatch.setattr(cifar, name, getattr(cifar, name)._replace(rows=(4, 4)))


def binary(rows, coarse=False):
    labels = LABELS[rows, np.newaxis].astype(np.uint8)
    parts = [labels * 0 + 99, labels] if coarse else [labels]
    return np.hstack([*parts, IMAGES[rows]]).tobytes()


def python2(rows, key=b"labels"):
    """A batch as Python 2 pickled it: protocol 2, strings of bytes."""
    n = len(rows)
    raw = IMAGES[rows].tobytes()
    out = b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03"
    out += b"cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K" + bytes([n])
    out += b"M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff"
    out += b"\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + len(raw).to_bytes(4, "little") + raw + b"tb"
    out += (
        b"U" + bytes([len(key)]) + key + b"](" + b"".join(b"K" + bytes([v]) for v in LABELS[rows])
    )
    return out + b"eU\x0bbatch_labelU\x04testu."


def python3(rows, protocol=4, key="labels"):
    return pickle.dumps({"data": IMAGES[rows], key: LABELS[rows].tolist()}, protocol)


def split_rows():
    return [np.arange(4 * i, 4 * i + 4) for i in range(6)]


def write(folder, contents):
    folder.mkdir(exist_ok=True, parents=True)
    for name, part in contents.items():
        (folder / name).write_bytes(part)


def packed(contents, prefix="cifar/"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, part in contents.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(part)
            archive.addfile(member, io.BytesIO(part))
    return out.getvalue()


def check_cifar10(dataset):
    x = IMAGES.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    x = ((x / 255 - CIFAR10.mean) / CIFAR10.std).astype(np.float32)
    assert np.array_equal(dataset.train.x, x[:20])
    assert np.array_equal(dataset.test.x, x[20:])
    assert np.array_equal(dataset.train.y, LABELS[:20])
    assert np.array_equal(dataset.test.y, LABELS[20:])
    assert (dataset.train.x.dtype, dataset.train.y.dtype) == (np.float32, np.int64)


def versions():
    rows = split_rows()
    return {
        "bin": {f"{n}.bin": binary(r) for n, r in zip(NAMES10, rows, strict=True)},
        "py": {n: python2(r) for n, r in zip(NAMES10, rows, strict=True)},
    }


@pytest.mark.parametrize(
    ("kind", "inner", "archive"),
    [
        ("bin", "cifar-10-batches-bin", "cifar-10-binary.tar.gz"),
        ("py", "cifar-10-batches-py", "cifar-10-python.tar.gz"),
    ],
)
def test_cifar10(tmp_path, kind, inner, archive):
    files = versions()[kind]
    write(tmp_path / "a", files)
    write(tmp_path / "b" / inner, files)
    write(tmp_path / "c", {archive: packed(files, "../../" + inner + "/")})
    for name in "abc":
        check_cifar10(data.load_cifar(tmp_path / name))
    assert sorted(os.listdir(tmp_path / "c")) == [archive]
    write(tmp_path / "cifar10", files)
    check_cifar10(data.load("cifar10", directory=tmp_path))


@pytest.mark.parametrize("protocol", range(5))
def test_pickles_of_every_protocol(protocol):
    batch = read_pickled(python3(np.arange(4), protocol), "file")
    assert np.array_equal(batch["data"], IMAGES[:4])
    assert batch["labels"] == LABELS[:4].tolist()


@pytest.mark.parametrize("code", ["u1", "<i2", ">i4", "<f4", ">f8"])
def test_pickled_arrays(code):
    array = np.asfortranarray(RNG.integers(0, 100, (3, 4)).astype(code))
    result = read_pickled(pickle.dumps({"a": array, "b": array[::2]}, 2), "file")
    assert np.array_equal(result["a"], array)
    assert np.array_equal(result["b"], array[::2])
    assert result["a"].dtype == array.dtype


def test_cifar100(tmp_path):
    rows = split_rows()
    write(tmp_path / "b", {"train.bin": binary(rows[0], True), "test.bin": binary(rows[1], True)})
    files = {"train": python2(rows[0], b"fine_labels"), "test": python2(rows[1], b"fine_labels")}
    write(tmp_path / "p", files)
    first, second = (data.load_cifar(tmp_path / name, 100) for name in "bp")
    for one, two in zip([*first.train, *first.test], [*second.train, *second.test], strict=True):
        assert np.array_equal(one, two)
    assert first.train.y.tolist() == [0, 1, 2, 3]


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("call", [(os.mkdir,), (eval,), (getattr, "", "join")])
def test_archives_that_try_to_run_code(tmp_path, protocol, call):
    made = tmp_path / "made"
    arguments = call[1:] or (str(made),)
    rows = np.arange(4)
    evil = {"x": Evil(call[0], *arguments), "data": IMAGES[rows], "labels": [1] * 4}
    files = dict.fromkeys(NAMES10, python3(rows))
    files["data_batch_3"] = pickle.dumps(evil, protocol)
    write(tmp_path / "a", files)
    with pytest.raises(ValueError, match=r"data_batch_3: .*it asks for \w+\.\w+, which no array"):
        data.load_cifar(tmp_path / "a")
    write(tmp_path / "c", {"cifar-10-python.tar.gz": packed(files)})
    with pytest.raises(ValueError, match=r"gz: data_batch_3: .*it asks for"):
        data.load_cifar(tmp_path / "c")
    assert not made.exists()


def test_pickles_of_other_things():
    for value in ([1], np.zeros(2), {"a": np.array([None])}, {"a": Evil(np.ndarray, (2,))}):
        with pytest.raises(ValueError, match="file: not a pickled dict of arrays"):
            read_pickled(pickle.dumps(value, 2), "file")


def damaged(contents, count, seed):
    """Yield copies with a byte changed or the end cut off."""
    rng = np.random.default_rng(seed)
    for position in [*range(min(len(contents), 60)), *rng.integers(0, len(contents), count)]:
        changed = bytearray(contents)
        changed[position] ^= rng.integers(1, 256)
        yield bytes(changed)
    for length in rng.integers(0, len(contents), count // 4):
        yield contents[:length]


@pytest.mark.parametrize("maker", [python2, python3])
def test_damaged_pickle(tmp_path, maker):
    """An error that names the file, or images of the right kind: a pickle has no checksum."""
    whole = maker(np.arange(4))
    starts = [whole[:200], whole[-60:]]  # not only pixels, whose change cannot be seen
    files = dict.fromkeys(NAMES10, whole)
    write(tmp_path, files)
    errors = 0
    for i, part in enumerate(starts):
        for changed in damaged(part, 100, i):
            broken = changed + whole[200:] if i == 0 else whole[:-60] + changed
            (tmp_path / "data_batch_2").write_bytes(broken)
            try:
                dataset = data.load_cifar(tmp_path)
            except ValueError as error:
                assert "data_batch_2: " in str(error)  # noqa: PT017
                errors += 1
            else:
                assert dataset.train.x.shape == (20, 32, 32, 3)
                assert 0 <= dataset.train.y.min() <= dataset.train.y.max() < 10
    assert errors > 50


@pytest.mark.parametrize("kind", ["tar", "npz", "idx"])
def test_damaged_where_there_are_checksums(tmp_path, kind):
    """An error that names the file, or the same result."""
    if kind == "tar":
        path = tmp_path / "cifar-10-python.tar.gz"
        path.write_bytes(packed(dict.fromkeys(NAMES10, python2(np.arange(4)))))
        load = lambda: data.load_cifar(tmp_path)  # noqa: E731
    elif kind == "npz":
        path = tmp_path / "small.npz"
        x, y = IMAGES[:2].reshape(2, 3, 32, 32), LABELS[:2]
        np.savez_compressed(path, x_train=x, y_train=y, x_test=x, y_test=y)
        load = lambda: data.load_npz(path)  # noqa: E731
    else:
        path = tmp_path / "small.gz"
        path.write_bytes(gzip.compress(b"\0\0\x08\3" + bytes([0, 0, 0, 2] * 3) + bytes(range(8))))
        load = lambda: data.read_idx(path)  # noqa: E731
    whole = path.read_bytes()

    def digest(result):
        parts = [result] if kind == "idx" else [*result.train, *result.test]
        return [hashlib.sha256(part.tobytes()).hexdigest() for part in parts]

    want, errors = digest(load()), 0
    for changed in damaged(whole, 200, 3):
        path.write_bytes(changed)
        try:
            assert digest(load()) == want
        except ValueError as error:
            assert path.name in str(error)  # noqa: PT017
            errors += 1
    assert errors > 100


@pytest.mark.parametrize(
    ("contents", "match"),
    [
        (b"", "0 bytes are not records of 3073"),
        (bytes(3072), "3072 bytes are not records"),
        (b"\x0a" + bytes(3072), "label 10, expected 0 to 9"),
    ],
)
def test_wrong_binary(tmp_path, contents, match):
    write(tmp_path, {**versions()["bin"], "data_batch_4.bin": contents})
    with pytest.raises(ValueError, match=rf"data_batch_4\.bin: {match}"):
        data.load_cifar(tmp_path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"data": IMAGES[:4].astype("i4")}, "'data' is no array of uint8"),
        ({"data": [1]}, "'data' is no array of uint8"),
        ({"data": IMAGES[:4, 1:]}, r"expected images \(N, 3072\), got \(4, 3071\)"),
        ({"data": IMAGES[:0], "labels": []}, "expected images"),
        ({"labels": [1, 2]}, "2 labels for 4 images"),
        ({"labels": [1, 2, 3, 10]}, "label 10, expected 0 to 9"),
        ({"labels": [1, 2, 3, -1]}, "label -1, expected 0 to 9"),
        ({"labels": [1, 2, 3, 1 << 70]}, "label 1180591620717411303424, expected"),
        ({"labels": None}, "'labels' is no list of integers"),
    ],
)
def test_wrong_pickle(tmp_path, change, match):
    batch = {"data": IMAGES[:4], "labels": [0, 1, 2, 3], **change}
    write(tmp_path, {**versions()["py"], "test_batch": pickle.dumps(batch, 4)})
    with pytest.raises(ValueError, match=f"test_batch: {match}"):
        data.load_cifar(tmp_path)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cifar-10-python\.tar\.gz"):
        data.load_cifar(tmp_path)
    files = versions()["bin"]
    del files["test_batch.bin"]
    write(tmp_path / "c", {"cifar-10-binary.tar.gz": packed(files)})
    with pytest.raises(ValueError, match=r"binary\.tar\.gz: test_batch\.bin is not in the archive"):
        data.load_cifar(tmp_path / "c")
    write(tmp_path, files)
    with pytest.raises(FileNotFoundError, match="test_batch"):
        data.load_cifar(tmp_path)
    with pytest.raises(ValueError, match="num_classes must be 10 or 100, got 20"):
        data.load_cifar(tmp_path, 20)


class TestNpz:
    x, y = IMAGES[:6].reshape(6, 3, 32, 32), np.arange(6)

    def save(self, path, **change):
        arrays = {"x_train": self.x, "y_train": self.y, "x_test": self.x, "y_test": self.y}
        np.savez(path, **{**arrays, **change})
        return path

    def test_layouts(self, tmp_path):
        nchw = data.load_npz(self.save(tmp_path / "a.npz"))
        nhwc = data.load_npz(self.save(tmp_path / "b.npz", x_train=self.x.transpose(0, 2, 3, 1)))
        gray = data.load_npz(
            self.save(tmp_path / "c.npz", x_train=self.x[:, 0], y_test=self.y[:, None])
        )
        assert np.array_equal(nchw.train.x, nhwc.train.x)
        assert np.array_equal(nchw.train.x[..., :1], gray.train.x)
        assert np.array_equal(gray.test.y, self.y)
        assert np.array_equal(nchw.train.x, (self.x.transpose(0, 2, 3, 1) / 255).astype(np.float32))

    def test_by_name(self, tmp_path):
        self.save(tmp_path / "cifar100_part.npz")
        (tmp_path / "cifar10").mkdir()
        self.save(tmp_path / "cifar10" / "cifar10_part.npz")
        tens = data.load("cifar10", directory=tmp_path)
        assert np.array_equal(tens.train.y, self.y)
        x = (self.x.transpose(0, 2, 3, 1) / 255 - CIFAR10.mean) / CIFAR10.std
        assert np.array_equal(tens.train.x, x.astype(np.float32))
        assert data.load("cifar100", directory=tmp_path).test.x.shape == (6, 32, 32, 3)

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"y_train": np.arange(5)}, "labels int64 .5,. for images"),
            ({"y_train": np.arange(6.0)}, "labels float64"),
            ({"y_test": np.arange(6) - 1}, "label -1, expected 0 to 5"),
            ({"y_test": np.arange(6) + 1}, "label 6, expected 0 to 5"),
            ({"x_train": IMAGES[:6]}, "no images: uint8"),
            ({"x_train": np.zeros((6, 2, 2, 1), "i4")}, "no images: int32"),
            ({"x_train": np.array([None])}, "not a readable npz file"),
        ],
    )
    def test_wrong_contents(self, tmp_path, change, match):
        path = self.save(tmp_path / "a.npz", **change)
        with pytest.raises(ValueError, match=rf"a\.npz: {match}"):
            data.load_npz(path)

    def test_missing_array(self, tmp_path):
        np.savez(tmp_path / "a.npz", x_train=self.x)
        with pytest.raises(ValueError, match=r"a\.npz: there is no array y_train"):
            data.load_npz(tmp_path / "a.npz")


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
        for i, name in enumerate(("b/2.png", "a/1.png", "b/1.png")):
            (tmp_path / name[0]).mkdir(exist_ok=True)
            pixels = IMAGES[i].reshape(32, 32, 3)[:8, :6]
            image.fromarray(pixels).save(tmp_path / name)
        (tmp_path / "a" / "notes.txt").write_text("no image")
        return tmp_path

    def test_classes_are_sorted_folders(self, folder):
        split, classes = data.load_folder(folder)
        assert classes == ("a", "b")
        assert split.y.tolist() == [0, 1, 1]
        want = IMAGES[[1, 2, 0]].reshape(3, 32, 32, 3)[:, :8, :6]
        assert np.array_equal(split.x, want.astype(np.float32) / np.float32(255))
        assert data.load_folder(folder, (4, 5), gray=True)[0].x.shape == (3, 4, 5, 1)
        assert data.load_folder(folder, 7)[0].x.shape == (3, 7, 7, 3)

    def test_damaged_and_odd_images(self, folder):
        path = folder / "b" / "1.png"
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(ValueError, match=r"b/1\.png: not a readable image"):
            data.load_folder(folder)
        with pytest.raises(ValueError, match="no sub-folder with images"):
            data.load_folder(folder / "a")


class TestRegistry:
    def test_names_and_info(self):
        assert data.names() == ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100")
        for name in data.names():
            info = data.info(name)
            assert (info.name, len(info.classes)) == (name, info.num_classes)
        assert data.load("digits").train.x.shape[1:] == data.info("digits").image_shape

    def test_unknown_name(self):
        for call in (data.load, data.info):
            with pytest.raises(ValueError, match="unknown data set 'mnits'; did you mean 'mnist'"):
                call("mnits")

    def test_nothing_there(self, tmp_path, monkeypatch):
        monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
        with pytest.raises(FileNotFoundError, match=f"{tmp_path}: .*; give a directory, set FAST"):
            data.load("mnist")
        monkeypatch.delenv("FASTNN_DATA")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        with pytest.raises(FileNotFoundError, match="cache/fastnn"):
            data.load("cifar100")

    def test_download(self, tmp_path, monkeypatch):
        """The first mirror fails, the second sends the file; without the network."""
        asked = []

        def retrieve(url, known_hash, fname, path):
            asked.append(url)
            if len(asked) == 1:
                raise OSError("no answer")
            write(tmp_path / "cifar10", {fname: packed(versions()["py"])})
            assert (known_hash[:8], path) == ("6d958be0", str(tmp_path / "cifar10"))

        monkeypatch.setitem(sys.modules, "pooch", types.SimpleNamespace(retrieve=retrieve))
        for _ in range(2):  # the second time it is there
            check_cifar10(data.load("cifar10", directory=tmp_path, download=True))
        assert [url.rsplit("/", 1)[1] for url in asked] == ["cifar-10-python.tar.gz"] * 2

        def fail(*_, **__):
            raise ValueError("another hash")

        monkeypatch.setitem(sys.modules, "pooch", types.SimpleNamespace(retrieve=fail))
        with pytest.raises(ValueError, match="another hash"):
            data.load("mnist", directory=tmp_path, download=True)
        monkeypatch.setitem(sys.modules, "pooch", None)
        with pytest.raises(ImportError, match="downloads need pooch"):
            data.load("mnist", directory=tmp_path, download=True)

    def test_checksums_are_whole(self):
        for _, files in download.FILES.values():
            for checksum in files.values():
                assert len(checksum) in (64, 36)
                int(checksum.removeprefix("md5:"), 16)
