"""Dropout, and the Philox generator that it draws from."""

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference
from fastnn.reference.dropout import philox4x32

pytestmark = pytest.mark.isa

KNOWN = [  # counter, key, words: Random123's kat_vectors
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    (
        [0xFFFFFFFF] * 4,
        [0xFFFFFFFF] * 2,
        [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
    ),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    """Of the reference, which the kernel is compared with; tests/c has the kernel's own."""
    assert philox4x32(counter, key).tolist() == words
    assert philox4x32([counter] * 3, [key] * 3).tolist() == [words] * 3


def test_first_words_decide(dtype):
    """The first known answer, through the kernel: element i is dropped just above word i."""
    for i, word in enumerate(KNOWN[0][2]):
        x = np.ones(4, dtype)
        assert fastnn.dropout(x, word / 2**32, seed=0)[i] != 0
        assert fastnn.dropout(x, (word + 1) / 2**32, seed=0)[i] == 0


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 511, 512, 513, 3001])
@pytest.mark.parametrize("offset", [0, 1, 3, 5, 510, 2**34 - 7, 2**63 - 1])
def test_dropout(rng, dtype, size, offset):
    x = normal(rng, size, dtype)
    for p, seed in [(0.0, 0), (0.3, 1), (0.5, 2**32 + 7), (0.999, 2**64 - 1)]:
        want = reference.dropout(x, p, seed=seed, offset=offset)
        for f in (fastnn.dropout, fastnn.dropout_backward):
            got = f(x, p, seed=seed, offset=offset)
            assert_same_bits(got == 0, want == 0)
            assert_within(got, want, 2 * roundoff(dtype) * np.abs(want))


def test_parts_equal_the_whole(rng, dtype):
    x = normal(rng, 5000, dtype)
    whole = fastnn.dropout(x, 0.4, seed=9, offset=6)
    for cut in (1, 3, 4, 63, 513, 4999):
        parts = [
            fastnn.dropout(x[:cut], 0.4, seed=9, offset=6),
            fastnn.dropout(x[cut:], 0.4, seed=9, offset=6 + cut),
        ]
        assert_same_bits(np.concatenate(parts), whole)
    assert_same_bits(fastnn.dropout(x.reshape(50, 100), 0.4, seed=9, offset=6).ravel(), whole)
    kept = fastnn.dropout(x.astype(np.float64), 0.4, seed=9, offset=6) != 0
    assert_same_bits(whole != 0, kept)


def test_how_many_are_kept():
    """A million draws: within six standard deviations of the mean, in each quarter of words too."""
    n = 1 << 20
    for p in (0.1, 0.5, 0.9):
        kept = fastnn.dropout(np.ones(n, np.float32), p, seed=2026) != 0
        for part in (kept, *kept.reshape(-1, 4).T):
            assert abs(part.mean() - (1 - p)) <= 6 * np.sqrt(p * (1 - p) / part.size)


def test_what_is_dropped_is_0():
    x = np.full(64, np.nan, np.float32)
    y = fastnn.dropout(x, seed=1)
    assert set(y[~np.isnan(y)].tolist()) == {0.0}
    assert 10 < np.isnan(y).sum() < 54


@pytest.mark.parametrize("layout", LAYOUTS)
def test_strides_and_in_place(rng, dtype, layout):
    x = LAYOUTS[layout](normal(rng, (7, 9, 5), dtype))
    want = fastnn.dropout(x.copy(), 0.2, seed=3)
    assert_same_bits(fastnn.dropout(x, 0.2, seed=3), want)
    if layout in OUT_LAYOUTS:
        assert fastnn.dropout(x, 0.2, seed=3, out=x) is x
        assert_same_bits(x, want)


@pytest.mark.parametrize("name", ["dropout", "dropout_backward"])
@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError, {"p": 1}),
        (ValueError, {"p": -0.1}),
        (ValueError, {"p": np.nan}),
        (TypeError, {"p": None}),
        (TypeError, {"p": "half"}),
        (ValueError, {"seed": -1}),
        (ValueError, {"seed": 2**64}),
        (TypeError, {"seed": 1.0}),
        (TypeError, {"seed": None}),
        (ValueError, {"offset": 2**63}),
        (ValueError, {"offset": -1}),
        (TypeError, {"offset": "0"}),
    ],
    ids=str,
)
def test_bad_options(name, error, options):
    (argument,) = options
    with pytest.raises(error, match=rf"^{name}: {argument} must be"):
        getattr(fastnn, name)(np.ones(3, np.float32), **{"seed": 1, **options})


def test_seed_is_needed():
    with pytest.raises(TypeError, match="seed"):
        fastnn.dropout(np.ones(3, np.float32))
