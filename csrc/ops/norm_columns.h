/* Statistics of the columns of a matrix, and passes that scale them: batch and group norm. */
#ifndef FNN_NORM_COLUMNS_H
#define FNN_NORM_COLUMNS_H

#include "ops/norm.h"

/* How the rows of a (rows, C) matrix are cut: by C alone. Blocks stay in the L1 cache between two
 * passes; chunks are what members share out. A line is several rows of few columns side by side, to
 * fill the vectors: all that is one per column is repeated along it. */
typedef struct columns {
    int64_t C, line, block_rows, chunk_rows;
} columns;

static inline columns columns_of(int64_t C)
{
    enum { LINE_SIZE = 64, BLOCK_SIZE = 4096, CHUNK_BLOCKS = 16 };
    const int64_t width = max_i64(C, 1);
    const int64_t rows = max_i64(16, min_i64(BLOCK_SIZE / width, 1024));
    return (columns){C, max_i64(LINE_SIZE / width, 1) * width, rows, CHUNK_BLOCKS * rows};
}

/* The parts of a line of `k`: value[c] is repeated along it. */
static inline void repeat(const columns *k, real *value)
{
    for (int64_t j = k->C; j < k->line; j++) value[j] = value[j - k->C];
}

/* Reals that column_moments and column_products need for themselves. */
static inline int64_t column_scratch(const columns *k)
{
    return 3 * k->line;
}

/* mean[c] and squares[c] = sum of (x - mean)^2, over rows > 0. */
#define column_moments VARIANT(column_moments)
void column_moments(const columns *k, const real *x, int64_t rows, real *scratch, double *mean,
                    double *squares);

/* sum[c] = sum of dy, products[c] = sum of dy * (x - center[c]), over the rows; dy = 0 where y <= 0,
 * y may be NULL. `center` is a line. */
#define column_products VARIANT(column_products)
void column_products(const columns *k, const real *dy, const real *x, const real *y,
                     const real *center, int64_t rows, real *scratch, double *sum,
                     double *products);

/* Whether results are stored past the caches, which they would fill many times over: then nothing of
 * what the pass reads again is lost, and no line is read to be overwritten. */
static inline bool stream_past(const columns *k, int64_t rows, const real *to)
{
    enum { STREAM_CACHES = 16 };
    const bool aligned = k->C % QUAD == 0 && (uintptr_t)to % 16 == 0;
    return aligned && rows * k->C * (int64_t)sizeof(real) >= STREAM_CACHES * fnn_l2_cache();
}

/* y = fma(x - center, scale, shift), then max(y, 0) with relu. Three lines; y may be x. */
typedef struct column_scale {
    const real *center, *scale, *shift;
} column_scale;

#define scale_columns VARIANT(scale_columns)
void scale_columns(const columns *k, const column_scale *by, const real *x, int64_t rows, bool relu,
                   bool past_caches, real *y);

/* dx = fma(dy, dy_scale, fma(x - center, x_scale, shift)); dy = 0 where y <= 0, y may be NULL. Four
 * lines; dx may be dy. */
typedef struct column_gradient {
    const real *center, *dy_scale, *x_scale, *shift;
} column_gradient;

#define combine_columns VARIANT(combine_columns)
void combine_columns(const columns *k, const column_gradient *by, const real *dy, const real *x,
                     const real *y, int64_t rows, bool past_caches, real *dx);

#endif
