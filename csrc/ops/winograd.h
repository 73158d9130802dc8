/* Winograd's minimal filtering F(4x4, 3x3): a 4x4 square of outputs from a 6x6 square of inputs and
 * a 3x3 filter with 36 multiplications instead of 144 (Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks", 2016, section 4.2); and F(2x2, 5x5): a 2x2 square of outputs and a
 * 5x5 filter with as many instead of 100. With d the inputs, g the filter, m the gradient of the
 * outputs y, all in the letters of that paper:
 *
 *     forward            y = A^T [ (G g G^T) . (B^T d B) ] A
 *     gradient of g      dg = G^T [ (A m A^T) . (B^T d B) ] G
 *
 * where . multiplies element by element: for each of 36 frequencies f the sums over channels, or
 * over squares, are one product of matrices. The gradient of d is the forward pass on m with the
 * filter turned round.
 *
 * The transforms evaluate polynomials at 0, +-1/sqrt(2), +-sqrt(2) and infinity. Lavin's 0, +-1,
 * +-2 cost as much and lose two to three times as much precision in float32. */
#ifndef FNN_WINOGRAD_H
#define FNN_WINOGRAD_H

#include "ops/tile.h"

enum { SQUARE_IN = 6, FREQUENCIES = 36, MAX_OUT = 4, MAX_KERNEL = 5 };

/* Images seen in squares: rows and columns of them, from the top left, in each of N images. Under a
 * dilation the pixels of a square are so far apart, and squares of every phase lie between each
 * other: row i of them starts at pixel (i / dilation) * out * dilation + i % dilation. */
typedef struct squares {
    int64_t N, down, across;
    int64_t out; /* rows and columns of outputs in a square: 4 under 3x3 filters, 2 under 5x5 */
    int64_t dilation_h, dilation_w;
    int64_t H, W, pixel; /* the images, and elements from one pixel of them to the next */
    int64_t C;           /* channels of interest */
    int64_t top, left;   /* pixels of padding before the first square */
} squares;

static inline int64_t square_count(const squares *s)
{
    return s->N * s->down * s->across;
}

/* Squares [which.begin, which.end) of the channels [c, c + channels) of an image batch, transformed:
 * to[f * f_step + (i - which.begin) * row + j] for square i, channel c + j. Channels are filled up
 * to whole vectors with zeros; outside the images there are zeros. */
typedef struct transformed {
    real *to;
    int64_t f_step, row;
} transformed;

/* B^T d B of 6x6 squares. */
#define winograd_inputs VARIANT(winograd_inputs)
void winograd_inputs(const squares *s, const real *x, range which, int64_t c, int64_t channels,
                     transformed v);

/* A m A^T of squares of outputs. */
#define winograd_gradients VARIANT(winograd_gradients)
void winograd_gradients(const squares *s, const real *dy, range which, int64_t c, int64_t channels,
                        transformed m);

/* y = activation(A^T m A + bias) into squares of outputs; bias, of the first channel, may be NULL. */
#define winograd_outputs VARIANT(winograd_outputs)
void winograd_outputs(const squares *s, transformed m, range which, int64_t c, int64_t channels,
                      const real *bias, fnn_activation activation, real *y);

/* For each frequency out (+)= a b, rows x cols: t describes the product of the first one, its b in
 * panels of TILE_COLS columns t.b_step apart, the last one's filled up to whole vectors, as rows of
 * out have room for. Frequencies are the steps apart. */
#define winograd_products VARIANT(winograd_products)
void winograd_products(tile_args t, tile_kind kind, int64_t rows, int64_t cols, bool add,
                       int64_t a_step, int64_t b_step, int64_t out_step);

/* Filters as a product reads them: tap t of the one from input k to output n is at
 * base[t * tap + k * row + n * col]; one of row and col is 1. */
typedef struct filters {
    const real *base;
    int64_t size; /* 3 or 5 rows and columns of taps */
    int64_t tap, row, col;
} filters;

/* G g G^T: to[f * f_step + k * TILE_COLS + j] for inputs [k, k + count) and outputs [n, n + cols),
 * cols at most TILE_COLS and filled up with zeros. `scratch` has size * size * count * TILE_COLS
 * elements. */
#define winograd_filters VARIANT(winograd_filters)
void winograd_filters(const filters *w, int64_t k, int64_t count, int64_t n, int64_t cols, real *to,
                      int64_t f_step, real *scratch);

/* dw[o, tap, c] = (add ? dw : 0) + G^T du G, du[f * f_step + o * row + c], for outputs and channels
 * counted from du's and dw's first; dw's filters are size * size * C apart. */
#define winograd_filter_gradients VARIANT(winograd_filter_gradients)
void winograd_filter_gradients(int64_t size, const real *du, int64_t f_step, int64_t row,
                               int64_t outputs, int64_t channels, int64_t C, bool add, real *dw);

#endif
