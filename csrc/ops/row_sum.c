/* Sums over rows, and their norms. */
#include <math.h>

#include "ops/reduce.h"

fnn_plan VARIANT(row_sum_plan)(const void *args, int max_members)
{
    const fnn_row_sum_args *a = args;
    const int64_t work = saturating_mul(a->O, a->I);
    const int members = members_for(work, SIZE_PER_MEMBER, max_members);
    return (fnn_plan){(int)max_i64(1, min_i64(members, a->O)), 0};
}

/* As reduce.h sums, so that the vector width does not show in the result. */
static inline __attribute__((always_inline)) real sum_of(const real *x, int64_t n, bool squares)
{
    real sums[STRANDS] = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS)
        for (int s = 0; s < STRANDS; s++)
            sums[s] = squares ? fma_real(x[i + s], x[i + s], sums[s]) : sums[s] + x[i + s];
    for (; i < n; i++) {
        real *sum = sums + i % STRANDS;
        *sum = squares ? fma_real(x[i], x[i], *sum) : *sum + x[i];
    }
    return add_strands(sums);
}

void VARIANT(row_sum_run)(const void *args, const fnn_team *team)
{
    const fnn_row_sum_args *a = args;
    const range own = split(a->O, 1, team->rank, team->size);
    for (int64_t o = own.begin; o < own.end; o++) {
        const real *x = (const real *)a->x + o * a->I;
        ((real *)a->out)[o] =
            a->norm ? (real)sqrt((double)sum_of(x, a->I, true)) : sum_of(x, a->I, false);
    }
}
