/* The gradient of a bias: column sums of dy. */
#include "ops/reduce.h"

/* Rows per chunk: long enough that a chunk pays for its partial sum, and short, as the rounding
 * error of a sum grows with its length. */
enum { CHUNK_ROWS = 1024 };

static inline int64_t chunk_count(const fnn_bias_backward_args *a)
{
    return max_i64(1, ceil_div(a->P, CHUNK_ROWS));
}

fnn_plan VARIANT(bias_backward_plan)(const void *args, int max_members)
{
    const fnn_bias_backward_args *a = args;
    const int64_t chunks = chunk_count(a);
    const int64_t size = saturating_mul(a->P, a->O);
    return (fnn_plan){members_for(size, 65536, (int)min_i64(max_members, chunks)),
                      (size_t)(chunks * a->O) * sizeof(real)};
}

void VARIANT(bias_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_bias_backward_args *a = args;
    const int64_t chunks = chunk_count(a), O = a->O;
    real *partials = team->workspace;
    const range own = split(chunks, 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++) {
        real *restrict sum = partials + i * O;
        for (int64_t o = 0; o < O; o++) sum[o] = 0;
        for (int64_t p = i * CHUNK_ROWS; p < min_i64(a->P, (i + 1) * CHUNK_ROWS); p++) {
            const real *restrict row = (const real *)a->dy + p * O;
            for (int64_t o = 0; o < O; o++) sum[o] += row[o];
        }
    }
    fnn_team_barrier(team);
    add_partials(partials, chunks, O, split(O, LANES, team->rank, team->size), a->db,
                 a->accumulate);
}
