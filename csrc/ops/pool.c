/* Pooling, channels innermost. Members share out lines: rows of windows going forward, rows of
 * pixels going back, where each pixel row collects from the windows that see it, so that members
 * never write to the same place. */
#include "ops/window.h"

static fnn_plan plan(const fnn_conv2d_shape *s, int64_t pixels, int max_members)
{
    /* Short runs of few channels: about half as fast as a pass over memory. */
    const int64_t work = saturating_mul(saturating_mul(pixels, s->KH * s->KW), s->C);
    return (fnn_plan){members_for(work, SIZE_PER_MEMBER / 2, max_members), 0};
}

/* Those of the K taps of a window that lie inside an image of `size`, tap 0 being at `at`. */
static inline range taps_inside(int64_t at, int64_t K, int64_t size)
{
    return (range){max_i64(0, -at), min_i64(K, size - at)};
}

/* ---- max ------------------------------------------------------------------------------------- */

/* Channels go through vector registers. A window of fewer channels than lanes still loads and
 * stores whole vectors where there is `room`: the extra lanes are read from what follows, and what
 * they write is overwritten by the next window. At the end of a member's share there is no room,
 * and channels go one by one. */
typedef real_bits ivec __attribute__((vector_size(VBYTES)));
typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

static inline vec choose(ivec mask, vec yes, vec no)
{
    return (vec)((mask & (ivec)yes) | (~mask & (ivec)no));
}

/* The maximum and its tap over taps kh x kw of a window whose tap (0, 0) is at x, LANES channels of
 * C. NaN is larger than all, and the first of equals stays. */
static inline void max_vector(const real *x, int64_t pitch, range kh, range kw, int64_t KW,
                              int64_t C, real *y, uint8_t *index)
{
    vec best = *(const vec *)(x + kh.begin * pitch + kw.begin * C);
    ivec tap = (ivec){0} + (real_bits)(kh.begin * KW + kw.begin);
    for (int64_t i = kh.begin; i < kh.end; i++)
        for (int64_t j = kw.begin; j < kw.end; j++) {
            const vec at = *(const vec *)(x + i * pitch + j * C);
            const ivec larger = ~(ivec)(at <= best) & (ivec)(best == best);
            best = choose(larger, at, best);
            tap = (larger & (real_bits)(i * KW + j)) | (~larger & tap);
        }
    *(vec *)y = best;
    if (index) *(bytes *)index = __builtin_convertvector(tap, bytes);
}

