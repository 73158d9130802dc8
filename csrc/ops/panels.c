#include "ops/panels.h"

/* Vectors that the rows of a tile fill, the last one in part. */
enum { ROW_VECS = (TILE_ROWS + LANES - 1) / LANES };

/* The matrix's rows are contiguous: transposed, QUAD numbers of each at a time. Whole vectors are
 * stored; what sticks out of one k is overwritten by the next. */
static void interleave(const real *const row[ROW_VECS * LANES], int64_t kc, real *restrict to)
{
    int64_t k = 0;
    for (; k + QUAD <= kc; k += QUAD) {
        vec t[ROW_VECS][QUAD];
#pragma GCC unroll 8
        for (int v = 0; v < ROW_VECS; v++) {
            vec r[QUAD];
#pragma GCC unroll 4
            for (int i = 0; i < QUAD; i++) r[i] = join_quads(row + v * LANES + i, k);
            transpose_quads(r, t[v]);
        }
#pragma GCC unroll 4
        for (int q = 0; q < QUAD; q++)
#pragma GCC unroll 8
            for (int v = 0; v < ROW_VECS; v++)
                *(vec *)(to + (k + q) * TILE_ROWS + v * LANES) = t[v][q];
    }
    for (; k < kc; k++)
        for (int i = 0; i < TILE_ROWS; i++) to[k * TILE_ROWS + i] = row[i][k];
}

/* Their numbers are cs apart. */
static void interleave_strided(const real *const row[TILE_ROWS], int64_t cs, int64_t kc,
                               real *restrict to)
{
    for (int64_t k = 0, at = 0; k < kc; k++, at += cs, to += TILE_ROWS)
#pragma GCC unroll 12
        for (int i = 0; i < TILE_ROWS; i++) to[i] = row[i][at];
}

/* What is read in an order that is not that of memory is asked for so many lines of the matrix
 * earlier. */
enum { AHEAD = 4 };

/* The matrix's columns are contiguous: what STRIP tiles want of one is read in one go. */
enum { STRIP = 64 };

static void copy_columns(const real *from, int64_t col_stride, const tiling *cut, int64_t tile,
                         int64_t kc, real *restrict to)
{
    const int64_t count = min_i64(STRIP, cut->tiles - tile);
    lanes last[2]; /* of a low tile, of a high one */
    int64_t whole[2];
    for (int high = 0; high < 2; high++) {
        const int64_t rows = max_i64(1, cut->low + high);
        whole[high] = (rows - 1) / LANES;
        last[high] = first_lanes(rows - whole[high] * LANES);
    }
    for (int64_t k = 0; k < kc; k++, from += col_stride, to += TILE_ROWS) {
        const real *rows = from;
        for (int64_t t = 0; t < count; t++) {
            const int high = tile + t < cut->high;
            real *out = to + t * packed_rows_size(kc);
            __builtin_prefetch(rows + AHEAD * col_stride);
            for (int64_t v = 0; v < whole[high]; v++)
                *(vec *)(out + v * LANES) = *(const vec *)(rows + v * LANES);
            const int64_t done = whole[high] * LANES;
            *(vec *)(out + done) = load_first(rows + done, last[high]);
            rows += cut->low + high;
        }
    }
}

/* The same where rows are rs apart. Of tiles before the last, TILE_ROWS rows are copied whatever
 * their height: those behind them exist. */
static void copy_strided_columns(const real *from, int64_t rs, int64_t cs, const tiling *cut,
                                 int64_t tile, int64_t kc, real *restrict to)
{
    const int64_t count = min_i64(STRIP, cut->tiles - tile);
    for (int64_t k = 0; k < kc; k++, from += cs, to += TILE_ROWS) {
        const real *rows = from;
        for (int64_t t = 0; t < count; t++) {
            real *out = to + t * packed_rows_size(kc);
            const int64_t height = tile_height(cut, tile + t);
            __builtin_prefetch(rows + AHEAD * cs);
            if (tile + t < cut->tiles - 1)
#pragma GCC unroll 12
                for (int i = 0; i < TILE_ROWS; i++) out[i] = rows[i * rs];
            else
                for (int64_t i = 0; i < height; i++) out[i] = rows[i * rs];
            rows += height * rs;
        }
    }
}

