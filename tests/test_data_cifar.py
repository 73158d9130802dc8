"""CIFAR's two versions, in folders and in archives, and what is wrong with them."""

import gzip
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from fastnn import data
from fastnn.data import cifar
from fastnn.data.pickled import read_pickled

TRAIN, TEST = 3, 2  # images of each file here


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Expect files of a few images."""
    for name in ("CIFAR10", "CIFAR100"):
        layout = getattr(cifar, name)
        monkeypatch.setattr(cifar, name, layout._replace(rows=(TRAIN, TEST)))


def batches(classes, seed=0):
    """Return file names, pixels (N, 3072) and labels of a small data set."""
    rng = np.random.default_rng(seed)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for name in names if classes == 10 else ["train", "test"]:
        n = TEST if name.startswith("test") else TRAIN
        labels = [int(label) for label in rng.integers(0, classes, n)]
        yield name, rng.integers(0, 256, (n, 3072), np.uint8), labels


def python2_pickle(values):
    """Return the pickle of protocol 2 that Python 2 made: its strings are bytes without names."""
    images, out = values["data"], [b"\x80\x02}q\x00("]

    def string(s):
        return b"T" + len(s).to_bytes(4, "little") + s

    out += [string(b"data"), b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"]
    out += [b"K\x00\x85", string(b"b"), b"\x87R(K\x01", b"K", bytes([len(images)]), b"M\x00\x0c"]
    out += [b"\x86cnumpy\ndtype\n", string(b"u1"), b"K\x00K\x01\x87R(K\x03", string(b"|")]
    out += [b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89", string(images.tobytes()), b"tb"]
    key = next(key for key in values if key.endswith("labels"))
    out += [string(key.encode()), b"]("]
    out += [b"K" + bytes([label]) for label in values[key]]
    return b"".join([*out, b"eu."])


def contents(version, classes, images, labels):
    if version == "binary":
        coarse = b"\x07" if classes == 100 else b""
        rows = zip(labels, images, strict=True)
        return b"".join(coarse + bytes([y]) + x.tobytes() for y, x in rows)
    values = {"data": images, "labels" if classes == 10 else "fine_labels": labels}
    if version == "python2":
        return python2_pickle(values)
    return pickle.dumps(values, protocol=int(version))


def make(folder, version, classes, packed):
    """Write a data set and return its (pixels, labels) of both splits."""
    parts = list(batches(classes))
    suffix, kind = (".bin", "binary") if version == "binary" else ("", "python")
    files = {n + suffix: contents(version, classes, x, y) for n, x, y in parts}
    if packed:
        with tarfile.open(folder / f"cifar-{classes}-{kind}.tar.gz", "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(f"some/folder/{name}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text))
    else:
        for name, text in files.items():
            (folder / name).write_bytes(text)
    train = (
        np.concatenate([x for _, x, _ in parts[:-1]]),
        [label for *_, y in parts[:-1] for label in y],
    )
    return train, parts[-1][1:]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("version", ["binary", "python2", *"01234"])
def test_every_version(tmp_path, version, classes, packed):
    want = make(tmp_path, version, classes, packed)
    dataset = data.load(f"cifar{classes}", directory=tmp_path)
    layout = cifar.CIFAR10 if classes == 10 else cifar.CIFAR100
    for split, (images, labels) in zip(dataset, want, strict=True):
        pixels = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        x = ((pixels / 255 - layout.mean) / layout.std).astype(np.float32)
        assert np.array_equal(split.x, x)
        assert split.x.flags.c_contiguous
        assert split.y.tolist() == labels
        assert split.y.dtype == np.int64


def test_folder_of_the_authors(tmp_path):
    inner = tmp_path / "cifar10" / "cifar-10-batches-py"
    inner.mkdir(parents=True)
    _, (_, labels) = make(inner, "2", 10, False)
    assert data.load("cifar10", directory=tmp_path).test.y.tolist() == labels
    assert data.load_cifar(inner).test.y.tolist() == labels


class Bomb:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "bomb",
    [Bomb(os.mkdir, "made"), Bomb(eval, "1"), Bomb(getattr, "", "join"), Bomb(np.load, "x")],
    ids=lambda bomb: bomb.reduced[0].__name__,
)
def test_nothing_is_run(tmp_path, monkeypatch, bomb, protocol):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "2", 10, False)
    path = tmp_path / "data_batch_2"
    path.write_bytes(pickle.dumps({"data": bomb, "labels": []}, protocol))
    with pytest.raises(ValueError, match=r"data_batch_2: .*which no array needs"):
        data.load_cifar(tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("program", "match"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "it asks for os.system"),
        (b"(S'true'\nios\nsystem\n.", "instruction INST"),
        (b"\x80\x02cnumpy\ndtype\n)\x81.", "instruction NEWOBJ"),
        (b"\x80\x02P1\n.", "instruction PERSID"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"}r\xff\xff\xff\x7f.", "entry 2147483647 of the memo"),
        (b"}.}", "1 bytes after its end"),
        (b"].", "not a pickled dict"),
        (b"", "not a pickled dict"),
        (b"cnumpy\nndarray\n)R.", "not a pickled dict"),
        (b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.", "bytes in the encoding 'rot13'"),
    ],
)
def test_programs(program, match):
    with pytest.raises(ValueError, match=f"file: not a pickled dict of arrays .*{match}|{match}"):
        read_pickled(program, "file")


@pytest.mark.parametrize("state", [b"}S'function'\nI1\ns", b"(N}S'__call__'\nI1\nst"])
@pytest.mark.parametrize("name", [b"c_codecs\nencode\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n"])
def test_state_of_a_name(name, state):
    """A file can spoil what its own names stand for, but not those of the next."""
    with pytest.raises(ValueError, match="not a pickled dict"):
        read_pickled(name + state + b"b.", "file")
    values = {"x": np.arange(3)}
    assert np.array_equal(read_pickled(pickle.dumps(values, 2), "file")["x"], values["x"])


def test_arrays_of_objects_and_wrong_sizes():
    objects = pickle.dumps({"data": np.array([None, 1])}, 2)
    with pytest.raises(ValueError, match="elements of type"):
        read_pickled(objects, "file")
    short = pickle.dumps({"data": np.zeros(200, "u1")}, 2).replace(b"K\xc8\x85", b"K\xc9\x85")
    with pytest.raises(ValueError, match=r"array of shape \(201,\) from 200 bytes"):
        read_pickled(short, "file")
    x = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    assert np.array_equal(read_pickled(pickle.dumps({"x": x}, 2), "file")["x"], x)


@pytest.mark.parametrize("version", ["binary", "2"])
def test_labels_sizes_and_missing_files(tmp_path, version):
    make(tmp_path, version, 10, False)
    suffix = ".bin" if version == "binary" else ""
    path = tmp_path / f"data_batch_3{suffix}"
    images = np.zeros((TRAIN, 3072), np.uint8)
    for labels, match in (([0, 10, 1], "label 10, expected 0 to 9"), ([1, 2], "2 images, exp|2 l")):
        path.write_bytes(contents(version, 10, images[: len(labels)], labels))
        with pytest.raises(ValueError, match=rf"data_batch_3.*: {match}"):
            data.load_cifar(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="data_batch_3"):
        data.load_cifar(tmp_path)
    with pytest.raises(ValueError, match="num_classes must be 10 or 100, got 11"):
        data.load_cifar(tmp_path, 11)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty: neither cifar-10-python.tar.gz nor"):
        data.load_cifar(tmp_path / "empty")


def test_archive_without_a_file(tmp_path):
    with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("train")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(ValueError, match=r"python\.tar\.gz: train is not in the archive"):
        data.load_cifar(tmp_path, 100)


@pytest.mark.parametrize("version", ["2", "4", "python2", "binary"])
def test_flipped_and_cut_archives(tmp_path, version):
    """The checksum of gzip covers all but its header: an error, or the same arrays."""
    make(tmp_path, version, 100, True)
    (path,) = tmp_path.iterdir()
    want, whole, rng = data.load_cifar(tmp_path, 100), path.read_bytes(), np.random.default_rng(1)
    for position in [*range(24), *rng.integers(0, len(whole), 60)]:
        spoiled = bytearray(whole)
        spoiled[position] ^= rng.integers(1, 256)
        check_spoiled(path, spoiled, want)
    for length in (0, 1, 9, *rng.integers(0, len(whole), 10), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"\.tar\.gz: "):
            data.load_cifar(tmp_path, 100)


def check_spoiled(path, spoiled, want):
    path.write_bytes(spoiled)
    try:
        found = data.load_cifar(path.parent, 100)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert all(map(np.array_equal, (*found.train, *found.test), (*want.train, *want.test)))


@pytest.mark.parametrize("version", ["0", "2", "4", "python2"])
def test_flipped_pickles_end_in_a_value_or_an_error(version):
    """A pickle has no checksum; whatever it says, nothing runs and nothing else is raised."""
    images = np.arange(12, dtype=np.uint8).reshape(1, 12)
    values = {"data": images, "labels": [3, 300, 70000]}
    text = pickle.dumps(values, int(version)) if version != "python2" else None
    text = text or python2_pickle({"data": np.zeros((1, 3072), "u1"), "labels": [3, 4]})
    rng = np.random.default_rng(2)
    for position in [*range(min(len(text), 200)), *range(len(text) - 12, len(text))]:
        for change in (*rng.integers(1, 256, 5), 1, 3):
            spoiled = bytearray(text)
            spoiled[position] ^= change
            try:
                result = read_pickled(bytes(spoiled), "the file")
            except ValueError as error:
                assert str(error).startswith("the file: ")  # noqa: PT017
            else:
                assert isinstance(result, dict)
    for length in range(len(text)) if len(text) < 400 else (5, 100, len(text) - 1):
        with pytest.raises(ValueError, match="the file: "):
            read_pickled(text[:length], "the file")


def test_second_gzip_member_or_garbage(tmp_path):
    make(tmp_path, "2", 100, True)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + gzip.compress(b"x")[:-1])
    with pytest.raises(ValueError, match=r"not a readable tar\.gz"):
        data.load_cifar(tmp_path, 100)
