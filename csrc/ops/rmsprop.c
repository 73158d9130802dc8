/* RMSprop (Tieleman & Hinton 2012; centered: Graves 2013, equations 38 to 45). */
#include "ops/optimizer.h"

fnn_plan VARIANT(rmsprop_step_plan)(const void *args, int max_members)
{
    return plan_step(((const fnn_rmsprop_step_args *)args)->size, max_members);
}

static inline __attribute__((always_inline)) void descend(const fnn_rmsprop_step_args *a, range r,
                                                          bool centered, bool with_momentum)
{
    const real lr = (real)a->hyper[0], alpha = (real)a->hyper[1], rate = (real)(1 - a->hyper[1]);
    const real eps = (real)a->hyper[2], decay = (real)a->hyper[3], momentum = (real)a->hyper[4];
    real *restrict w = a->w, *restrict v = a->v, *restrict mean = a->mean, *restrict b = a->b;
    const real *restrict dw = a->dw;
    for (int64_t i = r.begin; i < r.end; i++) {
        const real g = fma_real(decay, w[i], dw[i]);
        const real square = fma_real(rate * g, g, alpha * v[i]);
        v[i] = square;
        real variance = square;
        if (centered) {
            const real center = fma_real(rate, g - mean[i], mean[i]);
            mean[i] = center;
            variance = fma_real(-center, center, square);
            variance = variance < 0 ? 0 : variance; /* rounding may get there; NaN stays */
        }
        real step = g / (sqrt_real(variance) + eps);
        if (with_momentum) b[i] = step = fma_real(momentum, b[i], step);
        w[i] = fma_real(-lr, step, w[i]);
    }
}

void VARIANT(rmsprop_step_run)(const void *args, const fnn_team *team)
{
    const fnn_rmsprop_step_args *a = args;
    const range r = own_part(a->size, team);
    if (a->mean && a->b) descend(a, r, true, true);
    else if (a->mean) descend(a, r, true, false);
    else if (a->b) descend(a, r, false, true);
    else descend(a, r, false, false);
}
