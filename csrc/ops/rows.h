/* Rows of C that are reduced each on its own. Short ones are laid side by side, transposed, so that
 * each lane has a row, as have rows along an axis that is not the last; their sums are chains in
 * ascending order. Long ones are reduced in strands (reduce.h). Which way depends on the shape alone,
 * and what is computed of a row on nothing but the row. */
#ifndef FNN_ROWS_H
#define FNN_ROWS_H

#include "ops/math.h"

#define gather_rows VARIANT(gather_rows)
#define scatter_rows VARIANT(scatter_rows)
#define column_max VARIANT(column_max)
#define column_exp_sum VARIANT(column_exp_sum)
#define column_log VARIANT(column_log)
#define column_scale VARIANT(column_scale)
#define row_scale VARIANT(row_scale)
#define row_exp_sum VARIANT(row_exp_sum)

/* A block of WIDTH rows of up to SHORT_ROW elements stays in L1. Rows that are neighbours in memory
 * come in larger blocks, as each of their elements may lie on another page. */
enum { SHORT_ROW = 64, WIDTH = 64, NEIGHBOURS = 512 };

/* t[c * width + r] = x[r * C + c]; width is a multiple of LANES, and what is beyond the rows 0. */
void gather_rows(const real *x, int64_t C, int64_t rows, int64_t width, real *t);

/* x[r * C + c] = t[c * width + r] */
void scatter_rows(const real *t, int64_t C, int64_t rows, int64_t width, real *x);

/* max[j] = the largest of x[c * stride + j], j < width <= NEIGHBOURS. NaN may or may not be skipped. */
void column_max(const real *x, int64_t stride, int64_t C, int64_t width, real *max);

/* Exponentials are computed 2^LIFT times too large: then none is subnormal, and the factor that makes
 * probabilities of them brings them down. */
enum { LIFT = MANTISSA_BITS + 3 };

/* The logarithm of a sum of such exponentials. */
static inline real log_lifted(real sum)
{
    return log_real(sum * power_of_two(-LIFT));
}

/* e[c * stride + j] = 2^LIFT exp(x[c * stride + j] - max[j]); sum[j] is the sum of column j. e may be
 * x, or NULL where the sum is all that is wanted. A NaN anywhere makes the sum NaN. */
void column_exp_sum(const real *x, int64_t stride, int64_t C, int64_t width, const real *max,
                    real *e, real *sum);

/* column_exp_sum of one row; returns the sum. */
real row_exp_sum(const real *x, int64_t C, real max, real *e);

/* x[c] *= scale */
void row_scale(real *x, int64_t C, real scale);

/* y[j] = log_lifted(sum[j]) */
void column_log(const real *sum, int64_t width, real *y);

/* x[c * stride + j] *= scale[j] */
void column_scale(real *x, int64_t stride, int64_t C, int64_t width, const real *scale);

#endif
