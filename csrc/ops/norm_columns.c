#include "ops/norm_columns.h"

/* Vectors of columns whose sums stay in registers. */
enum { STRIP = 4 };

/* 0 where y <= 0. */
static inline vec mask_gradient(vec dy, vec y)
{
    return (vec)((vec_bits)dy & ~(vec_bits)(y <= 0));
}

/* ---- sums of `vectors` vectors of columns over whole lines; the last may be a part -------------- */

static inline __attribute__((always_inline)) void
sum_strip(const real *x, int64_t lines, int64_t line, int vectors, const lanes *part, real *sum)
{
    vec sums[STRIP] = {{0}};
    for (int64_t i = 0; i < lines; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) sums[v] += load_lanes(x + i * line + v * LANES, part);
    for (int v = 0; v < vectors; v++) store_lanes(sum + v * LANES, part, sums[v]);
}

/* sum = sum of x - center, square = sum of (x - center)^2. */
static inline __attribute__((always_inline)) void
deviation_strip(const real *x, int64_t lines, int64_t line, int vectors, const lanes *part,
                const real *center, real *sum, real *square)
{
    vec at[STRIP], sums[STRIP] = {{0}}, squares[STRIP] = {{0}};
    for (int v = 0; v < vectors; v++) at[v] = load_lanes(center + v * LANES, part);
    for (int64_t i = 0; i < lines; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const vec d = load_lanes(x + i * line + v * LANES, part) - at[v];
            sums[v] += d;
            squares[v] += d * d;
        }
    for (int v = 0; v < vectors; v++) {
        store_lanes(sum + v * LANES, part, sums[v]);
        store_lanes(square + v * LANES, part, squares[v]);
    }
}

/* sum = sum of dy, product = sum of dy * (x - center). */
static inline __attribute__((always_inline)) void
product_strip(const real *dy, const real *x, const real *y, int64_t lines, int64_t line,
              int vectors, const lanes *part, const real *center, real *sum, real *product)
{
    vec at[STRIP], sums[STRIP] = {{0}}, products[STRIP] = {{0}};
    for (int v = 0; v < vectors; v++) at[v] = load_lanes(center + v * LANES, part);
    for (int64_t i = 0; i < lines; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) {
            const int64_t j = i * line + v * LANES;
            vec g = load_lanes(dy + j, part);
            if (y) g = mask_gradient(g, load_lanes(y + j, part));
            sums[v] += g;
            products[v] += g * (load_lanes(x + j, part) - at[v]);
        }
    for (int v = 0; v < vectors; v++) {
        store_lanes(sum + v * LANES, part, sums[v]);
        store_lanes(product + v * LANES, part, products[v]);
    }
}

/* ---- lines: strips, what is left of the columns, what is left of the rows ----------------------- */

static void line_sums(const columns *k, const real *x, int64_t rows, real *sum)
{
    const int64_t line = k->line, size = rows * k->C, lines = size / line;
    int64_t j = 0;
    for (; j + STRIP * LANES <= line; j += STRIP * LANES)
        sum_strip(x + j, lines, line, STRIP, NULL, sum + j);
    for (; j < line; j += LANES) {
        const lanes part = first_lanes(min_i64(line - j, LANES));
        sum_strip(x + j, lines, line, 1, &part, sum + j);
    }
    x += lines * line;
    for (int64_t i = 0; i < size - lines * line; i++) sum[i] += x[i];
}

static void line_deviations(const columns *k, const real *x, int64_t rows, const real *center,
                            real *sum, real *square)
{
    const int64_t line = k->line, size = rows * k->C, lines = size / line;
    int64_t j = 0;
    for (; j + STRIP * LANES <= line; j += STRIP * LANES)
        deviation_strip(x + j, lines, line, STRIP, NULL, center + j, sum + j, square + j);
    for (; j < line; j += LANES) {
        const lanes part = first_lanes(min_i64(line - j, LANES));
        deviation_strip(x + j, lines, line, 1, &part, center + j, sum + j, square + j);
    }
    x += lines * line;
    for (int64_t i = 0; i < size - lines * line; i++) {
        const real d = x[i] - center[i];
        sum[i] += d;
        square[i] = fma_real(d, d, square[i]);
    }
}

static inline __attribute__((always_inline)) void line_products(const columns *k, const real *dy,
                                                                const real *x, const real *y,
                                                                int64_t rows, const real *center,
                                                                real *sum, real *product)
{
    const int64_t line = k->line, size = rows * k->C, lines = size / line;
    int64_t j = 0;
    for (; j + STRIP * LANES <= line; j += STRIP * LANES)
        product_strip(dy + j, x + j, y ? y + j : NULL, lines, line, STRIP, NULL, center + j,
                      sum + j, product + j);
    for (; j < line; j += LANES) {
        const lanes part = first_lanes(min_i64(line - j, LANES));
        product_strip(dy + j, x + j, y ? y + j : NULL, lines, line, 1, &part, center + j, sum + j,
                      product + j);
    }
    for (int64_t i = 0; lines * line + i < size; i++) {
        const int64_t at = lines * line + i;
        const real g = y && y[at] <= 0 ? 0 : dy[at];
        sum[i] += g;
        product[i] = fma_real(g, x[at] - center[i], product[i]);
    }
}

/* The parts of a line add up in its first C. */
static void fold(const columns *k, real *line)
{
    for (int64_t j = k->C; j < k->line; j += k->C)
        for (int64_t c = 0; c < k->C; c++) line[c] += line[j + c];
}

/* ---- statistics ---------------------------------------------------------------------------------- */

