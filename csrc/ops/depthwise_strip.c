/* A row of outputs of a depthwise convolution, forward or with respect to its input. */
#include "ops/conv_depthwise.h"

/* The most taps of a row that are held in registers. */
enum { MAX_TAPS = 5 };

/* Finishes and stores the sums of `outs` outputs, one vector each. */
static inline __attribute__((always_inline)) void store_sums(real *y, int64_t y_out, int64_t outs,
                                                             const real *bias, bool relu,
                                                             const bool part, lanes some,
                                                             vec sums[TILE])
{
    if (bias) {
        const vec b = part ? load_first(bias, some) : *(const vec *)bias;
#pragma GCC unroll 8
        for (int p = 0; p < TILE; p++) sums[p] += b;
    }
    if (relu)
#pragma GCC unroll 8
        for (int p = 0; p < TILE; p++) /* NaN stays */
            sums[p] = (vec)((vec_bits)sums[p] & ~(vec_bits)(sums[p] <= 0));
#pragma GCC unroll 8
    for (int p = 0; p < TILE; p++, y += y_out) {
        if (p >= outs) break;
        if (part) store_first(y, some, sums[p]);
        else *(vec *)y = sums[p];
    }
}

/* Adds what TILE outputs see through one row of taps: `taps` of them, a known number, side by side
 * and moving by `stride`, so that each pixel is loaded once for all outputs that see it. */
static inline __attribute__((always_inline)) void add_dense_row(const real *x, const real *w,
                                                                int64_t w_tap, const int taps,
                                                                const int stride, vec sums[TILE])
{
    vec filter[MAX_TAPS];
#pragma GCC unroll 8
    for (int k = 0; k < taps; k++) filter[k] = *(const vec *)(w + k * w_tap);
#pragma GCC unroll 32
    for (int q = 0; q < (TILE - 1) * stride + taps; q++) {
        const vec pixel = *(const vec *)(x + q * LINE);
#pragma GCC unroll 8
        for (int p = 0; p < TILE; p++)
            if (q >= p * stride && q < p * stride + taps)
                add_product(&sums[p], pixel, filter[q - p * stride]);
    }
}

/* The same for any number of taps, wherever they are. */
static inline __attribute__((always_inline)) void add_row(const strip *t, const real *x,
                                                          const real *w, vec sums[TILE])
{
    for (int64_t k = 0; k < t->taps; k++, x += t->spacing, w += t->w_tap) {
        const vec filter = *(const vec *)w;
#pragma GCC unroll 8
        for (int p = 0; p < TILE; p++)
            add_product(&sums[p], *(const vec *)(x + p * t->step), filter);
    }
}

/* One vector of channels. rows and taps are 0 for any. Tiles reach past the last output: into the
 * band, which is wide enough. */
static inline __attribute__((always_inline)) void compute_vector(const strip *t, int64_t c,
                                                                 const int rows, const int taps,
                                                                 const int stride, const bool part)
{
    const int64_t row_count = rows > 0 ? rows : t->row_count;
    const int64_t w_row = t->w_row, w_tap = t->w_tap, y_out = t->y_out, step = t->step;
    const real *const *found = t->rows;
    const real *w0 = t->w + c, *bias = t->bias ? t->bias + c : NULL;
    const bool relu = t->relu;
    const lanes some = first_lanes(part ? t->channels - c : LANES);
    real *y = t->y + c;
    int64_t offset = t->offset + c;
    for (int64_t left = t->outs; left > 0; left -= TILE) {
        vec sums[TILE];
#pragma GCC unroll 8
        for (int p = 0; p < TILE; p++) sums[p] = (vec){0};
        const real *w = w0;
#pragma GCC unroll 5
        for (int64_t r = 0; r < row_count; r++, w += w_row) {
            if (taps > 0) add_dense_row(found[r] + offset, w, w_tap, taps, stride, sums);
            else add_row(t, found[r] + offset, w, sums);
        }
        if (left >= TILE) store_sums(y, y_out, TILE, bias, relu, part, some, sums);
        else store_sums(y, y_out, left, bias, relu, part, some, sums);
        y += TILE * y_out;
        offset += TILE * step;
    }
}

static inline __attribute__((always_inline)) void compute_strip(const strip *t, const int rows,
                                                                const int taps, const int stride)
{
    int64_t c = 0;
    for (; c + LANES <= t->channels; c += LANES) compute_vector(t, c, rows, taps, stride, false);
    if (c < t->channels) compute_vector(t, c, rows, taps, stride, true);
}

static __attribute__((noinline)) void compute_3x3(const strip *t)
{
    compute_strip(t, 3, 3, 1);
}

static __attribute__((noinline)) void compute_3x3_by_2(const strip *t)
{
    compute_strip(t, 3, 3, 2);
}

static __attribute__((noinline)) void compute_5x5(const strip *t)
{
    compute_strip(t, 5, 5, 1);
}

/* What remains of a 3 x 3 filter for every other pixel. */
static __attribute__((noinline)) void compute_2(const strip *t)
{
    compute_strip(t, 0, 2, 1);
}

static __attribute__((noinline)) void compute_1(const strip *t)
{
    compute_strip(t, 0, 1, 1);
}

static __attribute__((noinline)) void compute_any(const strip *t)
{
    compute_strip(t, 0, 0, 0);
}

void depthwise_strip(const strip *t)
{
    const bool dense = t->spacing == LINE || t->taps == 1, square = t->row_count == t->taps;
    const int64_t stride = dense ? t->step / LINE : 0;
    if (square && t->taps == 3 && stride == 1) compute_3x3(t);
    else if (square && t->taps == 3 && stride == 2) compute_3x3_by_2(t);
    else if (square && t->taps == 5 && stride == 1) compute_5x5(t);
    else if (t->taps == 2 && stride == 1) compute_2(t);
    else if (t->taps == 1 && stride == 1) compute_1(t);
    else compute_any(t);
}
