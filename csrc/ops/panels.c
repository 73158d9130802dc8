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

/* The matrix's columns are contiguous: what STRIP tiles want of one is read in one go. */
enum { STRIP = 8 };

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
            for (int64_t v = 0; v < whole[high]; v++)
                *(vec *)(out + v * LANES) = *(const vec *)(rows + v * LANES);
            const int64_t done = whole[high] * LANES;
            *(vec *)(out + done) = load_first(rows + done, last[high]);
            rows += cut->low + high;
        }
    }
}

static void pack_one_tile(const real *from, int64_t rs, int64_t cs, int64_t rows, int64_t kc,
                          real *restrict to)
{
    if (cs == 1) {
        const real *row[ROW_VECS * LANES]; /* the last is repeated: nothing behind it is read */
        for (int64_t i = 0; i < ROW_VECS * LANES; i++) row[i] = from + min_i64(i, rows - 1) * rs;
        interleave(row, kc, to);
    } else {
        for (int64_t k = 0; k < kc; k++)
            for (int64_t i = 0; i < rows; i++) to[k * TILE_ROWS + i] = from[i * rs + k * cs];
    }
}

void pack_rows(const source *a, int64_t m, const tiling *cut, int64_t k0, int64_t kc, real alpha,
               real *restrict to)
{
    const int64_t rs = a->row_stride, cs = a->col_stride, size = packed_rows_size(kc);
    const real *from = a->base + (a->row_offset + m) * rs + k0 * cs;
    if (rs == 1)
        for (int64_t t = 0; t < cut->tiles; t += STRIP)
            copy_columns(from + tile_begin(cut, t), cs, cut, t, kc, to + t * size);
    else
        for (int64_t t = 0; t < cut->tiles; t++)
            pack_one_tile(from + tile_begin(cut, t) * rs, rs, cs, tile_height(cut, t), kc,
                          to + t * size);
    if (alpha == 1) return;
    for (int64_t t = 0; t < cut->tiles; t++)
        for (int64_t k = 0; k < kc; k++)
            for (int64_t i = 0; i < tile_height(cut, t); i++)
                to[t * size + k * TILE_ROWS + i] *= alpha;
}

/* Rows of the matrix are contiguous: each is read once from end to end, as the caches like it, and
 * asked for a few rows earlier. */
static void copy_panels(const real *from, int64_t row_stride, int64_t kc, int64_t panels,
                        real *restrict to)
{
    enum { AHEAD = 4 };
    for (int64_t k = 0; k < kc; k++, from += row_stride, to += TILE_COLS)
        for (int64_t p = 0; p < panels; p++) {
            const real *columns = from + p * TILE_COLS;
            __builtin_prefetch(columns + AHEAD * row_stride);
#pragma GCC unroll 2
            for (int v = 0; v < TILE_VECS; v++)
                *(vec *)(to + p * TILE_COLS * kc + v * LANES) = *(const vec *)(columns + v * LANES);
        }
}

void pack_columns(const source *b, int64_t k0, int64_t kc, int64_t n, int64_t nc, real *to)
{
    int64_t j = 0;
    if (source_is_matrix(b) && b->col_stride == 1) {
        const int64_t panels = nc / TILE_COLS;
        copy_panels(b->base + (b->row_offset + k0) * b->row_stride + n, b->row_stride, kc, panels,
                    to);
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
