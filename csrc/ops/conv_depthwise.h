/* Depthwise convolution: every channel has one filter of its own.
 *
 * Vectors run over channels. A member takes one line of the cache, LINE channels, at a time, and
 * goes down the rows of an image, of which it keeps a copy of those that a row of outputs sees: side
 * by side, in a frame of zeros. So every pixel comes once from far away however many outputs see it,
 * whatever the number of channels (of a power of two, the pixels in place would all fall on the same
 * few sets of the cache), and neither borders nor the last channels need loops of their own. */
#ifndef FNN_CONV_DEPTHWISE_H
#define FNN_CONV_DEPTHWISE_H

#include "ops/conv2d.h"
#include "ops/vector.h"

enum { LINE = 64 / sizeof(real), LINE_VECS = LINE / LANES };

/* Outputs side by side, whose sums are in registers: enough to hide that a step takes 4 cycles. */
enum { TILE = 8 };

/* Rows of taps that there is room for. */
enum { MAX_ROWS = 64 };

enum { MAX_STRIDE = 8 };

/* Copies of rows of an image. Row h is at h % count, from column `first` on. */
typedef struct band {
    int64_t first, width, count;
    int64_t next; /* rows below are there */
    real *rows;
    real *zeros; /* a row of the padding above and below */
} band;

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

static inline int64_t line_channels(const fnn_conv2d_shape *s, int64_t line)
{
    return min_i64(LINE, s->C - line * LINE);
}

/* Lays out some lines of channels of the filters w (C, KH*KW), the last tap first if turned. */
#define lay_out_filters VARIANT(lay_out_filters)
void lay_out_filters(const fnn_conv2d_shape *s, const real *w, range lines, bool turned,
                     real *filters);

/* Elements of a band. */
static inline int64_t band_size(const band *b)
{
    return (b->count + 1) * b->width * LINE;
}

/* Lets b begin anew, in `memory`. */
#define band_begin VARIANT(band_begin)
void band_begin(band *b, real *memory);

/* Copies the first `channels` channels of W pixels, C apart, to columns [first, first + width). */
#define copy_pixels VARIANT(copy_pixels)
void copy_pixels(const real *from, int64_t W, int64_t C, int64_t channels, int64_t first,
                 int64_t width, real *restrict to);

/* Finds rows top, top + spacing, ... of an image (H, W, C), one line of channels of it. No later call
 * asks for a row above `oldest`. */
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
