#include <math.h>

#include "ops/reduce.h"

/* Cut in chunks, and a chunk in STRANDS interleaved sums, so that neither the team nor the vector
 * width shows in the result. */
enum { CHUNK = 8192 };

fnn_plan VARIANT(vector_norm_plan)(const void *args, int max_members)
{
    const fnn_vector_norm_args *a = args;
    return (fnn_plan){members_for(a->size, SIZE_PER_MEMBER, max_members),
                      (size_t)ceil_div(a->size, CHUNK) * sizeof(double)};
}

/* |x|^p of one element; the largest so far where p is infinite, and a NaN beats all. */
static inline __attribute__((always_inline)) double joined(double sum, double x, double p)
{
    const double size = fabs(x);
    if (p == 1) return sum + size;
    if (p == 2) return sum + x * x;
    return size <= sum || sum != sum ? sum : size;
}

static inline __attribute__((always_inline)) double chunk_sum(const real *x, int64_t n, double p)
{
    double sums[STRANDS] = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS)
        for (int s = 0; s < STRANDS; s++) sums[s] = joined(sums[s], (double)x[i + s], p);
    for (; i < n; i++) sums[i % STRANDS] = joined(sums[i % STRANDS], (double)x[i], p);
    double sum = 0;
    for (int s = 0; s < STRANDS; s++)
        sum = p == 1 || p == 2 ? sum + sums[s] : joined(sum, sums[s], p);
    return sum;
}

void VARIANT(vector_norm_run)(const void *args, const fnn_team *team)
{
    const fnn_vector_norm_args *a = args;
    double *partials = team->workspace;
    const int64_t chunks = ceil_div(a->size, CHUNK);
    const range own = split(chunks, 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++) {
        const real *x = (const real *)a->x + i * CHUNK;
        const int64_t n = min_i64(CHUNK, a->size - i * CHUNK);
        partials[i] = a->p == 1   ? chunk_sum(x, n, 1)
                      : a->p == 2 ? chunk_sum(x, n, 2)
                                  : chunk_sum(x, n, INFINITY);
    }
    fnn_team_barrier(team);
    if (team->rank != 0) return;
    double total = 0;
    for (int64_t i = 0; i < chunks; i++)
        total = isinf(a->p) ? joined(total, partials[i], a->p) : total + partials[i];
    *a->norm = a->p == 2 ? sqrt(total) : total;
}
