#include "ops/gemv.h"

#include "ops/tile.h"

bool is_gemv(const product *p)
{
    if (p->M != 1 || p->N <= 1 || p->alpha != 1 || p->out_cs != 1) return false;
    if (!source_is_matrix(&p->a)) return false;
    return p->packed_b ||
           (source_is_matrix(&p->b) && (p->b.col_stride == 1 || p->b.row_stride == 1));
}

/* ---- rows of the matrix are contiguous ------------------------------------------------------- */

/* y[j] += x[k] * b[k,j] for ROWS rows at a time, which are read side by side as long streams. The
 * sums of one block go on from what the block before left in y. */
enum { ROWS = 8 };

static inline __attribute__((always_inline)) void add_rows(const int rows, const real *x,
                                                           int64_t x_stride, const real *b,
                                                           int64_t b_rs, int64_t n, real *y)
{
    vec scale[ROWS];
    const real *row[ROWS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        scale[r] = broadcast(x + r * x_stride);
        row[r] = b + r * b_rs;
    }
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vec sum = *(const vec *)(y + j);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) sum += scale[r] * *(const vec *)(row[r] + j);
        *(vec *)(y + j) = sum;
    }
    if (j == n) return;
    const lanes rest = first_lanes(n - j);
    vec sum = load_first(y + j, rest);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) sum += scale[r] * load_first(row[r] + j, rest);
    store_first(y + j, rest, sum);
}

/* So many columns at a time that y stays in L1 from one block of rows to the next. */
enum { COLUMNS = 8192 / sizeof(real) };

static void gemv_rows(const product *p, range cols)
{
    const source *a = &p->a, *b = &p->b;
    const real *x = a->base + a->row_offset * a->row_stride;
    for (int64_t n = cols.begin; n < cols.end; n += COLUMNS) {
        const int64_t count = min_i64(COLUMNS, cols.end - n);
        const real *rows = b->base + b->row_offset * b->row_stride + n;
        int64_t k = 0;
        for (; k + ROWS <= p->K; k += ROWS)
            add_rows(ROWS, x + k * a->col_stride, a->col_stride, rows + k * b->row_stride,
                     b->row_stride, count, p->out + n);
        for (; k < p->K; k++)
            add_rows(1, x + k * a->col_stride, a->col_stride, rows + k * b->row_stride,
                     b->row_stride, count, p->out + n);
    }
}

/* ---- columns of the matrix are contiguous ---------------------------------------------------- */

/* Vectors of LANES columns whose sums are under way together, as an FMA takes 4 cycles, and the
 * numbers of a column in a line of memory. */
enum { GROUPS = 4 };

/* y[j] += sum of x[k] * columns[j * ld + k], k ascending, for groups * LANES columns: squares of
 * them are transposed on their way into registers. Line by line, as columns may be a distance apart
 * at which they fall into the same set of the cache. (Asking for lines ahead, a copy in L1 first,
 * or quad by quad: none is faster, see bench/gemm_tuning.md.) */
static inline __attribute__((always_inline)) void add_columns(const int groups, int64_t K,
                                                              const real *x, int64_t x_stride,
                                                              const real *columns, int64_t ld,
                                                              real *y)
{
    vec sum[GROUPS];
#pragma GCC unroll 4
    for (int g = 0; g < groups; g++) sum[g] = *(const vec *)(y + g * LANES);
    int64_t k = 0;
    for (; k + LINE <= K; k += LINE)
#pragma GCC unroll 4
        for (int g = 0; g < groups; g++)
            for (int q = 0; q < LINE; q += QUAD) {
                vec t[QUAD];
                load_transposed(columns + g * LANES * ld + k + q, ld, t);
#pragma GCC unroll 4
                for (int i = 0; i < QUAD; i++) sum[g] += x[(k + q + i) * x_stride] * t[i];
            }
    for (; k < K; k++)
#pragma GCC unroll 4
        for (int g = 0; g < groups; g++) {
            vec b;
            for (int j = 0; j < LANES; j++) b[j] = columns[(g * LANES + j) * ld + k];
            sum[g] += x[k * x_stride] * b;
        }
#pragma GCC unroll 4
    for (int g = 0; g < groups; g++) *(vec *)(y + g * LANES) = sum[g];
}

