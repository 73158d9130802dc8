/* exp, log, tanh and sigmoid: branch-free scalar functions that the compiler vectorises inside a loop.
 * Every product-and-sum is an explicit fma, so that a vector body and its scalar tail agree bit for
 * bit. Coefficients: tools/minimax.py, which prints their error. */
#ifndef FNN_MATH_H
#define FNN_MATH_H

#include <math.h>

#include "ops/real.h"

#if FNN_DOUBLE
static const real EXP_TAIL[] = {
    0.5,
    0.1666666666666667,
    0.04166666666666667,
    0.008333333333326136,
    0.0013888888888883748,
    0.00019841269874820627,
    2.4801587325547743e-05,
    2.7557255400206422e-06,
    2.75572736431103e-07,
    2.5105217004720745e-08,
    2.0914686968086876e-09,
};
static const real LOG_TAIL[] = {
    0.666666666666667,   0.39999999999898594, 0.2857142862638853,  0.22222211067419392,
    0.18182894030543298, 0.15331558670323325, 0.14618462083796982,
};
static const real LN2_HIGH = 0x1.62e42feep-1, LN2_LOW = 1.9082149292705877e-10; /* 21 zero bits */
enum { MANTISSA_BITS = 52, EXPONENT_BIAS = 1023 };
static const real EXP_MIN = -746, TANH_MAX = 20;
#else
static const real EXP_TAIL[] = {
    0.500000001346581f,  0.16666666681623232f,   0.041666464925285904f,
    0.0083333109254809f, 0.0013933649996309251f, 0.00019890990824673654f,
};
static const real LOG_TAIL[] = {
    -0.4999999764375722f,  0.3333333004721974f,   -0.25000782812461136f,
    0.20001233928566606f,  -0.16626585865627205f, 0.1420482720192213f,
    -0.13128178413139185f, 0.12723184489210285f,  -0.07672475158265968f,
};
static const real LN2_HIGH = 0x1.62e4p-1f, LN2_LOW = 1.4286068203094173e-06f; /* 9 zero bits */
enum { MANTISSA_BITS = 23, EXPONENT_BIAS = 127 };
static const real EXP_MIN = -104, TANH_MAX = 10;
#endif
static const real LOG2_E = REAL(1.4426950408889634);
static const real SQRT_HALF = REAL(0.70710678118654752);
static const real REAL_INFINITY = (real)INFINITY, REAL_NAN = (real)NAN;
static const real REAL_MIN_NORMAL = FNN_DOUBLE ? (real)0x1p-1022 : (real)0x1p-126;
/* Adding 1.5 * 2^MANTISSA_BITS rounds to an integer, left in the low mantissa bits. */
static const real ROUNDER = (real)(REAL(1.5) * (real)((int64_t)1 << MANTISSA_BITS));