/* The first guess of a center: the mean of the first rows. */
static void guess_center(const columns *k, const real *x, int64_t rows, real *center)
{
    line_sums(k, x, rows, center);
    fold(k, center);
    for (int64_t c = 0; c < k->C; c++) center[c] /= (real)rows;
}

/* Each block is seen around the mean of those before it. Where it lies apart from them by many
 * standard deviations, what its own variance loses is nothing beside what that adds to the whole. */
void column_moments(const columns *k, const real *x, int64_t rows, real *scratch, double *mean,
                    double *squares)
{
    real *center = scratch, *sum = center + k->line, *square = sum + k->line;
    for (int64_t c = 0; c < k->C; c++) mean[c] = squares[c] = 0;
    if (rows > 0) guess_center(k, x, min_i64(k->block_rows, rows), center);
    for (int64_t p = 0; p < rows; p += k->block_rows) {
        const int64_t count = min_i64(k->block_rows, rows - p);
        repeat(k, center);
        line_deviations(k, x + p * k->C, count, center, sum, square);
        fold(k, sum);
        fold(k, square);
        const double inverse = 1 / (double)count, share = (double)count / (double)(p + count);
        for (int64_t c = 0; c < k->C; c++) {
            const double off = (double)sum[c] * inverse;
            const double apart = (double)square[c] - (double)sum[c] * off;
            const double delta = (double)center[c] + off - mean[c];
            mean[c] += delta * share;
            squares[c] += (apart < 0 ? 0 : apart) + delta * delta * ((double)p * share);
            center[c] = (real)mean[c];
        }
    }
}

void column_products(const columns *k, const real *dy, const real *x, const real *y,
                     const real *center, int64_t rows, real *scratch, double *sum, double *products)
{
    real *sums = scratch, *dots = sums + k->line;
    for (int64_t c = 0; c < k->C; c++) sum[c] = products[c] = 0;
    for (int64_t p = 0; p < rows; p += k->block_rows) {
        const int64_t at = p * k->C, count = min_i64(k->block_rows, rows - p);
        if (y) line_products(k, dy + at, x + at, y + at, count, center, sums, dots);
        else line_products(k, dy + at, x + at, NULL, count, center, sums, dots);
        fold(k, sums);
        fold(k, dots);
        for (int64_t c = 0; c < k->C; c++) {
            sum[c] += (double)sums[c];
            products[c] += (double)dots[c];
        }
    }
}

/* ---- scaling: a line at a time, its coefficients from L1 ------------------------------------------- */

static inline __attribute__((always_inline)) void store_vector(real *to, const lanes *part,
                                                               bool past_caches, vec v)
{
    if (past_caches) stream(to, v);
    else store_lanes(to, part, v);
}

static inline __attribute__((always_inline)) void scale_vector(const column_scale *by, int64_t j,
                                                               const lanes *part, const real *x,
                                                               bool relu, bool past_caches, real *y)
{
    const vec d = load_lanes(x + j, part) - load_lanes(by->center + j, part);
    const vec to = d * load_lanes(by->scale + j, part) + load_lanes(by->shift + j, part);
    store_vector(y + j, part, past_caches, relu ? mask_gradient(to, to) : to);
}

void scale_columns(const columns *k, const column_scale *by, const real *x, int64_t rows, bool relu,
                   bool past_caches, real *y)
{
    const column_scale own = *by; /* a copy, which stores to y cannot change */
    const int64_t size = rows * k->C, line = k->line;
    for (int64_t i = 0; i < size; i += line) {
        const int64_t count = min_i64(line, size - i);
        int64_t j = 0;
        if (past_caches)
            for (; j + LANES <= count; j += LANES)
                scale_vector(&own, j, NULL, x + i, relu, true, y + i);
        else
            for (; j + LANES <= count; j += LANES)
                scale_vector(&own, j, NULL, x + i, relu, false, y + i);
        if (j == count) continue;
        const lanes part = first_lanes(count - j);
        scale_vector(&own, j, &part, x + i, relu, false, y + i);
    }
}

static inline __attribute__((always_inline)) void
combine_vector(const column_gradient *by, int64_t j, const lanes *part, const real *dy,
               const real *x, const real *y, bool past_caches, real *dx)
{
    vec g = load_lanes(dy + j, part);
    if (y) g = mask_gradient(g, load_lanes(y + j, part));
    const vec d = load_lanes(x + j, part) - load_lanes(by->center + j, part);
    const vec rest = d * load_lanes(by->x_scale + j, part) + load_lanes(by->shift + j, part);
    store_vector(dx + j, part, past_caches, g * load_lanes(by->dy_scale + j, part) + rest);
}

void combine_columns(const columns *k, const column_gradient *by, const real *dy, const real *x,
                     const real *y, int64_t rows, bool past_caches, real *dx)
{
    const column_gradient own = *by;
    const int64_t size = rows * k->C, line = k->line;
    for (int64_t i = 0; i < size; i += line) {
        const int64_t count = min_i64(line, size - i);
        const real *at = y ? y + i : NULL;
        int64_t j = 0;
        if (past_caches)
            for (; j + LANES <= count; j += LANES)
                combine_vector(&own, j, NULL, dy + i, x + i, at, true, dx + i);
        else
            for (; j + LANES <= count; j += LANES)
                combine_vector(&own, j, NULL, dy + i, x + i, at, false, dx + i);
        if (j == count) continue;
        const lanes part = first_lanes(count - j);
        combine_vector(&own, j, &part, dy + i, x + i, at, false, dx + i);
    }
}
