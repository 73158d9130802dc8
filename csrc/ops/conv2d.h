/* The ways to compute a convolution: each is a file that fills one table. */
#ifndef FNN_CONV2D_H
#define FNN_CONV2D_H

#include "ops/window.h"

/* One pass in one way. plan and run are an op's, and take the args of that pass. */
typedef struct conv_method {
    fnn_plan (*plan)(const void *args, int max_members);
    void (*run)(const void *args, const fnn_team *team);
    bool (*takes)(const fnn_conv2d_shape *s); /* whether it is the one to use */
} conv_method;

#define direct_methods VARIANT(direct_methods)
extern const conv_method direct_methods[FNN_CONV_PASSES];
#define im2col_methods VARIANT(im2col_methods)
extern const conv_method im2col_methods[FNN_CONV_PASSES];

#define winograd_methods VARIANT(winograd_methods)
extern const conv_method winograd_methods[FNN_CONV_PASSES];
#define depthwise_methods VARIANT(depthwise_methods)
extern const conv_method depthwise_methods[FNN_CONV_PASSES];

#endif
