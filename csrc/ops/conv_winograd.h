/* What the passes of a convolution by Winograd's algorithm share. */
#ifndef FNN_CONV_WINOGRAD_H
#define FNN_CONV_WINOGRAD_H

#include "ops/winograd.h"

/* Multiply-adds of the products that pay for one more member. */
enum { WINOGRAD_PER_MEMBER = 200000 };

/* Rows or columns of squares that cover n outputs, in every phase of a dilation. */
static inline int64_t squares_over(int64_t n, int64_t dilation, int64_t out)
{
    return ceil_div(ceil_div(n, dilation), out) * dilation;
}

/* The squares that cover OH x OW outputs; what images they are seen in is left to fill in. */
static inline squares winograd_squares(const fnn_conv2d_shape *s, int64_t OH, int64_t OW)
{
    const int64_t out = SQUARE_IN + 1 - s->KH;
    return (squares){.N = s->N,
                     .down = squares_over(OH, s->dilation_h, out),
                     .across = squares_over(OW, s->dilation_w, out),
                     .out = out,
                     .dilation_h = s->dilation_h,
                     .dilation_w = s->dilation_w};
}

/* Multiply-adds of the products of all frequencies. */
static inline int64_t winograd_work(const squares *in, const squares *out)
{
    return saturating_mul(saturating_mul(square_count(in), FREQUENCIES),
                          saturating_mul(in->C, out->C));
}

/* The size of the equal blocks, multiples of `grain`, that n is cut in, if it is at most `most`. */
static inline int64_t equal_blocks(int64_t n, int64_t most, int64_t grain)
{
    return ceil_div(ceil_div(n, ceil_div(n, most)), grain) * grain;
}

/* Part i of n nearly equal ones. */
static inline range part(range r, int64_t i, int64_t n)
{
    const int64_t size = r.end - r.begin;
    return (range){r.begin + size * i / n, r.begin + size * (i + 1) / n};
}

#define winograd_backward_weight_plan VARIANT(winograd_backward_weight_plan)
fnn_plan winograd_backward_weight_plan(const void *args, int max_members);
#define winograd_backward_weight_run VARIANT(winograd_backward_weight_run)
void winograd_backward_weight_run(const void *args, const fnn_team *team);

#endif
