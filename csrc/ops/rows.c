#include "ops/rows.h"

#include "ops/reduce.h"
#include "ops/vector.h"

/* 2^LIFT exp(x) of x <= 0 or NaN, in two thirds of the operations of exp_real: no clamp above, and
 * one power of two, as the lifted result is normal. */
static inline real exp_lifted(real x)
{
    real_bits n;
    const real tail = exp_split(x < EXP_MIN ? EXP_MIN : x, &n);
    const real scale = power_of_two(n + LIFT);
    return fma_real(tail, scale, scale);
}

/* Inverse of load_transposed: to[i * stride + j] = t[j][i]. */
static void store_transposed(const vec t[QUAD], real *to, int64_t stride)
{
    vec r[QUAD];
    transpose_quads(t, r);
#pragma GCC unroll 4
    for (int i = 0; i < QUAD; i++)
#pragma GCC unroll 4
        for (int q = 0; q < LANES; q += QUAD)
            *(quad *)(to + (i + q) * stride) = *(const quad *)((const real *)&r[i] + q);
}

/* t[c * width + r] = x[r * C + c]; width is a multiple of LANES, and what is beyond the rows 0.
 * The last quad of columns overlaps the one before. */
void gather_rows(const real *x, int64_t C, int64_t rows, int64_t width, real *t)
{
    int64_t r = 0;
    for (; C >= QUAD && r + LANES <= rows; r += LANES)
        for (int64_t c = 0; c < C; c += QUAD) {
            const int64_t from = min_i64(c, C - QUAD);
            vec columns[QUAD];
            load_transposed(x + r * C + from, C, columns);
            for (int i = 0; i < QUAD; i++) *(vec *)(t + (from + i) * width + r) = columns[i];
        }
    for (; r < width; r++)
        for (int64_t c = 0; c < C; c++) t[c * width + r] = r < rows ? x[r * C + c] : 0;
}

/* x[r * C + c] = t[c * width + r] */
void scatter_rows(const real *t, int64_t C, int64_t rows, int64_t width, real *x)
{
    int64_t r = 0;
    for (; C >= QUAD && r + LANES <= rows; r += LANES)
        for (int64_t c = 0; c < C; c += QUAD) {
            const int64_t to = min_i64(c, C - QUAD);
            vec columns[QUAD];
            for (int i = 0; i < QUAD; i++) columns[i] = *(const vec *)(t + (to + i) * width + r);
            store_transposed(columns, x + r * C + to, C);
        }
    for (; r < rows; r++)
        for (int64_t c = 0; c < C; c++) x[r * C + c] = t[c * width + r];
}

/* max[j] = the largest of x[c * stride + j]. NaN may or may not be skipped. */
void column_max(const real *x, int64_t stride, int64_t C, int64_t width, real *max)
{
    for (int64_t j = 0; j < width; j++) max[j] = x[j];
    for (int64_t c = 1; c < C; c++)
        for (int64_t j = 0; j < width; j++) {
            const real at = x[c * stride + j];
            max[j] = at > max[j] ? at : max[j];
        }
}

/* e[c * stride + j] = exp(x[c * stride + j] - max[j]); sum[j] is the sum of column j. e may be x, or
 * NULL where the sum is all that is wanted. A NaN anywhere makes the sum NaN. */
void column_exp_sum(const real *x, int64_t stride, int64_t C, int64_t width, const real *max,
                    real *e, real *sum)
{
    real unwanted[NEIGHBOURS];
    for (int64_t j = 0; j < width; j++) sum[j] = 0;
    for (int64_t c = 0; c < C; c++) {
        const real *from = x + c * stride;
        real *to = e ? e + c * stride : unwanted;
#pragma GCC ivdep
        for (int64_t j = 0; j < width; j++) {
            const real power = exp_lifted(from[j] - max[j]);
            to[j] = power;
            sum[j] += power;
        }
    }
}

/* The same of one row; returns the sum. */
real row_exp_sum(const real *x, int64_t C, real max, real *e)
{
    real unwanted[STRANDS], each[STRANDS] = {0};
    int64_t c = 0;
    for (; c + STRANDS <= C; c += STRANDS) {
        real *to = e ? e + c : unwanted;
#pragma GCC ivdep
        for (int s = 0; s < STRANDS; s++) {
            const real power = exp_lifted(x[c + s] - max);
            to[s] = power;
            each[s] += power;
        }
    }
    for (int s = 0; c < C; c++, s++) {
        const real power = exp_lifted(x[c] - max);
        if (e) e[c] = power;
        each[s] += power;
    }
    return add_strands(each);
}

void column_log(const real *sum, int64_t width, real *y)
{
    for (int64_t j = 0; j < width; j++) y[j] = log_lifted(sum[j]);
}

void column_scale(real *x, int64_t stride, int64_t C, int64_t width, const real *scale)
{
    for (int64_t c = 0; c < C; c++) {
        real *row = x + c * stride;
#pragma GCC ivdep
        for (int64_t j = 0; j < width; j++) row[j] *= scale[j];
    }
}

void row_scale(real *x, int64_t C, real scale)
{
#pragma GCC unroll 4
    for (int64_t c = 0; c < C; c++) x[c] *= scale;
}