static void gemv_columns(const product *p, range cols)
{
    const source *a = &p->a, *b = &p->b;
    const int64_t K = p->K, ld = b->col_stride;
    const real *x = a->base + a->row_offset * a->row_stride;
    const real *columns = b->base + b->row_offset * b->row_stride;
    int64_t n = cols.begin;
    for (; n + GROUPS * LANES <= cols.end; n += GROUPS * LANES)
        add_columns(GROUPS, K, x, a->col_stride, columns + n * ld, ld, p->out + n);
    for (; n + LANES <= cols.end; n += LANES)
        add_columns(1, K, x, a->col_stride, columns + n * ld, ld, p->out + n);
    real sum[LANES];
    const int64_t rest = cols.end - n;
    for (int64_t j = 0; j < rest; j++) sum[j] = p->out[n + j];
    for (int64_t k = 0; k < K; k++)
        for (int64_t j = 0; j < rest; j++)
            sum[j] = fma_real(x[k * a->col_stride], columns[(n + j) * ld + k], sum[j]);
    for (int64_t j = 0; j < rest; j++) p->out[n + j] = sum[j];
}

/* ---- the matrix is packed -------------------------------------------------------------------- */

/* Panels whose sums are under way together. */
enum { PANELS = 4 };

/* y[j] += sum of x[k] * b[k,j], k < kc ascending, for the columns of some panels, each of `vecs`
 * vectors; of the last of these only `last` lanes are in y. */
static inline __attribute__((always_inline)) void add_panels(const int panels, const int vecs,
                                                             lanes last, int64_t kc, const real *x,
                                                             int64_t x_stride, const real *b,
                                                             real *y)
{
    vec sum[PANELS][TILE_VECS];
#pragma GCC unroll 4
    for (int p = 0; p < panels; p++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++)
            sum[p][v] =
                load_part(y + (p * TILE_VECS + v) * LANES, panels == 1 && v == vecs - 1, last);
    for (int64_t k = 0; k < kc; k++) {
        const vec scale = broadcast(x + k * x_stride);
#pragma GCC unroll 4
        for (int p = 0; p < panels; p++)
#pragma GCC unroll 2
            for (int v = 0; v < vecs; v++)
                add_product(&sum[p][v], scale,
                            *(const vec *)(b + p * TILE_COLS * kc + (k * vecs + v) * LANES));
    }
#pragma GCC unroll 4
    for (int p = 0; p < panels; p++)
#pragma GCC unroll 2
        for (int v = 0; v < vecs; v++) {
            if (panels == 1 && v == vecs - 1) store_first(y + v * LANES, last, sum[p][v]);
            else *(vec *)(y + (p * TILE_VECS + v) * LANES) = sum[p][v];
        }
}

static void gemv_packed(const product *p, range cols)
{
    const int64_t KC = product_blocking(p).KC, x_stride = p->a.col_stride;
    const int64_t pitch = ceil_div(p->N, TILE_COLS) * TILE_COLS;
    const real *x = p->a.base + p->a.row_offset * p->a.row_stride;
    for (int64_t k = 0; k < p->K; k += KC) {
        const int64_t kc = min_i64(KC, p->K - k);
        const real *b = p->packed_b + k * pitch, *xk = x + k * x_stride;
        int64_t n = cols.begin; /* of a panel */
        for (; n + PANELS * TILE_COLS <= cols.end; n += PANELS * TILE_COLS)
            add_panels(PANELS, TILE_VECS, first_lanes(LANES), kc, xk, x_stride, b + n * kc,
                       p->out + n);
        for (; n < cols.end; n += TILE_COLS) {
            const int64_t left = min_i64(TILE_COLS, cols.end - n);
            if (left > LANES)
                add_panels(1, 2, first_lanes(left - LANES), kc, xk, x_stride, b + n * kc,
                           p->out + n);
            else add_panels(1, 1, first_lanes(left), kc, xk, x_stride, b + n * kc, p->out + n);
        }
    }
}

void gemv(const product *p, range cols)
{
    for (int64_t j = cols.begin; j < cols.end; j++)
        p->out[j] = p->beta == 0 ? 0 : p->beta * p->c[j * p->c_cs];
    if (p->packed_b) gemv_packed(p, cols);
    else if (p->b.col_stride == 1) gemv_rows(p, cols);
    else gemv_columns(p, cols);
    if (p->bias)
        for (int64_t j = cols.begin; j < cols.end; j++) p->out[j] += p->bias[j * p->bias_cs];
    finish_row(p, 0, cols.begin, cols.end - cols.begin, p->out + cols.begin);
}
