"""Parameters laid out in one buffer, so that one kernel call updates them all."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn.nn import Module, Parameter

if TYPE_CHECKING:
    from fastnn._core import Array

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class FlatParameters:
    """Move parameters into one flat array, and their gradients into another.

    Parameters
    ----------
    owner : str
        Name of the optimizer, for messages.
    source : Module or iterable of Parameter
        What to move. `data` and `grad` of each parameter become views into the flat arrays, at a
        64-byte boundary; the gaps are zeros.

    Attributes
    ----------
    data, grad : ndarray
        The flat arrays, 1-D, 64-byte aligned.
    parameters : tuple of Parameter
        In the order of the buffer.

    Raises
    ------
    TypeError
        If `source` holds anything but parameters, or their dtypes differ.
    ValueError
        If there is no parameter or one occurs twice.
    """

    def __init__(self, owner: str, source: Module | Iterable[Parameter]) -> None:
        self.owner = owner
        self.parameters = collect(owner, source)
        dtype = self.parameters[0].dtype
        step = ALIGNMENT // dtype.itemsize
        self._offsets = [0]
        for p in self.parameters:
            self._offsets.append(self._offsets[-1] + math.ceil(p.size / step) * step)
        self.data = self.zeros()
        self.grad = self.zeros()
        self._views = self.split(self.data)
        self._grads = self.split(self.grad)
        for p, data, grad in zip(self.parameters, self._views, self._grads, strict=True):
            p.bind(data, grad)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy lays the copied parameters out anew: copied views would not share memory.
        return type(self), (self.owner, self.parameters)

    def extent(self, first: int, last: int) -> slice:
        """Return where parameters first, ..., last - 1 lie in a flat array."""
        return slice(self._offsets[first], self._offsets[last])

    def zeros(self, extent: slice | None = None) -> Array:
        """Return a new array of zeros in the layout of all parameters, or of those in `extent`."""
        dtype = self.parameters[0].dtype
        if extent is None:
            extent = self.extent(0, len(self.parameters))
        nbytes = (extent.stop - extent.start) * dtype.itemsize
        raw = np.empty(nbytes + ALIGNMENT, np.uint8)  # for large arrays empty takes huge pages
        raw.fill(0)
        start = -raw.ctypes.data % ALIGNMENT
        return raw[start : start + nbytes].view(dtype)

    def split(self, flat: Array, first: int = 0, last: int | None = None) -> list[Array]:
        """Return the part of each parameter in a flat array, as views of the parameters' shapes.

        The array is in the layout of parameters first, ..., last - 1; default: of all.
        """
        parameters, offsets = self.parameters[first:last], self._offsets[first:last]
        return [
            flat[start - offsets[0] :][: p.size].reshape(p.shape)
            for p, start in zip(parameters, offsets, strict=False)
        ]

    def take_grads(self) -> None:
        """Mark all gradients as used, and make those of unused parameters zero.

        Raises
        ------
        ValueError
            If no parameter has got a gradient since the last call, or if another optimizer has
            moved the parameters away.
        """
        self.settle("step")
        for p in self.parameters:
            p.take_grad()

    def settle(self, function: str) -> None:
        """Make the gradients of unused parameters zero; raises as `take_grads`."""
        if any(p.data is not view for p, view in zip(self.parameters, self._views, strict=True)):
            raise ValueError(
                f"{self.owner}.{function}: the parameters have moved to an optimizer made later"
            )
        fresh = [p.has_fresh_grad for p in self.parameters]
        if not any(fresh):
            raise ValueError(
                f"{self.owner}.{function}: no parameter has got a gradient since the last step; "
                "call the backward function first"
            )
        if not all(fresh):
            for grad, used in zip(self._grads, fresh, strict=True):
                if not used:
                    _core.assign(grad, None)


def collect(owner: str, source: Module | Iterable[Parameter]) -> tuple[Parameter, ...]:
    """Return the parameters of a module or an iterable, checked."""
    try:
        parameters = tuple(source.parameters() if isinstance(source, Module) else source)
    except TypeError:
        raise TypeError(
            f"{owner}: expected a Module or parameters, got {type(source).__name__}"
        ) from None
    if not parameters:
        raise ValueError(f"{owner}: there are no parameters to optimize")
    for i, p in enumerate(parameters):
        if not isinstance(p, Parameter):
            raise TypeError(f"{owner}: item {i} is a {type(p).__name__}, not a Parameter")
        if p.dtype != parameters[0].dtype:
            raise TypeError(
                f"{owner}: all parameters must have one dtype, got {parameters[0].dtype} "
                f"and {p.dtype} (parameter {i})"
            )
    if len({id(p) for p in parameters}) < len(parameters):
        raise ValueError(f"{owner}: a parameter occurs twice")
    return parameters
