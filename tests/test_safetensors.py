"""The safetensors format: round trips, the other implementation, damaged files."""

import json
import struct

import numpy as np
import pytest

from fastnn import io, models

ARRAYS = {
    "flag": np.array([True, False, True]),
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.array([1.5, -2], np.float16),
    "scalar": np.array(1.5),
    "empty": np.zeros((0, 3), np.float32),
    "words": np.array([2**64 - 1], np.uint64),
    "strided": np.arange(10, dtype=np.int16)[::-3],
}


def assert_equal(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        assert array.dtype == expected[name].dtype
        assert array.shape == expected[name].shape
        assert np.array_equal(array, expected[name])
        assert array.flags.writeable
        assert array.flags.aligned


def test_round_trip(tmp_path):
    path = tmp_path / "a.safetensors"
    io.save_safetensors(path, ARRAYS, {"model": "ü"})
    arrays, metadata = io.load_safetensors(path)
    assert_equal(arrays, ARRAYS)
    assert metadata == {"model": "ü"}
    io.save_safetensors(path, {})
    assert io.load_safetensors(path) == ({}, {})


def test_of_a_model(tmp_path):
    path = tmp_path / "a.safetensors"
    first, second = models.lenet5(rng=0), models.lenet5(rng=1)
    io.save_safetensors(path, first.state_dict())
    second.load_state_dict(io.load_safetensors(path)[0])
    assert_equal(second.state_dict(), first.state_dict())


def test_byte_by_byte(tmp_path):
    """The example of the format's description, written out."""
    path = tmp_path / "a.safetensors"
    io.save_safetensors(path, {"a": np.array([1, 2], np.uint16)})
    header = b'{"a":{"dtype":"U16","shape":[2],"data_offsets":[0,4]}}'
    header += b" " * (-len(header) % 8)
    assert path.read_bytes() == struct.pack("<Q", len(header)) + header + b"\1\0\2\0"


def test_big_endian_arrays_are_written_little(tmp_path):
    path = tmp_path / "a.safetensors"
    io.save_safetensors(path, {"a": np.array([1, 2], ">i4")})
    assert io.load_safetensors(path)[0]["a"].tolist() == [1, 2]


def test_tensors_are_aligned_in_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    io.save_safetensors(path, ARRAYS)
    whole = path.read_bytes()
    (length,) = struct.unpack_from("<Q", whole)
    assert length % 8 == 0
    for name, entry in json.loads(whole[8 : 8 + length]).items():
        assert entry["data_offsets"][0] % ARRAYS[name].itemsize == 0


def test_the_other_implementation(tmp_path):
    other = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    io.save_safetensors(ours, ARRAYS, {"a": "b"})
    read = other.load_file(ours)
    assert_equal({name: array.copy() for name, array in read.items()}, ARRAYS)
    other.save_file({k: np.array(v, order="C") for k, v in ARRAYS.items()}, theirs, {"a": "b"})
    arrays, metadata = io.load_safetensors(theirs)
    assert_equal(arrays, ARRAYS)
    assert metadata == {"a": "b"}


@pytest.mark.parametrize(
    ("arrays", "metadata", "error", "match"),
    [
        ({"a": np.zeros(2, complex)}, None, TypeError, "a has dtype complex128"),
        ({"a": np.array([None])}, None, TypeError, "a has dtype object"),
        ({"__metadata__": np.zeros(2)}, None, ValueError, "__metadata__ is taken"),
        ({}, {"a": 1}, TypeError, "metadata must map strings to strings"),
    ],
)
def test_what_the_format_has_not(tmp_path, arrays, metadata, error, match):
    with pytest.raises(error, match=f"save_safetensors: .*{match}"):
        io.save_safetensors(tmp_path / "a", arrays, metadata)
    assert list(tmp_path.iterdir()) == []


def packed(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
DAMAGED = {
    "empty": b"",
    "short": b"\0" * 7,
    "length": packed({}, length=2**63),
    "longer than the file": packed({}, length=3),
    "no JSON": packed(b"{"),
    "no object": packed([1]),
    "no text": packed(b"\xff\xff"),
    "entry": packed({"a": 1}),
    "missing key": packed({"a": {"dtype": "F32", "shape": [2]}}),
    "dtype": packed({"a": ENTRY | {"dtype": "BF16"}}, b"\0" * 8),
    "list of dtypes": packed({"a": ENTRY | {"dtype": ["F32"]}}, b"\0" * 8),
    "shape": packed({"a": ENTRY | {"shape": [3]}}, b"\0" * 8),
    "negative shape": packed({"a": ENTRY | {"shape": [-2, -1]}}, b"\0" * 8),
    "shape of floats": packed({"a": ENTRY | {"shape": [2.0]}}, b"\0" * 8),
    "body missing": packed({"a": ENTRY}),
    "body too long": packed({"a": ENTRY}, b"\0" * 9),
    "offsets reversed": packed({"a": ENTRY | {"data_offsets": [8, 0]}}, b"\0" * 8),
    "offset not 0": packed({"a": ENTRY | {"data_offsets": [8, 16]}}, b"\0" * 16),
    "offsets of text": packed({"a": ENTRY | {"data_offsets": ["0", "8"]}}, b"\0" * 8),
    "overlap": packed({"a": ENTRY, "b": ENTRY}, b"\0" * 8),
    "metadata": packed({"__metadata__": {"a": 1}}),
    "metadata that are a list": packed({"__metadata__": ["a"]}),
}


@pytest.mark.parametrize("contents", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_files(tmp_path, contents):
    path = tmp_path / "a.safetensors"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"a\.safetensors: not a readable safetensors file \("):
        io.load_safetensors(path)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    io.save_safetensors(path, ARRAYS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="not a readable safetensors file"):
            io.load_safetensors(path)
