"""Arrays for the tests: exact values, and every layout that NumPy can hand over."""

import numpy as np


def integers(rng, shape, dtype, high=3):
    """Small integers, -high..high: with them every sum of products below is exact."""
    return rng.integers(-high, high, size=shape, endpoint=True).astype(dtype)


def normal(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def _fortran(x):
    return np.asfortranarray(x)


def _sliced(x):
    """Every second element along each axis of a larger array; the others are NaN."""
    base = np.full([2 * n + 1 for n in x.shape], np.nan, dtype=x.dtype)
    view = base[tuple(slice(1, 2 * n + 1, 2) for n in x.shape)]
    view[...] = x
    return view


def _negative(x):
    """All strides negative."""
    back = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[back])[back]


def _rows_apart(x):
    """The last axis contiguous, the others with gaps: a block cut out of a larger matrix."""
    base = np.full([*(n + 1 for n in x.shape[:-1]), x.shape[-1] + 3], np.nan, dtype=x.dtype)
    view = base[tuple(slice(0, n) for n in x.shape)]
    view[...] = x
    return view


def _broadcast(x):
    """The first entry along the first axis, everywhere: stride 0 and read-only."""
    return np.broadcast_to(x[:1], x.shape)


def _readonly(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def _misaligned(x):
    """Contiguous, at an odd address."""
    raw = np.empty(x.nbytes + 1, dtype=np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def _packed_field(x):
    """A field of packed records: the stride is no multiple of the item size."""
    records = np.zeros(x.shape, dtype=[("tag", np.uint8), ("value", x.dtype)])
    records["value"] = x
    return records["value"]


LAYOUTS = {
    "fortran": _fortran,
    "sliced": _sliced,
    "negative": _negative,
    "rows_apart": _rows_apart,
    "broadcast": _broadcast,
    "readonly": _readonly,
    "misaligned": _misaligned,
    "packed_field": _packed_field,
}
"""name -> function(x): x's values in an array of that layout ("broadcast": the first row's)."""

OUT_LAYOUTS = {name: LAYOUTS[name] for name in ("fortran", "sliced", "negative", "rows_apart")}
"""The layouts that ``out=`` may have."""


def nan_out(layout, shape, dtype):
    """An ``out`` full of NaN in that layout (a key of OUT_LAYOUTS, or "contiguous")."""
    full = np.full(shape, np.nan, dtype=dtype)
    return full if layout == "contiguous" else OUT_LAYOUTS[layout](full)


def assert_nothing_else_written(out):
    """Around ``out``, made by ``nan_out``, its base still is NaN."""
    if out.base is not None:
        around = out.base.size - out.size
        assert np.isnan(out.base).sum() == around + np.isnan(out).sum()
