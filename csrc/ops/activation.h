/* Activations, for the ops that apply one to what they computed. */
#ifndef FNN_ACTIVATION_H
#define FNN_ACTIVATION_H

#include "ops/real.h"

/* y[i] = f(x[i]), i < n; y may be x. */
#define activate VARIANT(activate)
void activate(fnn_activation f, const real *x, real *y, int64_t n);

#endif
