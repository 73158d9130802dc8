/* Scaling a gradient down to a norm: Pascanu, Mikolov and Bengio 2013, algorithm 1. */
#include "ops/real.h"

fnn_plan VARIANT(clip_plan)(const void *args, int max_members)
{
    const fnn_clip_args *a = args;
    return (fnn_plan){members_for(a->size, SIZE_PER_MEMBER, max_members), 0};
}

void VARIANT(clip_run)(const void *args, const fnn_team *team)
{
    const fnn_clip_args *a = args;
    const double exact = a->max_norm / (*a->norm + 1e-6);
    if (exact >= 1) return;
    const real factor = (real)exact;
    const range own = split(a->size, LINE, team->rank, team->size);
    real *x = a->x;
    for (int64_t i = own.begin; i < own.end; i++) x[i] *= factor;
}
