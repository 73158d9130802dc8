#include "ops/reduce.h"

/* The sum of squares is cut in chunks, and a chunk in STRANDS interleaved sums, so that neither
 * the team nor the vector width shows in the result. */
enum { CHUNK = 8192 };

fnn_plan VARIANT(mse_plan)(const void *args, int max_members)
{
    const fnn_mse_args *a = args;
    return (fnn_plan){members_for(a->size, SIZE_PER_MEMBER, max_members),
                      (size_t)ceil_div(a->size, CHUNK) * sizeof(double)};
}

/* dy = (y - t) * scale; returns the sum of (y - t)^2, in double. */
static double chunk_loss(const real *y, const real *t, real scale, int64_t n, real *dy)
{
    double sums[STRANDS] = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS)
        for (int s = 0; s < STRANDS; s++) {
            const real d = y[i + s] - t[i + s];
            sums[s] += (double)d * (double)d;
            dy[i + s] = d * scale;
        }
    for (; i < n; i++) {
        const real d = y[i] - t[i];
        sums[i % STRANDS] += (double)d * (double)d;
        dy[i] = d * scale;
    }
    double sum = 0;
    for (int s = 0; s < STRANDS; s++) sum += sums[s];
    return sum;
}

void VARIANT(mse_run)(const void *args, const fnn_team *team)
{
    const fnn_mse_args *a = args;
    double *partials = team->workspace;
    const int64_t chunks = ceil_div(a->size, CHUNK);
    const range own = split(chunks, 1, team->rank, team->size);
    const real scale = 2 / (real)a->size;
    for (int64_t i = own.begin; i < own.end; i++) {
        const int64_t from = i * CHUNK, n = min_i64(CHUNK, a->size - from);
        partials[i] = chunk_loss((const real *)a->y + from, (const real *)a->t + from, scale, n,
                                 (real *)a->dy + from);
    }
    fnn_team_barrier(team);
    if (team->rank != 0) return;
    double total = 0;
    for (int64_t i = 0; i < chunks; i++) total += partials[i];
    *a->loss = total / (double)a->size;
}
