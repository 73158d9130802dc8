"""A trainable array together with its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core

if TYPE_CHECKING:
    from fastnn._core import Array


class Parameter:
    """A trainable array and its gradient.

    The arrays keep their place in memory for the life of the parameter: assigning to `data` or
    `grad` writes the values into them. Only an optimizer moves them, once, when it is made.

    Parameters
    ----------
    data : array_like
        Initial values, float32 or float64. They are copied.

    Raises
    ------
    TypeError
        If `data` is not a float32 or float64 array in native byte order.

    Notes
    -----
    The first backward pass after `optimizer.step()` overwrites the gradient and later ones add to
    it, so that several passes before one step sum up and there is nothing to set to zero. Without
    an optimizer, ``p.grad = None`` starts anew.
    """

    __slots__ = ("_data", "_fresh", "_grad", "_written")

    def __init__(self, data: Array) -> None:
        array = np.array(data, order="C")
        if array.dtype not in (np.float32, np.float64):
            raise TypeError(f"Parameter: data must be float32 or float64, not {array.dtype}")
        self._data: Array = array.astype(array.dtype.newbyteorder("="), copy=False)
        self._grad: Array | None = None
        self._written = False  # a gradient has been written at some time
        self._fresh = False  # ... and no optimizer has used it yet, so the next one adds

    @property
    def data(self) -> Array:
        """The values. Assigning copies into the existing array."""
        return self._data

    @data.setter
    def data(self, values: Array) -> None:
        copy_exact("Parameter.data", values, self._data)

    @property
    def grad(self) -> Array | None:
        """The gradient; None until the first backward pass.

        It stays readable after `optimizer.step()`, until the next backward pass overwrites it.
        Assigning copies into the gradient's array, assigning None forgets the gradient.
        """
        return self._grad if self._written else None

    @grad.setter
    def grad(self, values: Array | None) -> None:
        self._note()
        if values is None:
            self._written = self._fresh = False
            return
        if self._grad is None:
            self._grad = np.empty_like(self._data)
        copy_exact("Parameter.grad", values, self._grad)
        self._written = self._fresh = True

    def grad_target(self) -> GradTarget:
        """Return the context in which a backward pass writes the gradient.

        For layers: ``with p.grad_target() as (grad, accumulate):``. `grad` has the shape and dtype
        of `data` and is uninitialised unless `accumulate` is true: then it holds a gradient that
        no optimizer has used yet, to be added to. The gradient counts as written when the block
        ends without an exception.
        """
        return GradTarget(self)

    @property
    def has_fresh_grad(self) -> bool:
        """Whether a gradient has been written that no optimizer has used yet."""
        self._note()
        return self._fresh

    def take_grad(self) -> bool:
        """Mark the gradient as used: the next backward pass overwrites it.

        For optimizers.

        Returns
        -------
        bool
            Whether a gradient had been written since the last call.
        """
        self._note()
        fresh, self._fresh = self._fresh, False
        return fresh

    def bind(self, data: Array, grad: Array) -> None:
        """Move the parameter into the arrays `data` and `grad`; values are kept.

        For optimizers, which lay parameters out in one buffer.
        """
        _core.note_change()
        data[...] = self._data
        if self._grad is not None and self._written:
            grad[...] = self._grad
        self._data, self._grad = data, grad

    def _note(self) -> None:
        """Let a function that is being recorded know what the gradient was before."""
        recorder = _core.get_recorder()
        if recorder is not None:
            recorder.parameters.setdefault(id(self), (self, (self._fresh, self._written)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of `data`."""
        return self._data.shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Element type of `data`."""
        return self._data.dtype

    def __repr__(self) -> str:
        """Return shape and dtype; a parameter is often too large to print."""
        return f"Parameter(shape={self.shape}, dtype={self.dtype})"


class GradTarget:
    """See `Parameter.grad_target`."""

    __slots__ = ("_parameter",)

    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter

    def __enter__(self) -> tuple[Array, bool]:
        """Return (grad, accumulate)."""
        p = self._parameter
        p._note()
        if p._grad is None:
            p._grad = np.empty_like(p._data)
        return p._grad, p._fresh

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Mark the gradient as written if nothing went wrong."""
        if kind is None:
            self._parameter._fresh = self._parameter._written = True


def copy_exact(name: str, source: Array, target: Array) -> None:
    """Copy `source` into `target`; both must have the same shape and dtype."""
    if source is target:  # what `p.data -= ...` ends in
        return
    source = np.asarray(source)
    if source.dtype != target.dtype:
        raise TypeError(f"{name}: expected dtype {target.dtype}, got {source.dtype}")
    if source.shape != target.shape:
        raise ValueError(f"{name}: expected shape {target.shape}, got {source.shape}")
    target[...] = source
