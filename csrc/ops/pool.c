/* Pooling, channels in the vector lanes. Backward passes gather: each pixel of dx asks which
 * windows it fed, so it is written once and members never meet. */
#include "ops/window.h"

static const int64_t SIZE_PER_MEMBER = 32768;

static fnn_plan plan(const fnn_conv2d_shape *s, int64_t rows, int max_members)
{
    const int64_t work = saturating_mul(saturating_mul(rows, s->KH * s->KW), s->C);
    return (fnn_plan){members_for(work, SIZE_PER_MEMBER, max_members), 0};
}

/* One window of one image: the taps [kh0, kh1) x [kw0, kw1) that lie inside it, and the pixel under
 * tap (0, 0), which may lie outside. */
typedef struct window {
    int64_t n, h, w;
    int64_t kh0, kh1, kw0, kw1;
} window;

static inline window window_at(const fnn_conv2d_shape *s, int64_t row)
{
    const int64_t ow = row % s->OW, oh = row / s->OW % s->OH;
    const int64_t h = oh * s->stride_h - s->pad_top, w = ow * s->stride_w - s->pad_left;
    return (window){.n = row / s->OW / s->OH,
                    .h = h,
                    .w = w,
                    .kh0 = max_i64(0, -h),
                    .kh1 = min_i64(s->KH, s->H - h),
                    .kw0 = max_i64(0, -w),
                    .kw1 = min_i64(s->KW, s->W - w)};
}

static inline int64_t pixel_offset(const fnn_conv2d_shape *s, const window *v, int64_t kh,
                                   int64_t kw)
{
    return ((v->n * s->H + v->h + kh) * s->W + v->w + kw) * s->C;
}

/* ---- max ------------------------------------------------------------------------------------- */

fnn_plan VARIANT(max_pool2d_forward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_max_pool2d_forward_args *)args)->shape;
    return plan(s, window_count(s), max_members);
}

/* y = max(y, x) where x is tap `tap`, and the tap where it is new. NaN is larger than all, and the
 * first of equals stays. */
static inline void take_larger(const real *restrict x, int64_t C, uint8_t tap, real *restrict y,
                               uint8_t *restrict index)
{
    if (index)
        for (int64_t c = 0; c < C; c++) {
            const bool take = !(x[c] <= y[c]) && y[c] == y[c];
            y[c] = take ? x[c] : y[c];
            index[c] = take ? tap : index[c];
        }
    else
        for (int64_t c = 0; c < C; c++) {
            const bool take = !(x[c] <= y[c]) && y[c] == y[c];
            y[c] = take ? x[c] : y[c];
        }
}

void VARIANT(max_pool2d_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_max_pool2d_forward_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const real *x = a->x;
    const range rows = split(window_count(s), 1, team->rank, team->size);
    for (int64_t row = rows.begin; row < rows.end; row++) {
        const window v = window_at(s, row);
        real *y = (real *)a->y + row * s->C;
        uint8_t *index = a->indices ? a->indices + row * s->C : NULL;
        for (int64_t kh = v.kh0; kh < v.kh1; kh++)
            for (int64_t kw = v.kw0; kw < v.kw1; kw++) {
                const real *at = x + pixel_offset(s, &v, kh, kw);
                const uint8_t tap = (uint8_t)(kh * s->KW + kw);
                if (kh == v.kh0 && kw == v.kw0) {
                    memcpy(y, at, (size_t)s->C * sizeof(real));
                    if (index) memset(index, tap, (size_t)s->C);
                } else {
                    take_larger(at, s->C, tap, y, index);
                }
            }
    }
}

fnn_plan VARIANT(max_pool2d_backward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_max_pool2d_backward_args *)args)->shape;
    return plan(s, pixel_count(s), max_members);
}

