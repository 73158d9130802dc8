"""Print the polynomial coefficients of csrc/ops/math.h.

Each polynomial interpolates its function at Chebyshev nodes in 60-digit arithmetic, which is within
a factor of about 1.1 of the minimax error at these degrees; the coefficients are then rounded to
double. The error printed is that of the rounded polynomial, relative to the whole function, in
half units of the last place.

    python tools/minimax.py            (needs mpmath)
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from mpmath import (
    atanh,
    chop,
    cos,
    erfc,
    exp,
    log,
    lu_solve,
    matrix,
    mp,
    mpf,
    pi,
    polyval,
    sqrt,
)


def interpolate(function, degree, low, high):
    """Coefficients, lowest first, of the interpolating polynomial at Chebyshev nodes."""
    n = degree + 1
    nodes = [
        (low + high) / 2 + (high - low) / 2 * cos(pi * (2 * i + 1) / (2 * n)) for i in range(n)
    ]
    vandermonde = matrix(n, n)
    for i, node in enumerate(nodes):
        for j in range(n):
            vandermonde[i, j] = node**j
    solution = lu_solve(vandermonde, matrix([function(node) for node in nodes]))
    return [float(chop(c)) for c in solution]


def expm1_tail(r):
    """Return (exp(r) - 1 - r) / r**2, continued to r = 0."""
    if abs(r) < mpf("1e-15"):
        return mpf(1) / 2 + r / 6
    return (exp(r) - 1 - r) / r**2


def log1p_tail(f):
    """Return (log(1 + f) - f) / f**2, continued to f = 0."""
    if abs(f) < mpf("1e-15"):
        return -mpf(1) / 2 + f / 3
    return (log(1 + f) - f) / f**2


def atanh_tail(z):
    """Return (2 atanh(t) - 2 t) / t**3 for z = t**2, continued to 0."""
    if z < mpf("1e-15"):
        return mpf(2) / 3 + 2 * z / 5
    t = sqrt(z)
    return (2 * atanh(t) - 2 * t) / (t * z)


def normal_tail(z):
    """Return Phi(-t) exp(t**2 / 2) (t + 4) for z = (t - 4) / (t + 4)."""
    t = 4 * (1 + z) / (1 - z)
    return erfc(t / sqrt(2)) / 2 * exp(t * t / 2) * (t + 4)


@dataclass(frozen=True)
class Fit:
    """``polynomial(variable)`` of that degree stands in ``whole(variable, value)``."""

    name: str
    formula: str
    part: Callable  # what the polynomial approximates
    degree: int
    interval: tuple
    whole: Callable  # of the variable and the polynomial's value
    exact: Callable  # what `whole` approximates

    def report(self, epsilon):
        """Print coefficients and error."""
        low, high = self.interval
        coefficients = interpolate(self.part, self.degree, low, high)
        worst = mpf(0)
        for i in range(1001):
            x = low + (high - low) * (i + mpf("0.5")) / 1001
            value = polyval(coefficients[::-1], x)
            exact = self.exact(x)
            worst = max(worst, abs((self.whole(x, value) - exact) / exact))
        print(f"{self.name}: {self.formula}, q of degree {self.degree}, lowest coefficient first;")
        print(f"    error {float(worst / epsilon):.3f} half units in the last place")
        for c in coefficients:
            print(f"    {c!r}")


def fits(single):
    """Return every polynomial of one element type."""
    half_ln2 = log(2) / 2 * mpf("1.0001")
    low, high = sqrt(mpf(1) / 2) * mpf("0.9999") - 1, sqrt(mpf(2)) * mpf("1.0001") - 1
    yield Fit(
        "EXP_TAIL",
        "exp(r) = 1 + r + r^2 q(r)",
        expm1_tail,
        5 if single else 10,
        (-half_ln2, half_ln2),
        lambda r, q: 1 + r + r * r * q,
        exp,
    )
    if single:
        yield Fit(
            "LOG_TAIL",
            "log(1 + f) = f + f^2 q(f)",
            log1p_tail,
            8,
            (low, high),
            lambda f, q: f + f * f * q,
            lambda f: log(1 + f),
        )
    else:
        yield Fit(
            "LOG_TAIL",
            "2 atanh(t) = 2 t + t^3 q(t^2)",
            atanh_tail,
            6,
            (mpf(0), mpf("0.1717") ** 2),
            lambda z, q: sqrt(z) * (2 + z * q),
            lambda z: 2 * atanh(sqrt(z)),
        )
    furthest = 16 if single else 40
    yield Fit(
        "NORMAL_TAIL",
        "Phi(-t) = exp(-t^2 / 2) / (t + 4) q((t - 4) / (t + 4))",
        normal_tail,
        10 if single else 24,
        (mpf(-1), mpf(furthest - 4) / (furthest + 4)),
        lambda z, q: q,
        normal_tail,
    )


def main():
    """Print one block per polynomial and element type."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    mp.dps = 60
    for name, epsilon in (("float32", mpf(2) ** -24), ("float64", mpf(2) ** -53)):
        print(name)
        for fit in fits(name == "float32"):
            fit.report(epsilon)


if __name__ == "__main__":
    main()
