/* Reductions whose order is fixed: it depends on the number of elements, never on the team or on
 * the width of a vector. */
#ifndef FNN_REDUCE_H
#define FNN_REDUCE_H

#include "ops/real.h"

/* for j in columns: sum[j] = (accumulate ? sum[j] : 0) + partials[0,j] + partials[1,j] + ...
 * where partials[i,j] is at i * stride + j. */
static inline void add_partials(const real *restrict partials, int64_t chunks, int64_t stride,
                                range columns, real *restrict sum, bool accumulate)
{
    for (int64_t i = 0; i < chunks; i++) {
        const real *part = partials + i * stride;
        if (i == 0 && !accumulate)
            for (int64_t j = columns.begin; j < columns.end; j++) sum[j] = part[j];
        else
            for (int64_t j = columns.begin; j < columns.end; j++) sum[j] += part[j];
    }
}

/* A long run is reduced in 16 interleaved strands; what is left over goes to the first strands, and
 * the strands are added by halves. */
enum { STRANDS = 16 };

/* The sum of the strands: each half is added to the other. */
static inline real add_strands(real each[STRANDS])
{
#pragma GCC unroll 4
    for (int half = STRANDS / 2; half > 0; half /= 2)
        for (int s = 0; s < half; s++) each[s] += each[s + half];
    return each[0];
}

#define strand_sum VARIANT(strand_sum)
#define strand_dot VARIANT(strand_dot)
#define strand_sum_in_double VARIANT(strand_sum_in_double)
#define strand_max VARIANT(strand_max)

real strand_sum(const real *x, int64_t n);

/* The sum of x[i] * y[i]. */
real strand_dot(const real *x, const real *y, int64_t n);

/* The strands are doubles, and added in order. */
double strand_sum_in_double(const real *x, int64_t n);

/* The largest of n > 0 elements. NaN may or may not be skipped. */
real strand_max(const real *x, int64_t n);

#endif
