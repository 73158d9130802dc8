#include "ops/activation.h"

#include "ops/math.h"

void activate(fnn_activation f, const real *x, real *y, int64_t n)
{
    switch (f) {
    case FNN_IDENTITY:
        if (x != y) memcpy(y, x, (size_t)n * sizeof(real));
        break;
    case FNN_RELU:
        for (int64_t i = 0; i < n; i++) y[i] = x[i] <= 0 ? 0 : x[i];
        break;
    case FNN_SIGMOID:
        for (int64_t i = 0; i < n; i++) y[i] = sigmoid_real(x[i]);
        break;
    case FNN_TANH:
        for (int64_t i = 0; i < n; i++) y[i] = tanh_real(x[i]);
        break;
    case FNN_SCALED_TANH:
        for (int64_t i = 0; i < n; i++)
            y[i] = SCALED_TANH_AMPLITUDE * tanh_real(SCALED_TANH_SLOPE * x[i]);
        break;
    default:
        break; /* no epilogue */
    }
}

/* dx[i] = dy[i] * f'(x[i]), the derivative written in terms of y = f(x). */
static void activate_backward(fnn_activation f, const real *dy, const real *y, real *dx, int64_t n)
{
    switch (f) {
    case FNN_IDENTITY:
        if (dx != dy) memcpy(dx, dy, (size_t)n * sizeof(real));
        break;
    case FNN_RELU: /* y > 0 where x > 0 */
        for (int64_t i = 0; i < n; i++) dx[i] = y[i] <= 0 ? 0 : dy[i];
        break;
    case FNN_SIGMOID: /* y' = y (1 - y) */
        for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * (y[i] * (1 - y[i]));
        break;
    case FNN_TANH: /* y' = 1 - y^2 */
        for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * fma_real(-y[i], y[i], 1);
        break;
    case FNN_SCALED_TANH: /* y = A tanh(S x): y' = S (A - y^2 / A) */
        for (int64_t i = 0; i < n; i++)
            dx[i] = dy[i] * (SCALED_TANH_SLOPE * fma_real(-y[i], y[i] * (1 / SCALED_TANH_AMPLITUDE),
                                                          SCALED_TANH_AMPLITUDE));
        break;
    default:
        break;
    }
}

static fnn_plan plan(const void *args, int max_members)
{
    const fnn_activation_args *a = args;
    return (fnn_plan){members_for(a->size, SIZE_PER_MEMBER, max_members), 0};
}

fnn_plan VARIANT(activation_forward_plan)(const void *args, int max_members)
{
    return plan(args, max_members);
}

void VARIANT(activation_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_activation_args *a = args;
    const range r = split(a->size, LANES, team->rank, team->size);
    const int64_t n = r.end - r.begin;
    const real *x = (const real *)a->x + r.begin;
    real *y = (real *)a->out + r.begin;
    if (a->activation >= FNN_ELU) activate_smooth(a->activation, a->p, x, y, n);
    else if (a->activation >= FNN_LEAKY_RELU) activate_piecewise(a->activation, a->p, x, y, n);
    else activate(a->activation, x, y, n);
}

fnn_plan VARIANT(activation_backward_plan)(const void *args, int max_members)
{
    return plan(args, max_members);
}

void VARIANT(activation_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_activation_args *a = args;
    const range r = split(a->size, LANES, team->rank, team->size);
    const int64_t n = r.end - r.begin;
    const real *dy = (const real *)a->dy + r.begin, *v = (const real *)a->x + r.begin;
    real *dx = (real *)a->out + r.begin;
    if (a->activation >= FNN_ELU) activate_smooth_backward(a->activation, a->p, dy, v, dx, n);
    else if (a->activation >= FNN_LEAKY_RELU)
        activate_piecewise_backward(a->activation, a->p, dy, v, dx, n);
    else activate_backward(a->activation, dy, v, dx, n);
}
