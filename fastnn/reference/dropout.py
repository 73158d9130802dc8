"""Dropout, and the generator that it draws from, in 64-bit integers."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.reference.arrays import Array, f64

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_FACTORS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)


def philox4x32(counter: ArrayLike, key: ArrayLike) -> NDArray[np.uint32]:
    """Philox 4x32-10 of counters (..., 4) and keys (..., 2) of 32-bit words: (..., 4).

    Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
    """
    c = np.moveaxis(np.asarray(counter, np.uint64), -1, 0)
    key = np.moveaxis(np.asarray(key, np.uint64), -1, 0)
    for i in range(10):
        k = [(key[j] + np.uint64(i) * _WEYL[j]) & _LOW for j in range(2)]
        even, odd = c[0] * _FACTORS[0], c[2] * _FACTORS[1]
        c = np.stack(
            [(odd >> _HALF) ^ c[1] ^ k[0], odd & _LOW, (even >> _HALF) ^ c[3] ^ k[1], even & _LOW]
        )
    return np.moveaxis(c, 0, -1).astype(np.uint32)


def _kept(size: int, p: float, seed: int, offset: int) -> NDArray[np.bool_]:
    numbers = np.uint64(offset) + np.arange(size, dtype=np.uint64)
    block = numbers // np.uint64(4)
    zero = np.zeros_like(block)
    counter = np.stack([block & _LOW, block >> _HALF, zero, zero], -1)
    words = philox4x32(counter, [seed & 0xFFFFFFFF, seed >> 32])
    chosen = np.take_along_axis(words, (numbers % np.uint64(4)).astype(int)[:, None], 1)[:, 0]
    return chosen >= int(p * 2**32)


def dropout(x: ArrayLike, p: float = 0.5, *, seed: int, offset: int = 0) -> Array:
    """y = 0 where word i % 4 of counter i // 4 is below p * 2**32, else x / (1 - p)."""
    x = f64(x)
    kept = _kept(x.size, p, seed, offset).reshape(x.shape)
    return np.where(kept, x * (1 / (1 - p)), 0.0)


def dropout_backward(dy: ArrayLike, p: float = 0.5, *, seed: int, offset: int = 0) -> Array:
    """dx = 0 where x was dropped, else dy / (1 - p)."""
    return dropout(dy, p, seed=seed, offset=offset)
