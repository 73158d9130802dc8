/* Where windows meet pixels: for convolution, im2col and pooling. */
#ifndef FNN_WINDOW_H
#define FNN_WINDOW_H

#include "ops/source.h"

/* Along one axis, the window whose tap k is over pixel `at`, or -1 where none of `windows` is. */
static inline int64_t window_of(int64_t at, int64_t stride, int64_t k, int64_t dilation,
                                int64_t pad, int64_t windows)
{
    const int64_t start = at + pad - k * dilation;
    if (start < 0 || start % stride != 0) return -1;
    return start / stride < windows ? start / stride : -1;
}

/* Windows in a batch, N*OH*OW, and pixels, N*H*W. */
static inline int64_t window_count(const fnn_conv2d_shape *s)
{
    return saturating_mul(saturating_mul(s->N, s->OH), s->OW);
}

static inline int64_t pixel_count(const fnn_conv2d_shape *s)
{
    return saturating_mul(saturating_mul(s->N, s->H), s->W);
}

/* Whether window p is pixel p, and nothing else: patches are the matrix of pixels, as it lies. */
static inline bool windows_are_pixels(const fnn_conv2d_shape *s)
{
    return s->KH == 1 && s->KW == 1 && s->stride_h == 1 && s->stride_w == 1 && s->pad_top == 0 &&
           s->pad_left == 0 && s->OH == s->H && s->OW == s->W;
}

/* What each window sees of x, one group: (N*OH*OW) x (KH*KW*Cg). */
static inline source input_patches(const fnn_conv2d_shape *s, const real *x, int64_t group)
{
    const int64_t Cg = s->C / s->groups;
    if (windows_are_pixels(s)) return strided_source(x + group * Cg, s->C, 1);
    return (source){.base = x + group * Cg,
                    .kind = PATCHES,
                    .patches = {.H = s->H,
                                .W = s->W,
                                .pixel = s->C,
                                .GH = s->OH,
                                .GW = s->OW,
                                .KH = s->KH,
                                .KW = s->KW,
                                .C = Cg,
                                .step_h = s->stride_h,
                                .step_w = s->stride_w,
                                .origin_h = -s->pad_top,
                                .origin_w = -s->pad_left,
                                .tap_h = s->dilation_h,
                                .tap_w = s->dilation_w,
                                .dense = s->dilation_w == 1 && s->groups == 1}};
}

/* At stride 1: for each pixel of x and each tap, from the last to the first, the output that saw it
 * there: (N*H*W) x (KH*KW*Og). In this order the outputs ascend: they are runs of memory. */
static inline source output_patches(const fnn_conv2d_shape *s, const real *dy, int64_t group)
{
    const int64_t Og = s->O / s->groups;
    if (windows_are_pixels(s)) return strided_source(dy + group * Og, s->O, 1);
    return (source){.base = dy + group * Og,
                    .kind = PATCHES,
                    .patches = {.H = s->OH,
                                .W = s->OW,
                                .pixel = s->O,
                                .GH = s->H,
                                .GW = s->W,
                                .KH = s->KH,
                                .KW = s->KW,
                                .C = Og,
                                .step_h = 1,
                                .step_w = 1,
                                .origin_h = s->pad_top - (s->KH - 1) * s->dilation_h,
                                .origin_w = s->pad_left - (s->KW - 1) * s->dilation_w,
                                .tap_h = s->dilation_h,
                                .tap_w = s->dilation_w,
                                .dense = s->dilation_w == 1 && s->groups == 1}};
}

#endif
