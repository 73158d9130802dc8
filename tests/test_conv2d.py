"""conv2d and its two gradients."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import chain
import fastnn
from arrays import LAYOUTS, OUT_LAYOUTS, assert_nothing_else_written, integers, nan_out, normal
from bits import assert_same_bits, assert_within, roundoff
from fastnn import reference
from geometry import CONVS, EMPTY, Conv

pytestmark = pytest.mark.isa

every_conv = pytest.mark.parametrize("conv", CONVS, ids=str)


@pytest.fixture
def chains(conv, dtype):
    """Every output is one chain: not by Winograd's algorithm, which has tests of its own."""
    chosen = fastnn.get_conv2d_algorithms(conv.x, conv.w, dtype=dtype, **conv.options)
    with fastnn.conv_algorithm("im2col" if "winograd" in chosen.values() else "auto"):
        yield


def arrays(make, rng, conv, dtype):
    """x, w, b and dy of that geometry."""
    return (make(rng, shape, dtype) for shape in (conv.x, conv.w, conv.o, conv.y))


@pytest.mark.usefixtures("chains")
@every_conv
def test_integers_are_exact(rng, dtype, conv):
    x, w, b, dy = arrays(integers, rng, conv, dtype)
    y = np.full(conv.y, np.nan, dtype=dtype)
    assert fastnn.conv2d(x, w, b, **conv.options, out=y) is y
    np.testing.assert_array_equal(y, reference.conv2d(x, w, b, **conv.options))
    dx = np.full(conv.x, np.nan, dtype=dtype)
    assert fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options, out=dx) is dx
    np.testing.assert_array_equal(
        dx, reference.conv2d_backward_input(dy, w, conv.x, **conv.options)
    )
    dw = np.full(conv.w, np.nan, dtype=dtype)
    assert fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options, out=dw) is dw
    np.testing.assert_array_equal(
        dw, reference.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    )


@pytest.mark.usefixtures("chains")
@every_conv
def test_forward_is_the_chain(rng, dtype, conv):
    x, w, b, _ = arrays(normal, rng, conv, dtype)
    want = chain.conv2d(x, w, **conv.options)
    assert_same_bits(fastnn.conv2d(x, w, **conv.options), want)
    assert_same_bits(fastnn.conv2d(x, w, b, **conv.options), want + b)
    for activation in ("relu", "sigmoid", "tanh", "scaled_tanh"):
        got = fastnn.conv2d(x, w, b, **conv.options, activation=activation)
        assert_same_bits(got, getattr(fastnn, activation)(want + b))


@pytest.mark.usefixtures("chains")
@every_conv
def test_backward_input_is_the_chain(rng, dtype, conv):
    _, w, _, dy = arrays(normal, rng, conv, dtype)
    want = chain.conv2d_backward_input(dy, w, conv.x, **conv.options)
    assert_same_bits(fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options), want)


@pytest.mark.usefixtures("chains")
@every_conv
def test_backward_weight_is_within_its_bound(rng, dtype, conv):
    """Pixels are summed in chunks: each of P products and sums rounds at most once."""
    x, _, _, dy = arrays(normal, rng, conv, dtype)
    pixels = conv.y[0] * conv.y[1] * conv.y[2]
    size = reference.conv2d_backward_weight(np.abs(dy), np.abs(x), conv.w, **conv.options)
    assert_within(
        fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options),
        reference.conv2d_backward_weight(dy, x, conv.w, **conv.options),
        (pixels + 1) * roundoff(dtype) * size,
    )


@pytest.mark.usefixtures("chains")
@every_conv
def test_adjoints(rng, dtype, conv):
    """<conv(x, w), dy> = <x, dx> = <w, dw>: exact, being integers."""
    x, w, _, dy = arrays(integers, rng, conv, dtype)
    dx = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)
    dw = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    pairs = [(fastnn.conv2d(x, w, **conv.options), dy), (x, dx), (w, dw)]
    assert len({np.vdot(a.astype(np.float64), b.astype(np.float64)) for a, b in pairs}) == 1


@pytest.mark.usefixtures("chains")
@every_conv
def test_backward_weight_accumulates(rng, dtype, conv):
    x, w, _, dy = arrays(integers, rng, conv, dtype)
    dw = w.copy()
    got = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options, accumulate=True, out=dw)
    assert got is dw
    np.testing.assert_array_equal(
        dw, w + reference.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    )


@pytest.mark.parametrize("conv", EMPTY, ids=str)
def test_empty(rng, dtype, conv):
    x, w, b, dy = arrays(normal, rng, conv, dtype)
    y = fastnn.conv2d(x, w, b, **conv.options)
    assert_same_bits(y, reference.conv2d(x, w, b, **conv.options).astype(dtype))
    dx = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)
    assert_same_bits(dx, np.zeros(conv.x, dtype))
    dw = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    assert_same_bits(dw, np.zeros(conv.w, dtype))


