"""Every public kernel can be part of a program."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from bits import assert_same_bits
from calls import Call, calls
from geometry import CONVS

CALLS = [
    (dtype, call)
    for dtype in (np.float32, np.float64)
    for call in calls(dtype, m=5, n=7, k=9, conv=CONVS[9])
    if call.name != "gemm by columns"  # which calls NumPy itself
]


@pytest.mark.parametrize(
    ("dtype", "call"), CALLS, ids=[f"{call} {np.dtype(dtype).name}" for dtype, call in CALLS]
)
def test_kernel(dtype: type, call: Call) -> None:
    wanted = call()
    for out in (None, call.nan_out()):
        compiled = fastnn.compile(lambda *inputs, out=out: call.run(*inputs, out))
        for _ in range(2):
            inputs = [x.copy() for x in call.inputs]
            for actual, expected in zip(compiled(*inputs), wanted, strict=True):
                assert_same_bits(np.asarray(actual), expected)


def test_every_op_is_known() -> None:
    """An op without operands cannot be recorded."""
    without = {name for name, operands in fastnn._core.get_ops() if not operands}
    assert without == {"conv2d_choice"}
