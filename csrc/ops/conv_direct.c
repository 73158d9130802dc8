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

static bool takes_forward(const fnn_conv2d_shape *s)
{
    return is_small(s) && s->O <= 6 && pixels_workspace(s, FNN_CONV_FORWARD) <= MAX_WORKSPACE;
}

static bool takes_backward_input(const fnn_conv2d_shape *s)
{
    return is_small(s) && s->C <= 6 &&
           pixels_workspace(s, FNN_CONV_BACKWARD_INPUT) <= MAX_WORKSPACE;
}

static bool takes_backward_weight(const fnn_conv2d_shape *s)
{
    return is_small(s) && s->dilation_w == 1 && weight_workspace(s) <= MAX_WORKSPACE;
}

const conv_method direct_methods[FNN_CONV_PASSES] = {
    [FNN_CONV_FORWARD] = {pixels_forward_plan, pixels_forward_run, takes_forward},
    [FNN_CONV_BACKWARD_INPUT] = {pixels_backward_input_plan, pixels_backward_input_run,
                                 takes_backward_input},
    [FNN_CONV_BACKWARD_WEIGHT] = {weight_plan, weight_run, takes_backward_weight},
};
