"""``out=``: what is refused, with nothing written, and that interleaved slices are not."""

import numpy as np
import pytest

from bad_calls import F32, F64, GOOD, WITH_OUT, assert_raises, call


@pytest.mark.parametrize("name", WITH_OUT)
class TestOut:
    def test_wrong_shape(self, name):
        shape = GOOD[name][2]
        for wrong in [(*shape, 1), (*shape[:-1], shape[-1] + 1), (0,), (*shape[::-1], 1)]:
            assert_raises(ValueError, name, "out", out=np.full(wrong, 7, F32))

    def test_wrong_dtype(self, name):
        for dtype in (F64, np.int32, np.float16, ">f4", object):
            wrong = np.full(GOOD[name][2], 7).astype(dtype)
            assert_raises(TypeError, name, "out", out=wrong)

    def test_read_only(self, name):
        out = np.full(GOOD[name][2], 7, F32)
        out.flags.writeable = False
        assert_raises(ValueError, name, "out", out=out)

    def test_misaligned(self, name):
        shape = GOOD[name][2]
        raw = np.zeros(int(np.prod(shape)) * 4 + 1, np.uint8)
        assert_raises(ValueError, name, "out", out=raw[1:].view(F32).reshape(shape))

    def test_overlap(self, name):
        """out shares memory with an input, in part, for each input in turn."""
        arrays, _, shape = GOOD[name]
        for argument, good in arrays.items():
            if good.dtype == F32 and good.ndim > 0:
                size = max(int(np.prod(shape)), good.size) + 1
                pool = np.full(size, 7, F32)
                given = pool[: good.size].reshape(good.shape)
                out = pool[1 : 1 + int(np.prod(shape))].reshape(shape)
                assert_raises(ValueError, name, argument, **{argument: given, "out": out})

    def test_interleaved_is_no_overlap(self, name):
        """Slices of one array that share no element are fine."""
        arrays, _, shape = GOOD[name]
        argument, good = next(iter(arrays.items()))
        pool = np.ones(2 * max(int(np.prod(shape)), good.size), F32)
        given = np.lib.stride_tricks.as_strided(pool, good.shape, [2 * s for s in good.strides])
        plain = np.empty(shape, F32)
        out = np.lib.stride_tricks.as_strided(pool[1:], shape, [2 * s for s in plain.strides])
        call(name, **{argument: given, "out": out})
        call(name, out=plain)
        np.testing.assert_array_equal(out, plain)
