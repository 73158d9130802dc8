/* Activations, for the ops that apply one to what they computed. */
#ifndef FNN_ACTIVATION_H
#define FNN_ACTIVATION_H

#include "ops/real.h"

/* y[i] = f(x[i]), i < n; y may be x. */
#define activate VARIANT(activate)
void activate(fnn_activation f, const real *x, real *y, int64_t n);

/* Those that are no epilogues, with their parameters. */
#define activate_piecewise VARIANT(activate_piecewise)
void activate_piecewise(fnn_activation f, const double *p, const real *x, real *y, int64_t n);
#define activate_piecewise_backward VARIANT(activate_piecewise_backward)
void activate_piecewise_backward(fnn_activation f, const double *p, const real *dy, const real *v,
                                 real *dx, int64_t n);
#define activate_smooth VARIANT(activate_smooth)
void activate_smooth(fnn_activation f, const double *p, const real *x, real *y, int64_t n);
#define activate_smooth_backward VARIANT(activate_smooth_backward)
void activate_smooth_backward(fnn_activation f, const double *p, const real *dy, const real *v,
                              real *dx, int64_t n);

#endif
