/* The im2col matrix itself, for those who want to see it, and its adjoint. */
#include "ops/window.h"

static fnn_plan plan(const fnn_conv2d_shape *s, int64_t rows, int max_members)
{
    const int64_t work = saturating_mul(saturating_mul(rows, s->KH * s->KW), s->C);
    return (fnn_plan){members_for(work, SIZE_PER_MEMBER, max_members), 0};
}

fnn_plan VARIANT(im2col_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_im2col_args *)args)->shape;
    return plan(s, window_count(s), max_members);
}

void VARIANT(im2col_run)(const void *args, const fnn_team *team)
{
    const fnn_im2col_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t K = s->KH * s->KW * s->C;
    const source from = input_patches(s, a->x, 0);
    const range rows = split(window_count(s), 1, team->rank, team->size);
    source_copy(&from, rows.begin, rows.end - rows.begin, 0, K, (real *)a->cols + rows.begin * K,
                K);
}

/* ---- adjoint: what im2col copied to every (window, tap) that sees a pixel is added ---------- */

fnn_plan VARIANT(col2im_plan)(const void *args, int max_members)
{
    const fnn_conv2d_shape *s = &((const fnn_col2im_args *)args)->shape;
    return plan(s, pixel_count(s), max_members);
}

void VARIANT(col2im_run)(const void *args, const fnn_team *team)
{
    const fnn_col2im_args *a = args;
    const fnn_conv2d_shape *s = &a->shape;
    const int64_t C = s->C;
    const range rows = split(pixel_count(s), 1, team->rank, team->size);
    for (int64_t p = rows.begin; p < rows.end; p++) {
        const int64_t w = p % s->W, h = p / s->W % s->H, n = p / s->W / s->H;
        real *restrict to = (real *)a->dx + p * C;
        for (int64_t c = 0; c < C; c++) to[c] = 0;
        for (int64_t kh = 0; kh < s->KH; kh++) {
            const int64_t oh = window_of(h, s->stride_h, kh, s->dilation_h, s->pad_top, s->OH);
            if (oh < 0) continue;
            for (int64_t kw = 0; kw < s->KW; kw++) {
                const int64_t ow = window_of(w, s->stride_w, kw, s->dilation_w, s->pad_left, s->OW);
                if (ow < 0) continue;
                const int64_t row = (n * s->OH + oh) * s->OW + ow;
                const real *from = (const real *)a->cols + ((row * s->KH + kh) * s->KW + kw) * C;
                for (int64_t c = 0; c < C; c++) to[c] += from[c];
            }
        }
    }
}
