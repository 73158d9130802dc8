"""Print the polynomial coefficients of csrc/ops/math.h.

Each polynomial interpolates its function at Chebyshev nodes in 60-digit arithmetic, which is within
a factor of about 1.1 of the minimax error at these degrees; the coefficients are then rounded to
double. The error printed is that of the rounded polynomial, relative to the whole function, in
half units of the last place.

    python tools/minimax.py            (needs mpmath)
"""

import argparse

from mpmath import chop, cos, exp, lu_solve, matrix, mp, mpf, pi


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


def main():
    """Print one block per element type."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    mp.dps = 60
    half_ln2 = mp.log(2) / 2 * mpf("1.0001")
    for name, degree, epsilon in (("float32", 5, mpf(2) ** -24), ("float64", 10, mpf(2) ** -53)):
        coefficients = interpolate(expm1_tail, degree, -half_ln2, half_ln2)
        worst = mpf(0)
        for i in range(-500, 501):
            r = half_ln2 * i / 500
            value = sum(mpf(c) * r**j for j, c in enumerate(coefficients))
            worst = max(worst, abs(1 + r + r * r * value - exp(r)) / exp(r))
        print(f"{name}: exp(r) = 1 + r + r^2 q(r), q of degree {degree}, lowest coefficient first;")
        print(f"    error {float(worst / epsilon):.3f} half units in the last place")
        for c in coefficients:
            print(f"    {c!r}")


if __name__ == "__main__":
    main()
