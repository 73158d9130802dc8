/* Pooling, channels innermost. Members share out lines: rows of windows going forward, rows of pixels
 * going back, where each pixel row collects from the windows that see it, so that members never
 * write to the same place. */
#include "ops/window.h"

static const int64_t SIZE_PER_MEMBER = 32768;

static fnn_plan plan(const fnn_conv2d_shape *s, int64_t pixels, int max_members)
{
    const int64_t work = saturating_mul(saturating_mul(pixels, s->KH * s->KW), s->C);
    return (fnn_plan){members_for(work, SIZE_PER_MEMBER, max_members), 0};
}

/* Those of the K taps of a window that lie inside an image of `size`, tap 0 being at `at`. */
static inline range taps_inside(int64_t at, int64_t K, int64_t size)
{
    return (range){max_i64(0, -at), min_i64(K, size - at)};
}

/* ---- max ------------------------------------------------------------------------------------- */

/* NaN is larger than all, and the first of equals stays. */
static inline bool is_larger(real x, real best)
{
    return !(x <= best) && best == best;
}

/* y = the maximum over taps kh x kw of a window whose tap (0, 0) is at x, index = where it was.
 * Few channels: tap by tap in registers. */
static void max_window_narrow(const real *x, int64_t pitch, range kh, range kw, int64_t KW,
                              int64_t C, real *y, uint8_t *index)
{
    for (int64_t c = 0; c < C; c++) {
        real best = x[kh.begin * pitch + kw.begin * C + c];
        int64_t tap = kh.begin * KW + kw.begin;
        for (int64_t i = kh.begin; i < kh.end; i++)
            for (int64_t j = kw.begin; j < kw.end; j++) {
                const real at = x[i * pitch + j * C + c];
                const bool larger = is_larger(at, best);
                best = larger ? at : best;
                tap = larger ? i * KW + j : tap;
            }
        y[c] = best;
        if (index) index[c] = (uint8_t)tap;
    }
}

/* Many channels: a vector of them at a time. */
static void max_window_wide(const real *restrict x, int64_t pitch, range kh, range kw, int64_t KW,
                            int64_t C, real *restrict y, uint8_t *restrict index)
{
    memcpy(y, x + kh.begin * pitch + kw.begin * C, (size_t)C * sizeof(real));
    if (index) memset(index, (int)(kh.begin * KW + kw.begin), (size_t)C);
    for (int64_t i = kh.begin; i < kh.end; i++)
        for (int64_t j = kw.begin; j < kw.end; j++) {
            const real *restrict at = x + i * pitch + j * C;
            const uint8_t tap = (uint8_t)(i * KW + j);
            if (index)
                for (int64_t c = 0; c < C; c++) {
                    const bool larger = is_larger(at[c], y[c]);
                    y[c] = larger ? at[c] : y[c];
                    index[c] = larger ? tap : index[c];
                }
            else
                for (int64_t c = 0; c < C; c++) y[c] = is_larger(at[c], y[c]) ? at[c] : y[c];
        }
}

fnn_plan VARIANT(max_pool2d_forward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_max_pool2d_forward_args *)args)->shape;
    return plan(s, window_count(s), max_members);
}

void VARIANT(max_pool2d_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_max_pool2d_forward_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t C = s->C, pitch = s->W * C;
    const range lines = split(s->N * s->OH, 1, team->rank, team->size);
    for (int64_t line = lines.begin; line < lines.end; line++) {
        const int64_t h = line % s->OH * s->stride_h - s->pad_top;
        const real *image = (const real *)a->x + line / s->OH * s->H * pitch;
        const range kh = taps_inside(h, s->KH, s->H);
        for (int64_t ow = 0; ow < s->OW; ow++) {
            const int64_t w = ow * s->stride_w - s->pad_left, at = (line * s->OW + ow) * C;
            const range kw = taps_inside(w, s->KW, s->W);
            real *y = (real *)a->y + at;
            uint8_t *index = a->indices ? a->indices + at : NULL;
            if (C < LANES)
                max_window_narrow(image + h * pitch + w * C, pitch, kh, kw, s->KW, C, y, index);
            else max_window_wide(image + h * pitch + w * C, pitch, kh, kw, s->KW, C, y, index);
        }
    }
}

/* ---- average --------------------------------------------------------------------------------- */

fnn_plan VARIANT(avg_pool2d_forward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_avg_pool2d_args *)args)->shape;
    return plan(s, window_count(s), max_members);
}

/* What a window's sum is divided by. */
static inline real divisor(const fnn_conv2d_shape *s, bool count_include_pad, range kh, range kw)
{
    return (real)(count_include_pad ? s->KH * s->KW : (kh.end - kh.begin) * (kw.end - kw.begin));
}

