"""Files appear completely or not at all, and damaged ones are refused."""

import os
import zipfile

import numpy as np
import pytest

from fastnn import io

ARRAYS = {
    "file": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0.weight": np.zeros((0, 3)),
    "scalar": np.array(1.5),
}
METADATA = {"model": "x", "list": [1, 2.5, None], "name": "ü"}


def test_round_trip(tmp_path):
    path = tmp_path / "a.npz"
    io.save_arrays(path, ARRAYS, METADATA)
    arrays, metadata = io.load_arrays(path)
    assert metadata == METADATA
    assert list(arrays) == list(ARRAYS)
    for name, array in arrays.items():
        assert array.dtype == ARRAYS[name].dtype
        assert array.shape == ARRAYS[name].shape
        assert np.array_equal(array, ARRAYS[name])
    with np.load(path) as file:  # an ordinary npz file
        assert np.array_equal(file["0.weight"], ARRAYS["0.weight"])
    io.save_arrays(path, {})
    assert io.load_arrays(path) == ({}, {})


def test_equal_contents_give_equal_bytes(tmp_path):
    for name in "ab":
        io.save_arrays(tmp_path / name, ARRAYS, METADATA)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_failure_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        io.save_arrays(path, {"a": np.zeros(3), "b": np.array([None])})

    def interrupted():
        with io.atomic_write(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.npz"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    with io.atomic_write(tmp_path / "atomic") as file:
        file.write(b"")
    modes = [os.stat(tmp_path / name).st_mode for name in ("plain", "atomic")]
    assert modes[0] == modes[1]


def test_missing_directory(tmp_path):
    with pytest.raises(FileNotFoundError):
        io.save_arrays(tmp_path / "none" / "a.npz", ARRAYS)
    with pytest.raises(FileNotFoundError):
        io.load_arrays(tmp_path / "none.npz")


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    io.save_arrays(path, ARRAYS, METADATA)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.npz: not a readable npz file"):
            io.load_arrays(path)


def test_flipped_bits_are_found(tmp_path):
    """Any change inside an array's data fails its checksum."""
    path = tmp_path / "a.npz"
    values = np.arange(1000, dtype=np.float32)
    io.save_arrays(path, {"a": values})
    whole = path.read_bytes()
    start = whole.index(values.tobytes())
    for position in range(start, start + values.nbytes, 97):
        spoiled = bytearray(whole)
        spoiled[position] ^= 0x10
        path.write_bytes(spoiled)
        with pytest.raises(ValueError, match=r"a\.npz: not a readable npz file"):
            io.load_arrays(path)


def test_pickles_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="not a readable npz file"):
        io.load_arrays(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no array")
    with pytest.raises(ValueError, match="not a readable npz file"):
        io.load_arrays(path)
    for text in ("[1]", "{"):
        np.savez(path, **{io.METADATA: np.array(text)})
        with pytest.raises(ValueError, match=r"a\.npz: "):
            io.load_arrays(path)