/* Forward was y = x[index]; now dx = the sum of the dy whose index points here. */
void VARIANT(max_pool2d_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_max_pool2d_backward_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t C = s->C;
    const range rows = split(pixel_count(s), 1, team->rank, team->size);
    for (int64_t p = rows.begin; p < rows.end; p++) {
        const int64_t w = p % s->W, h = p / s->W % s->H, n = p / s->W / s->H;
        real *restrict dx = (real *)a->dx + p * C;
        for (int64_t c = 0; c < C; c++) dx[c] = 0;
        for (int64_t kh = s->KH - 1; kh >= 0; kh--) { /* windows ascend as taps descend */
            const int64_t oh = window_of(h, s->stride_h, kh, 1, s->pad_top, s->OH);
            if (oh < 0) continue;
            for (int64_t kw = s->KW - 1; kw >= 0; kw--) {
                const int64_t ow = window_of(w, s->stride_w, kw, 1, s->pad_left, s->OW);
                if (ow < 0) continue;
                const int64_t from = ((n * s->OH + oh) * s->OW + ow) * C;
                const real *restrict dy = (const real *)a->dy + from;
                const uint8_t *restrict index = a->indices + from;
                const uint8_t tap = (uint8_t)(kh * s->KW + kw);
                for (int64_t c = 0; c < C; c++) dx[c] += index[c] == tap ? dy[c] : 0;
            }
        }
    }
}

/* ---- average --------------------------------------------------------------------------------- */

static inline real divisor(const fnn_avg_pool2d_args *a, const window *v)
{
    return (real)(a->count_include_pad ? a->shape.KH * a->shape.KW
                                       : (v->kh1 - v->kh0) * (v->kw1 - v->kw0));
}

fnn_plan VARIANT(avg_pool2d_forward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_avg_pool2d_args *)args)->shape;
    return plan(s, window_count(s), max_members);
}

void VARIANT(avg_pool2d_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_avg_pool2d_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const range rows = split(window_count(s), 1, team->rank, team->size);
    for (int64_t row = rows.begin; row < rows.end; row++) {
        const window v = window_at(s, row);
        real *restrict y = (real *)a->out + row * s->C;
        for (int64_t c = 0; c < s->C; c++) y[c] = 0;
        for (int64_t kh = v.kh0; kh < v.kh1; kh++)
            for (int64_t kw = v.kw0; kw < v.kw1; kw++) {
                const real *restrict x = (const real *)a->in + pixel_offset(s, &v, kh, kw);
                for (int64_t c = 0; c < s->C; c++) y[c] += x[c];
            }
        const real count = divisor(a, &v);
        for (int64_t c = 0; c < s->C; c++) y[c] /= count;
    }
}

fnn_plan VARIANT(avg_pool2d_backward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_avg_pool2d_args *)args)->shape;
    return plan(s, pixel_count(s), max_members);
}

/* Forward was y = sum of x / count; now dx = the sum of dy / count over the windows that see it. */
void VARIANT(avg_pool2d_backward_run)(const void *args, const fnn_team *team)
{
    const fnn_avg_pool2d_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t C = s->C;
    const range rows = split(pixel_count(s), 1, team->rank, team->size);
    for (int64_t p = rows.begin; p < rows.end; p++) {
        const int64_t w = p % s->W, h = p / s->W % s->H, n = p / s->W / s->H;
        real *restrict dx = (real *)a->out + p * C;
        for (int64_t c = 0; c < C; c++) dx[c] = 0;
        for (int64_t kh = s->KH - 1; kh >= 0; kh--) {
            const int64_t oh = window_of(h, s->stride_h, kh, 1, s->pad_top, s->OH);
            if (oh < 0) continue;
            for (int64_t kw = s->KW - 1; kw >= 0; kw--) {
                const int64_t ow = window_of(w, s->stride_w, kw, 1, s->pad_left, s->OW);
                if (ow < 0) continue;
                const int64_t row = (n * s->OH + oh) * s->OW + ow;
                const window v = window_at(s, row);
                const real count = divisor(a, &v);
                const real *restrict dy = (const real *)a->in + row * C;
                for (int64_t c = 0; c < C; c++) dx[c] += dy[c] / count;
            }
        }
    }
}