void VARIANT(avg_pool2d_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_avg_pool2d_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t C = s->C, pitch = s->W * C;
    const range lines = split(s->N * s->OH, 1, team->rank, team->size);
    for (int64_t line = lines.begin; line < lines.end; line++) {
        const int64_t h = line % s->OH * s->stride_h - s->pad_top;
        const real *image = (const real *)a->in + line / s->OH * s->H * pitch;
        const range kh = taps_inside(h, s->KH, s->H);
        for (int64_t ow = 0; ow < s->OW; ow++) {
            const int64_t w = ow * s->stride_w - s->pad_left;
            const range kw = taps_inside(w, s->KW, s->W);
            real *restrict y = (real *)a->out + (line * s->OW + ow) * C;
            for (int64_t c = 0; c < C; c++) y[c] = 0;
            for (int64_t i = kh.begin; i < kh.end; i++)
                for (int64_t j = kw.begin; j < kw.end; j++) {
                    const real *restrict x = image + (h + i) * pitch + (w + j) * C;
                    for (int64_t c = 0; c < C; c++) y[c] += x[c];
                }
            const real count = divisor(s, a->count_include_pad, kh, kw);
            for (int64_t c = 0; c < C; c++) y[c] /= count;
        }
    }
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Forward was y = x[index], or y = the sum of x / count; now dx is the sum, over the windows that
 * see a pixel, of dy where index says so, or of dy / count. Windows are added in ascending order. */
typedef struct backward {
    const fnn_conv2d_shape *s;
    const real *dy;
    const uint8_t *indices; /* max pooling */
    bool count_include_pad; /* average pooling, where indices is NULL */
} backward;

/* Adds the windows of line (n, oh) to the pixel row that their taps in row kh lie over. */
static void add_windows(const backward *b, int64_t n, int64_t oh, int64_t kh, real *restrict dx)
{
    const fnn_conv2d_shape *s = b->s;
    const int64_t C = s->C;
    const range rows = taps_inside(oh * s->stride_h - s->pad_top, s->KH, s->H);
    for (int64_t ow = 0; ow < s->OW; ow++) {
        const int64_t w = ow * s->stride_w - s->pad_left;
        const int64_t from = ((n * s->OH + oh) * s->OW + ow) * C;
        const range kw = taps_inside(w, s->KW, s->W);
        const real *restrict dy = b->dy + from;
        const real count = divisor(s, b->count_include_pad, rows, kw);
        for (int64_t j = kw.begin; j < kw.end; j++) {
            real *restrict pixel = dx + (w + j) * C;
            if (b->indices) {
                const uint8_t *restrict index = b->indices + from;
                const uint8_t tap = (uint8_t)(kh * s->KW + j);
                for (int64_t c = 0; c < C; c++) pixel[c] += index[c] == tap ? dy[c] : 0;
            } else {
                for (int64_t c = 0; c < C; c++) pixel[c] += dy[c] / count;
            }
        }
    }
}

static void backward_run(const backward *b, real *dx, const fnn_team *team)
{
    const fnn_conv2d_shape *s = b->s;
    const int64_t pitch = s->W * s->C;
    const range lines = split(s->N * s->H, 1, team->rank, team->size);
    for (int64_t line = lines.begin; line < lines.end; line++) {
        const int64_t n = line / s->H, h = line % s->H;
        real *row = dx + line * pitch;
        memset(row, 0, (size_t)pitch * sizeof(real));
        for (int64_t kh = s->KH - 1; kh >= 0; kh--) { /* windows ascend as taps descend */
            const int64_t oh = window_of(h, s->stride_h, kh, 1, s->pad_top, s->OH);
            if (oh >= 0) add_windows(b, n, oh, kh, row);
        }
    }
}

fnn_plan VARIANT(max_pool2d_backward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_max_pool2d_backward_args *)args)->shape;
    return plan(s, pixel_count(s), max_members);
}

void VARIANT(max_pool2d_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_max_pool2d_backward_args *a = args;
    const backward b = {.s = &a->shape, .dy = a->dy, .indices = a->indices};
    backward_run(&b, a->dx, team);
}

fnn_plan VARIANT(avg_pool2d_backward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_avg_pool2d_args *)args)->shape;
    return plan(s, pixel_count(s), max_members);
}

void VARIANT(avg_pool2d_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_avg_pool2d_args *a = args;
    const backward b = {.s = &a->shape, .dy = a->in, .count_include_pad = a->count_include_pad};
    backward_run(&b, a->out, team);
}
