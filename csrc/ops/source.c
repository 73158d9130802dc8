#include "ops/source.h"

#include "ops/vector.h"

/* Runs are often shorter than a call of memcpy is worth: whole vectors, the last one overlapping
 * the one before; 16 bytes at a time where a vector is too long. */

static inline void copy_run(const real *restrict from, int64_t n, real *restrict to)
{
    if (n >= LANES) {
        for (int64_t i = 0; i < n - LANES; i += LANES) *(vec *)(to + i) = *(const vec *)(from + i);
        *(vec *)(to + n - LANES) = *(const vec *)(from + n - LANES);
    } else if (n >= QUAD) {
        for (int64_t i = 0; i < n - QUAD; i += QUAD) *(quad *)(to + i) = *(const quad *)(from + i);
        *(quad *)(to + n - QUAD) = *(const quad *)(from + n - QUAD);
    } else {
        for (int64_t i = 0; i < n; i++) to[i] = from[i];
    }
}

/* By vectors of columns, which are contiguous: QUAD rows at a time. The last vector and the last
 * QUAD overlap those before. */
static void copy_transposed(const real *restrict from, int64_t col_stride, int64_t rows,
                            int64_t cols, real *restrict to, int64_t ld)
{
    if (rows < QUAD || cols < LANES) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++) to[i * ld + j] = from[j * col_stride + i];
        return;
    }
    for (int64_t j = 0; j < cols; j += LANES) {
        j = min_i64(j, cols - LANES);
        for (int64_t i = 0; i < rows; i += QUAD) {
            i = min_i64(i, rows - QUAD);
            vec t[QUAD];
            load_transposed(from + j * col_stride + i, col_stride, t);
#pragma GCC unroll 4
            for (int q = 0; q < QUAD; q++) *(vec *)(to + (i + q) * ld + j) = t[q];
        }
    }
}

/* By neither: along the axis whose numbers are closer, QUAD columns at a time. The last QUAD overlap
 * those before. */
static void copy_quads(const real *restrict from, int64_t row_stride, int64_t col_stride,
                       int64_t rows, int64_t cols, real *restrict to, int64_t ld)
{
    if (cols < QUAD) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j++)
                to[i * ld + j] = from[i * row_stride + j * col_stride];
    } else if (magnitude(col_stride) < magnitude(row_stride)) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < cols; j += QUAD) {
                j = min_i64(j, cols - QUAD);
                *(quad *)(to + i * ld + j) =
                    load_strided(from + i * row_stride + j * col_stride, col_stride);
            }
    } else {
        enum { STRIP = 64 }; /* of rows: they stay in L1 until all of their columns are there */
        for (int64_t begin = 0; begin < rows; begin += STRIP)
            for (int64_t j = 0; j < cols; j += QUAD) {
                j = min_i64(j, cols - QUAD);
                for (int64_t i = begin; i < min_i64(rows, begin + STRIP); i++)
                    *(quad *)(to + i * ld + j) =
                        load_strided(from + i * row_stride + j * col_stride, col_stride);
            }
    }
}

static void copy_strided(const real *restrict from, int64_t row_stride, int64_t col_stride,
                         int64_t rows, int64_t cols, real *restrict to, int64_t ld)
{
    if (col_stride == 1) {
        for (int64_t i = 0; i < rows; i++) copy_run(from + i * row_stride, cols, to + i * ld);
    } else if (row_stride == 1) {
        copy_transposed(from, col_stride, rows, cols, to, ld);
    } else {
        copy_quads(from, row_stride, col_stride, rows, cols, to, ld);
    }
}

static void copy_blocks(const source *from, int64_t row, int64_t rows, int64_t col, int64_t cols,
                        real *restrict to, int64_t ld)
{
    while (rows > 0) {
        int64_t outer = row / from->inner, outermost = 0;
        const int64_t r = row % from->inner, n = min_i64(rows, from->inner - r);
        if (outer > 0 && from->outer_inner > 0) {
            outermost = outer / from->outer_inner;
            outer %= from->outer_inner;
        }
        copy_strided(from->base + outermost * from->outermost_stride + outer * from->outer_stride +
                         r * from->row_stride + col * from->col_stride,
                     from->row_stride, from->col_stride, n, cols, to, ld);
        row += n;
        rows -= n;
        to += n * ld;
    }
}

static inline void zero_run(int64_t n, real *to)
{
    for (int64_t i = 0; i < n; i++) to[i] = 0;
}

/* Elements [begin, end) of the KW * C that a row of taps sees on `line`, tap 0 being at `left`. */
static void copy_taps(const patches *p, const real *line, int64_t left, int64_t begin, int64_t end,
                      real *restrict to)
{
    const int64_t C = p->C;
    int64_t c = begin % C;
    for (int64_t kw = begin / C; begin < end; kw++, c = 0) {
        const int64_t run = min_i64(C - c, end - begin);
        const int64_t w = left + kw * p->tap_w;
        if (w < 0 || w >= p->W) zero_run(run, to);
        else copy_run(line + w * p->pixel + c, run, to);
        to += run;
        begin += run;
    }
}

/* The same for the n patches of a grid line from column j on, to rows `ld` apart. `line` is NULL in
 * the padding above and below the image. */
static void copy_line(const patches *p, const real *line, int64_t j, int64_t n, int64_t begin,
                      int64_t end, real *restrict to, int64_t ld)
{
    if (!line) {
        for (int64_t r = 0; r < n; r++) zero_run(end - begin, to + r * ld);
        return;
    }
    const int64_t left = j * p->step_w + p->origin_w;
    /* Patches [inside, outside) see nothing of the padding on either side. */
    int64_t inside = n, outside = n;
    if (p->dense && p->W >= p->KW) {
        inside = left < 0 ? min_i64(n, ceil_div(-left, p->step_w)) : 0;
        const int64_t room = p->W - p->KW - left;
        outside = room < 0 ? inside : max_i64(inside, min_i64(n, room / p->step_w + 1));
    }
    for (int64_t r = 0; r < inside; r++)
        copy_taps(p, line, left + r * p->step_w, begin, end, to + r * ld);
    const real *from = line + left * p->C + begin;
    for (int64_t r = inside; r < outside; r++)
        copy_run(from + r * p->step_w * p->C, end - begin, to + r * ld);
    for (int64_t r = outside; r < n; r++)
        copy_taps(p, line, left + r * p->step_w, begin, end, to + r * ld);
}

static void copy_patches(const source *from, int64_t row, int64_t rows, int64_t col, int64_t cols,
                         real *restrict to, int64_t ld)
{
    const patches *p = &from->patches;
    const int64_t taps = p->KW * p->C, pitch = p->W * p->pixel;
    int64_t j = row % p->GW, i = row / p->GW % p->GH;
    const real *image = from->base + row / p->GW / p->GH * p->H * pitch;
    while (rows > 0) { /* one line of the grid at a time, one row of taps at a time */
        const int64_t n = min_i64(rows, p->GW - j);
        int64_t kh = col / taps, begin = col % taps;
        for (int64_t done = 0; done < cols; kh++, begin = 0) {
            const int64_t end = min_i64(taps, begin + cols - done);
            const int64_t h = i * p->step_h + p->origin_h + kh * p->tap_h;
            const real *line = h < 0 || h >= p->H ? NULL : image + h * pitch;
            copy_line(p, line, j, n, begin, end, to + done, ld);
            done += end - begin;
        }
        to += n * ld;
        rows -= n;
        j = 0;
        if (++i == p->GH) {
            i = 0;
            image += p->H * pitch;
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