@pytest.mark.parametrize("conv", [CONVS[3], CONVS[6], CONVS[15]], ids=str)
def test_images_stand_alone(rng, dtype, conv):
    """A batch cut anywhere gives the same bits, forward and backward."""
    conv = Conv(**{**vars(conv), "x": (11, *conv.x[1:])})
    x, w, b, dy = arrays(normal, rng, conv, dtype)
    y = fastnn.conv2d(x, w, b, **conv.options, activation="tanh")
    dx = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)
    for i, j in [(0, 1), (0, 5), (5, 11), (10, 11), (3, 8)]:
        part = fastnn.conv2d(x[i:j], w, b, **conv.options, activation="tanh")
        assert_same_bits(part, y[i:j])
        part = fastnn.conv2d_backward_input(dy[i:j], w, (j - i, *conv.x[1:]), **conv.options)
        assert_same_bits(part, dx[i:j])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("conv", [CONVS[1], CONVS[8], CONVS[15]], ids=str)
def test_input_layouts(rng, dtype, conv, layout):
    x, w, b, dy = (LAYOUTS[layout](z) for z in arrays(normal, rng, conv, dtype))
    xc, wc, bc, dyc = map(np.ascontiguousarray, (x, w, b, dy))
    options = conv.options
    assert_same_bits(fastnn.conv2d(x, w, b, **options), fastnn.conv2d(xc, wc, bc, **options))
    assert_same_bits(
        fastnn.conv2d_backward_input(dy, w, conv.x, **options),
        fastnn.conv2d_backward_input(dyc, wc, conv.x, **options),
    )
    assert_same_bits(
        fastnn.conv2d_backward_weight(dy, x, conv.w, **options),
        fastnn.conv2d_backward_weight(dyc, xc, conv.w, **options),
    )


@pytest.mark.parametrize("layout", OUT_LAYOUTS)
@pytest.mark.parametrize("conv", [CONVS[1], CONVS[8], CONVS[15]], ids=str)
def test_out_layouts(rng, dtype, conv, layout):
    x, w, b, dy = arrays(normal, rng, conv, dtype)
    y, dx, dw = (nan_out(layout, shape, dtype) for shape in (conv.y, conv.x, conv.w))
    fastnn.conv2d(x, w, b, **conv.options, activation="sigmoid", out=y)
    fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options, out=dx)
    fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options, out=dw)
    assert_same_bits(y, fastnn.conv2d(x, w, b, **conv.options, activation="sigmoid"))
    assert_same_bits(dx, fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options))
    assert_same_bits(dw, fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options))
    for out in (y, dx, dw):
        assert_nothing_else_written(out)
    contiguous = dw.copy()
    for out in (contiguous, dw):
        fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options, accumulate=True, out=out)
    assert_same_bits(dw, contiguous)
    assert_nothing_else_written(dw)


def test_not_finite_stays_in_its_windows(rng, dtype):
    """A NaN pixel reaches the outputs that see it, and no others."""
    x, w = normal(rng, (2, 9, 9, 3), dtype), normal(rng, (5, 3, 3, 3), dtype)
    clean = fastnn.conv2d(x, w)
    x[1, 4, 5, 2] = np.nan
    y = fastnn.conv2d(x, w)
    seen = np.zeros(y.shape, dtype=bool)
    seen[1, 2:5, 3:6] = True
    assert np.isnan(y[seen]).all()
    assert_same_bits(y[~seen], clean[~seen])


@st.composite
def convs(draw):
    side, small = st.integers(1, 9), st.integers(1, 3)
    groups = draw(small)
    pads = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2)
    conv = Conv(
        (draw(small), draw(side), draw(side), groups * draw(small)),
        groups * draw(st.integers(1, 6)),
        (draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        (draw(small), draw(small)),
        draw(pads),
        (draw(small), draw(small)),
        groups,
    )
    for i in range(2):
        reach = conv.dilation[i] * (conv.kernel[i] - 1) + 1
        assume(conv.x[1 + i] + sum(conv.padding[i]) >= reach)
    return conv


@given(
    conv=convs(), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float32, np.float64])
)
def test_any_geometry(conv, seed, dtype):
    rng = np.random.default_rng(seed)
    x, w, b, dy = arrays(normal, rng, conv, dtype)
    y = fastnn.conv2d(x, w, b, **conv.options)
    assert_same_bits(y, chain.conv2d(x, w, **conv.options) + b)
    dx = fastnn.conv2d_backward_input(dy, w, conv.x, **conv.options)
    assert_same_bits(dx, chain.conv2d_backward_input(dy, w, conv.x, **conv.options))
    x, dy = integers(rng, conv.x, dtype), integers(rng, conv.y, dtype)
    dw = fastnn.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    np.testing.assert_array_equal(
        dw, reference.conv2d_backward_weight(dy, x, conv.w, **conv.options)
    )
