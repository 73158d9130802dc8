/* Layer norm (Ba, Kiros and Hinton 2016) and root mean square norm (Zhang and Sennrich 2019). */
#include <math.h>

#include "ops/norm.h"
#include "ops/reduce.h"

/* A row is summed in blocks, each in interleaved strands: as many as fill the registers of the
 * widest machine several times over, the same on all; the strands add up by halves. */
enum { BLOCK_SIZE = 4096, ROW_BYTES = 128 };
enum { ROW_STRANDS = ROW_BYTES / sizeof(real), ROW_VECTORS = ROW_BYTES / VBYTES };

/* Rows whose gradients of weight and bias are one partial sum. */
static inline int64_t chunk_rows(int64_t I)
{
    return max_i64(16, min_i64(SIZE_PER_MEMBER / max_i64(I, 1), 512));
}

typedef struct row_strands {
    vec at[ROW_VECTORS];
} row_strands;

static inline real total(row_strands s)
{
    for (int half = ROW_VECTORS / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int v = 0; v < half; v++) s.at[v] += s.at[v + half];
    for (int half = LANES / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < half; i++) s.at[0][i] += s.at[0][i + half];
    return s.at[0][0];
}

/* `count` < ROW_STRANDS elements, and `fill` in place of those that a row has not. */
static const real *filled(const real *x, int64_t count, real fill, real to[ROW_STRANDS])
{
    for (int i = 0; i < ROW_STRANDS; i++) to[i] = fill;
    memcpy(to, x, (size_t)count * sizeof(real));
    return to;
}

static inline void add(const real *x, row_strands *sums)
{
#pragma GCC unroll 8
    for (int v = 0; v < ROW_VECTORS; v++) sums->at[v] += *(const vec *)(x + v * LANES);
}

static real block_sum(const real *x, int64_t n)
{
    row_strands sums = {0};
    int64_t i = 0;
    for (; i + ROW_STRANDS <= n; i += ROW_STRANDS) add(x + i, &sums);
    real rest[ROW_STRANDS];
    if (i < n) add(filled(x + i, n - i, 0, rest), &sums);
    return total(sums);
}

typedef struct pair {
    real sum, product;
} pair;

static inline void add_deviations(const real *x, real center, row_strands *sums,
                                  row_strands *squares)
{
#pragma GCC unroll 8
    for (int v = 0; v < ROW_VECTORS; v++) {
        const vec d = *(const vec *)(x + v * LANES) - center;
        sums->at[v] += d;
        squares->at[v] += d * d;
    }
}

/* Sums of x - center and of its square. */
static pair block_deviations(const real *x, real center, int64_t n)
{
    row_strands sums = {0}, squares = {0};
    int64_t i = 0;
    for (; i + ROW_STRANDS <= n; i += ROW_STRANDS) add_deviations(x + i, center, &sums, &squares);
    real rest[ROW_STRANDS];
    if (i < n) add_deviations(filled(x + i, n - i, center, rest), center, &sums, &squares);
    return (pair){total(sums), total(squares)};
}

static inline void add_products(const real *dy, const real *weight, const real *x, real center,
                                row_strands *sums, row_strands *products)
{
#pragma GCC unroll 8
    for (int v = 0; v < ROW_VECTORS; v++) {
        vec g = *(const vec *)(dy + v * LANES);
        if (weight) g *= *(const vec *)(weight + v * LANES);
        sums->at[v] += g;
        products->at[v] += g * (*(const vec *)(x + v * LANES) - center);
    }
}

/* Sums of g = dy * weight and of g * (x - center). */
static pair block_products(const real *dy, const real *weight, const real *x, real center,
                           int64_t n)
{
    row_strands sums = {0}, products = {0};
    int64_t i = 0;
    for (; i + ROW_STRANDS <= n; i += ROW_STRANDS)
        add_products(dy + i, weight ? weight + i : NULL, x + i, center, &sums, &products);
    real rest[3][ROW_STRANDS];
    if (i < n)
        add_products(filled(dy + i, n - i, 0, rest[0]),
                     weight ? filled(weight + i, n - i, 0, rest[1]) : NULL,
                     filled(x + i, n - i, center, rest[2]), center, &sums, &products);
    return (pair){total(sums), total(products)};
}

