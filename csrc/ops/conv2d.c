/* Which way a convolution is computed. It depends on the pass, the geometry, the element type and
 * the instruction set alone, so that an image's result depends on nothing else. */
#include "ops/conv2d.h"

static const conv_method *const methods[FNN_CONV_ALGORITHMS] = {
    [FNN_CONV_IM2COL] = im2col_methods,
    [FNN_CONV_DIRECT] = direct_methods,
    [FNN_CONV_DEPTHWISE] = depthwise_methods,
    [FNN_CONV_WINOGRAD] = winograd_methods,
};

static fnn_conv_algorithm choose(const fnn_conv2d_shape *s, fnn_conv_pass pass)
{
    if (s->algorithm == FNN_CONV_IM2COL) return FNN_CONV_IM2COL;
    for (int a = FNN_CONV_ALGORITHMS - 1; a > FNN_CONV_IM2COL; a--)
        if (methods[a][pass].takes(s)) return (fnn_conv_algorithm)a;
    return FNN_CONV_IM2COL; /* which takes all */
}

static const conv_method *method(const fnn_conv2d_shape *s, fnn_conv_pass pass)
{
    return &methods[choose(s, pass)][pass];
}

fnn_plan VARIANT(conv2d_forward_plan)(const void *args, int max_members)
{
    const fnn_conv2d_forward_args *f = args;
    return method(&f->shape, FNN_CONV_FORWARD)->plan(args, max_members);
}

void VARIANT(conv2d_forward_run)(const void *args, const fnn_team *team)
{
    const fnn_conv2d_forward_args *f = args;
    method(&f->shape, FNN_CONV_FORWARD)->run(args, team);
}

fnn_plan VARIANT(conv2d_backward_input_plan)(const void *args, int max_members)
{
    const fnn_conv2d_backward_input_args *i = args;
    return method(&i->shape, FNN_CONV_BACKWARD_INPUT)->plan(args, max_members);
}

void VARIANT(conv2d_backward_input_run)(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_input_args *i = args;
    method(&i->shape, FNN_CONV_BACKWARD_INPUT)->run(args, team);
}

fnn_plan VARIANT(conv2d_backward_weight_plan)(const void *args, int max_members)
{
    const fnn_conv2d_backward_weight_args *w = args;
    return method(&w->shape, FNN_CONV_BACKWARD_WEIGHT)->plan(args, max_members);
}

void VARIANT(conv2d_backward_weight_run)(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_weight_args *w = args;
    method(&w->shape, FNN_CONV_BACKWARD_WEIGHT)->run(args, team);
}

fnn_plan VARIANT(conv2d_choice_plan)(const void *args, int max_members)
{
    (void)args, (void)max_members;
    return (fnn_plan){1, 0};
}

void VARIANT(conv2d_choice_run)(const void *args, const fnn_team *team)
{
    (void)team;
    const fnn_conv2d_choice_args *c = args;
    *c->chosen = choose(&c->shape, c->pass);
}
