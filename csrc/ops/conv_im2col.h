/* Parts of the convolution as products. */
#ifndef FNN_CONV_IM2COL_H
#define FNN_CONV_IM2COL_H

#include "ops/real.h"

/* The gradient with respect to x where a stride is above 1. */
#define im2col_strided_plan VARIANT(im2col_strided_plan)
fnn_plan im2col_strided_plan(const fnn_conv2d_backward_input_args *a, int max_members);
#define im2col_strided_run VARIANT(im2col_strided_run)
void im2col_strided_run(const fnn_conv2d_backward_input_args *a, const fnn_team *team);

#endif
