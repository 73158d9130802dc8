/* Stochastic gradient descent in one pass over the flat buffers: reads w, dw, v; writes w, v.
 * The formulae are PyTorch's: the first step is not dampened. */
#include "ops/optimizer.h"

fnn_plan VARIANT(sgd_step_plan)(const void *args, int max_members)
{
    return plan_step(((const fnn_sgd_step_args *)args)->size, max_members);
}

static void descend(const fnn_sgd_step_args *a, range r)
{
    const real lr = (real)a->hyper[0], decay = (real)a->hyper[2];
    real *restrict w = a->w;
    const real *restrict dw = a->dw;
    for (int64_t i = r.begin; i < r.end; i++) {
        const real g = fma_real(decay, w[i], dw[i]);
        w[i] = fma_real(-lr, g, w[i]);
    }
}

static void descend_momentum(const fnn_sgd_step_args *a, range r)
{
    const real lr = (real)a->hyper[0], momentum = (real)a->hyper[1], decay = (real)a->hyper[2];
    const real take = a->dampened && a->hyper[4] > 1 ? (real)(1 - a->hyper[3]) : 1;
    const bool nesterov = a->nesterov;
    real *restrict w = a->w, *restrict v = a->v;
    const real *restrict dw = a->dw;
    for (int64_t i = r.begin; i < r.end; i++) {
        const real g = fma_real(decay, w[i], dw[i]);
        const real velocity = fma_real(momentum, v[i], take * g);
        const real step = nesterov ? fma_real(momentum, velocity, g) : velocity;
        v[i] = velocity;
        w[i] = fma_real(-lr, step, w[i]);
    }
}

void VARIANT(sgd_step_run)(const void *args, const fnn_team *team)
{
    const fnn_sgd_step_args *a = args;
    const range r = own_part(a->size, team);
    if (a->v) descend_momentum(a, r);
    else descend(a, r);
}