/* xhat = (x - mean) * inv_std = (x - center) * scale + shift. */
typedef struct standard {
    real center, scale, shift;
} standard;

static standard standard_of(double mean, double inv_std)
{
    const real center = (real)mean;
    return (standard){center, (real)inv_std, (real)((double)center - mean) * (real)inv_std};
}

/* ---- forward ------------------------------------------------------------------------------------- */

fnn_plan VARIANT(layer_norm_forward_plan)(const void *args, int max_members)
{
    const fnn_layer_norm_forward_args *a = args;
    return (fnn_plan){members_for(saturating_mul(a->N, a->I), SIZE_PER_MEMBER, max_members), 0};
}

/* Mean, or 0 without `centered`, and the sum of the squares of what x differs from it. Most rows are
 * one block, whose `inverse` = 1 / length comes from outside. */
static void row_moments(const real *x, int64_t I, bool centered, double inverse, double *mean,
                        double *squares)
{
    *mean = *squares = 0;
    for (int64_t i = 0; i < I; i += BLOCK_SIZE) {
        const int64_t n = min_i64(BLOCK_SIZE, I - i);
        if (I > BLOCK_SIZE) inverse = 1 / (double)n;
        const real center = centered ? block_sum(x + i, n) * (real)inverse : 0;
        const pair off = block_deviations(x + i, center, n);
        const double rest = centered ? (double)off.sum * inverse : 0;
        const double here = (double)center + rest;
        double apart = (double)off.product - (double)off.sum * rest;
        if (apart < 0) apart = 0; /* of equal elements, by rounding */
        if (i == 0) {
            *mean = here;
            *squares = apart;
        } else if (centered) combine(i, n, here, apart, mean, squares);
        else *squares += apart;
    }
}

static inline __attribute__((always_inline)) void normalize(standard by, const lanes *part,
                                                            const real *x, const real *weight,
                                                            const real *bias, real *y)
{
    vec to = (load_lanes(x, part) - by.center) * by.scale + by.shift;
    if (weight && bias) to = to * load_lanes(weight, part) + load_lanes(bias, part);
    else if (weight) to *= load_lanes(weight, part);
    else if (bias) to += load_lanes(bias, part);
    store_lanes(y, part, to);
}

static void normalize_row(standard by, const real *x, const real *weight, const real *bias,
                          int64_t I, real *y)
{
    int64_t i = 0;
    for (; i + LANES <= I; i += LANES)
        normalize(by, NULL, x + i, weight ? weight + i : NULL, bias ? bias + i : NULL, y + i);
    if (i == I) return;
    const lanes part = first_lanes(I - i);
    normalize(by, &part, x + i, weight ? weight + i : NULL, bias ? bias + i : NULL, y + i);
}

void VARIANT(layer_norm_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_layer_norm_forward_args *a = args;
    const range rows = split(a->N, 1, team->rank, team->size);
    const double inverse = 1 / (double)max_i64(a->I, 1);
    for (int64_t n = rows.begin; n < rows.end; n++) {
        const real *x = (const real *)a->x + n * a->I;
        double mean, squares;
        row_moments(x, a->I, a->mean != NULL, inverse, &mean, &squares);
        const double inv_std = 1 / sqrt(squares * inverse + a->eps);
        if (a->mean) a->mean[n] = mean;
        a->inv_std[n] = inv_std;
        normalize_row(standard_of(mean, inv_std), x, a->weight, a->bias, a->I,
                      (real *)a->y + n * a->I);
    }
}

/* ---- backward ------------------------------------------------------------------------------------ */

fnn_plan VARIANT(layer_norm_backward_plan)(const void *args, int max_members)
{
    const fnn_layer_norm_backward_args *a = args;
    const int64_t chunks = ceil_div(a->N, chunk_rows(a->I));
    const int64_t work = saturating_mul(a->N, a->I);
    return (fnn_plan){
        members_for(work, SIZE_PER_MEMBER, (int)min_i64(max_members, max_i64(chunks, 1))),
        (size_t)(2 * chunks * a->I) * sizeof(real)};
}

