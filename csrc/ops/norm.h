/* What all normalisations share: statistics in double, of blocks that are summed as reals.
 *
 * A real holds x - mean to the last digit only as (x - center) - low, where center is the nearest
 * real to the mean and low the rest: the first difference is exact near the mean.
 * Functions of one pass over columns, between passes over the data, are `cold`: small, not vectorised.
 */
#ifndef FNN_NORM_H
#define FNN_NORM_H

#include "ops/vector.h"

/* (mean, squares) of `before` elements become those of both; before > 0 or all zeros. */
static inline void combine(int64_t before, int64_t count, double other_mean, double other_squares,
                           double *mean, double *squares)
{
    const double delta = other_mean - *mean, share = (double)count / (double)(before + count);
    *mean += delta * share;
    *squares += other_squares + delta * delta * ((double)before * share);
}

/* A vector, or with `part` its first lanes: what is left of a row. */
static inline vec load_lanes(const real *from, const lanes *part)
{
    return part ? load_first(from, *part) : *(const vec *)from;
}

static inline void store_lanes(real *to, const lanes *part, vec v)
{
    if (part) store_first(to, *part, v);
    else *(vec *)to = v;
}

/* weight[c], or 1 where there is none. */
static inline double or_one(const void *weight, int64_t c)
{
    return weight ? (double)((const real *)weight)[c] : 1;
}

static inline double or_zero(const void *bias, int64_t c)
{
    return bias ? (double)((const real *)bias)[c] : 0;
}

#endif
