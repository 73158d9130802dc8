/* Activations against the C library in long double, softmax cross-entropy and SGD against their
 * formulae. */
#include <math.h>

#include "check.h"

enum { SIZE = 4001 };

static long double exact(fnn_activation f, long double x)
{
    switch (f) {
    case FNN_RELU:
        return x > 0 ? x : 0;
    case FNN_SIGMOID:
        return 1 / (1 + expl(-x));
    case FNN_TANH:
        return tanhl(x);
    case FNN_SCALED_TANH:
        return 1.7159L * tanhl(x * 2 / 3);
    default:
        return x;
    }
}

static void set(fnn_dtype dtype, void *array, int64_t i, double value)
{
    if (dtype == FNN_F64) ((double *)array)[i] = value;
    else ((float *)array)[i] = (float)value;
}

static void check_activation(fnn_dtype dtype, fnn_activation f)
{
    double x[SIZE], y[SIZE]; /* large enough for either dtype */
    for (int i = 0; i < SIZE; i++) set(dtype, x, i, (i - SIZE / 2) * 0.005);
    const fnn_activation_args args = {.size = SIZE, .activation = f, .x = x, .out = y};
    CHECK(fnn_activation_forward(dtype, &args) == FNN_OK, "no memory");
    const long double epsilon = dtype == FNN_F64 ? 0x1p-52L : 0x1p-23L;
    for (int i = 0; i < SIZE; i++) {
        const long double expected = exact(f, get(dtype, x, i));
        const long double error = fabsl(get(dtype, y, i) - expected);
        CHECK(error <= 4 * epsilon * fabsl(expected), "activation %d of %g: %g", f,
              get(dtype, x, i), get(dtype, y, i));
    }
}

static void check_cross_entropy(fnn_dtype dtype)
{
    double logits[6] = {0}, dlogits[6];
    for (int i = 0; i < 6; i++) set(dtype, logits, i, i % 3 + 1);
    const int64_t labels[2] = {2, 2};
    double loss;
    const fnn_class_loss_args args = {
        .N = 2, .C = 3, .x = logits, .labels = labels, .dx = dlogits, .loss = &loss};
    CHECK(fnn_softmax_cross_entropy(dtype, &args) == FNN_OK, "no memory");
    CHECK(fabs(loss - 0.4076059644443803) < 1e-7, "loss %.17g", loss);
    const double expected[3] = {0.09003057317, 0.24472847105, -0.33475904423};
    for (int i = 0; i < 6; i++)
        CHECK(fabs(2 * get(dtype, dlogits, i) - expected[i % 3]) < 1e-7, "dlogits[%d]", i);
}

static void check_sgd(fnn_dtype dtype)
{
    double w[3] = {0}, dw[3], v[3];
    for (int i = 0; i < 3; i++) {
        set(dtype, w, i, 1);
        set(dtype, dw, i, 0.5);
        set(dtype, v, i, 2);
    }
    const double hyper[3] = {0.25, 0.5, 0.5}; /* g = 1, v = 2, step = 2 or, Nesterov, 2 */
    const fnn_sgd_step_args args = {
        .size = 3, .w = w, .dw = dw, .v = v, .hyper = hyper, .nesterov = true};
    CHECK(fnn_sgd_step(dtype, &args) == FNN_OK, "no memory");
    for (int i = 0; i < 3; i++) {
        CHECK(get(dtype, v, i) == 2, "v[%d]", i);
        CHECK(get(dtype, w, i) == 0.5, "w[%d]", i);
    }
}

int main(void)
{
    require_isa();
    for (int dtype = 0; dtype < FNN_DTYPES; dtype++) {
        for (int f = FNN_IDENTITY; f <= FNN_SCALED_TANH; f++)
            check_activation((fnn_dtype)dtype, (fnn_activation)f);
        check_cross_entropy((fnn_dtype)dtype);
        check_sgd((fnn_dtype)dtype);
    }
    puts(fnn_isa());
    return 0;
}
