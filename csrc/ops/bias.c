/* The gradient of a bias: column sums of dy. */
#include "ops/reduce.h"

/* Rows per chunk: long enough that a chunk pays for its partial sum, and short, as the rounding
 * error of a sum grows with its length. A chunk of few columns is summed in strands, several rows
 * side by side, to fill the vectors; the strands are then added in order. */
enum { CHUNK_ROWS = 1024, STRAND_SIZE = 64 };

static inline int64_t chunk_count(const fnn_bias_backward_args *a)
{
    return max_i64(1, ceil_div(a->P, CHUNK_ROWS));
}

static inline int64_t strand_count(int64_t O)
{
    return max_i64(1, STRAND_SIZE / max_i64(O, 1));
}

fnn_plan VARIANT(bias_backward_plan)(const void *args, int max_members)
{
    const fnn_bias_backward_args *a = args;
    const int64_t chunks = chunk_count(a);
    const int64_t size = saturating_mul(a->P, a->O);
    return (fnn_plan){members_for(size, SIZE_PER_MEMBER, (int)min_i64(max_members, chunks)),
                      (size_t)(chunks * strand_count(a->O) * a->O) * sizeof(real)};
}

/* sum[o] = sum over rows of dy[p, o]; sum has room for strand_count(O) rows. */
static void chunk_sum(const real *restrict dy, int64_t rows, int64_t O, real *restrict sum)
{
    const int64_t strands = strand_count(O), line = strands * O, size = rows * O;
    for (int64_t j = 0; j < line; j++) sum[j] = 0;
    int64_t i = 0;
    for (; i + line <= size; i += line)
        for (int64_t j = 0; j < line; j++) sum[j] += dy[i + j];
    for (int64_t j = 0; i + j < size; j++) sum[j] += dy[i + j];
    for (int64_t s = 1; s < strands; s++)
        for (int64_t o = 0; o < O; o++) sum[o] += sum[s * O + o];
}

void VARIANT(bias_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_bias_backward_args *a = args;
    const int64_t chunks = chunk_count(a), O = a->O, stride = strand_count(O) * O;
    real *partials = team->workspace;
    const range own = split(chunks, 1, team->rank, team->size);
    for (int64_t i = own.begin; i < own.end; i++)
        chunk_sum((const real *)a->dy + i * CHUNK_ROWS * O,
                  min_i64(CHUNK_ROWS, a->P - i * CHUNK_ROWS), O, partials + i * stride);
    fnn_team_barrier(team);
    add_partials(partials, chunks, stride, split(O, LANES, team->rank, team->size), a->db,
                 a->accumulate);
}
