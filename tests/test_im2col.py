"""im2col copies patches into rows; col2im is its adjoint."""

import numpy as np
import pytest

import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, integers, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference
from geometry import CONVS, Conv

pytestmark = pytest.mark.isa

UNGROUPED = [conv for conv in CONVS if conv.groups == 1]
EMPTY = [
    Conv((0, 5, 5, 3), 1, (3, 3)),
    Conv((2, 5, 5, 0), 1, (3, 3)),
    Conv((2, 0, 5, 3), 1, (1, 1), padding=1),
]
every_window = pytest.mark.parametrize("conv", [*UNGROUPED, *EMPTY], ids=str)


def options(conv):
    return {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation}


def cols_shape(conv):
    n, oh, ow, _ = conv.y
    return n * oh * ow, conv.kernel[0] * conv.kernel[1] * conv.x[3]


@every_window
def test_im2col_copies(rng, dtype, conv):
    x = normal(rng, conv.x, dtype)
    x.flat[::7], x.flat[1::7], x.flat[2::7] = (
        np.nan,
        -0.0,
        np.inf,
    )  # bits are copied, whatever they are
    cols = nan_out("contiguous", cols_shape(conv), dtype)
    assert fastnn.im2col(x, conv.kernel, **options(conv), out=cols) is cols
    assert_same_bits(cols, reference.im2col(x, conv.kernel, **options(conv)).astype(dtype))


@every_window
def test_col2im(rng, dtype, conv):
    cols = integers(rng, cols_shape(conv), dtype)
    x = nan_out("contiguous", conv.x, dtype)
    assert fastnn.col2im(cols, conv.x, conv.kernel, **options(conv), out=x) is x
    np.testing.assert_array_equal(x, reference.col2im(cols, conv.x, conv.kernel, **options(conv)))

    cols = normal(rng, cols_shape(conv), dtype)
    taps = conv.kernel[0] * conv.kernel[1]
    bound = (
        taps
        * roundoff(dtype)
        * reference.col2im(np.abs(cols), conv.x, conv.kernel, **options(conv))
    )
    want = reference.col2im(cols, conv.x, conv.kernel, **options(conv))
    assert_within(fastnn.col2im(cols, conv.x, conv.kernel, **options(conv)), want, bound)


@every_window
def test_adjoint(rng, conv):
    x, cols = integers(rng, conv.x, np.float64), integers(rng, cols_shape(conv), np.float64)
    there = fastnn.im2col(x, conv.kernel, **options(conv))
    back = fastnn.col2im(cols, conv.x, conv.kernel, **options(conv))
    assert (there * cols).sum() == (x * back).sum()


@pytest.mark.parametrize("conv", UNGROUPED, ids=str)
def test_conv2d_is_im2col_and_gemm(rng, dtype, conv):
    x, w = normal(rng, conv.x, dtype), normal(rng, conv.w, dtype)
    cols = fastnn.im2col(x, conv.kernel, **options(conv))
    y = fastnn.gemm(cols, w.reshape(conv.o, -1), trans_b=True).reshape(conv.y)
    with fastnn.conv_algorithm("im2col"):
        assert_same_bits(fastnn.conv2d(x, w, **conv.options), y)


@pytest.mark.parametrize("kernel", [3, (3, 2)])
def test_scalar_and_pair_arguments(rng, dtype, kernel):
    x = normal(rng, (2, 9, 8, 3), dtype)
    kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
    want = fastnn.im2col(x, (kh, kw), stride=(2, 2), padding=((1, 1), (1, 1)), dilation=(2, 2))
    assert_same_bits(fastnn.im2col(x, kernel, stride=2, padding=1, dilation=2), want)
    assert_same_bits(fastnn.im2col(x, kernel, stride=2, padding=(1, 1), dilation=2), want)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(rng, dtype, layout):
    conv = Conv((2, 7, 6, 3), 1, (3, 2), stride=2, padding=((1, 0), (0, 2)))
    x = LAYOUTS[layout](normal(rng, conv.x, dtype))
    cols = LAYOUTS[layout](normal(rng, cols_shape(conv), dtype))
    there = fastnn.im2col(np.ascontiguousarray(x), conv.kernel, **options(conv))
    back = fastnn.col2im(np.ascontiguousarray(cols), conv.x, conv.kernel, **options(conv))
    assert_same_bits(fastnn.im2col(x, conv.kernel, **options(conv)), there)
    assert_same_bits(fastnn.col2im(cols, conv.x, conv.kernel, **options(conv)), back)
    for out_layout in OUT_LAYOUTS:
        out = nan_out(out_layout, there.shape, dtype)
        fastnn.im2col(x, conv.kernel, **options(conv), out=out)
        assert_same_bits(out, there)
        assert_nothing_else_written(out)
        out = nan_out(out_layout, conv.x, dtype)
        fastnn.col2im(cols, conv.x, conv.kernel, **options(conv), out=out)
        assert_same_bits(out, back)
        assert_nothing_else_written(out)
