/* Which way a convolution is computed. It depends on the pass, the geometry, the element type and
 * the instruction set alone, so that an image's result depends on nothing else. */
#include "ops/conv2d.h"

/* NULL where there is none. */
static const conv_method *const methods[FNN_CONV_ALGORITHMS] = {
    [FNN_CONV_IM2COL] = im2col_methods,
    [FNN_CONV_WINOGRAD] = winograd_methods,
    [FNN_CONV_DIRECT] = direct_methods,
    [FNN_CONV_DEPTHWISE] = depthwise_methods,
};

static fnn_conv_algorithm choose(const fnn_conv2d_shape *s, fnn_conv_pass pass)
{
    if (s->algorithm != FNN_CONV_AUTO) return s->algorithm;
    for (int a = FNN_CONV_ALGORITHMS - 1; a > FNN_CONV_IM2COL; a--) {
        const conv_method *m = methods[a] ? &methods[a][pass] : NULL;
        if (m && m->takes && m->takes(s)) return (fnn_conv_algorithm)a;
    }
    return FNN_CONV_IM2COL;
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

/* The direct way has no bias and no activation; im2col gives the same bits. */
static const conv_method *backward_input_method(const fnn_conv2d_backward_input_args *i)
{
    const fnn_conv_algorithm a = choose(&i->shape, FNN_CONV_BACKWARD_INPUT);
    const bool plain = !i->bias && i->activation == FNN_IDENTITY;
    return &methods[a == FNN_CONV_DIRECT && !plain ? FNN_CONV_IM2COL : a][FNN_CONV_BACKWARD_INPUT];
}

fnn_plan VARIANT(conv2d_backward_input_plan)(const void *args, int max_members)
{
    const fnn_conv2d_backward_input_args *i = args;
    return backward_input_method(i)->plan(args, max_members);
}

void VARIANT(conv2d_backward_input_run)(const void *args, const fnn_team *team)
{
    const fnn_conv2d_backward_input_args *i = args;
    backward_input_method(i)->run(args, team);
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
