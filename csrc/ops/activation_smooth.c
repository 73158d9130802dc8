/* Activations made of exponentials and logarithms. */
#include "ops/activation.h"
#include "ops/math_normal.h"

/* x, but at least `low`, and NaN where it is NaN: what would be infinity times 0 is 0 there. */
static inline real at_least(real x, real low)
{
    return x < low ? low : x;
}

static inline real at_most(real x, real high)
{
    return x > high ? high : x;
}

static inline real magnitude_of(real x)
{
    return x < 0 ? -x : x;
}

/* exp(x) - 1 of x <= 0, which does not cancel near 0. */
static inline real expm1_negative(real x)
{
    real_bits n;
    const real tail = exp_split(at_least(x, FNN_DOUBLE ? -50 : -30), &n);
    const real scale = power_of_two(n);
    const real y = fma_real(scale, tail, scale - 1);
    return x == 0 ? x : y;
}

/* Where sigmoid is 0 or 1, and times what it is multiplied by 0 or that. */
static const real SATURATED = FNN_DOUBLE ? 800 : 120;

/* exp(x) as a product: where it is subnormal, the factors still have all their bits. */
static inline two_factors split_exp(real x)
{
    real_bits n;
    const real tail = exp_split(at_least(x, -SATURATED), &n);
    const two_factors power = split_power(n);
    return (two_factors){fma_real(tail, power.first, power.first), power.second};
}

/* exp(-|x|) */
static inline real exp_below(real x)
{
    const two_factors e = split_exp(-magnitude_of(x));
    return e.first * e.second;
}

/* log(1 + exp(x)) */
static inline real softplus(real x)
{
    return (x < 0 ? 0 : x) + log1p_real(exp_below(x));
}

/* x sigmoid(v), v of the sign of x: one rounding more than sigmoid_real's, half the work. */
static inline real times_sigmoid(real x, real v)
{
    const two_factors e = split_exp(-magnitude_of(v));
    return (v < 0 ? x * e.first * e.second : x) / (1 + e.first * e.second);
}

/* sigmoid(v) and sigmoid(-v). */
typedef struct sigmoids {
    real at, opposite;
} sigmoids;

static inline sigmoids both_sigmoids(real v)
{
    const real e = exp_below(v), larger = 1 / (1 + e), smaller = e * larger;
    return (sigmoids){v < 0 ? smaller : larger, v < 0 ? larger : smaller};
}

static inline real silu(real x)
{
    const real z = at_least(x, -SATURATED);
    return times_sigmoid(z, z);
}

static inline real silu_slope(real x)
{
    const real z = at_most(at_least(x, -SATURATED), SATURATED);
    const sigmoids s = both_sigmoids(z);
    return fma_real(z * s.at, s.opposite, s.at);
}

/* With e = exp(x): tanh(log(1 + e)) = n / (n + 2), n = e (e + 2). */
static const real MISH_MAX = FNN_DOUBLE ? 50 : 30;

static inline real mish(real x)
{
    const two_factors factors = split_exp(at_most(x, MISH_MAX));
    const real e = factors.first * factors.second, ratio = (e + 2) / fma_real(e, e + 2, 2);
    const real z = at_least(x, -SATURATED), below = z * factors.first * ratio * factors.second;
    return x < 0 ? below : z * (e * ratio);
}

static inline real mish_slope(real x)
{
    const real z = at_most(at_least(x, EXP_MIN), MISH_MAX);
    const real e = exp_real(z), n = e * (e + 2), inverse = 1 / (n + 2);
    /* d/dx tanh(log(1 + e)) = 4 e (1 + e) / (n + 2)^2 */
    return fma_real(z * (4 * e * inverse), (1 + e) * inverse, n * inverse);
}

/* x Phi(x) = max(x, 0) - |x| Phi(-|x|): neither side cancels. */
static inline real gelu(real x)
{
    const real t = at_most(magnitude_of(x), NORMAL_MAX);
    const real tail = times_bell(t * normal_ratio(t), t);
    return x < 0 ? -tail : x - tail;
}

static inline real gelu_slope(real x)
{
    const real t = at_most(magnitude_of(x), NORMAL_MAX), b = times_bell(1, t);
    const real density = REAL(0.39894228040143268) * b;
    const real below = fma_real(-t, density, normal_ratio(t) * b); /* at -t; at t 1 less it */
    return x < 0 ? below : 1 - below;
}

/* 1/2 (1 + tanh(u)) = sigmoid(2u), 2u = x (A + B x^2). */
static const real GELU_A = REAL(1.5957691216057308), GELU_B = REAL(0.071354816272600249);

static inline real gelu_tanh(real x)
{
    const real z = at_least(x, -40);
    return times_sigmoid(z, z * fma_real(GELU_B, z * z, GELU_A));
}