/* What of one row's gradient is the same for all its elements:
 * dx = inv_std * (g - mean of g - xhat * mean of g * xhat) = g * scale + (xhat * slope + offset). */
typedef struct row_gradient {
    standard of;
    real slope, offset;
} row_gradient;

static row_gradient gradient_of(const fnn_layer_norm_backward_args *a, int64_t n, double inverse)
{
    const real *dy = (const real *)a->dy + n * a->I, *x = (const real *)a->x + n * a->I;
    const real *weight = a->weight;
    const double mean = a->mean ? a->mean[n] : 0, inv_std = a->inv_std[n];
    const standard of = standard_of(mean, inv_std);
    double sum = 0, product = 0;
    for (int64_t i = 0; i < a->I; i += BLOCK_SIZE) {
        const pair block = block_products(dy + i, weight ? weight + i : NULL, x + i, of.center,
                                          min_i64(BLOCK_SIZE, a->I - i));
        sum += (double)block.sum;
        product += (double)block.product;
    }
    const double share = inv_std * inverse;
    const double dot = inv_std * (product - (mean - (double)of.center) * sum);
    return (row_gradient){of, (real)(-share * dot), a->mean ? (real)(-share * sum) : 0};
}

static inline __attribute__((always_inline)) void differentiate(row_gradient by, const lanes *part,
                                                                const real *dy, const real *x,
                                                                const real *weight, real *dx,
                                                                real *dweight, real *dbias)
{
    const vec at = load_lanes(dy, part);
    vec g = at;
    if (weight) g *= load_lanes(weight, part);
    const vec xhat = (load_lanes(x, part) - by.of.center) * by.of.scale + by.of.shift;
    store_lanes(dweight, part, at * xhat + load_lanes(dweight, part));
    store_lanes(dbias, part, at + load_lanes(dbias, part));
    store_lanes(dx, part, g * by.of.scale + (xhat * by.slope + by.offset));
}

/* dx, and what the row adds to the gradients of weight and bias. */
static void differentiate_row(row_gradient by, const real *dy, const real *x, const real *weight,
                              int64_t I, real *dx, real *dweight, real *dbias)
{
    int64_t i = 0;
    for (; i + LANES <= I; i += LANES)
        differentiate(by, NULL, dy + i, x + i, weight ? weight + i : NULL, dx + i, dweight + i,
                      dbias + i);
    if (i == I) return;
    const lanes part = first_lanes(I - i);
    differentiate(by, &part, dy + i, x + i, weight ? weight + i : NULL, dx + i, dweight + i,
                  dbias + i);
}

void VARIANT(layer_norm_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_layer_norm_backward_args *a = args;
    const int64_t I = a->I, each = chunk_rows(I), chunks = ceil_div(a->N, each);
    const double inverse = 1 / (double)max_i64(I, 1);
    real *partials = team->workspace;
    const range own = split(chunks, 1, team->rank, team->size);
    for (int64_t k = own.begin; k < own.end; k++) {
        real *dweight = partials + 2 * k * I, *dbias = dweight + I;
        memset(dweight, 0, (size_t)(2 * I) * sizeof(real));
        for (int64_t n = k * each; n < min_i64(a->N, (k + 1) * each); n++)
            differentiate_row(gradient_of(a, n, inverse), (const real *)a->dy + n * I,
                              (const real *)a->x + n * I, a->weight, I, (real *)a->dx + n * I,
                              dweight, dbias);
    }
    fnn_team_barrier(team);
    const range columns = split(I, LINE, team->rank, team->size);
    for (int64_t i = columns.begin; chunks == 0 && i < columns.end; i++) {
        ((real *)a->dweight)[i] = 0;
        if (a->dbias) ((real *)a->dbias)[i] = 0;
    }
    add_partials(partials, chunks, 2 * I, columns, a->dweight, false);
    if (a->dbias) add_partials(partials + I, chunks, 2 * I, columns, a->dbias, false);
}
