/* Adam (Kingma & Ba 2015, algorithm 1), AdamW (Loshchilov & Hutter 2019, algorithm 2) and AMSGrad
 * (Reddi et al. 2018). */
#include <math.h>

#include "ops/optimizer.h"

typedef struct constants {
    real decay; /* of g towards w */
    real keep;  /* of w */
    real rate1, beta2, rate2, eps;
    real step, unroot; /* with the corrections of m and of sqrt(v) for having started at 0 */
} constants;

fnn_plan VARIANT(adam_step_plan)(const void *args, int max_members)
{
    return plan_step(((const fnn_adam_step_args *)args)->size, max_members);
}

static constants read_hyper(const fnn_adam_step_args *a)
{
    const double lr = a->hyper[0], beta1 = a->hyper[1], beta2 = a->hyper[2];
    const double weight_decay = a->hyper[4], step = a->hyper[5];
    return (constants){
        .decay = (real)(a->decoupled ? 0 : weight_decay),
        .keep = (real)(a->decoupled ? 1 - lr * weight_decay : 1),
        .rate1 = (real)(1 - beta1),
        .beta2 = (real)beta2,
        .rate2 = (real)(1 - beta2),
        .eps = (real)a->hyper[3],
        .step = (real)(lr / (1 - pow(beta1, step))),
        .unroot = (real)(1 / sqrt(1 - pow(beta2, step))),
    };
}

static inline __attribute__((always_inline)) void descend(const fnn_adam_step_args *a,
                                                          const constants c, range r, bool with_max)
{
    real *restrict w = a->w, *restrict m = a->m, *restrict v = a->v, *restrict vmax = a->vmax;
    const real *restrict dw = a->dw;
    for (int64_t i = r.begin; i < r.end; i++) {
        const real g = fma_real(c.decay, w[i], dw[i]);
        const real mean = fma_real(c.rate1, g - m[i], m[i]);
        const real square = fma_real(c.rate2 * g, g, c.beta2 * v[i]);
        real largest = square;
        if (with_max) {
            largest = square <= vmax[i] ? vmax[i] : square; /* a NaN in square stays one */
            vmax[i] = largest;
        }
        m[i] = mean;
        v[i] = square;
        const real scale = fma_real(sqrt_real(largest), c.unroot, c.eps);
        w[i] = fma_real(-c.step, mean / scale, c.keep * w[i]);
    }
}

void VARIANT(adam_step_run)(const void *args, const fnn_team *team)
{
    const fnn_adam_step_args *a = args;
    const range r = own_part(a->size, team);
    if (a->vmax) descend(a, read_hyper(a), r, true);
    else descend(a, read_hyper(a), r, false);
}