static inline real gelu_tanh_slope(real x)
{
    const real z = at_most(at_least(x, -40), 40), square = z * z;
    const sigmoids s = both_sigmoids(z * fma_real(GELU_B, square, GELU_A));
    return fma_real(z * s.at * s.opposite, fma_real(3 * GELU_B, square, GELU_A), s.at);
}

/* Elements at a time: a loop of that many needs no tail, and its copy no check of what overlaps. */
enum { BLOCK = 64 };

static void block_forward(fnn_activation f, const double *p, const real *restrict x,
                          real *restrict y)
{
    const real p0 = (real)p[0], p1 = (real)p[1], p2 = (real)p[2];
    switch (f) {
    case FNN_ELU:
        for (int i = 0; i < BLOCK; i++)
            y[i] = p0 * (x[i] > 0 ? x[i] : p1 * expm1_negative(at_most(x[i], 0) / p2));
        break;
    case FNN_EXP:
        for (int i = 0; i < BLOCK; i++) y[i] = exp_real(x[i]);
        break;
    case FNN_LOG:
        for (int i = 0; i < BLOCK; i++) y[i] = log_real(x[i]);
        break;
    case FNN_SOFTPLUS:
        for (int i = 0; i < BLOCK; i++) {
            const real z = p0 * x[i], curved = softplus(z) / p0;
            y[i] = z > p1 ? x[i] : curved;
        }
        break;
    case FNN_LOG_SIGMOID:
        for (int i = 0; i < BLOCK; i++) y[i] = -softplus(-x[i]);
        break;
    case FNN_SILU:
        for (int i = 0; i < BLOCK; i++) y[i] = silu(x[i]);
        break;
    case FNN_MISH:
        for (int i = 0; i < BLOCK; i++) y[i] = mish(x[i]);
        break;
    case FNN_GELU:
        for (int i = 0; i < BLOCK; i++) y[i] = gelu(x[i]);
        break;
    default: /* FNN_GELU_TANH */
        for (int i = 0; i < BLOCK; i++) y[i] = gelu_tanh(x[i]);
    }
}

/* Forward was y = f(x). v is y where y suffices, else x. */
static void block_backward(fnn_activation f, const double *p, const real *restrict dy,
                           const real *restrict v, real *restrict dx)
{
    const real p0 = (real)p[0], p1 = (real)p[1], p2 = (real)p[2];
    switch (f) {
    case FNN_ELU: { /* y < 0: y / p0 + p1 = p1 exp(x / p2) */
        const real shift = p0 * p1, inverse = 1 / p2;
        for (int i = 0; i < BLOCK; i++) dx[i] = dy[i] * (v[i] > 0 ? p0 : (v[i] + shift) * inverse);
        break;
    }
    case FNN_EXP:
        for (int i = 0; i < BLOCK; i++) dx[i] = dy[i] * v[i];
        break;
    case FNN_LOG:
        for (int i = 0; i < BLOCK; i++) dx[i] = dy[i] / v[i];
        break;
    case FNN_SOFTPLUS: /* p0 y = log(1 + exp(p0 x)): sigmoid(p0 x) = 1 - exp(-p0 y) */
        for (int i = 0; i < BLOCK; i++) {
            const real z = p0 * v[i], slope = -expm1_negative(-z);
            dx[i] = z > p1 ? dy[i] : dy[i] * slope;
        }
        break;
    case FNN_LOG_SIGMOID: /* 1 - sigmoid(x) = 1 - exp(y) */
        for (int i = 0; i < BLOCK; i++) dx[i] = dy[i] * -expm1_negative(v[i]);
        break;
    case FNN_SILU:
        for (int i = 0; i < BLOCK; i++) dx[i] = dy[i] * silu_slope(v[i]);
        break;
    case FNN_MISH:
        for (int i = 0; i < BLOCK; i++) dx[i] = dy[i] * mish_slope(v[i]);
        break;
    case FNN_GELU:
        for (int i = 0; i < BLOCK; i++) dx[i] = dy[i] * gelu_slope(v[i]);
        break;
    default: /* FNN_GELU_TANH */
        for (int i = 0; i < BLOCK; i++) dx[i] = dy[i] * gelu_tanh_slope(v[i]);
    }
}

void activate_smooth(fnn_activation f, const double *p, const real *x, real *y, int64_t n)
{
    real in[BLOCK] = {0}, out[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        const size_t size = (size_t)min_i64(BLOCK, n - i) * sizeof(real);
        memcpy(in, x + i, size);
        block_forward(f, p, in, out);
        memcpy(y + i, out, size);
    }
}

void activate_smooth_backward(fnn_activation f, const double *p, const real *dy, const real *v,
                              real *dx, int64_t n)
{
    real d[BLOCK] = {0}, in[BLOCK] = {0}, out[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        const size_t size = (size_t)min_i64(BLOCK, n - i) * sizeof(real);
        memcpy(d, dy + i, size);
        memcpy(in, v + i, size);
        block_backward(f, p, d, in, out);
        memcpy(dx + i, out, size);
    }
}