static inline void max_scalar(const real *x, int64_t pitch, range kh, range kw, int64_t KW,
                              int64_t C, real *y, uint8_t *index)
{
    real best = x[kh.begin * pitch + kw.begin * C];
    int64_t tap = kh.begin * KW + kw.begin;
    for (int64_t i = kh.begin; i < kh.end; i++)
        for (int64_t j = kw.begin; j < kw.end; j++) {
            const real at = x[i * pitch + j * C];
            const bool larger = !(at <= best) && best == best;
            best = larger ? at : best;
            tap = larger ? i * KW + j : tap;
        }
    *y = best;
    if (index) *index = (uint8_t)tap;
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
    const int64_t C = s->C, KW = s->KW, pitch = s->W * C;
    const range lines = split(s->N * s->OH, 1, team->rank, team->size);
    const real *x_end = (const real *)a->x + s->N * s->H * pitch;
    const int64_t y_end = lines.end * s->OW * C;
    for (int64_t line = lines.begin; line < lines.end; line++) {
        const int64_t h = line % s->OH * s->stride_h - s->pad_top;
        const real *image = (const real *)a->x + line / s->OH * s->H * pitch;
        const range kh = taps_inside(h, s->KH, s->H);
        for (int64_t ow = 0; ow < s->OW; ow++) {
            const int64_t w = ow * s->stride_w - s->pad_left;
            const range kw = taps_inside(w, KW, s->W);
            const real *x = image + h * pitch + w * C;
            const real *last = x + (kh.end - 1) * pitch + (kw.end - 1) * C;
            for (int64_t c = 0; c < C;) {
                const int64_t at = (line * s->OW + ow) * C + c;
                real *y = (real *)a->y + at;
                uint8_t *index = a->indices ? a->indices + at : NULL;
                const bool room = at + LANES <= y_end && last + c + LANES <= x_end;
                if (room) max_vector(x + c, pitch, kh, kw, KW, C, y, index);
                else max_scalar(x + c, pitch, kh, kw, KW, C, y, index);
                c += room ? LANES : 1;
            }
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
 * see a pixel, of dy where index says so, or of dy / count, added in ascending order. */
typedef struct backward {
    const fnn_conv2d_shape *s;
    const real *dy;
    const uint8_t *indices; /* max pooling */
    bool count_include_pad; /* average pooling, where indices is NULL */
    bool alone;             /* no windows overlap: dx need not be read, which stalls after stores;
                               extra lanes store zeros, before what comes there is written */
    ivec tail;              /* the lanes of a pixel's last, partly filled vector that are its own */
} backward;

/* One window's taps in a row of pixels, the first of them at dx, pixels C apart: dx += dy where the
 * index says so, or dy / count. LANES channels, or the last few of a pixel. */
static inline void add_vector(const backward *b, int64_t from, range taps, real count, bool last,
                              real *dx)
{
    vec dy = *(const vec *)(b->dy + from);
    ivec index = {0};
    if (b->indices) index = __builtin_convertvector(*(const bytes *)(b->indices + from), ivec);
    else dy /= count;
    for (int64_t tap = taps.begin; tap < taps.end; tap++, dx += b->s->C) {
        const vec old = b->alone ? (vec){0} : *(const vec *)dx;
        vec sum = old + dy;
        if (b->indices) sum = old + choose((ivec)(index == (real_bits)tap), dy, (vec){0});
        *(vec *)dx = last ? choose(b->tail, sum, old) : sum;
    }
}

static inline void add_scalar(const backward *b, int64_t from, range taps, real count, real *dx)
{
    for (int64_t tap = taps.begin; tap < taps.end; tap++, dx += b->s->C) {
        if (!b->indices) *dx += b->dy[from] / count;
        else if (b->indices[from] == tap) *dx += b->dy[from];
    }
}

/* Adds the windows of line (n, oh) to the pixel row dx that their taps in row kh lie over. `end` is
 * where this member's share of the pixels ends. The last channels go first: what their extra lanes
 * store belongs to pixels whose first channels follow. */
static void add_windows(const backward *b, int64_t n, int64_t oh, int64_t kh, real *dx,
                        const real *end)
{
    const fnn_conv2d_shape *s = b->s;
    const int64_t C = s->C, size = s->N * s->OH * s->OW * C;
    const range rows = taps_inside(oh * s->stride_h - s->pad_top, s->KH, s->H);
    for (int64_t ow = 0; ow < s->OW; ow++) {
        const int64_t w = ow * s->stride_w - s->pad_left;
        const int64_t from = ((n * s->OH + oh) * s->OW + ow) * C;
        const range kw = taps_inside(w, s->KW, s->W);
        const range taps = {kh * s->KW + kw.begin, kh * s->KW + kw.end};
        const real count = divisor(s, b->count_include_pad, rows, kw);
        real *pixel = dx + (w + kw.begin) * C;
        const int64_t reach = (kw.end - kw.begin - 1) * C + LANES;
        for (int64_t c = (C - 1) / LANES * LANES; c >= 0; c -= LANES) {
            const int64_t channels = min_i64(LANES, C - c);
            if (pixel + c + reach <= end && from + c + LANES <= size)
                add_vector(b, from + c, taps, count, channels < LANES, pixel + c);
            else
                for (int64_t i = c; i < c + channels; i++)
                    add_scalar(b, from + i, taps, count, pixel + i);
        }
    }
}

static void backward_run(backward *b, real *dx, const fnn_team *team)
{
    const fnn_conv2d_shape *s = b->s;
    b->alone = s->stride_h >= s->KH && s->stride_w >= s->KW;
    for (int i = 0; i < LANES; i++) b->tail[i] = i < s->C % LANES ? -1 : 0;
    const int64_t pitch = s->W * s->C;
    const range lines = split(s->N * s->H, 1, team->rank, team->size);
    for (int64_t line = lines.begin; line < lines.end; line++) {
        const int64_t n = line / s->H, h = line % s->H;
        real *row = dx + line * pitch;
        memset(row, 0, (size_t)pitch * sizeof(real));
        for (int64_t kh = s->KH - 1; kh >= 0; kh--) { /* windows ascend as taps descend */
            const int64_t oh = window_of(h, s->stride_h, kh, 1, s->pad_top, s->OH);
            if (oh >= 0) add_windows(b, n, oh, kh, row, dx + lines.end * pitch);
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
    backward b = {.s = &a->shape, .dy = a->dy, .indices = a->indices};
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
    backward b = {.s = &a->shape, .dy = a->in, .count_include_pad = a->count_include_pad};
    backward_run(&b, a->out, team);
}
