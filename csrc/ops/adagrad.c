/* Adagrad (Duchi et al. 2011, figure 1, with a diagonal matrix). */
#include "ops/optimizer.h"

fnn_plan VARIANT(adagrad_step_plan)(const void *args, int max_members)
{
    return plan_step(((const fnn_adagrad_step_args *)args)->size, max_members);
}

void VARIANT(adagrad_step_run)(const void *args, const fnn_team *team)
{
    const fnn_adagrad_step_args *a = args;
    const range r = own_part(a->size, team);
    const real lr = (real)(a->hyper[0] / (1 + (a->hyper[4] - 1) * a->hyper[1]));
    const real eps = (real)a->hyper[2], decay = (real)a->hyper[3];
    real *restrict w = a->w, *restrict v = a->v;
    const real *restrict dw = a->dw;
    for (int64_t i = r.begin; i < r.end; i++) {
        const real g = fma_real(decay, w[i], dw[i]);
        const real sum = fma_real(g, g, v[i]);
        v[i] = sum;
        w[i] = fma_real(-lr, g / (sqrt_real(sum) + eps), w[i]);
    }
}
