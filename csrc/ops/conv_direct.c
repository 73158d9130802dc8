/* Convolutions of few channels, computed from images in place or from rows of them: which of the
 * direct ways takes what. */
#include "ops/conv_direct.h"

#include "ops/vector.h"

/* The most that a member may ask for to hold its rows. */
enum { MAX_WORKSPACE = 4 << 20 };

static bool is_small(const fnn_conv2d_shape *s)
{
    return s->groups == 1 && s->KH <= MAX_KERNEL && s->KW <= MAX_KERNEL && s->C > 0 && s->O > 0;
}

/* Forward: whether pixels fill the lanes, or channels. */
static bool by_pixels(const fnn_conv2d_shape *s)
{
    return s->O <= 6;
}

static bool takes_forward(const fnn_conv2d_shape *s)
{
    if (!is_small(s)) return false;
    if (by_pixels(s)) return pixels_workspace(s, FNN_CONV_FORWARD) <= MAX_WORKSPACE;
    return s->dilation_w == 1 && s->C <= 16 && channels_workspace(s) <= MAX_WORKSPACE;
}

static fnn_plan forward_plan(const void *args, int max_members)
{
    const fnn_conv2d_forward_args *f = args;
    return by_pixels(&f->shape) ? pixels_forward_plan(args, max_members)
                                : channels_forward_plan(args, max_members);
}

static void forward_run(const void *args, const fnn_team *team)
{
    const fnn_conv2d_forward_args *f = args;
    if (by_pixels(&f->shape)) pixels_forward_run(args, team);
    else channels_forward_run(args, team);
}

static bool by_scatter(const fnn_conv2d_shape *s)
{
    return s->dilation_w == 1 && s->KW * s->C >= 24 && s->O * s->KH * s->KW * s->C <= 6144;
}

static bool takes_backward_input(const fnn_conv2d_shape *s)
{
    if (!is_small(s)) return false;
    if (by_scatter(s)) return scatter_workspace(s) <= MAX_WORKSPACE;
    return s->C <= 6 && pixels_workspace(s, FNN_CONV_BACKWARD_INPUT) <= MAX_WORKSPACE;
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

static bool takes_backward_weight(const fnn_conv2d_shape *s)
{
    return is_small(s) && s->dilation_w == 1 && weight_workspace(s) <= MAX_WORKSPACE;
}

const conv_method direct_methods[FNN_CONV_PASSES] = {
    [FNN_CONV_FORWARD] = {forward_plan, forward_run, takes_forward},
    [FNN_CONV_BACKWARD_INPUT] = {backward_input_plan, backward_input_run,
                                 takes_backward_input},
    [FNN_CONV_BACKWARD_WEIGHT] = {weight_plan, weight_run, takes_backward_weight},
};
