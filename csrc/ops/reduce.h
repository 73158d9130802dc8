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

/* A long run is reduced in 16 interleaved strands, which the compiler lays out in as many registers
 * as it takes; what is left over goes to the first strands, and the strands are taken in order. */
enum { STRANDS = 16 };
typedef real strands
    __attribute__((vector_size(STRANDS * sizeof(real)), aligned(sizeof(real)), may_alias));
typedef real_bits strand_mask __attribute__((vector_size(STRANDS * sizeof(real))));

static inline real strand_sum(const real *x, int64_t n)
{
    strands sums = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS) sums += *(const strands *)(x + i);
    real each[STRANDS];
    *(strands *)each = sums;
    for (int64_t s = 0; i + s < n; s++) each[s] += x[i + s];
    real sum = 0;
    for (int s = 0; s < min_i64(STRANDS, n); s++) sum += each[s];
    return sum;
}

/* The largest of n > 0 elements. NaN may or may not be skipped. */
static inline real strand_max(const real *x, int64_t n)
{
    real max = x[0];
    int64_t i = 0;
    if (n >= STRANDS) {
        strands largest = *(const strands *)x;
        for (i = STRANDS; i + STRANDS <= n; i += STRANDS) {
            const strands at = *(const strands *)(x + i);
            const strand_mask larger = (strand_mask)(at > largest);
            largest = (strands)((larger & (strand_mask)at) | (~larger & (strand_mask)largest));
        }
        real each[STRANDS];
        *(strands *)each = largest;
        for (int s = 0; s < STRANDS; s++) max = each[s] > max ? each[s] : max;
    }
    for (; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

#endif