static void pack_one_tile(const real *from, int64_t rs, int64_t cs, int64_t rows, int64_t kc,
                          real *restrict to)
{
    const real *row[ROW_VECS * LANES]; /* the last is repeated: nothing behind it is read */
    for (int64_t i = 0; i < ROW_VECS * LANES; i++) row[i] = from + min_i64(i, rows - 1) * rs;
    if (cs == 1) interleave(row, kc, to);
    else interleave_strided(row, cs, kc, to);
}

void pack_rows(const source *a, int64_t m, const tiling *cut, int64_t k0, int64_t kc, real alpha,
               real *restrict to)
{
    const int64_t rs = a->row_stride, cs = a->col_stride, size = packed_rows_size(kc);
    const real *from = a->base + (a->row_offset + m) * rs + k0 * cs;
    const bool by_columns = rs == 1 || magnitude(rs) < magnitude(cs);
    for (int64_t t = 0; t < cut->tiles; t += by_columns ? STRIP : 1) {
        const real *tile = from + tile_begin(cut, t) * rs;
        if (rs == 1) copy_columns(tile, cs, cut, t, kc, to + t * size);
        else if (by_columns) copy_strided_columns(tile, rs, cs, cut, t, kc, to + t * size);
        else pack_one_tile(tile, rs, cs, tile_height(cut, t), kc, to + t * size);
    }
    if (alpha == 1) return;
    for (int64_t t = 0; t < cut->tiles; t++)
        for (int64_t k = 0; k < kc; k++)
            for (int64_t i = 0; i < tile_height(cut, t); i++)
                to[t * size + k * TILE_ROWS + i] *= alpha;
}

/* Columns of the matrix are closer than its rows: each row is read once from end to end, as the
 * caches like it, and asked for a few rows earlier. */
static inline __attribute__((always_inline)) void copy_panels(const bool contiguous,
                                                              const real *from, int64_t row_stride,
                                                              int64_t col_stride, int64_t kc,
                                                              int64_t panels, real *restrict to)
{
    for (int64_t k = 0; k < kc; k++, from += row_stride, to += TILE_COLS)
        for (int64_t p = 0; p < panels; p++) {
            const real *columns = from + p * TILE_COLS * col_stride;
            real *panel = to + p * TILE_COLS * kc;
            if (contiguous) {
                __builtin_prefetch(columns + AHEAD * row_stride);
#pragma GCC unroll 2
                for (int v = 0; v < TILE_VECS; v++)
                    *(vec *)(panel + v * LANES) = *(const vec *)(columns + v * LANES);
            } else {
#pragma GCC unroll 8
                for (int j = 0; j < TILE_COLS; j += QUAD) {
                    __builtin_prefetch(columns + j * col_stride + AHEAD * row_stride);
                    *(quad *)(panel + j) = load_strided(columns + j * col_stride, col_stride);
                }
            }
        }
}

void pack_columns(const source *b, int64_t k0, int64_t kc, int64_t n, int64_t nc, real *to)
{
    const int64_t panels = nc / TILE_COLS, rs = b->row_stride, cs = b->col_stride;
    int64_t j = 0;
    if (source_is_matrix(b) && (cs == 1 || magnitude(cs) < magnitude(rs))) {
        const real *from = b->base + (b->row_offset + k0) * rs + n * cs;
        if (cs == 1) copy_panels(true, from, rs, 1, kc, panels, to);
        else copy_panels(false, from, rs, cs, kc, panels, to);
        j = panels * TILE_COLS;
    }
    for (; j < nc; j += TILE_COLS) {
        const int64_t cols = min_i64(TILE_COLS, nc - j), width = ceil_div(cols, LANES) * LANES;
        real *panel = to + j * kc;
        if (cols < width)
            for (int64_t k = 0; k < kc; k++)
                for (int64_t e = cols; e < width; e++) panel[k * width + e] = 0;
        source_copy(b, k0, kc, n + j, cols, panel, width);
    }
}
