/* Rows of a table by number, and the gradient of the table. */
#include "ops/real.h"

fnn_plan VARIANT(embedding_forward_plan)(const void *args, int max_members)
{
    const fnn_embedding_args *a = args;
    const int64_t work = saturating_mul(a->N, a->D);
    return (fnn_plan){members_for(work, SIZE_PER_MEMBER, max_members), 0};
}

void VARIANT(embedding_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_embedding_args *a = args;
    const range own = split(a->N, 1, team->rank, team->size);
    const size_t row = (size_t)a->D * sizeof(real);
    for (int64_t n = own.begin; n < own.end; n++)
        memcpy((real *)a->out + n * a->D, (const real *)a->in + a->indices[n] * a->D, row);
}

/* Members share columns: each adds all rows in order, so that repeated indices add up in one order
 * whatever the team. */
fnn_plan VARIANT(embedding_backward_plan)(const void *args, int max_members)
{
    const fnn_embedding_args *a = args;
    const int64_t work = saturating_mul(a->N + a->V, a->D);
    const int64_t lines = ceil_div(a->D, LINE);
    return (fnn_plan){
        (int)max_i64(1, min_i64(members_for(work, SIZE_PER_MEMBER, max_members), lines)), 0};
}

void VARIANT(embedding_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_embedding_args *a = args;
    const range own = split(a->D, LINE, team->rank, team->size);
    const int64_t columns = own.end - own.begin;
    real *dw = (real *)a->out + own.begin;
    const real *dy = (const real *)a->in + own.begin;
    if (!a->accumulate)
        for (int64_t v = 0; v < a->V; v++) memset(dw + v * a->D, 0, (size_t)columns * sizeof(real));
    for (int64_t n = 0; n < a->N; n++) {
        if (a->indices[n] == a->padding_index) continue;
        real *restrict to = dw + a->indices[n] * a->D;
        const real *from = dy + n * a->D;
        for (int64_t d = 0; d < columns; d++) to[d] += from[d];
    }
}
