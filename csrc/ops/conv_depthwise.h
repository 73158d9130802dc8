/* Depthwise convolution: every channel has one filter of its own.
 *
 * Vectors run over channels. A member takes a few lines of the cache, of LINE channels each, and goes
 * down the rows of an image, of which it keeps copies of those that a row of outputs sees: a plane for
 * each line of channels, its pixels side by side in a frame of zeros. So every pixel comes once from
 * far away however many outputs see it, whatever the number of channels (of a power of two, the
 * pixels in place would all fall on the same few sets of the cache), and neither borders nor the last
 * channels need loops of their own. Prefetching the next row of pixels, or the row of outputs, made
 * all shapes of bench_depthwise.py up to 15 % slower. */
#ifndef FNN_CONV_DEPTHWISE_H
#define FNN_CONV_DEPTHWISE_H

#include "ops/conv2d.h"
#include "ops/vector.h"

enum { LINE_VECS = LINE / LANES };

/* Outputs side by side, whose sums are in registers: enough to hide that a step takes 4 cycles. */
enum { TILE = 8 };

/* Rows of taps that there is room for. */
enum { MAX_ROWS = 64 };

enum { MAX_STRIDE = 8 };

/* Copies of rows of an image, from column `first` on. In each plane row h is at h % count, and after
 * these is one of zeros, for the padding above and below. */
typedef struct band {
    int64_t first, width, count, planes;
    int64_t next; /* rows above are there */
    real *rows;
} band;

static inline int64_t plane_size(const band *b)
{
    return (b->count + 1) * b->width * LINE;
}

/* As many planes as leave a band about as large as L1, for `lines` lines of channels. (With one plane
 * at a time, images of 56 and fewer columns are 10 to 15 % slower: there is less to do per row, and
 * lines of the cache come in pairs. With two, those of 112 are 20 % slower. AVX2,
 * bench_depthwise.py.) */
static inline int64_t planes_in_cache(const band *b, int64_t lines)
{
    enum { CACHE = 34000, MAX_PLANES = 8 };
    const int64_t fit = CACHE / (plane_size(b) * (int64_t)sizeof(real));
    return max_i64(1, min_i64(lines, min_i64(fit, MAX_PLANES)));
}

/* Multiply-adds, those of idle lanes too. */
static inline int64_t depthwise_work(const fnn_conv2d_shape *s)
{
    const int64_t channels = ceil_div(s->C, LINE) * LINE;
    return saturating_mul(saturating_mul(window_count(s), s->KH * s->KW), channels);
}

/* Elements of the filters as they are laid out: (lines of channels, taps, LINE), the last line
 * filled up with zeros. */
static inline int64_t filters_size(const fnn_conv2d_shape *s)
{
    return ceil_div(s->C, LINE) * s->KH * s->KW * LINE;
}

static inline int64_t line_count(const fnn_conv2d_shape *s)
{
    return ceil_div(s->C, LINE);
}

/* Lays out some lines of channels of the filters w (C, KH*KW), the last tap first if turned. */
#define lay_out_filters VARIANT(lay_out_filters)
void lay_out_filters(const fnn_conv2d_shape *s, const real *w, range lines, bool turned,
                     real *filters);

/* Lets b begin anew, in `memory` of b->planes planes. */
#define band_begin VARIANT(band_begin)
void band_begin(band *b, real *memory);

/* Copies the first `channels` channels of W pixels, C apart, to columns [first, first + width) of
 * planes that are `plane` apart. */
#define copy_pixels VARIANT(copy_pixels)
void copy_pixels(const real *from, int64_t W, int64_t C, int64_t channels, int64_t first,
                 int64_t width, int64_t plane, real *restrict to);

/* Finds rows top, top + spacing, ... of the first `channels` channels of an image (H, W, C), in plane
 * 0. No later call asks for a row above `oldest`. */
#define band_rows VARIANT(band_rows)
void band_rows(band *b, const real *image, int64_t H, int64_t W, int64_t C, int64_t channels,
               int64_t oldest, int64_t top, int64_t spacing, int64_t rows,
               const real *found[MAX_ROWS]);

/* Outputs of a row that see the same taps, one line of channels. */
typedef struct strip {
    const real *const *rows; /* of the band, at what tap 0 of output 0 is over */
    int64_t row_count, offset;
    int64_t taps, step, spacing; /* elements from an output, and from a tap, to the next */
    const real *w;               /* of the first tap */
    int64_t w_row, w_tap;
    real *y;
    int64_t outs, y_out, channels;
    const real *bias; /* or NULL */
    bool relu;
} strip;

#define depthwise_strip VARIANT(depthwise_strip)
void depthwise_strip(const strip *t);

/* Whether depthwise convolution is the way for this shape. */
#define depthwise_takes VARIANT(depthwise_takes)
bool depthwise_takes(const fnn_conv2d_shape *s);

#define depthwise_weight_plan VARIANT(depthwise_weight_plan)
fnn_plan depthwise_weight_plan(const void *args, int max_members);
#define depthwise_weight_run VARIANT(depthwise_weight_run)
void depthwise_weight_run(const void *args, const fnn_team *team);

#endif
