"""Numbers that know how far rounding may have taken them (Higham 2002, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Rounded:
    """A float64 array, and a bound on the distance of the same computed with rounding.

    Each operation adds `unit` times the size of its result to what it inherits. An fma rounds once
    where a product and a sum round twice, so the bound holds for it too.
    """

    value: np.ndarray
    error: np.ndarray
    unit: float

    @classmethod
    def exact(cls, value, unit):
        value = np.asarray(value, np.float64)
        return cls(value, np.zeros(value.shape), unit)

    def rounded(self, unit=None):
        """The result of one more rounding, to another type if `unit` is given."""
        unit = self.unit if unit is None else unit
        return Rounded(self.value, self.error + unit * (np.abs(self.value) + self.error), unit)

    def _other(self, other):
        return other if isinstance(other, Rounded) else Rounded.exact(other, self.unit)

    def __add__(self, other):
        other = self._other(other)
        result = Rounded(self.value + other.value, self.error + other.error, self.unit)
        return result.rounded()

    def __neg__(self):
        return Rounded(-self.value, self.error, self.unit)

    def __sub__(self, other):
        return self + -self._other(other)

    def __rsub__(self, other):
        return self._other(other) - self

    def __mul__(self, other):
        other = self._other(other)
        error = np.abs(self.value) * other.error + np.abs(other.value) * self.error
        error += self.error * other.error
        return Rounded(self.value * other.value, error, self.unit).rounded()

    def __truediv__(self, other):
        other = self._other(other)
        quotient = self.value / other.value
        smallest = np.abs(other.value) - other.error
        assert (smallest > 0).all(), "the divisor may be 0"
        error = (self.error + np.abs(quotient) * other.error) / smallest
        return Rounded(quotient, error, self.unit).rounded()

    def __rtruediv__(self, other):
        return self._other(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def sqrt(self):
        root = np.sqrt(self.value)
        least = np.sqrt(np.maximum(self.value - self.error, 0))
        error = np.divide(self.error, root + least, out=np.zeros(root.shape), where=root > 0)
        assert (self.error[root == 0] == 0).all(), "0 with an error has no root with a bound"
        return Rounded(root, error, self.unit).rounded()

    def maximum(self, other):
        return Rounded(
            np.maximum(self.value, other.value), np.maximum(self.error, other.error), self.unit
        )