static inline real_bits bits_of(real x)
{
    real_bits bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline real real_of(real_bits bits)
{
    real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2^n, n within the range of normal numbers; anything where a NaN has made n meaningless. */
static inline real power_of_two(real_bits n)
{
    return real_of((real_bits)((real_word)(n + EXPONENT_BIAS) << MANTISSA_BITS));
}

/* c[0] + c[1] x + ... + c[degree] x^degree. */
static inline __attribute__((always_inline)) real polynomial(const real *c, int degree, real x)
{
    real p = c[degree];
#pragma GCC unroll 32
    for (int i = degree - 1; i >= 0; i--) p = fma_real(p, x, c[i]);
    return p;
}

/* exp(x) = 2^n (1 + tail), n a whole number near x / ln 2: Cody and Waite's reduction r = x - n ln 2
 * in two steps. */
static inline real exp_tail(real x, real n)
{
    const real r = fma_real(n, -LN2_LOW, fma_real(n, -LN2_HIGH, x));
    const real q = polynomial(EXP_TAIL, sizeof EXP_TAIL / sizeof EXP_TAIL[0] - 1, r);
    return fma_real(q * r, r, r);
}

/* exp(x) = 2^n (1 + tail), |tail| < 0.42; where 2^n is a number. */
static inline real exp_split(real x, real_bits *n)
{
    const real shifted = fma_real(x, LOG2_E, ROUNDER);
    *n = bits_of(shifted) - bits_of(ROUNDER);
    return exp_tail(x, shifted - ROUNDER);
}

/* 2^n as the product of two normal numbers, as it or what it is multiplied with may not be one. */
typedef struct two_factors {
    real first, second;
} two_factors;

static inline two_factors split_power(real_bits n)
{
    const real_bits biased = n + 2 * EXPONENT_BIAS, half = biased >> 1;
    return (two_factors){real_of((real_bits)((real_word)half << MANTISSA_BITS)),
                         real_of((real_bits)((real_word)(biased - half) << MANTISSA_BITS))};
}

/* Comparisons that NaN fails: it passes through. Above, n is what is bounded: r, and with it the
 * tail, grow to infinity by themselves. (Two bounds on x cost twice as much: GCC joins them.) */
static inline real exp_real(real x)
{
    const real low = x < EXP_MIN ? EXP_MIN : x;
    const real shifted = fma_real(low, LOG2_E, ROUNDER);
    const real most = ROUNDER + (EXPONENT_BIAS + 1), capped = shifted > most ? most : shifted;
    const real tail = exp_tail(low, capped - ROUNDER);
    const two_factors power = split_power(bits_of(capped) - bits_of(ROUNDER));
    return fma_real(tail, power.first, power.first) * power.second;
}

/* log(2^n * (1 + f)), 1 + f from sqrt(1/2) to sqrt(2). With t = f / (2 + f), log(1 + f) =
 * 2 atanh(t) = f - (f^2/2 - t (f^2/2 + t^2 q(t^2))), as in fdlibm; in single precision a polynomial
 * of f costs less than the division. */
static inline real log_join(real_bits n, real f)
{
    const int degree = sizeof LOG_TAIL / sizeof LOG_TAIL[0] - 1;
    /* A conversion of 64-bit integers is no instruction before AVX-512; n is small. */
    const real exponent = real_of(n + bits_of(ROUNDER)) - ROUNDER;
#if FNN_DOUBLE
    const real t = f / (2 + f), t2 = t * t, half = REAL(0.5) * f * f;
    const real inner = fma_real(t2, polynomial(LOG_TAIL, degree, t2), half);
    const real tail = fma_real(t, inner, fma_real(exponent, LN2_LOW, -half));
#else
    const real tail = fma_real(f * f, polynomial(LOG_TAIL, degree, f), exponent * LN2_LOW);
#endif
    return fma_real(exponent, LN2_HIGH, f + tail);
}

/* u = 2^n * m, m from sqrt(1/2) to sqrt(2); u is positive and normal. */
static inline real log_split(real u, real_bits *n)
{
    *n = (bits_of(u) - bits_of(SQRT_HALF)) >> MANTISSA_BITS;
    return real_of((real_bits)((real_word)bits_of(u) - ((real_word)*n << MANTISSA_BITS)));
}

/* What log is, or log1p of x - 1, where its formula does not hold: at 0, below, at infinity, NaN. */
static inline real log_special(real x, real y)
{
    const real above = x < REAL_INFINITY ? y : x; /* a NaN as it is */
    const real zero = x == 0 ? -REAL_INFINITY : above;
    return x < 0 ? REAL_NAN : zero;
}

static inline real log_real(real x)
{
    const bool subnormal = x < REAL_MIN_NORMAL;
    real_bits n;
    const real m = log_split(subnormal ? x * (real)((int64_t)1 << MANTISSA_BITS) : x, &n);
    return log_special(x, log_join(n - (subnormal ? MANTISSA_BITS : 0), m - 1));
}

/* log(1 + x): what rounding u = 1 + x lost is added to f again. */
static inline real log1p_real(real x)
{
    const real u = 1 + x, back = u - 1;
    const real lost = (1 - (u - back)) + (x - back); /* Knuth's TwoSum: either may be larger */
    real_bits n;
    const real m = log_split(u, &n);
    /* In two factors, as 2^-n has no exponent left for the largest n. (Of the smallest subnormal x
     * half is 0: there, and nowhere else, the result is off by one.) */
    const real f = fma_real(REAL(0.5) * lost, power_of_two(1 - n), m - 1);
    const real y = log_special(u, log_join(n, f));
    return x == 0 ? x : y; /* -0 */
}

/* num - y * d, exact but for one rounding. */
static inline real residual(real num, real y, real d)
{
#if defined(__FMA__) || defined(__aarch64__)
    return fma_real(-y, d, num);
#elif FNN_DOUBLE
    /* Dekker's product: y*d = product + error, from halves of 26 bits. */
    const real splitter = 0x1p27 + 1, product = y * d;
    const real y_high = splitter * y - (splitter * y - y), y_low = y - y_high;
    const real d_high = splitter * d - (splitter * d - d), d_low = d - d_high;
    const real error =
        ((y_high * d_high - product) + y_high * d_low + y_low * d_high) + y_low * d_low;
    return (num - product) - error;
#else
    return (real)((double)num - (double)y * (double)d); /* the product of two floats is exact */
#endif
}

/* (num + num_low) / (d + d_low), correct but for about half a unit in the last place: one step of
 * refinement of num * (1 / d). It is what makes tanh and sigmoid monotone. */
static inline real quotient(real num, real num_low, real d, real d_low)
{
    const real inverse = 1 / d, y = num * inverse;
    const real error = residual(num, y, d) + fma_real(-y, d_low, num_low);
    return fma_real(error, inverse, y);
}

/* tanh |x| = e / (e + 2) with e = exp(2|x|) - 1 = (2^n - 1) + 2^n tail, which does not cancel near
 * 0. What the sums round away is kept (Dekker's Fast2Sum: the larger term first). */
static inline real tanh_real(real x)
{
    const real magnitude = x < 0 ? -x : x;
    real_bits n;
    const real tail = exp_split(2 * (magnitude > TANH_MAX ? TANH_MAX : magnitude), &n);
    const real scale = power_of_two(n);
    const real whole = scale - 1, part = scale * tail;
    const real e = fma_real(scale, tail, whole);
    const real e_low = whole > part ? part - (e - whole) : whole - (e - part);
    const real d = e + 2;
    const real d_low = (e > 2 ? 2 - (d - e) : e - (d - 2)) + e_low;
    const real y = quotient(e, e_low, d, d_low);
    const real_bits sign = bits_of(x) & bits_of(REAL(-0.0));
    return real_of(bits_of(y) | sign);
}

/* 1 / (1 + e) for x >= 0 and e / (1 + e) below, e = exp(-|x|): exact down to the subnormals. */
static inline real sigmoid_real(real x)
{
    const real z = x < 0 ? x : -x;
    real_bits n;
    const real tail = exp_split(z < EXP_MIN ? EXP_MIN : z, &n);
    const two_factors power = split_power(n);
    const real one_plus = 1 + tail, one_plus_low = tail - (one_plus - 1);
    const real e = one_plus * power.first * power.second;
    const real e_low = one_plus_low * power.first * power.second;
    const real d = 1 + e, d_low = (e - (d - 1)) + e_low;
    return quotient(x < 0 ? e : 1, x < 0 ? e_low : 0, d, d_low);
}

/* LeCun et al. 1998, appendix A: f(+-1) = +-1. */
#define SCALED_TANH_AMPLITUDE REAL(1.7159)
#define SCALED_TANH_SLOPE REAL(0.66666666666666667)

#endif
