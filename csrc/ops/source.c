#include "ops/source.h"

/* Copies go by small blocks whose rows are read along memory and written across: both sides of a
 * block stay in L1. */
enum { BLOCK = 16 };

static void copy_transposed(const real *restrict from, int64_t col_stride, int64_t rows,
                            int64_t cols, real *restrict to, int64_t ld)
{
    for (int64_t i0 = 0; i0 < rows; i0 += BLOCK) {
        const int64_t n = min_i64(BLOCK, rows - i0);
        for (int64_t j = 0; j < cols; j++)
            for (int64_t i = 0; i < n; i++) to[(i0 + i) * ld + j] = from[j * col_stride + i0 + i];
    }
}

static void copy_strided(const real *restrict from, int64_t row_stride, int64_t col_stride,
                         int64_t rows, int64_t cols, real *restrict to, int64_t ld)
{
    if (col_stride == 1) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++) to[i * ld + j] = from[i * row_stride + j];
    } else if (row_stride == 1) {
        copy_transposed(from, col_stride, rows, cols, to, ld);
    } else {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++)
                to[i * ld + j] = from[i * row_stride + j * col_stride];
    }
}

static void copy_blocks(const source *from, int64_t row, int64_t rows, int64_t col, int64_t cols,
                        real *restrict to, int64_t ld)
{
    while (rows > 0) {
        const int64_t outer = row / from->inner, r = row % from->inner;
        const int64_t n = min_i64(rows, from->inner - r);
        copy_strided(from->base + outer * from->outer_stride + r * from->row_stride +
                         col * from->col_stride,
                     from->row_stride, from->col_stride, n, cols, to, ld);
        row += n;
        rows -= n;
        to += n * ld;
    }
}

/* The image coordinate that position `at` (in units of 1/div) falls on, or -1. */
static inline int64_t coordinate(int64_t at, int64_t div, int64_t size)
{
    if (div != 1) {
        if (at % div != 0) return -1;
        at /= div;
    }
    return at >= 0 && at < size ? at : -1;
}

/* `n` elements of the patch row at grid position (i, j) of one image, from column q on. */
static void copy_patch(const patches *p, const real *restrict image, int64_t i, int64_t j,
                       int64_t q, int64_t n, real *restrict to)
{
    const int64_t C = p->C, row_length = p->KW * C;
    int64_t kh = q / row_length, kw = q % row_length / C, c = q % C;
    const int64_t left = j * p->step_w + p->origin_w;
    /* Where neighbouring taps are neighbouring pixels, a row of taps is one run of memory. */
    const bool dense = p->tap_w == 1 && p->div_w == 1 && p->pixel == C;
    while (n > 0) {
        const int64_t h = coordinate(i * p->step_h + p->origin_h + kh * p->tap_h, p->div_h, p->H);
        const real *line = image + h * p->W * p->pixel;
        if (h < 0 || (dense && left >= 0 && left + p->KW <= p->W)) {
            const int64_t run = min_i64(n, row_length - kw * C - c);
            const real *at = line + (left + kw) * C + c;
            if (h < 0)
                for (int64_t e = 0; e < run; e++) to[e] = 0;
            else
                for (int64_t e = 0; e < run; e++) to[e] = at[e];
            to += run;
            n -= run;
        } else {
            for (; kw < p->KW && n > 0; kw++, c = 0) {
                const int64_t run = min_i64(n, C - c);
                const int64_t w = coordinate(left + kw * p->tap_w, p->div_w, p->W);
                const real *at = line + w * p->pixel + c;
                for (int64_t e = 0; e < run; e++) to[e] = w < 0 ? 0 : at[e];
                to += run;
                n -= run;
            }
        }
        kh++;
        kw = 0;
        c = 0;
    }
}

static void copy_patches(const source *from, int64_t row, int64_t rows, int64_t col, int64_t cols,
                         real *restrict to, int64_t ld)
{
    const patches *p = &from->patches;
    const int64_t image_size = p->H * p->W * p->pixel;
    int64_t j = row % p->GW, i = row / p->GW % p->GH;
    const real *image = from->base + row / p->GW / p->GH * image_size;
    for (int64_t r = 0; r < rows; r++) {
        copy_patch(p, image, i, j, col, cols, to + r * ld);
        if (++j == p->GW) {
            j = 0;
            if (++i == p->GH) {
                i = 0;
                image += image_size;
            }
        }
    }
}

void source_copy(const source *from, int64_t row, int64_t rows, int64_t col, int64_t cols,
                 real *restrict to, int64_t ld)
{
    if (rows <= 0 || cols <= 0) return;
    row += from->row_offset;
    if (from->kind == STRIDED) copy_blocks(from, row, rows, col, cols, to, ld);
    else copy_patches(from, row, rows, col, cols, to, ld);
}
