/* Reductions whose order is fixed: it depends on the number of elements, never on the team or on
 * the width of a vector. */
#ifndef FNN_REDUCE_H
#define FNN_REDUCE_H

#include "ops/vector.h"

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

/* A long run is reduced in 16 interleaved strands, in as many registers as that takes; what is left
 * over goes to the first strands, and the strands are taken in order. A vector type of 16 elements
 * would say the same, but GCC 12 takes those apart that are wider than a register, one element at a
 * time where they are compared: on AVX2 ten times as long. */
enum { STRANDS = 16, STRAND_VECS = STRANDS / LANES };

static inline real strand_sum(const real *x, int64_t n)
{
    vec sums[STRAND_VECS] = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS)
        for (int v = 0; v < STRAND_VECS; v++) sums[v] += *(const vec *)(x + i + v * LANES);
    real each[STRANDS];
    memcpy(each, sums, sizeof each);
    for (int64_t s = 0; i + s < n; s++) each[s] += x[i + s];
    real sum = 0;
    for (int s = 0; s < min_i64(STRANDS, n); s++) sum += each[s];
    return sum;
}

/* The sum of x[i] * y[i]. */
static inline real strand_dot(const real *x, const real *y, int64_t n)
{
    vec sums[STRAND_VECS] = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS)
        for (int v = 0; v < STRAND_VECS; v++)
            sums[v] += *(const vec *)(x + i + v * LANES) * *(const vec *)(y + i + v * LANES);
    real each[STRANDS];
    memcpy(each, sums, sizeof each);
    for (int64_t s = 0; i + s < n; s++) each[s] = fma_real(x[i + s], y[i + s], each[s]);
    real sum = 0;
    for (int s = 0; s < min_i64(STRANDS, n); s++) sum += each[s];
    return sum;
}

/* The sum in double, each chain of every STRANDS-th element. */
static inline double strand_sum_in_double(const real *x, int64_t n)
{
    double sums[STRANDS] = {0};
    int64_t i = 0;
    for (; i + STRANDS <= n; i += STRANDS)
        for (int s = 0; s < STRANDS; s++) sums[s] += (double)x[i + s];
    for (int64_t s = 0; i + s < n; s++) sums[s] += (double)x[i + s];
    double sum = 0;
    for (int s = 0; s < STRANDS; s++) sum += sums[s];
    return sum;
}

/* The largest of n > 0 elements. NaN may or may not be skipped. */
static inline real strand_max(const real *x, int64_t n)
{
    real max = x[0];
    int64_t i = 0;
    if (n >= STRANDS) {
        vec largest[STRAND_VECS];
        memcpy(largest, x, sizeof largest);
        for (i = STRANDS; i + STRANDS <= n; i += STRANDS)
            for (int v = 0; v < STRAND_VECS; v++) {
                const vec at = *(const vec *)(x + i + v * LANES);
                const vec_bits larger = at > largest[v];
                largest[v] = (vec)((larger & (vec_bits)at) | (~larger & (vec_bits)largest[v]));
            }
        real each[STRANDS];
        memcpy(each, largest, sizeof each);
        for (int s = 0; s < STRANDS; s++) max = each[s] > max ? each[s] : max;
    }
    for (; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

#endif
