/* Activations made of straight lines, and softsign. */
#include "ops/activation.h"
#include "ops/math.h"

/* Comparisons are such that NaN stays NaN. */
static inline real clip(real x, real low, real high)
{
    const real y = x < low ? low : x;
    return y > high ? high : y;
}

/* What 1 + |x| rounds away is kept, or the result would fall here and there. */
static inline real softsign(real x)
{
    const real magnitude = x < 0 ? -x : x, one = FNN_DOUBLE ? REAL(1e18) : REAL(1e9);
    const real a = magnitude > one ? one : magnitude; /* from where on it is 1 */
    const real d = 1 + a, d_low = a > 1 ? 1 - (d - a) : a - (d - 1);
    const real_bits sign = bits_of(x) & bits_of(REAL(-0.0));
    return real_of(bits_of(quotient(a, 0, d, d_low)) | sign);
}

void activate_piecewise(fnn_activation f, const double *p, const real *x, real *y, int64_t n)
{
    const real p0 = (real)p[0], p1 = (real)p[1];
    switch (f) {
    case FNN_LEAKY_RELU:
        for (int64_t i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : p0 * x[i];
        break;
    case FNN_HARD_SIGMOID:
        for (int64_t i = 0; i < n; i++) y[i] = clip(x[i] + 3, 0, 6) / 6;
        break;
    case FNN_HARD_SWISH:
        for (int64_t i = 0; i < n; i++) {
            const real at = x[i] < -3 ? -3 : x[i];
            y[i] = at * (clip(at + 3, 0, 6) / 6);
        }
        break;
    case FNN_HARD_TANH:
        for (int64_t i = 0; i < n; i++) y[i] = clip(x[i], p0, p1);
        break;
    case FNN_THRESHOLD:
        for (int64_t i = 0; i < n; i++) y[i] = x[i] <= p0 ? p1 : x[i];
        break;
    default: /* FNN_SOFTSIGN */
        for (int64_t i = 0; i < n; i++) y[i] = softsign(x[i]);
    }
}

/* Forward was y = f(x). v is y where y suffices, else x. */
void activate_piecewise_backward(fnn_activation f, const double *p, const real *dy, const real *v,
                                 real *dx, int64_t n)
{
    const real p0 = (real)p[0], p1 = (real)p[1];
    switch (f) {
    case FNN_LEAKY_RELU:
        for (int64_t i = 0; i < n; i++) dx[i] = v[i] <= 0 ? p0 * dy[i] : dy[i];
        break;
    case FNN_HARD_SIGMOID:
        for (int64_t i = 0; i < n; i++) {
            const real slope = dy[i] / 6;
            dx[i] = (v[i] <= 0) | (v[i] >= 1) ? 0 : slope;
        }
        break;
    case FNN_HARD_SWISH: /* x (x + 3) / 6 between -3 and 3 */
        for (int64_t i = 0; i < n; i++) {
            const real slope = v[i] >= 3 ? 1 : fma_real(v[i], 1 / REAL(3.0), REAL(0.5));
            dx[i] = v[i] <= -3 ? 0 : dy[i] * slope;
        }
        break;
    case FNN_HARD_TANH:
        for (int64_t i = 0; i < n; i++) dx[i] = (v[i] <= p0) | (v[i] >= p1) ? 0 : dy[i];
        break;
    case FNN_THRESHOLD:
        for (int64_t i = 0; i < n; i++) dx[i] = v[i] <= p0 ? 0 : dy[i];
        break;
    default: /* FNN_SOFTSIGN: 1 / (1 + |x|)^2 */
        for (int64_t i = 0; i < n; i++) {
            const real inverse = 1 / (1 + (v[i] < 0 ? -v[i] : v[i]));
            dx[i] = dy[i] * (inverse * inverse);
        }
    }
}
