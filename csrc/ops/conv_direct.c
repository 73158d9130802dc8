/* Convolutions of few channels, computed from images in place or from rows of them: which of the
 * direct ways takes what. Where each is ahead of im2col was measured on AVX2 by
 * bench/conv_direct_ways.c, for 1 to 32 channels, 1 to 64 filters of 1, 3, 5 and 7 taps squared,
 * images of 8 to 56 pixels squared, strides 1 and 2. */
#include "ops/conv_direct.h"

#include "ops/vector.h"

/* Bytes: what a member may ask for; and filters, which are read again for each row or each pixel,
 * and so should stay in L2 or in L1. */
enum { MAX_WORKSPACE = 4 << 20, FILTERS_IN_L2 = 512 << 10, FILTERS_IN_L1 = 32 << 10 };

/* Channels of the image that a result is computed from, of the result where they are in lanes, and
 * of the image where a pass writes one. */
enum { MAX_CHANNELS = 32, MAX_FILTERS_OF_WEIGHT = 32 };

static int64_t filter_bytes(const fnn_conv2d_shape *s)
{
    return saturating_mul(s->O, s->KH * s->KW * s->C * (int64_t)sizeof(real));
}

static bool is_small(const fnn_conv2d_shape *s)
{
    return s->groups == 1 && s->KH <= MAX_KERNEL && s->KW <= MAX_KERNEL && s->C > 0 && s->O > 0 &&
           filter_bytes(s) <= FILTERS_IN_L2;
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Whether pixels fill the lanes better than channels do. To lay rows out by the columns that a
 * stride sees costs as much as it gains. */
static bool forward_by_pixels(const fnn_conv2d_shape *s)
{
    if (s->O > PIXEL_CHANNELS) return false;
    if (s->dilation_w != 1) return true;
    return s->stride_w == 1 && s->OW * round_up(s->O, LANES) >= s->O * round_up(s->OW, LANES);
}

static bool takes_forward(const fnn_conv2d_shape *s)
{
    if (!is_small(s) || s->C > MAX_CHANNELS) return false;
    if (forward_by_pixels(s)) return pixels_workspace(s, FNN_CONV_FORWARD) <= MAX_WORKSPACE;
    return s->dilation_w == 1 && (s->stride_w == 1 || s->C <= MAX_CHANNELS / 2) &&
           channels_workspace(s) <= MAX_WORKSPACE;
}

static fnn_plan forward_plan(const void *args, int max_members)
{
    const fnn_conv2d_forward_args *f = args;
    return forward_by_pixels(&f->shape) ? pixels_forward_plan(args, max_members)
                                        : channels_forward_plan(args, max_members);
}

static void forward_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_forward_args *f = args;
    if (forward_by_pixels(&f->shape)) pixels_forward_run(args, team);
    else channels_forward_run(args, team);
}

/* ---- the gradient of the input --------------------------------------------------------------- */

/* Multiply-adds of a row of dx or of dy, idle lanes and products with padding included; a product
 * costs 1.4 times as much where it is scattered. */
static bool scatters_less(const fnn_conv2d_shape *s)
{
    const double gathered = (double)s->H * (double)round_up(ceil_div(s->W, s->stride_w), LANES) *
                            (double)(s->C * s->KW * ceil_div(s->KH, s->stride_h));
    const double scattered =
        (double)s->OH * (double)s->OW * (double)(s->KH * round_up(s->KW * s->C, LANES));
    return 1.4 * scattered < gathered;
}

/* Each pixel of dy reads all filters: of what strides leave im2col to do, those in L2 are worth it
 * too. */
static bool by_scatter(const fnn_conv2d_shape *s)
{
    const bool strided = s->stride_h > 1 || s->stride_w > 1;
    if (s->dilation_w != 1 || s->KW * s->C <= LANES) return false;
    if (filter_bytes(s) > (strided ? 4 * FILTERS_IN_L1 : FILTERS_IN_L1)) return false;
    if (s->C <= PIXEL_CHANNELS) return scatters_less(s);
    return s->C <= (strided ? MAX_CHANNELS : LANES) && s->KW > 1;
}

static bool takes_backward_input(const fnn_conv2d_shape *s)
{
    if (!is_small(s)) return false;
    if (by_scatter(s)) return scatter_workspace(s) <= MAX_WORKSPACE;
    return (s->C <= PIXEL_CHANNELS || (s->C == 2 * PIXEL_CHANNELS && s->KW > 1)) &&
           filter_bytes(s) <= 4 * FILTERS_IN_L1 &&
           pixels_workspace(s, FNN_CONV_BACKWARD_INPUT) <= MAX_WORKSPACE;
}

static fnn_plan backward_input_plan(const void *args, int max_members)
{
    const fnn_conv2d_backward_input_args *i = args;
    return by_scatter(&i->shape) ? scatter_plan(args, max_members)
                                 : pixels_backward_input_plan(args, max_members);
}

static void backward_input_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_input_args *i = args;
    if (by_scatter(&i->shape)) scatter_run(args, team);
    else pixels_backward_input_run(args, team);
}

/* ---- the gradient of the filters ------------------------------------------------------------- */

/* What im2col loses is gathering, the more the fewer channels share it; what it gains are tiles of
 * 6 filters x 2 vectors of taps, which 1 or 2 vectors of filters equal. */
static bool takes_backward_weight(const fnn_conv2d_shape *s)
{
    if (!is_small(s) || s->dilation_w != 1) return false;
    const bool few = s->C <= 3 || (s->C <= PIXEL_CHANNELS && s->O <= MAX_FILTERS_OF_WEIGHT);
    const bool whole = s->C <= MAX_CHANNELS && (s->O == LANES || s->O == 2 * LANES);
    return (few || whole) && weight_workspace(s) <= MAX_WORKSPACE;
}

const conv_method direct_methods[FNN_CONV_PASSES] = {
    [FNN_CONV_FORWARD] = {forward_plan, forward_run, takes_forward},
    [FNN_CONV_BACKWARD_INPUT] = {backward_input_plan, backward_input_run, takes_backward_input},
    [FNN_CONV_BACKWARD_WEIGHT] = {weight_plan, weight_run, takes_backward_weight},
};
