/* A matrix that may not exist: what a product reads, described by where its elements come from. */
#ifndef FNN_SOURCE_H
#define FNN_SOURCE_H

#include "ops/real.h"

/* Image patches: row p = (n*GH + i)*GW + j, column q = (kh*KW + kw)*C + c, element
 *     image[n, h, w, c] with h = i*step_h + origin_h + kh*tap_h, w likewise,
 * or 0 where that is outside the image. Forward convolution reads x with step = stride,
 * origin = -pad; the gradient with respect to x reads dy, at stride 1 with step = 1,
 * origin = pad - dilation * (kernel - 1), its filters turned round. */
typedef struct patches {
    int64_t H, W;      /* image size */
    int64_t pixel;     /* elements from one pixel of the image to the next */
    int64_t GH, GW;    /* grid of patches per image */
    int64_t KH, KW, C; /* taps; channels read of each pixel */
    int64_t step_h, step_w, origin_h, origin_w, tap_h, tap_w;
    bool dense; /* neighbouring taps are neighbouring pixels: a row of taps is a run of memory */
} patches;

typedef struct source {
    const real *base;
    enum { STRIDED, PATCHES } kind;
    int64_t row_offset; /* of a source that is the lower part of another: added to every row */
    /* STRIDED: row i = outer * inner + r is at outer * outer_stride + r * row_stride. A plain
     * matrix has one outer block. If outer_inner is not 0, outer blocks are again in blocks of so
     * many: block o = outermost * outer_inner + q is at outermost * outermost_stride + q *
     * outer_stride. */
    int64_t inner, outer_stride, row_stride, col_stride;
    int64_t outer_inner, outermost_stride;
    patches patches;
} source;

/* As strided_source, but what a matrix does not have stays as it is: small products feel each word.
 * */
static inline void set_matrix(source *s, const real *base, int64_t row_stride, int64_t col_stride)
{
    s->base = base;
    s->kind = STRIDED;
    s->row_offset = 0;
    s->inner = INT64_MAX;
    s->outer_stride = 0;
    s->row_stride = row_stride;
    s->col_stride = col_stride;
}

static inline source strided_source(const real *base, int64_t row_stride, int64_t col_stride)
{
    return (source){.base = base,
                    .kind = STRIDED,
                    .inner = INT64_MAX,
                    .row_stride = row_stride,
                    .col_stride = col_stride};
}

/* One that is read by two strides. */
static inline bool source_is_matrix(const source *s)
{
    return s->kind == STRIDED && s->inner == INT64_MAX;
}

/* for i < rows, j < cols: to[i*ld + j] = source[row + i, col + j] */
#define source_copy VARIANT(source_copy)
void source_copy(const source *from, int64_t row, int64_t rows, int64_t col, int64_t cols,
                 real *restrict to, int64_t ld);

#endif
