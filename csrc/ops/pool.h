/* What the kernels of pooling share. Windows as in window.h; channels are innermost and go through
 * whole vectors. The last vector of a pixel reaches back over the one before where LANES does not
 * divide C: what both compute comes out alike. A pixel of fewer channels than lanes still loads and
 * stores a whole vector where there is room: the extra lanes are read from what follows, and what
 * they write is overwritten with the next pixel. At the end of a member's share there is no room,
 * and channels go one by one. */
#ifndef FNN_POOL_H
#define FNN_POOL_H

#include "ops/vector.h"
#include "ops/window.h"

/* Members for that many `pixels` read or written, C channels each: a pass over memory. */
static inline fnn_plan pool_plan(const fnn_conv2d_shape *s, int64_t pixels, int max_members)
{
    return (fnn_plan){members_for(saturating_mul(pixels, s->C), SIZE_PER_MEMBER, max_members), 0};
}

static inline fnn_plan forward_plan(const fnn_conv2d_shape *s, int max_members)
{
    return pool_plan(s, saturating_mul(window_count(s), s->KH * s->KW), max_members);
}

/* Those of the K taps of a window that lie inside an image of `size`, tap 0 being at `at`. */
static inline range taps_inside(int64_t at, int64_t K, int64_t size)
{
    return (range){max_i64(0, -at), min_i64(K, size - at)};
}

/* Of `windows` along one axis, those that see the pixel at `at`, counted with the padding. */
static inline range windows_over(int64_t at, int64_t stride, int64_t K, int64_t windows)
{
    const int64_t begin = at < K ? 0 : (at - K) / stride + 1;
    return (range){begin, min_i64(at / stride + 1, windows)};
}

/* Where the vector for channel c, a multiple of LANES, begins. */
static inline int64_t vector_at(int64_t c, int64_t C)
{
    return C < LANES ? 0 : min_i64(c, C - LANES);
}

/* What the sum of window (oh, ow) is divided by: taps in the padding count or do not, those beyond it,
 * where ceil_mode put them, never do. */
static inline real avg_divisor(const fnn_avg_pool2d_args *a, int64_t oh, int64_t ow)
{
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t h = oh * s->stride_h - s->pad_top, w = ow * s->stride_w - s->pad_left;
    if (a->count_include_pad)
        return (real)(min_i64(s->KH, s->H + a->pad_bottom - h) *
                      min_i64(s->KW, s->W + a->pad_right - w));
    const range kh = taps_inside(h, s->KH, s->H), kw = taps_inside(w, s->KW, s->W);
    return (real)((kh.end - kh.begin) * (kw.end - kw.begin));
}

static inline vec choose(vec_bits mask, vec yes, vec no)
{
    return (vec)((mask & (vec_bits)yes) | (~mask & (vec_bits)no));
}

#endif
