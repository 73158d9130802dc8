/* The normal distribution, for gelu: relative precision down to where it underflows. */
#ifndef FNN_MATH_NORMAL_H
#define FNN_MATH_NORMAL_H

#include "ops/math.h"

#if FNN_DOUBLE
static const real NORMAL_TAIL[] = {
    0.7552851304157515,      -0.6078966419718921,     0.3871374007422147,
    -0.18652185795965942,    0.06039657489092838,     -0.007540188966659294,
    -0.00347969236720852,    0.0016308184566302122,   0.00013334431021535788,
    -0.00023109492775724412, -1.9082430396332306e-06, 3.51446520755692e-05,
    7.165976930568277e-07,   -5.920078054703549e-06,  -6.294985912958007e-07,
    1.02139357367864e-06,    2.714342262065266e-07,   -1.548194176687571e-07,
    -8.497331815608801e-08,  1.3242017277604494e-08,  1.9324197202483575e-08,
    1.8806081961039198e-09,  -2.4285968455796708e-09, -7.021684582417809e-10,
    -5.17586203384346e-12,
};
static const real NORMAL_MAX = 40;
#else
static const real NORMAL_TAIL[] = {
    0.7552851309345806f,      -0.6078966612023736f,   0.38713733689082475f,
    -0.18652124900420902f,    0.06039801559194422f,   -0.007545113298661225f,
    -0.0034916238777146684f,  0.00164283098161845f,   0.00017386183110450643f,
    -0.00022655623359610385f, -4.94693657526237e-05f,
};
static const real NORMAL_MAX = 16;
#endif

/* m exp(-t^2 / 2), which falls as fast as t^2 rounds: what the square lost is put back. */
static inline real times_bell(real m, real t)
{
    const real square = t * t, lost = -residual(square, t, t), x = REAL(-0.5) * square;
    real_bits n;
    const real tail = exp_split(x < EXP_MIN ? EXP_MIN : x, &n);
    const real whole = fma_real(REAL(-0.5) * lost, 1 + tail, tail);
    const two_factors power = split_power(n);
    const real scaled = m * power.first;
    return fma_real(scaled, whole, scaled) * power.second;
}

/* Phi(-t) exp(t^2 / 2) of 0 <= t <= NORMAL_MAX. What the sum and the quotient round away is put back:
 * the polynomial is steep where t is small. */
static inline real normal_ratio(real t)
{
    const int degree = sizeof NORMAL_TAIL / sizeof NORMAL_TAIL[0] - 1;
    const real d = t + 4, lost = t - (d - 4), q = 1 / d;
    const real error = q * fma_real(-q, lost, residual(1, q, d));
    const real p = polynomial(NORMAL_TAIL, degree, fma_real(-8, error, fma_real(-8, q, 1)));
    return fma_real(error, p, q * p);
}

#endif
