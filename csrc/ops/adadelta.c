/* Adadelta (Zeiler 2012, algorithm 1). */
#include "ops/optimizer.h"

fnn_plan VARIANT(adadelta_step_plan)(const void *args, int max_members)
{
    return plan_step(((const fnn_adadelta_step_args *)args)->size, max_members);
}

void VARIANT(adadelta_step_run)(const void *args, const fnn_team *team)
{
    const fnn_adadelta_step_args *a = args;
    const range r = own_part(a->size, team);
    const real lr = (real)a->hyper[0], rho = (real)a->hyper[1], rate = (real)(1 - a->hyper[1]);
    const real eps = (real)a->hyper[2], decay = (real)a->hyper[3];
    real *restrict w = a->w, *restrict v = a->v, *restrict d = a->d;
    const real *restrict dw = a->dw;
    for (int64_t i = r.begin; i < r.end; i++) {
        const real g = fma_real(decay, w[i], dw[i]);
        const real square = fma_real(rate * g, g, rho * v[i]);
        const real step = sqrt_real((d[i] + eps) / (square + eps)) * g;
        v[i] = square;
        d[i] = fma_real(rate * step, step, rho * d[i]);
        w[i] = fma_real(-lr, step, w[i]);
    }
}
